"""Clients of Redis for the store: how they connect and retry, and what their errors mean.

The one rule: the client waits for a Redis that is away, but not for one that refuses the login, or that must not be
trusted. A refusal is recognised by its code and not by its text, which differs between Redis 6.2, Redis 7 and Valkey.

See also: `streams.state.redis` (the store), `streams.settings.credentials` (passwords and TLS files).
"""

from __future__ import annotations

import errno
import re
import ssl
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, TypeAlias, TypeVar, cast
from urllib.parse import urlsplit

import hiredis
import redis.asyncio as redis
from redis.asyncio.cluster import ClusterNode
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialBackoff
from redis.connection import HiredisRespSerializer
from redis.exceptions import (
    AuthenticationError,
    MasterDownError,
    MovedError,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisClusterException,
    RedisError,
    ResponseError,
)
from redis.maint_notifications import MaintNotificationsConfig

from streams.errors import RightMissing, StoreFailed, StoreRefused
from streams.settings import Settings, credentials, redis_urls
from streams.stop import RIGHTS

_REPLICA = "Redis is a replica, which takes no writes: name its primary in SEGMENTER_REDIS, then start again"
# Sentences by the code of an error: what is wrong with a Redis that answers, and what to do.
REFUSALS: Mapping[str, str] = {
    "OOM": "Redis is out of memory (maxmemory): give it more room, then start the worker again",
    "MISCONF": "Redis cannot save its snapshots, so it takes no writes: see its log, then start the worker again",
    "NOREPLICAS": "Redis has fewer replicas than min-replicas-to-write: start them, then start the worker again",
    "READONLY": _REPLICA,
    "MASTERDOWN": _REPLICA,
    "BUSY": "Redis is busy with a script of another client: wait for it or end it (SCRIPT KILL), then start again",
}
# redis-py removes the code from the text of these errors.
_CODES: Mapping[type[RedisError], str] = {
    OutOfMemoryError: "OOM",
    ReadOnlyError: "READONLY",
    MasterDownError: "MASTERDOWN",
}
# Redis 6.2 wraps the error of a command within a script into a text of its own: "Error running script …: -OOM …".
_CODE = re.compile(r"(?:^|: -)([A-Z]+) ")
# Missing rights whose errors have no code of their own: EXEC of a transaction, MULTI, and a command within a script, as
# Redis up to 7.0 says it, and as later versions and Valkey do.
_NOT_ALLOWED = re.compile(r": NOPERM |^EXEC without MULTI|The user executing the script can't|ACL failure in script")
# The command that is not allowed: by its name, or, in a script on Redis up to 7.0, by the line that calls it.
_COMMAND = re.compile(r"the '([\w|]+)' command")
_LINE = re.compile(r"@user_script:(\d+)")
_CALL = re.compile(r"call\('([A-Z]+)'")

RETRIES = 12  # 15 s in all while connections are refused, so that a Redis may restart

HEALTH_CHECK_S = 30  # a connection that was idle for so long is checked by a PING before its next use

_PORT = 6379

T = TypeVar("T")
FAILURES = (RedisError, RedisClusterException, OSError)  # TimeoutError is an OSError
Client: TypeAlias = redis.Redis | redis.RedisCluster


class _PackingInC(AbstractConnection):
    """A connection that packs commands in C.

    redis-py does so on its synchronous connections alone; packing in Python took 5 % of a worker's time.
    """

    _serializer = HiredisRespSerializer()

    def pack_command(self, *words: Any) -> list[bytes]:
        # A command of two words, such as CONFIG GET, comes as one text, which redis-py's serializer splits.
        if isinstance(words[0], str) and " " not in words[0]:
            return [hiredis.pack_command(words)]
        return cast("list[bytes]", self._serializer.pack(*words))

    async def _send_packed_command(self, command: Iterable[bytes]) -> None:
        # Loops differ in what a write on a lost connection does: uvloop raises RuntimeError, asyncio of Python 3.12 and
        # of 3.13 up to 3.13.5 TypeError (https://github.com/python/cpython/issues/136234), others drop it silently.
        if self._writer is None or self._writer.is_closing():
            raise ConnectionResetError(errno.ECONNRESET, "the connection was closed")
        await super()._send_packed_command(command)


class _PackingConnection(_PackingInC, redis.Connection): ...


class _PackingSSLConnection(_PackingInC, redis.SSLConnection): ...


class _PackingUnixDomainSocketConnection(_PackingInC, redis.UnixDomainSocketConnection): ...


# For each class of connections that redis-py chooses by the URL, the one that takes its place.
_PACKING: Mapping[type[AbstractConnection], type[AbstractConnection]] = {
    redis.Connection: _PackingConnection,
    redis.SSLConnection: _PackingSSLConnection,
    redis.UnixDomainSocketConnection: _PackingUnixDomainSocketConnection,
}
assert hasattr(AbstractConnection, "pack_command"), "redis-py no longer packs where it did"
assert hasattr(AbstractConnection, "_send_packed_command"), "redis-py no longer sends where it did"


def of(settings: Settings, timeout_s: float, retries: int = RETRIES) -> Client:
    """A client of the Redis that the settings name. Raises `Stop` for a file that cannot be used."""
    options = credentials.redis(settings)
    if settings.redis_cluster:
        return connect_cluster(redis_urls(settings.redis), timeout_s, retries, **options)
    return connect(settings.redis.get_secret_value(), timeout_s, retries, **options)


def connect(url: str, timeout_s: float, retries: int = RETRIES, **options: Any) -> redis.Redis:
    """A client of a single Redis, which connects at first use; ``options``: redis-py's, in addition to the URL.

    The client may repeat calls by itself: a save that it sends twice is recognised by its number and digest.
    """
    client = redis.Redis.from_url(url, **_options(timeout_s, retries), **options)
    pool = client.connection_pool
    pool.connection_class = _PACKING[pool.connection_class]
    return client


def connect_cluster(
    urls: Sequence[str], timeout_s: float, retries: int = RETRIES, **options: Any
) -> redis.RedisCluster:
    """A client of a Redis Cluster. One of the nodes that the URLs name must answer; it names the others."""
    nodes = [ClusterNode(str(url.hostname), url.port or _PORT) for url in map(urlsplit, urls)]
    client = redis.RedisCluster.from_url(urls[0], startup_nodes=nodes, **_options(timeout_s, retries), **options)
    named = client.connection_kwargs  # the client makes each node that it discovers with these
    named["connection_class"] = _PACKING[named["connection_class"]]
    for node in client.startup_nodes:
        node.connection_class = named["connection_class"]
    return client


def _options(timeout_s: float, retries: int) -> dict[str, Any]:
    return {
        "retry": RetryPolicy(ExponentialBackoff(cap=2.0, base=0.05), retries),
        "socket_timeout": timeout_s,
        "socket_connect_timeout": timeout_s,
        "health_check_interval": HEALTH_CHECK_S,
        # Without these redis-py sends commands about itself, for which the users of this project have no right.
        "driver_info": None,
        "maint_notifications_config": MaintNotificationsConfig(enabled=False),
    }


async def servers(client: Client) -> list[dict[str, Any]]:
    """The arguments which direct a call to one server alone, for each server that holds data."""
    if not isinstance(client, redis.RedisCluster):
        return [{}]
    await client.initialize()
    return [{"target_nodes": node} for node in client.get_primaries()]


def failed(error: Exception, keys: str, scripts: Mapping[str, str]) -> StoreFailed:
    """Translate an error of Redis or its client into one of the store's contract.

    ``keys``: the pattern of the keys that are used; ``scripts``: the text of each script, by its SHA-1.
    """
    cause = _cause(error)
    sentence = refusal(error)
    if sentence is not None:
        return StoreRefused(sentence)
    right = missing_right(cause, keys, scripts)
    if right is not None:
        return RightMissing(f"Redis does not allow this user {right} ({cause}): see {RIGHTS}, then start again")
    hint = ""
    if isinstance(cause, AuthenticationError):
        hint = "; see SEGMENTER_REDIS_PASSWORD"
    elif _is_untrusted(cause):
        hint = "; see SEGMENTER_REDIS_CA_FILE"
    elif isinstance(error, MovedError | RedisClusterException):
        hint = "; see SEGMENTER_REDIS_CLUSTER"
    return StoreFailed(f"{type(cause).__name__}: {cause}{hint}")


def refusal(error: Exception) -> str | None:
    """A sentence about a Redis that takes no calls of this kind from any user; ``None``: the call failed otherwise."""
    cause = _cause(error)
    return REFUSALS.get(_code(cause)) if isinstance(cause, ResponseError) else None


def is_allowed(error: Exception) -> bool:
    """Whether Redis would run a call that it answered with this error, if its arguments were others."""
    cause = _cause(error)
    return isinstance(cause, ResponseError) and _code(cause) not in REFUSALS and missing_right(cause, "", {}) is None


def missing_right(cause: BaseException, keys: str, scripts: Mapping[str, str]) -> str | None:
    """The rule of ACL for what Redis did not allow; ``None``: the call failed otherwise."""
    if isinstance(cause, NoPermissionError) or _NOT_ALLOWED.search(str(cause)):
        return _missing(str(cause), scripts) or f"keys ~{keys}"
    return None


def _cause(error: Exception) -> BaseException:
    """The error below those in which this module and the client of a cluster wrap it."""
    cause: BaseException = error
    while isinstance(cause, _LoginRefused | RedisClusterException):
        below = cause.__cause__ or cause.__context__
        if below is None:
            break
        cause = below
    return cause


def _missing(text: str, scripts: Mapping[str, str]) -> str:
    """The command that is not allowed according to an error, as a rule of ACL; empty if it is not about a command."""
    if text.startswith("EXEC without"):
        return "+multi"
    command = _COMMAND.search(text)
    if command:
        return "+script|load" if command[1] == "script" else f"+{command[1]}"  # Redis 6.2 leaves out the second word
    line = _LINE.search(text)
    script = next((script for sha, script in scripts.items() if sha in text), "")
    if not line or not script:
        return ""
    call = _CALL.search(script.splitlines()[int(line[1]) - 1])
    return f"+{call[1].lower()}" if call else ""


def _code(error: ResponseError) -> str:
    """The code of an error, which is the word before its text, such as OOM; empty if there is none."""
    for kind, code in _CODES.items():
        if isinstance(error, kind):
            return code
    match = _CODE.search(str(error))
    return match[1] if match else ""


def _is_untrusted(error: BaseException) -> bool:
    """Whether a connection failed because the server's certificate cannot be verified."""
    return isinstance(error, redis.ConnectionError) and isinstance(error.__context__, ssl.SSLCertVerificationError)


class _LoginRefused(RedisError):
    """Redis refuses the login, or its certificate cannot be verified; the cause is the client's own error."""


class RetryPolicy(Retry):
    """Retries calls that may end differently; redis-py itself would also repeat a wrong password."""

    async def call_with_retry(self, do: Callable[[], Awaitable[T]], fail: Any, *more: Any, **named: Any) -> T:
        """Call ``do`` until it succeeds. An error that is not retried is wrapped, so that redis-py gives up."""

        async def once() -> T:
            try:
                return await do()
            except AuthenticationError as error:
                raise _LoginRefused from error
            except redis.ConnectionError as error:
                if _is_untrusted(error):
                    raise _LoginRefused from error
                raise

        return await super().call_with_retry(once, fail, *more, **named)
