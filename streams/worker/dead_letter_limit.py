"""The limit of dead letters: how large their share of what is read may be.

The one rule: a broken producer is not drained. Once a window's worth of records was read since the claim, a larger
share of dead letters among the last of them stops the worker.
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
    """The share of dead letters in what was last read of one partition."""

    def __init__(self, partition: int, ceiling: DeadLetterLimit) -> None:
        self._partition = partition
        self._ceiling = ceiling
        self._recent: deque[bool] = deque(maxlen=ceiling.window)
        self._dead = 0

    @property
    def near(self) -> float:
        """How near to the ceiling: 1 stops the worker, once a window's worth was read."""
        return self._dead / (self._ceiling.share * self._ceiling.window)

    def read(self, count: int, dead: int) -> None:
        """So many records were read, so many of them dead letters. Raises `Stop`."""
        window = self._ceiling.window
        for is_dead in [True] * dead + [False] * (count - dead):
            if len(self._recent) == window:
                self._dead -= self._recent[0]
            self._recent.append(is_dead)
            self._dead += is_dead
        if len(self._recent) == window and self._dead > self._ceiling.share * window:
            raise Stop(
                f"{self._dead} of the last {window} records of partition {self._partition} "
                "are dead letters; correct the producer, or raise SEGMENTER_DEAD_LETTER_SHARE to go on"
            )
