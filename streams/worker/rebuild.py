"""A rebuild: the customers of a partition made again from all its events, beside the steps that go on.

The one rule: the steps wait only for the last of it. All events are read again by a process of its own, which is told
how far the partition has come, again and again, until it is near; then, between two steps, it comes to exactly there,
and whoever is looked at next is brought over to what it made of them (`streams.worker.customer_loader`).

What it made is in memory until everybody is brought over, so of one partition of a process at a time.
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

# Who came to where the partition was in so short a time is near: the steps can wait for what is left.
NEAR_S = 0.3
# Customers of one frame: their encoding and decoding is to hold up nothing.
FRAME = 250
_TOLD_EVERY_S = 5.0
_LENGTH = struct.Struct("<I")
_ENDS_WITHIN_S = 5.0


class RebuildRequest(msgspec.Struct, frozen=True):
    """What a recomputation is told first: of which partition, by which file, and those that were before it."""

    partition: int
    partitions: int
    definitions: str
    epochs: str
    documents: Mapping[int, bytes] = {}


class Frame(msgspec.Struct, frozen=True, array_like=True):
    """Customers, encoded; or how far it is; ``done``: as far as was asked for. ``failed``: why it cannot go on.

    ``said``: what was published last of those of them of whom the store knows less.
    """

    customers: list[tuple[str, bytes]] = []
    said: list[tuple[str, PublishedChange]] = []
    read: int = 0
    of: int = 0
    done: bool = False
    failed: str = ""


_encoder, _decoder = msgspec.msgpack.Encoder(), msgspec.msgpack.Decoder(Frame)


def framed(frame: Frame) -> bytes:
    """As it is written, with its length before it."""
    encoded = _encoder.encode(frame)
    return _LENGTH.pack(len(encoded)) + encoded


class RebuildResult(Protocol):
    """The customers as all events make them, encoded; ``said``: as of `Frame`."""

    customers: dict[str, bytes]
    said: dict[str, PublishedChange]


class Recomputation(RebuildResult, Protocol):
    """These, up to where it was brought last."""

    async def upto(self, positions: Mapping[str, int]) -> None:
        """Bring it there. Raises `Stop`."""

    async def close(self) -> None:
        """End it; the customers stay."""


Recompute = Callable[[RebuildRequest], Awaitable[Recomputation]]


class RebuildProcess:
    """A recomputation in a process of its own, `streams.offline.rebuild_process`, which takes no time of the steps."""

    def __init__(self, process: asyncio.subprocess.Process, partition: int) -> None:
        self.customers: dict[str, bytes] = {}
        self.said: dict[str, PublishedChange] = {}
        self._process = process
        self._partition = partition
        self._told = time.monotonic()

    @classmethod
    async def start(cls, asked: RebuildRequest) -> Self:
        """Begin it."""
        command = (sys.executable, "-m", "streams.offline.rebuild_process")
        pipe = asyncio.subprocess.PIPE
        self = cls(await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe), asked.partition)
        self._write(msgspec.json.encode(asked))
        return self

    def _write(self, line: bytes) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line + b"\n")

    async def upto(self, positions: Mapping[str, int]) -> None:
        self._write(json.dumps(dict(positions)).encode())
        while True:
            frame = await self._read()
            self.customers.update(frame.customers)
            self.said.update(frame.said)
            if frame.failed:
                told = f"partition {self._partition} was not made again: {frame.failed}"
                raise Stop(f"{told}; without --rebuild it goes on as it is")
            if frame.done:
                return
            if frame.of:
                self._tell(frame)

    async def _read(self) -> Frame:
        assert self._process.stdout is not None
        try:
            (length,) = _LENGTH.unpack(await self._process.stdout.readexactly(_LENGTH.size))
            return _decoder.decode(await self._process.stdout.readexactly(length))
        except (asyncio.IncompleteReadError, ConnectionError):
            raise Stop(
                f"partition {self._partition} was not made again: the process that read its events has ended; see what "
                "it wrote, and whether there is memory for all customers of a partition; then start the worker again"
            ) from None

    def _tell(self, frame: Frame) -> None:
        if time.monotonic() - self._told > _TOLD_EVERY_S:
            self._told = time.monotonic()
            told = {"partition": self._partition, "count": frame.read, "of": frame.of}
            log.info("all events are read again", extra=told)

    async def close(self) -> None:
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()  # it holds nothing that would have to be put in order
            with contextlib.suppress(TimeoutError):
                # Not `wait`: what was written and not read yet would hold it up.
                await asyncio.wait_for(self._process.communicate(), _ENDS_WITHIN_S)


class Rebuild:
    """Of one partition, under one claim."""

    def __init__(
        self,
        recompute: Callable[[], Awaitable[Recomputation]],
        positions: Callable[[], Mapping[str, int]],
        follow: Callable[[RebuildResult], Awaitable[None]],
        turn: asyncio.Lock,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """``positions``: up to where the partition is saved; ``follow``: it goes on with what was made."""
        self._recompute = recompute
        self._positions = positions
        self._follow = follow
        self._turn = turn
        self._monotonic = monotonic
        self._has_turn = False
        self._made: Recomputation | None = None
        self._approach: asyncio.Task[None] | None = None
        self.is_done = False

    def start(self) -> None:
        """Begin to come near."""
        self._approach = asyncio.create_task(self._come_near())

    async def _come_near(self) -> None:
        await self._turn.acquire()
        self._has_turn = True
        self._made = await self._recompute()
        while True:
            began = self._monotonic()
            await self._made.upto(self._positions())
            if self._monotonic() - began < NEAR_S:
                return

    @property
    def is_near(self) -> bool:
        """Whether the steps can wait for what is left, or there is an error to be told."""
        return self._approach is not None and self._approach.done() and not self.is_done

    async def switch(self) -> None:
        """Come to where the partition is, and let it go on from there; between two steps. Raises `Stop`."""
        assert self._approach is not None
        self._approach.result()
        assert self._made is not None
        await self._made.upto(self._positions())
        made, self._made = self._made, None
        await made.close()
        await self._follow(made)
        self.is_done = True

    async def end(self) -> None:
        """Everybody is brought over, or the claim ends."""
        try:
            if self._approach is not None:
                self._approach.cancel()
                await asyncio.gather(self._approach, return_exceptions=True)
            if self._made is not None:
                await self._made.close()
        finally:
            if self._has_turn:
                self._has_turn = False
                self._turn.release()
