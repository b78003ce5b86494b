"""Looks customers up in Redis together: while one look is under way, further requests wait for the next.

    100 requests at a time, of 4 partitions → 4 calls of Redis, and not 100

The one rule: a look begins after the request that waits for it, so an answer is never older than its question.

See also: `streams.gateway.customers`, which decides what is looked up.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from streams.state.redis import RedisStore

FIELDS = ("definitions", "epoch", "epochs", "clock")
_TOGETHER_MAX = 500

# A stored customer, and the fields of its partition at that moment.
Look = tuple[bytes | None, Mapping[str, str]]


class BatchedLooks:
    """The looks at the customers of one partition."""

    def __init__(self, store: RedisStore, partition: int) -> None:
        self._store = store
        self._partition = partition
        self._waiting: dict[str, asyncio.Future[Look]] = {}
        self._running: asyncio.Task[None] | None = None

    async def look(self, name: str) -> Look:
        """Look one customer up. Raises `StoreFailed`."""
        future = self._waiting.get(name)
        if future is None:
            future = self._waiting[name] = asyncio.get_running_loop().create_future()
        if self._running is None or self._running.done():
            self._running = asyncio.ensure_future(self._run())
        return await asyncio.shield(future)

    async def _run(self) -> None:
        while self._waiting:
            names = list(self._waiting)[:_TOGETHER_MAX]
            futures = [self._waiting.pop(name) for name in names]
            await self._look(names, futures)

    async def _look(self, names: Sequence[str], futures: Sequence[asyncio.Future[Look]]) -> None:
        try:
            snapshot = await self._store.snapshot(self._partition, names, FIELDS)
        except Exception as error:  # noqa: BLE001  # of any kind: each request that waits gets it
            for future in futures:
                future.set_exception(error)
                future.exception()  # also where nothing waits for it any more
            return
        for name, future in zip(names, futures, strict=True):
            future.set_result((snapshot.values[name], snapshot.meta))
