"""How long calls to a server take, and whether one waits.

The one rule: a call that is begun is ended, answered or not.
"""

from __future__ import annotations

import time
from collections.abc import Callable


class CallTimer:
    """How long calls to Redis take, and since when the oldest that is not answered waits (monotonic)."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self.took: Callable[[str, float], None] = lambda *_: None  # whoever counts them
        self._now = now
        self._began: dict[int, float] = {}
        self._next = 0

    def begin(self) -> int:
        """A call begins; what to end it by."""
        self._next += 1
        self._began[self._next] = self._now()
        return self._next

    def end(self, number: int, call: str) -> None:
        """It is answered, or given up."""
        self.took(call, self._now() - self._began.pop(number))

    @property
    def waiting_s(self) -> float:
        """How long the oldest call waits."""
        return self._now() - min(self._began.values(), default=self._now())
