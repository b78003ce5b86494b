"""Counts changes by segment and minute, and finds segments that are silent against their own usual rate. Pure.

A change is counted in the minute in which it was published, whenever it is read.

See also: `streams.ops.change_feed`, which reads the changes.
"""

from __future__ import annotations

from collections import defaultdict

MINUTES_SHOWN = 60
MINUTE_MS = 60_000
# A segment is silent after a pause of so many times the usual one, and of at least so long. If changes come by chance,
# one pause in 20,000 is as long as ten times the mean.
SILENT_TIMES = 10
SILENT_AT_LEAST_MS = 5 * MINUTE_MS
# A usual rate needs changes in so many different minutes: a single campaign makes none.
USUAL_FROM = 5


class SegmentActivity:
    """The changes of one segment, by minute: how many entered, how many exited."""

    def __init__(self) -> None:
        self.by_minute: dict[int, list[int]] = defaultdict(lambda: [0, 0])
        self.last_ms = 0
        self.first_ms = 0
        self.minutes = 0

    def add(self, at_ms: int, *, entered: bool) -> None:
        """Count a change that was published at ``at_ms``."""
        minute = at_ms // MINUTE_MS
        self.minutes += minute not in self.by_minute
        self.by_minute[minute][0 if entered else 1] += 1
        self.first_ms = min(self.first_ms or at_ms, at_ms)
        self.last_ms = max(self.last_ms, at_ms)

    def forget(self, now_ms: int) -> None:
        """Drop the minutes that are not shown any more."""
        oldest = now_ms // MINUTE_MS - MINUTES_SHOWN
        for minute in [minute for minute in self.by_minute if minute <= oldest]:
            del self.by_minute[minute]

    def per_minute(self, now_ms: int) -> tuple[float, float]:
        """Entries and exits per minute, over this minute and the one before it."""
        current = now_ms // MINUTE_MS
        minutes = 1 + (now_ms % MINUTE_MS) / MINUTE_MS
        counts = [self._counts(minute) for minute in (current - 1, current)]
        entered = sum(count[0] for count in counts)
        exited = sum(count[1] for count in counts)
        return entered / minutes, exited / minutes

    def spark(self, now_ms: int) -> list[int]:
        """The number of changes in each of the last minutes, oldest first."""
        current = now_ms // MINUTE_MS
        return [sum(self._counts(minute)) for minute in range(current - MINUTES_SHOWN + 1, current + 1)]

    def _counts(self, minute: int) -> tuple[int, int]:
        entered, exited = self.by_minute.get(minute, (0, 0))
        return entered, exited

    def usual_ms(self) -> float | None:
        """The mean time between two minutes with changes; `None` if there are too few to say."""
        if self.minutes < USUAL_FROM:
            return None
        return (self.last_ms - self.first_ms) / (self.minutes - 1)

    def is_silent(self, now_ms: int) -> bool:
        """Whether the last change is much longer ago than usual."""
        usual = self.usual_ms()
        return usual is not None and now_ms - self.last_ms > max(SILENT_AT_LEAST_MS, SILENT_TIMES * usual)
