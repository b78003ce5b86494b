"""A rebuild: the customers of a partition computed again from all its events, beside the steps that go on.

    start       a process of its own reads all events of partition 0; the worker is at position 900 of carts
    near        the process has come to 900, then to 950, in less than `NEAR_S`: the steps can wait for the rest
    switch      between two steps the process comes to exactly the worker's position, 957, and ends
    backfill    each customer is replaced by its rebuilt one, when it is loaded or in a background step

The steps wait only for the end of a rebuild. Its result is in memory until every customer is migrated, so a process
rebuilds one partition at a time.

See also `streams.offline.rebuild_process`, which computes, and `streams.worker.customer_migration`, which brings a
customer over to the result.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import struct
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol, Self

import msgspec

from rules.published_ahead import PublishedChange
from streams.stop import Stop

log = logging.getLogger(__name__)

# A rebuild that reaches the partition's position within this time (s) is near: the steps can wait for the rest.
NEAR_S = 0.3
# Customers of one frame: few, so that encoding and decoding them does not block the event loop.
FRAME = 250
_LOGGED_EVERY_S = 5.0
_LENGTH = struct.Struct("<I")
_ENDS_WITHIN_S = 5.0


class RebuildRequest(msgspec.Struct, frozen=True):
    """The arguments of a recomputation: the partition, the definition file by its fingerprint, and those before it.

    ``definition_versions``, ``documents``: the list of the partition's definitions, and their documents by number.
    """

    partition: int
    partitions: int
    definitions: str
    definition_versions: str
    documents: Mapping[int, bytes] = {}


class Frame(msgspec.Struct, frozen=True, array_like=True):
    """A message of the process: encoded customers, or its progress. ``failed``: why it cannot go on.

    ``done``: it is at the requested positions. ``published``: newest changes that the store has lost.
    """

    customers: list[tuple[str, bytes]] = []
    published: list[tuple[str, PublishedChange]] = []
    read: int = 0
    of: int = 0
    done: bool = False
    failed: str = ""


_encoder, _decoder = msgspec.msgpack.Encoder(), msgspec.msgpack.Decoder(Frame)


def framed(frame: Frame) -> bytes:
    """Encode a frame, with its length before it."""
    encoded = _encoder.encode(frame)
    return _LENGTH.pack(len(encoded)) + encoded


class RebuildResult(Protocol):
    """The customers as all events make them, encoded. ``published``: see `Frame`."""

    customers: dict[str, bytes]
    published: dict[str, PublishedChange]


class Recomputation(RebuildResult, Protocol):
    """A recomputation, whose result can be brought further."""

    async def upto(self, positions: Mapping[str, int]) -> None:
        """Bring the result to these positions. Raises `Stop`."""

    async def close(self) -> None:
        """End the computation; its result stays."""


Recompute = Callable[[RebuildRequest], Awaitable[Recomputation]]


class RebuildProcess:
    """A recomputation in a process of its own, `streams.offline.rebuild_process`, so that the steps go on."""

    def __init__(self, process: asyncio.subprocess.Process, partition: int) -> None:
        self.customers: dict[str, bytes] = {}
        self.published: dict[str, PublishedChange] = {}
        self._process = process
        self._partition = partition
        self._last_logged_at = time.monotonic()

    @classmethod
    async def start(cls, request: RebuildRequest) -> Self:
        """Start the process."""
        command = (sys.executable, "-m", "streams.offline.rebuild_process")
        pipe = asyncio.subprocess.PIPE
        self = cls(await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe), request.partition)
        self._write(msgspec.json.encode(request))
        return self

    def _write(self, line: bytes) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line + b"\n")

    async def upto(self, positions: Mapping[str, int]) -> None:
        self._write(json.dumps(dict(positions)).encode())
        while True:
            frame = await self._read()
            self.customers.update(frame.customers)
            self.published.update(frame.published)
            if frame.failed:
                raise Stop(
                    f"partition {self._partition} was not rebuilt: {frame.failed}; "
                    "without --rebuild it goes on as it is"
                )
            if frame.done:
                return
            if frame.of:
                self._log_progress(frame)

    async def _read(self) -> Frame:
        assert self._process.stdout is not None
        try:
            (length,) = _LENGTH.unpack(await self._process.stdout.readexactly(_LENGTH.size))
            return _decoder.decode(await self._process.stdout.readexactly(length))
        except (asyncio.IncompleteReadError, ConnectionError):
            raise Stop(
                f"partition {self._partition} was not rebuilt: the process that read its events has ended; see what "
                "it wrote, and whether there is memory for all customers of a partition; then start the worker again"
            ) from None

    def _log_progress(self, frame: Frame) -> None:
        if time.monotonic() - self._last_logged_at > _LOGGED_EVERY_S:
            self._last_logged_at = time.monotonic()
            progress = {"partition": self._partition, "count": frame.read, "of": frame.of}
            log.info("rebuild: events read so far", extra=progress)

    async def close(self) -> None:
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()  # it has nothing that must be closed in order
            with contextlib.suppress(TimeoutError):
                # Not `wait`, which would block on output that was not read yet.
                async with asyncio.timeout(_ENDS_WITHIN_S):
                    await self._process.communicate()


class Rebuild:
    """The rebuild of one partition, under one claim; a `streams.runtime.backfill_pacer.RebuildWork`."""

    def __init__(
        self,
        recompute: Callable[[], Awaitable[Recomputation]],
        positions: Callable[[], Mapping[str, int]],
        follow: Callable[[RebuildResult], Awaitable[None]],
        turn: asyncio.Lock,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """``positions``: gives those of the last checkpoint. ``follow``: makes the steps go on from the result.

        ``turn``: a lock that this rebuild holds while it has a result in memory.
        """
        self._recompute = recompute
        self._positions = positions
        self._follow = follow
        self._turn = turn
        self._monotonic = monotonic
        self._has_turn = False
        self._result: Recomputation | None = None
        self._approach: asyncio.Task[None] | None = None
        self.is_done = False

    def start(self) -> None:
        """Begin to read all events."""
        self._approach = asyncio.create_task(self._come_near())

    async def _come_near(self) -> None:
        await self._turn.acquire()
        self._has_turn = True
        self._result = await self._recompute()
        while True:
            began = self._monotonic()
            await self._result.upto(self._positions())
            if self._monotonic() - began < NEAR_S:
                return

    @property
    def is_near(self) -> bool:
        """Whether the steps can wait for the rest, or the reading has failed, which `switch` then raises."""
        return self._approach is not None and self._approach.done() and not self.is_done

    async def switch(self) -> None:
        """Bring the result to the partition's position, between two steps, and go on with it. Raises `Stop`."""
        assert self._approach is not None
        self._approach.result()
        assert self._result is not None
        await self._result.upto(self._positions())
        result, self._result = self._result, None
        await result.close()
        await self._follow(result)
        self.is_done = True

    async def end(self) -> None:
        """Release the result: every customer is migrated, or the claim ends."""
        try:
            if self._approach is not None:
                self._approach.cancel()
                await asyncio.gather(self._approach, return_exceptions=True)
            if self._result is not None:
                await self._result.close()
        finally:
            if self._has_turn:
                self._has_turn = False
                self._turn.release()
