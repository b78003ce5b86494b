"""A timer for calls to a server: how long each took, and how long the oldest open one waits.

Each call that begins also ends here, whether it was answered or not.
"""

from __future__ import annotations

import time
from collections.abc import Callable


class CallTimer:
    """Measures calls to Redis: the duration of each, and since when the oldest unanswered one waits (monotonic)."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self.took: Callable[[str, float], None] = lambda *_: None  # metrics replace it
        self._now = now
        self._began: dict[int, float] = {}
        self._next = 0

    def begin(self) -> int:
        """Note that a call begins, and give the number by which it ends."""
        self._next += 1
        self._began[self._next] = self._now()
        return self._next

    def end(self, number: int, call: str) -> None:
        """Note that the call with this number was answered or given up; ``call``: its name."""
        self.took(call, self._now() - self._began.pop(number))

    @property
    def waiting_s(self) -> float:
        """How long the oldest unanswered call waits; 0 without one."""
        return self._now() - min(self._began.values(), default=self._now())
