"""When the customers are looked at who must all be looked at again: between steps, one partition after the other.

The one rule: events come first, so there are pauses as long as they need.
"""

from __future__ import annotations

import math
import time
from collections.abc import Awaitable, Callable

from streams.outbox import OutRecord

# Of the time of a process so much of it, while events come and when none do.
SWEEPING_SHARE = 0.2
SWEEPING_SHARE_IDLE = 0.9
# Customers of one turn: an event waits for the whole of it.
SWEPT = 8
SWEPT_IDLE = 25
BUSY_S = 0.5


class Sweeping:
    """When the shards of a process may sweep: one after the other, with pauses as long as events need."""

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

    async def turn(self, sweep: Callable[[int], Awaitable[list[OutRecord]]]) -> list[OutRecord] | None:
        """One of them, of so many customers, if it is time; else ``None``."""
        if self._is_taken or self.wait_s > 0:
            return None
        self._is_taken, began = True, self._monotonic()
        try:
            return await sweep(SWEPT if self._is_busy(began) else SWEPT_IDLE)
        finally:
            ended = self._monotonic()
            share = SWEEPING_SHARE if self._is_busy(ended) else SWEEPING_SHARE_IDLE
            self._next_at = ended + (ended - began) * (1 / share - 1)
            self._is_taken = False
