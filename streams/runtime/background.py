"""The budget of background work: customers that all must be looked at again, between steps.

The one rule: events come first, so the work pauses for as long as they need. One partition works after the other.
"""

from __future__ import annotations

import math
import time
from collections.abc import Awaitable, Callable
from typing import Protocol

from streams.wire.records import OutRecord

# The share of the time of a process, while events come and when none do.
TIME_SHARE = 0.2
TIME_SHARE_IDLE = 0.9
# Customers of one step: an event waits for the whole of it.
STEP_SIZE = 8
STEP_SIZE_IDLE = 25
BUSY_S = 0.5


class BackgroundWork(Protocol):
    """Work of a claimed partition beside its steps, which changes what the steps go on from when it is ready."""

    @property
    def is_near(self) -> bool:
        """Whether `switch` may be called: the work is nearly ready, or it has failed."""

    is_done: bool

    def start(self) -> None:
        """Begin the work beside the steps."""

    async def switch(self) -> None:
        """Finish the work between two steps, and have the steps go on from it. Raises `streams.stop.Stop`."""

    async def end(self) -> None:
        """Release what the work holds, whether it is done or the claim ends."""


class BackgroundScan(Protocol):
    """The backfill of a claimed partition: all its customers are looked at, some in each step."""

    @property
    def is_done(self) -> bool:
        """Whether no customer waits for it."""

    async def step(self, limit: int) -> list[OutRecord]:
        """Look at about ``limit`` customers and save; the records to publish."""


class BackgroundBudget:
    """When the partitions of a process may take background steps: one at a time, paused for as long as events need."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._next_at = 0.0
        self._stepped_at = -math.inf
        self._is_taken = False

    def stepped(self) -> None:
        """Events were taken."""
        self._stepped_at = self._monotonic()

    def _is_busy(self, now: float) -> bool:
        return now - self._stepped_at < BUSY_S

    @property
    def wait_s(self) -> float:
        """Until the next may begin."""
        return max(0.0, self._next_at - self._monotonic())

    async def turn(self, step: Callable[[int], Awaitable[list[OutRecord]]]) -> list[OutRecord] | None:
        """Take one step, of so many customers, if it is time; else ``None``."""
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
    """The background work of one partition: a backfill, in steps of the budget, and perhaps a rebuild before it."""

    def __init__(
        self,
        backfill: BackgroundScan | None = None,
        budget: BackgroundBudget | None = None,
        rebuild: BackgroundWork | None = None,
    ) -> None:
        self.backfill = backfill
        self.budget = budget or BackgroundBudget()
        self.rebuild = rebuild

    @property
    def is_done(self) -> bool:
        """Whether no customer waits for the backfill."""
        return self.backfill is None or self.backfill.is_done
