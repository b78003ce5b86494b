"""Reads what a worker has stored in Redis, for triggers, the operations page and commands.

The one rule: nothing is written here.

See also `streams.state.redis`: the keys of a partition, and the store of a worker, which writes.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from typing import Any, Self, cast

import msgspec

from streams.errors import StoreFailed
from streams.settings import Settings
from streams.state import redis_client
from streams.state.call_timer import CallTimer
from streams.state.contract import tombstone
from streams.state.redis_calls import cancellable, translated

POSITION = "position:"
TIMEOUT_S = 10.0
# The fields that a look reads: small ones alone, as the list of definition versions beside them may be large.
LOOK_FIELDS = ("definitions", "epoch", "clock", "caught_up", "trimmed", "token")


def key(prefix: str, partition: int, name: str) -> str:
    """The Redis key of a part of a partition; ``name``: see the table of `streams.state.redis`."""
    return f"{prefix}{{p{partition}}}:{name}"


class Snapshot(msgspec.Struct, frozen=True):
    """A partition's fields and positions at one moment, with the stored values and due times of some customers.

    ``documents``: the definitions of each version, by number, if they were requested.
    """

    meta: Mapping[str, str]
    positions: Mapping[str, int]
    values: Mapping[str, bytes | None]
    dues: Mapping[str, int]
    documents: Mapping[int, bytes] = {}


class PartitionLook(msgspec.Struct, frozen=True):
    """The progress of a partition, with the stored values (of erased customers, remainders) and due times of some.

    ``meta``: the fields of `LOOK_FIELDS` that are set. ``outbox``: the number of entries not yet known to be published.
    """

    meta: Mapping[str, str]
    outbox: int
    values: Mapping[str, bytes]
    dues: Mapping[str, int]


class RedisReader:
    """The stored partitions of one Redis, or one Redis Cluster. The client must not decode responses."""

    def __init__(self, client: redis_client.Client, prefix: str = "segmenter:") -> None:
        self._client = client
        self._prefix = prefix
        self._scripts: Sequence[Any] = ()  # those that a call may name by their hash in an error
        self.stopwatch = CallTimer()

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """The store that the settings name. Raises `Stop` for a file that cannot be used."""
        return cls(redis_client.of(settings, TIMEOUT_S), settings.redis_prefix)

    @classmethod
    def connect(cls, url: str, prefix: str, **options: Any) -> Self:
        """A store on a single Redis; ``options``: see `streams.state.redis_client.connect`."""
        return cls(redis_client.connect(url, TIMEOUT_S, **options), prefix)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    @translated
    async def meta(self, partition: int, fields: Sequence[str]) -> dict[str, str]:
        """Read these fields of the partition's hash `meta`; those that are not set are left out."""
        values = await cast(Any, self._client.hmget)(self._key(partition, "meta"), list(fields))
        return _meta(fields, values)

    @translated
    async def snapshot(
        self, partition: int, customers: Sequence[str], fields: Sequence[str] = (), *, documents: bool = False
    ) -> Snapshot:
        """Read these customers and the partition's fields at one moment; for commands that only read.

        ``fields``: the fields of `meta` to read; all of them if none is named.
        """
        async with self._client.pipeline(transaction=True) as pipe:
            if fields:
                pipe.hmget(self._key(partition, "meta"), list(fields))
            else:
                pipe.hgetall(self._key(partition, "meta"))
            if documents:
                pipe.hgetall(self._key(partition, "files"))
            if customers:
                pipe.hmget(self._key(partition, "customers"), list(customers))
                pipe.zmscore(self._key(partition, "due"), list(customers))
            meta, *answers = await pipe.execute()
        # What follows depends on the arguments: the documents, if requested, then values and dues, if there are ids.
        files = answers.pop(0) if documents else {}
        values, dues = answers or ([], [])
        meta = _meta(fields, meta) if fields else _meta(list(map(bytes.decode, meta)), meta.values())
        return Snapshot(
            meta=meta,
            positions=offsets(meta, POSITION),
            values=dict(zip(customers, values, strict=True)),
            dues={name: int(due) for name, due in zip(customers, dues, strict=True) if due is not None},
            documents={int(number): document for number, document in files.items()},
        )

    @translated
    async def look(self, partition: int, customers: Sequence[str]) -> PartitionLook:
        """Read the progress of a partition and these customers at one moment; for triggers, which do it often."""
        async with self._client.pipeline(transaction=True) as pipe:
            pipe.hmget(self._key(partition, "meta"), list(LOOK_FIELDS))
            pipe.llen(self._key(partition, "outbox"))
            if customers:
                pipe.hmget(self._key(partition, "customers"), list(customers))
                pipe.hmget(self._key(partition, "erased"), [tombstone(customer) for customer in customers])
                pipe.zmscore(self._key(partition, "due"), list(customers))
            fields, outbox, *answers = await pipe.execute()
        values, remainders, dues = answers or ([], [], [])
        stored = [value if value is not None else rest for value, rest in zip(values, remainders, strict=True)]
        return PartitionLook(
            meta={name: value.decode() for name, value in zip(LOOK_FIELDS, fields, strict=True) if value is not None},
            outbox=outbox,
            values={name: value for name, value in zip(customers, stored, strict=True) if value is not None},
            dues={name: int(due) for name, due in zip(customers, dues, strict=True) if due is not None},
        )

    @translated
    async def outbox(self, partition: int) -> list[bytes]:
        """The entries that are not yet known to be published, oldest first."""
        return cast(list[bytes], await cast(Any, self._client.lrange)(self._key(partition, "outbox"), 0, -1))

    @translated
    async def erased(self, partition: int, customer: str) -> bytes | None:
        """The remainder of an erased customer; ``None`` if it is not erased."""
        remainder = await cast(Any, self._client.hget)(self._key(partition, "erased"), tombstone(customer))
        return cast(bytes | None, remainder)

    async def customers(self, partition: int) -> AsyncIterator[tuple[str, bytes]]:
        """Every stored customer of a partition, in no order; a customer that is saved meanwhile may come twice."""
        try:
            with cancellable() as check:
                async for name, stored in self._client.hscan_iter(self._key(partition, "customers"), count=1_000):
                    check()
                    yield name.decode(), stored
        except redis_client.FAILURES as error:
            raise self.failed(error) from error

    @translated
    async def memory(self) -> tuple[int, int]:
        """The bytes that Redis uses and may use (0: no limit), of the server that is fullest."""
        sizes: list[tuple[int, int]] = []
        for server in await redis_client.servers(self._client):
            info = await cast(Any, self._client.info)("memory", **server)
            sizes.append((int(info["used_memory"]), int(info.get("maxmemory", 0))))
        return max(sizes, key=lambda size: size[0] / (size[1] or sys.maxsize))

    def failed(self, error: Exception) -> StoreFailed:
        """Translate an error of the client into one of the store's contract."""
        texts = {str(script.sha): str(script.script) for script in self._scripts}
        return redis_client.failed(error, f"{self._prefix}{{p*", texts)

    def _key(self, partition: int, name: str) -> str:
        return key(self._prefix, partition, name)


def offsets(meta: Mapping[str, bytes] | Mapping[str, str], prefix: str) -> dict[str, int]:
    return {name[len(prefix) :]: int(value) for name, value in meta.items() if name.startswith(prefix)}


def _meta(fields: Iterable[str], values: Iterable[bytes | None]) -> dict[str, str]:
    return {name: value.decode() for name, value in zip(fields, values, strict=True) if value is not None}
