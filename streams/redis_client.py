"""Clients of Redis for the store: made from the settings, and what they say when they fail.

The one rule: a Redis that is away is waited for; one that refuses us, or that we must not trust, is not.
"""

from __future__ import annotations

import ssl
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import redis.asyncio as redis
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialBackoff
from redis.exceptions import AuthenticationError, NoPermissionError, RedisError

from streams.store import StoreFailed

RETRIES = 12  # 15 s in all while connections are refused: a Redis that restarts is waited for

T = TypeVar("T")


def connect(url: str, timeout_s: float, **options: Any) -> redis.Redis:
    """A client of a single Redis, which connects at first use; ``options``: redis-py's, beside those of the URL.

    The client may retry on its own: a save that it sends twice is recognised by its number.
    """
    return redis.Redis.from_url(
        url,
        retry=_Patience(ExponentialBackoff(cap=2.0, base=0.05), RETRIES),
        socket_timeout=timeout_s,
        socket_connect_timeout=timeout_s,
        health_check_interval=30,
        **options,
    )


def failed(error: Exception) -> StoreFailed:
    """What Redis or its client says went wrong, as the store's contract says it."""
    cause = error.__cause__ if isinstance(error, _Refused) else error
    hint = ""
    if isinstance(cause, AuthenticationError | NoPermissionError):
        hint = "; see SEGMENTER_REDIS_PASSWORD and what the user may do"
    elif isinstance(error, _Refused):
        hint = "; see SEGMENTER_REDIS_CA_FILE"
    return StoreFailed(f"{type(cause).__name__}: {cause}{hint}")


class _Refused(RedisError):
    """Redis does not let us in, or we do not trust it; its cause says how that was told."""


class _Patience(Retry):
    """Tries again what may end otherwise; redis-py would also try a wrong password again."""

    async def call_with_retry(self, do: Callable[[], Awaitable[T]], fail: Any, *more: Any, **named: Any) -> T:
        async def once() -> T:
            try:
                return await do()
            except AuthenticationError as error:
                raise _Refused from error
            except redis.ConnectionError as error:
                if isinstance(error.__context__, ssl.SSLCertVerificationError):
                    raise _Refused from error
                raise

        return await super().call_with_retry(once, fail, *more, **named)
