"""A probe of a Redis, for ``segmenter doctor``: its servers and clocks, and its user's rights.

The one rule: nothing that is written stays. A command that writes is sent with arguments which make it fail or change
nothing once Redis has allowed it. For two commands there are no such arguments: they run in a script that removes
what it wrote.

See also: `streams.state.redis_client` (the meaning of errors), `streams.kafka.cluster_probe` (the same for Kafka).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Mapping
from typing import Any, NamedTuple, cast

import msgspec

from streams.errors import StoreFailed
from streams.settings import Settings
from streams.state import redis_client
from streams.state.redis_reader import key

# How long the whole probe may take.
LIMIT_S = 5.0
_TIMEOUT_S = 2.0
_RETRIES = 1
_CALLS = 5

_SCRIPT = """
redis.call('HSETNX', KEYS[1], 'field', 'value')
redis.call('HDEL', KEYS[1], 'field')
redis.call('RPUSH', KEYS[1], 'value')
return redis.call('LTRIM', KEYS[1], 1, 0)
"""
# The commands that the script tries, and those that it needs so that nothing stays.
_BY_SCRIPT = frozenset({"hsetnx", "rpush"})
_REMOVES = frozenset({"+hdel", "+ltrim", "+evalsha", "+script|load"})
_KEY = object()  # the key of the probe, which no partition has
_NO_SCRIPT = "f" * 40
# Each command with arguments that change nothing.
_PROBES: Mapping[str, tuple[object, ...]] = {
    "evalsha": ("EVALSHA", _NO_SCRIPT, 1, _KEY),
    "script|load": ("SCRIPT LOAD", "return ("),  # which does not compile
    "info": ("INFO", "server"),
    "time": ("TIME",),
    "ping": ("PING",),
    "hexists": ("HEXISTS", _KEY, "field"),
    "hget": ("HGET", _KEY, "field"),
    "hgetall": ("HGETALL", _KEY),
    "hkeys": ("HKEYS", _KEY),
    "hlen": ("HLEN", _KEY),
    "hmget": ("HMGET", _KEY, "field"),
    "hscan": ("HSCAN", _KEY, 0),
    "llen": ("LLEN", _KEY),
    "lrange": ("LRANGE", _KEY, 0, 0),
    "zmscore": ("ZMSCORE", _KEY, "member"),
    "zrange": ("ZRANGE", _KEY, 0, 0),
    "zrangebyscore": ("ZRANGEBYSCORE", _KEY, 0, 0),
    "hdel": ("HDEL", _KEY, "field"),
    "hset": ("HSET", _KEY, "field", "value", "field without a value"),
    "ltrim": ("LTRIM", _KEY, "no number", 0),
    "zadd": ("ZADD", _KEY, "no number", "member"),
    "zrem": ("ZREM", _KEY, "member"),
}
_IN_TRANSACTION = frozenset({"multi", "exec"})


class TimedCall(NamedTuple):
    """A call for Redis's time: how long it took, and how far that clock is ahead of this machine's, at least."""

    took_ms: float
    skew_ms: int


class RedisServer(msgspec.Struct, frozen=True, kw_only=True):
    """One server that holds data. ``skew_ms``: how far its clock is ahead of this machine's, at least."""

    latency_ms: float
    skew_ms: int
    info: Mapping[str, Any]


class RedisReport(msgspec.Struct, frozen=True, kw_only=True):
    """The result of a probe. ``missing``: rules of ACL that the user lacks. ``refusal``: why Redis takes no writes."""

    servers: tuple[RedisServer, ...]
    missing: tuple[str, ...]
    refusal: str | None
    identity: Mapping[str, str]


async def examine(
    settings: Settings, commands: frozenset[str], identity: Collection[str], reads: str | None = None
) -> RedisReport:
    """Probe a Redis, and try these commands. Raises `StoreFailed`, or `Stop` for a file that cannot be used.

    ``identity``: fields of the stored identity to read; ``reads``: a further prefix of keys that are read.
    """
    client = redis_client.of(settings, _TIMEOUT_S, _RETRIES)
    pattern = f"{settings.redis_prefix}{{p*"
    try:
        async with asyncio.timeout(LIMIT_S):
            return await _Probe(client, settings.redis_prefix, commands).report(list(identity), reads)
    except TimeoutError:
        raise StoreFailed(f"no answer within {LIMIT_S:.0f} s") from None
    except redis_client.FAILURES as error:
        raise redis_client.failed(error, pattern, {}) from None
    finally:
        await client.aclose()


class _Probe:
    """A probe in progress: it tries calls with one client, and collects what they show."""

    def __init__(self, client: redis_client.Client, prefix: str, commands: frozenset[str]) -> None:
        self._client: Any = client
        self._prefix = prefix
        self._commands = commands
        self._missing: dict[str, None] = {}
        self._refusal: str | None = None

    async def report(self, identity: list[str], reads: str | None) -> RedisReport:
        """Try everything, and give the result. Raises the client's error for a Redis that does not answer."""
        for command in sorted(self._commands):
            if command in _PROBES:
                await self._try(self._prefix, *_PROBES[command])
        await self._try_transaction()
        await self._try_script()
        if reads is not None:
            await self._try(reads, *_PROBES["hmget"])
        return RedisReport(
            servers=await self._servers(),
            missing=tuple(self._missing),
            refusal=self._refusal,
            identity=await self._identity(identity),
        )

    async def _try(self, prefix: str, *words: object) -> None:
        """Try one call. An error about its arguments shows that Redis allows the command."""
        probed = _probe_key(prefix)
        try:
            await self._client.execute_command(*(probed if word is _KEY else word for word in words))
        except redis_client.FAILURES as error:
            self._note(error, prefix)

    async def _try_transaction(self) -> None:
        if not self._commands >= _IN_TRANSACTION:
            return
        try:
            async with self._client.pipeline(transaction=True) as pipe:
                pipe.hget(_probe_key(self._prefix), "field")
                await pipe.execute()
        except redis_client.FAILURES as error:
            self._note(error, self._prefix)

    async def _try_script(self) -> None:
        lacks_keys = any("~" in right for right in self._missing)
        if not self._commands >= _BY_SCRIPT or lacks_keys or _REMOVES & self._missing.keys():
            return
        script = self._client.register_script(_SCRIPT)
        try:
            await script([_probe_key(self._prefix)])
        except redis_client.FAILURES as error:
            self._note(error, self._prefix, {str(script.sha): _SCRIPT})

    def _note(self, error: Exception, prefix: str, scripts: Mapping[str, str] | None = None) -> None:
        """Note what a failed call shows about rights. Raises its error again if it shows nothing."""
        if redis_client.is_allowed(error):
            return
        right = redis_client.missing_right(error, f"{prefix}{{p*", scripts or {})
        refusal = redis_client.refusal(error)
        if right is not None:
            self._missing[right] = None
        elif refusal is not None:
            self._refusal = refusal
        else:
            raise error

    async def _servers(self) -> tuple[RedisServer, ...]:
        if {"+info", "+time"} & self._missing.keys():
            return ()
        return tuple([await self._server(where) for where in await redis_client.servers(self._client)])

    async def _server(self, where: Mapping[str, Any]) -> RedisServer:
        calls = [await self._time(where) for _ in range(_CALLS)]
        fastest = min(calls, key=lambda call: call.took_ms)
        return RedisServer(
            latency_ms=sorted(call.took_ms for call in calls)[_CALLS // 2],
            skew_ms=fastest.skew_ms,
            info=await self._client.info(**where),
        )

    async def _time(self, where: Mapping[str, Any]) -> TimedCall:
        before, began = time.time_ns() // 1_000_000, time.monotonic()
        seconds, micros = await self._client.time(**where)
        took_ms, after = (time.monotonic() - began) * 1000, time.time_ns() // 1_000_000
        redis_ms = int(seconds) * 1000 + int(micros) // 1000
        # Redis read its clock at some time between the two readings here, so only what lies outside is skew.
        skew_ms = redis_ms - after if redis_ms > after else min(redis_ms - before, 0)
        return TimedCall(took_ms, skew_ms)

    async def _identity(self, fields: list[str]) -> dict[str, str]:
        """The stored identity of the first partition; empty if nothing is stored, or it may not be read."""
        if self._missing:
            return {}
        values = cast("list[bytes | None]", await self._client.hmget(key(self._prefix, 0, "meta"), fields))
        return {name: value.decode() for name, value in zip(fields, values, strict=True) if value is not None}


def _probe_key(prefix: str) -> str:
    return key(prefix, 0, "doctor")
