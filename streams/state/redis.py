"""The store on Redis: one hash tag per partition, one script per step.

The one rule: all keys of a partition have its hash tag, ``{p12}``, so they are on one shard, and one script may
write them together (https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/#hash-tags).
Long because it implements the whole contract, and what commands read beside it.

    worker A claims p12: claim.lua writes its token; A loads customers and computes save 7
    worker B claims p12, as A seems dead: claim.lua writes the token of B and gives B the state after save 6
    A sends save 7: save.lua finds another token, writes nothing and answers `fenced`; A releases the partition
    B sends its own save 7, loses the reply and sends it again: save.lua finds its digest and answers `already`

| key                   | type | value                                                         |
|-----------------------|------|---------------------------------------------------------------|
| PREFIX{p12}:meta      | hash | claim, identity, save number, digest, clock, position by input and output, attempt |
| PREFIX{p12}:customers | hash | customer id → stored customer                                 |
| PREFIX{p12}:erased    | hash | hash of a customer id → remainder of the erased customer      |
| PREFIX{p12}:due       | zset | customer id by next due time (ms)                             |
| PREFIX{p12}:outbox    | list | entries not yet known to be published, oldest first           |
| PREFIX{p12}:files     | hash | number of a definition version → its document (`streams.state.definition_versions`) |

See also: ``streams/state/lua/`` (the scripts), `streams.state.redis_client` (connections, retries and errors).
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Mapping, Sequence
from functools import wraps
from importlib.resources import files
from typing import Any, ParamSpec, Self, TypeVar, cast

import msgspec

from streams.errors import ClaimRefused, LowerGeneration, StoreFailed
from streams.settings import Settings
from streams.state import redis_client
from streams.state.call_timer import CallTimer
from streams.state.contract import (
    Claim,
    EncodedVersions,
    Identity,
    PartitionState,
    Save,
    SaveAnswer,
    check_identity,
    tombstone,
)
from streams.state.redis_arguments import arguments

POSITION = "position:"
OUTPUT = "output:"
CLOCK_SKEW_MAX_MS = 1_000
TIMEOUT_S = 10.0
# The fields that a look reads: small ones alone, as the list of definition versions beside them may be large.
LOOK_FIELDS = ("definitions", "epoch", "clock", "caught_up", "trimmed", "token")
# The longest call, with all its retries: for a Redis that accepts connections and never answers, each attempt takes
# its whole timeout.
CALL_MAX_S = 25.0

P = ParamSpec("P")
T = TypeVar("T")


def _translated(method: Callable[P, Coroutine[Any, Any, T]]) -> Callable[P, Coroutine[Any, Any, T]]:
    """Bound and time a method's call, and translate errors of the client into those of the store's contract."""

    @wraps(method)
    async def translated(*args: P.args, **kwargs: P.kwargs) -> T:
        store = cast(RedisStore, args[0])
        stopwatch = store.stopwatch
        number = stopwatch.begin()
        cancellations = _cancellations()
        try:
            async with asyncio.timeout(CALL_MAX_S):
                result = await method(*args, **kwargs)
        except redis_client.FAILURES as error:
            raise store.failed(error) from error
        finally:
            stopwatch.end(number, method.__name__)
        _check_cancelled(cancellations)
        return result

    return translated


def _cancellations() -> int:
    """How often the running task was cancelled."""
    task = asyncio.current_task()
    return 0 if task is None else task.cancelling()


def _check_cancelled(before: int) -> None:
    """Raise the cancellation that came since there were ``before``, which the client has lost.

    redis-py sends by ``wait_for`` of asyncio, which on Python 3.11 loses a cancellation that comes as it ends
    (https://github.com/python/cpython/issues/86296). A task that should end would go on for ever.
    """
    if _cancellations() > before:
        raise asyncio.CancelledError


def _script(name: str) -> str:
    return files("streams.state").joinpath("lua", name).read_text("utf-8")


def key(prefix: str, partition: int, name: str) -> str:
    """The Redis key of a part of a partition; ``name``: see the table at the top."""
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


class RedisStore:
    """The contract of `streams.state.contract.Store` on one Redis, or one Redis Cluster.

    The client must not decode responses.
    """

    def __init__(self, client: redis_client.Client, prefix: str = "segmenter:") -> None:
        self._client = client
        self._prefix = prefix
        self._erased: set[int] = set()  # partitions with erased customers; others need no look for remainders
        self.stopwatch = CallTimer()
        self._claim = client.register_script(_script("claim.lua"))
        self._begin = client.register_script(_script("begin.lua"))
        self._save = client.register_script(_script("save.lua"))
        self._trim = client.register_script(_script("trim.lua"))
        self._set_attempt = client.register_script(_script("attempt.lua"))

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

    @_translated
    async def meta(self, partition: int, fields: Sequence[str]) -> dict[str, str]:
        """Read these fields of the partition's hash `meta`; those that are not set are left out."""
        values = await cast(Any, self._client.hmget)(self._key(partition, "meta"), list(fields))
        return _meta(fields, values)

    @_translated
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
            positions=_offsets(meta, POSITION),
            values=dict(zip(customers, values, strict=True)),
            dues={name: int(due) for name, due in zip(customers, dues, strict=True) if due is not None},
            documents={int(number): document for number, document in files.items()},
        )

    @_translated
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

    @_translated
    async def outbox(self, partition: int) -> list[bytes]:
        """The entries that are not yet known to be published, oldest first."""
        return cast(list[bytes], await cast(Any, self._client.lrange)(self._key(partition, "outbox"), 0, -1))

    @_translated
    async def erased(self, partition: int, customer: str) -> bytes | None:
        """The remainder of an erased customer; ``None`` if it is not erased."""
        remainder = await cast(Any, self._client.hget)(self._key(partition, "erased"), tombstone(customer))
        return cast(bytes | None, remainder)

    async def customers(self, partition: int) -> AsyncIterator[tuple[str, bytes]]:
        """Every stored customer of a partition, in no order; a customer that is saved meanwhile may come twice."""
        cancellations = _cancellations()
        try:
            async for name, stored in self._client.hscan_iter(self._key(partition, "customers"), count=1_000):
                _check_cancelled(cancellations)
                yield name.decode(), stored
        except redis_client.FAILURES as error:
            raise self.failed(error) from error

    def failed(self, error: Exception) -> StoreFailed:
        """Translate an error of the client into one of the store's contract."""
        scripts = (self._claim, self._begin, self._save, self._trim, self._set_attempt)
        texts = {str(script.sha): str(script.script) for script in scripts}
        return redis_client.failed(error, f"{self._prefix}{{p*", texts)

    def _key(self, partition: int, name: str) -> str:
        return key(self._prefix, partition, name)

    @_translated
    async def claim(self, claim: Claim) -> PartitionState:
        keys = [self._key(claim.partition, name) for name in ("meta", "due", "outbox", "erased", "files")]
        identity = claim.identity
        arguments: list[str | int] = [
            claim.token, claim.generation, claim.proven_over, identity.cluster, identity.group, identity.partitions,
            identity.definitions, identity.topics, int(claim.follows),
        ]  # fmt: skip
        answer = await self._claim(keys, arguments)
        if answer[0] == b"lower":
            raise LowerGeneration(int(answer[1]), answer[2].decode())
        if answer[0] == b"other":
            _refuse(identity, answer[1].decode(), answer[2].decode())
        # Redis answers hashes as flat lists of names and values; `due` is the earliest member and its score.
        flat, due, outbox, erased, files = answer[1:]
        if erased:
            self._erased.add(claim.partition)
        meta = {name.decode(): value for name, value in zip(flat[::2], flat[1::2], strict=True)}
        return PartitionState(
            positions=_offsets(meta, POSITION),
            clock=int(meta.get("clock", 0)),
            save_number=int(meta.get("save", 0)),
            next_due=int(float(due[1])) if due else 0,
            outbox=outbox,
            trimmed=int(meta.get("trimmed", 0)),
            outputs=_offsets(meta, OUTPUT),
            definition_versions=meta.get("epochs", b""),
            attempt=meta.get("attempt", b""),
            documents={int(number): document for number, document in zip(files[::2], files[1::2], strict=True)},
        )

    @_translated
    async def begin(
        self, claim: Claim, positions: Mapping[str, int], files: EncodedVersions | None = None, number: int = 0
    ) -> bool:
        arguments: list[str | int | bytes] = [claim.token, number, claim.identity.definitions]
        if files is None:
            arguments += ["", b"", 0, 0]
        else:
            arguments += [files.number, files.encoded, len(files.stay), 2 * len(files.documents), *files.stay]
            for number_of_file, document in files.documents.items():
                arguments += [number_of_file, document]
        for name, position in positions.items():
            arguments += [name, position]
        keys = [self._key(claim.partition, part) for part in ("meta", "files")]
        return bool(await self._begin(keys, arguments))

    @_translated
    async def set_attempt(self, partition: int, token: str, attempt: bytes) -> bool:
        return bool(await self._set_attempt([self._key(partition, "meta")], [token, attempt]))

    @_translated
    async def load(self, partition: int, customers: Sequence[str]) -> list[bytes | None]:
        if not customers:
            return []
        command = cast(Any, self._client.hmget)  # redis-py types one method for sync and async
        values = cast(list[bytes | None], await command(self._key(partition, "customers"), customers))
        missing = [index for index, value in enumerate(values) if value is None]
        if missing and partition in self._erased:
            names = [tombstone(customers[index]) for index in missing]
            remainders = await command(self._key(partition, "erased"), names)
            for index, remainder in zip(missing, remainders, strict=True):
                values[index] = remainder
        return values

    @_translated
    async def count(self, partition: int) -> int:
        return int(await cast(Any, self._client.hlen)(self._key(partition, "customers")))

    @_translated
    async def scan(self, partition: int, cursor: int, count: int) -> tuple[int, list[tuple[str, bytes]]]:
        call = cast(Any, self._client.hscan)
        after, page = await call(self._key(partition, "customers"), cursor=cursor, count=count)
        return int(after), [(name.decode(), value) for name, value in page.items()]

    @_translated
    async def due(self, partition: int, until: int, limit: int) -> list[str]:
        dues = self._key(partition, "due")
        customers = await self._client.zrangebyscore(dues, "-inf", until, start=0, num=limit)
        return [cast(bytes, customer).decode() for customer in customers]

    @_translated
    async def next_due(self, partition: int) -> int:
        first = await self._client.zrange(self._key(partition, "due"), 0, 0, withscores=True)
        return int(first[0][1]) if first else 0

    @_translated
    async def save(self, partition: int, save: Save) -> SaveAnswer:
        if any(customer.erased for customer in save.customers):
            self._erased.add(partition)
        keys = [self._key(partition, name) for name in ("meta", "customers", "due", "outbox", "erased", "files")]
        answer = cast(Any, await self._save(keys, arguments(save)))  # bytes: the client does not decode
        return cast(SaveAnswer, answer.decode())

    @_translated
    async def generation(self, partition: int) -> int:
        generation = await cast(Any, self._client.hget)(self._key(partition, "meta"), "generation")
        return -1 if generation is None else int(generation)

    @_translated
    async def memory(self) -> tuple[int, int]:
        """The bytes that Redis uses and may use (0: no limit), of the server that is fullest."""
        sizes: list[tuple[int, int]] = []
        for server in await redis_client.servers(self._client):
            info = await cast(Any, self._client.info)("memory", **server)
            sizes.append((int(info["used_memory"]), int(info.get("maxmemory", 0))))
        return max(sizes, key=lambda size: size[0] / (size[1] or sys.maxsize))

    @_translated
    async def verify(self, now_ms: Callable[[], int]) -> None:
        """Refuse a Redis that may evict keys, or whose clock differs from this machine's. Raises `ClaimRefused`."""
        for server in await redis_client.servers(self._client):
            memory = await cast(Any, self._client.info)("memory", **server)
            policy = memory.get("maxmemory_policy", "noeviction")
            if policy != "noeviction":
                raise ClaimRefused(f"Redis may evict what it holds ({policy}); set maxmemory-policy noeviction")
            before = now_ms()
            seconds, micros = await cast(Any, self._client.time)(**server)
            after = now_ms()
            redis_ms = int(seconds) * 1000 + int(micros) // 1000
            # Redis read its clock at some time between the two readings here, so only what lies outside is skew.
            skew_ms = max(before - redis_ms, redis_ms - after, 0)
            if skew_ms > CLOCK_SKEW_MAX_MS:
                raise ClaimRefused(f"the clocks of this machine and of Redis differ by {skew_ms} ms; set them right")

    @_translated
    async def trim(self, partition: int, token: str, first: int, outputs: Mapping[str, int], number: int) -> bool:
        keys = [self._key(partition, name) for name in ("meta", "outbox")]
        arguments: list[str | int] = [token, first, number]
        for name, position in outputs.items():
            arguments += [OUTPUT + name, position]
        return bool(await self._trim(keys, arguments))


def _meta(fields: Iterable[str], values: Iterable[bytes | None]) -> dict[str, str]:
    return {name: value.decode() for name, value in zip(fields, values, strict=True) if value is not None}


def _offsets(meta: Mapping[str, bytes] | Mapping[str, str], prefix: str) -> dict[str, int]:
    return {name[len(prefix) :]: int(value) for name, value in meta.items() if name.startswith(prefix)}


def _refuse(current: Identity, field: str, stored: str) -> None:
    """Raise `ClaimRefused` for a field whose stored value differs."""
    values = {name: getattr(current, name) for name in current.__struct_fields__}
    values[field] = int(stored) if field == "partitions" else stored
    check_identity(Identity(**values), current)
    raise AssertionError(f"{field} differs for Redis alone")
