"""Calls of Redis: bounded in time, counted, and with the errors of the store's contract.

See also `streams.state.redis_client`, which translates the client's errors.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any, ParamSpec, Protocol, TypeVar, cast

from streams.errors import StoreFailed
from streams.state import redis_client
from streams.state.call_timer import CallTimer

# The longest call, with all its retries: for a Redis that accepts connections and never answers, each attempt takes
# its whole timeout.
CALL_MAX_S = 25.0

P = ParamSpec("P")
T = TypeVar("T")


class _Caller(Protocol):
    """An object whose methods call Redis."""

    stopwatch: CallTimer

    def failed(self, error: Exception) -> StoreFailed:
        """Translate an error of the client into one of the store's contract."""


def translated(method: Callable[P, Coroutine[Any, Any, T]]) -> Callable[P, Coroutine[Any, Any, T]]:
    """Bound and time a method's call, and translate errors of the client into those of the store's contract."""

    @wraps(method)
    async def call(*args: P.args, **kwargs: P.kwargs) -> T:
        store = cast(_Caller, args[0])
        stopwatch = store.stopwatch
        number = stopwatch.begin()
        try:
            with cancellable():
                async with asyncio.timeout(CALL_MAX_S):
                    return await method(*args, **kwargs)
        except redis_client.FAILURES as error:
            raise store.failed(error) from error
        finally:
            stopwatch.end(number, method.__name__)

    return call


@contextmanager
def cancellable() -> Iterator[Callable[[], None]]:
    """Re-raise a cancellation that redis-py swallowed: when the context ends, or when the yielded function is called.

    redis-py sends by ``wait_for`` of asyncio, which on Python 3.11 loses a cancellation that comes as it ends
    (https://github.com/python/cpython/issues/86296). A task that should end would go on for ever. The
    cancellation is raised also if the call failed after it.
    """
    before = _cancellations()

    def check() -> None:
        if _cancellations() > before:
            raise asyncio.CancelledError

    try:
        yield check
    except Exception:
        check()
        raise
    check()


def _cancellations() -> int:
    """How often the running task was cancelled."""
    task = asyncio.current_task()
    return 0 if task is None else task.cancelling()
