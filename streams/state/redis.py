"""The store on Redis: one hash tag per partition, one script per step.

The one rule: all keys of a partition have its hash tag, ``{p12}``, so they are on one shard, and one script may
write them together (https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/#hash-tags).

    worker A claims p12: claim.lua writes its token; A loads customers and computes save 7
    worker B claims p12, as A seems dead: claim.lua writes the fencing token of B and gives B the state after save 6
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

See also: ``streams/state/lua/`` (the scripts), `streams.state.redis_reader` (what others read),
`streams.state.redis_client` (connections, retries and errors), `streams.state.redis_calls` (time limits).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib.resources import files
from typing import Any, cast

from streams.errors import ClaimRefused, LowerGeneration
from streams.state import redis_client
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
from streams.state.redis_calls import translated
from streams.state.redis_reader import POSITION, RedisReader, offsets

OUTPUT = "output:"
CLOCK_SKEW_MAX_MS = 1_000


def _script(name: str) -> str:
    return files("streams.state").joinpath("lua", name).read_text("utf-8")


class RedisStore(RedisReader):
    """The contract of `streams.state.contract.Store` on one Redis, or one Redis Cluster.

    The client must not decode responses.
    """

    def __init__(self, client: redis_client.Client, prefix: str = "segmenter:") -> None:
        super().__init__(client, prefix)
        self._erased: set[int] = set()  # partitions with erased customers; others need no look for remainders
        self._claim = client.register_script(_script("claim.lua"))
        self._begin = client.register_script(_script("begin.lua"))
        self._save = client.register_script(_script("save.lua"))
        self._trim = client.register_script(_script("trim.lua"))
        self._set_attempt = client.register_script(_script("attempt.lua"))
        self._scripts = (self._claim, self._begin, self._save, self._trim, self._set_attempt)

    @translated
    async def claim(self, claim: Claim) -> PartitionState:
        keys = [self._key(claim.partition, name) for name in ("meta", "due", "outbox", "erased", "files")]
        identity = claim.identity
        arguments: list[str | int] = [
            claim.fencing_token, claim.generation, claim.proven_over, identity.cluster, identity.group,
            identity.partitions, identity.definitions, identity.topics, int(claim.follows),
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
            positions=offsets(meta, POSITION),
            clock=int(meta.get("clock", 0)),
            save_number=int(meta.get("save", 0)),
            next_due=int(float(due[1])) if due else 0,
            outbox=outbox,
            trimmed=int(meta.get("trimmed", 0)),
            outputs=offsets(meta, OUTPUT),
            definition_versions=meta.get("epochs", b""),
            attempt=meta.get("attempt", b""),
            documents={int(number): document for number, document in zip(files[::2], files[1::2], strict=True)},
        )

    @translated
    async def begin(
        self, claim: Claim, positions: Mapping[str, int], files: EncodedVersions | None = None, number: int = 0
    ) -> bool:
        arguments: list[str | int | bytes] = [claim.fencing_token, number, claim.identity.definitions]
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

    @translated
    async def set_attempt(self, partition: int, fencing_token: str, attempt: bytes) -> bool:
        return bool(await self._set_attempt([self._key(partition, "meta")], [fencing_token, attempt]))

    @translated
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

    @translated
    async def count(self, partition: int) -> int:
        return int(await cast(Any, self._client.hlen)(self._key(partition, "customers")))

    @translated
    async def scan(self, partition: int, cursor: int, count: int) -> tuple[int, list[tuple[str, bytes]]]:
        call = cast(Any, self._client.hscan)
        after, page = await call(self._key(partition, "customers"), cursor=cursor, count=count)
        return int(after), [(name.decode(), value) for name, value in page.items()]

    @translated
    async def due(self, partition: int, until: int, limit: int) -> list[str]:
        dues = self._key(partition, "due")
        customers = await self._client.zrangebyscore(dues, "-inf", until, start=0, num=limit)
        return [cast(bytes, customer).decode() for customer in customers]

    @translated
    async def next_due(self, partition: int) -> int:
        first = await self._client.zrange(self._key(partition, "due"), 0, 0, withscores=True)
        return int(first[0][1]) if first else 0

    @translated
    async def save(self, partition: int, save: Save) -> SaveAnswer:
        if any(customer.erased for customer in save.customers):
            self._erased.add(partition)
        keys = [self._key(partition, name) for name in ("meta", "customers", "due", "outbox", "erased", "files")]
        answer = cast(Any, await self._save(keys, arguments(save)))  # bytes: the client does not decode
        return cast(SaveAnswer, answer.decode())

    @translated
    async def generation(self, partition: int) -> int:
        generation = await cast(Any, self._client.hget)(self._key(partition, "meta"), "generation")
        return -1 if generation is None else int(generation)

    @translated
    async def verify(self, now_ms: Callable[[], int]) -> None:
        """Refuse a Redis that may evict keys, or whose clock differs from this machine's. Raises `ClaimRefused`."""
        for server in await redis_client.servers(self._client):
            memory = await cast(Any, self._client.info)("memory", **server)
            policy = memory.get("maxmemory_policy", "noeviction")
            if policy != "noeviction":
                raise ClaimRefused(f"Redis may evict keys ({policy}); set maxmemory-policy noeviction")
            before = now_ms()
            seconds, micros = await cast(Any, self._client.time)(**server)
            after = now_ms()
            redis_ms = int(seconds) * 1000 + int(micros) // 1000
            # Redis read its clock at some time between the two readings here, so only what lies outside is skew.
            skew_ms = max(before - redis_ms, redis_ms - after, 0)
            if skew_ms > CLOCK_SKEW_MAX_MS:
                raise ClaimRefused(f"the clocks of this machine and of Redis differ by {skew_ms} ms; set them right")

    @translated
    async def trim(
        self, partition: int, fencing_token: str, first: int, outputs: Mapping[str, int], number: int
    ) -> bool:
        keys = [self._key(partition, name) for name in ("meta", "outbox")]
        arguments: list[str | int] = [fencing_token, first, number]
        for name, position in outputs.items():
            arguments += [OUTPUT + name, position]
        return bool(await self._trim(keys, arguments))


def _refuse(current: Identity, field: str, stored: str) -> None:
    """Raise `ClaimRefused` for a field whose stored value differs."""
    values = {name: getattr(current, name) for name in current.__struct_fields__}
    values[field] = int(stored) if field == "partitions" else stored
    check_identity(Identity(**values), current)
    raise AssertionError(f"{field} differs for Redis alone")
