"""Changes by segment and minute, and which segment has gone silent against its own usual rate. Pure.

The one rule: a change is counted in the minute in which it was published, whenever it is read.
"""

from __future__ import annotations

from collections import defaultdict

MINUTES_KEPT = 60
MINUTE_MS = 60_000
# A segment is silent after so many times what usually lies between minutes with changes, and no sooner than so
# long: of what comes by chance one pause in 20,000 is ten times the mean.
SILENT_TIMES = 10
SILENT_AT_LEAST_MS = 5 * MINUTE_MS
# Different minutes; with fewer there is no usual rate: one campaign is no habit.
USUAL_FROM = 5


class Counted:
    """The changes of one segment."""

    def __init__(self) -> None:
        self.by_minute: dict[int, list[int]] = defaultdict(lambda: [0, 0])
        self.last_ms = 0
        self.first_ms = 0
        self.minutes = 0

    def add(self, at_ms: int, *, entered: bool) -> None:
        """A change was published at ``at_ms``."""
        minute = at_ms // MINUTE_MS
        self.minutes += minute not in self.by_minute
        self.by_minute[minute][0 if entered else 1] += 1
        self.first_ms = min(self.first_ms or at_ms, at_ms)
        self.last_ms = max(self.last_ms, at_ms)

    def forget(self, now_ms: int) -> None:
        """Drop the minutes that nobody is shown."""
        oldest = now_ms // MINUTE_MS - MINUTES_KEPT
        for minute in [minute for minute in self.by_minute if minute <= oldest]:
            del self.by_minute[minute]

    def per_minute(self, now_ms: int) -> tuple[float, float]:
        """Entries and exits per minute, over this minute and the one before it."""
        minute = now_ms // MINUTE_MS
        minutes = 1 + (now_ms % MINUTE_MS) / MINUTE_MS
        pairs = [self.by_minute[at] for at in (minute - 1, minute) if at in self.by_minute]
        return sum(pair[0] for pair in pairs) / minutes, sum(pair[1] for pair in pairs) / minutes

    def spark(self, now_ms: int) -> list[int]:
        """Changes in each of the last minutes, oldest first."""
        minute = now_ms // MINUTE_MS
        return [
            sum(self.by_minute[at]) if at in self.by_minute else 0
            for at in range(minute - MINUTES_KEPT + 1, minute + 1)
        ]

    def usual_ms(self) -> float | None:
        """What lay between two minutes with changes on average; ``None``: too few to say."""
        return None if self.minutes < USUAL_FROM else (self.last_ms - self.first_ms) / (self.minutes - 1)

    def is_silent(self, now_ms: int) -> bool:
        """Whether nothing has come for much longer than usual."""
        usual = self.usual_ms()
        return usual is not None and now_ms - self.last_ms > max(SILENT_AT_LEAST_MS, SILENT_TIMES * usual)
