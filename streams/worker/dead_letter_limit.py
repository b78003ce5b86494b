"""The limit of dead letters, a share of the records that are read.

The one rule: the worker does not turn all records of a broken producer into dead letters. Once it has read a
window of records since the claim, it stops when the share of dead letters in the last window exceeds the limit.
"""

from __future__ import annotations

from collections import deque

import msgspec

from streams.stop import Stop


class DeadLetterLimit(msgspec.Struct, frozen=True):
    """Stop when more than ``share`` of the last ``window`` records of a partition are dead letters."""

    share: float
    window: int


class DeadLetterRatio:
    """The share of dead letters among the last records of one partition."""

    def __init__(self, partition: int, limit: DeadLetterLimit) -> None:
        self._partition = partition
        self._limit = limit
        self._recent: deque[bool] = deque(maxlen=limit.window)
        self._dead = 0

    @property
    def near(self) -> float:
        """The share divided by the limit; at more than 1 the worker stops, once a window of records was read."""
        return self._dead / (self._limit.share * self._limit.window)

    def read(self, count: int, dead: int) -> None:
        """Count records that were read, and the dead letters among them. Raises `Stop`."""
        window = self._limit.window
        for is_dead in [True] * dead + [False] * (count - dead):
            if len(self._recent) == window:
                self._dead -= self._recent[0]
            self._recent.append(is_dead)
            self._dead += is_dead
        if len(self._recent) == window and self._dead > self._limit.share * window:
            raise Stop(
                f"{self._dead} of the last {window} records of partition {self._partition} "
                "are dead letters; correct the producer, or raise SEGMENTER_DEAD_LETTER_SHARE to go on"
            )
