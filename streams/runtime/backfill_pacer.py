"""Paces a backfill: its background steps run between the steps that take events, one partition after the other.

The one rule: events come first. A backfill takes `TIME_SHARE` of the process's time while events come, and
`TIME_SHARE_IDLE` while none come; it pauses for the rest.

See also `streams.worker.backfill` for a background step, and `streams.worker.rebuild_handover` for the rebuild.
"""

from __future__ import annotations

import math
import time
from collections.abc import Awaitable, Callable
from typing import Protocol

from streams.wire.records import OutRecord

# The most of a process's time that background work takes: while events come, and while none come.
TIME_SHARE = 0.2
TIME_SHARE_IDLE = 0.9
# Customers of one background step: an event that comes meanwhile waits for its end.
STEP_SIZE = 8
STEP_SIZE_IDLE = 25
BUSY_S = 0.5


class RebuildWork(Protocol):
    """The rebuild of a claimed partition, beside its steps, which use the result once it is ready."""

    @property
    def is_near(self) -> bool:
        """Whether `switch` may be called: the rebuild is nearly ready, or it has failed."""

    is_done: bool

    def start(self) -> None:
        """Begin the rebuild beside the steps."""

    async def switch(self) -> None:
        """Finish the rebuild between two steps; the next steps use its result. Raises `streams.stop.Stop`."""

    async def end(self) -> None:
        """Release the resources of the rebuild, whether it is done or the claim ends."""


class BackfillScan(Protocol):
    """The backfill of a claimed partition: all its customers are migrated, some in each step."""

    @property
    def is_done(self) -> bool:
        """Whether no customer is left to migrate."""

    async def step(self, limit: int) -> list[OutRecord]:
        """Migrate about ``limit`` customers, and save. Returns the records to publish."""


class BackfillPacer:
    """Decides when partitions of a process may take background steps: one at a time, with pauses for events."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._next_at = 0.0
        self._stepped_at = -math.inf
        self._is_taken = False

    def stepped(self) -> None:
        """Note that a step took events."""
        self._stepped_at = self._monotonic()

    def _is_busy(self, now: float) -> bool:
        return now - self._stepped_at < BUSY_S

    @property
    def wait_s(self) -> float:
        """The time (s) until the next background step may begin."""
        return max(0.0, self._next_at - self._monotonic())

    async def turn(self, step: Callable[[int], Awaitable[list[OutRecord]]]) -> list[OutRecord] | None:
        """Call ``step`` with a number of customers if it is time; else return ``None``."""
        if self._is_taken or self.wait_s > 0:
            return None
        self._is_taken, began = True, self._monotonic()
        try:
            return await step(STEP_SIZE if self._is_busy(began) else STEP_SIZE_IDLE)
        finally:
            ended = self._monotonic()
            share = TIME_SHARE if self._is_busy(ended) else TIME_SHARE_IDLE
            self._next_at = ended + (ended - began) * (1 / share - 1)
            self._is_taken = False


class Background:
    """The background work of one partition: a backfill, in paced steps, and perhaps a rebuild before it."""

    def __init__(
        self,
        backfill: BackfillScan | None = None,
        pacer: BackfillPacer | None = None,
        rebuild: RebuildWork | None = None,
    ) -> None:
        self.backfill = backfill
        self.pacer = pacer or BackfillPacer()
        self.rebuild = rebuild

    @property
    def is_done(self) -> bool:
        """Whether no customer is left to migrate."""
        return self.backfill is None or self.backfill.is_done
