"""Due times: when time alone turns a condition, as a window ends, an event is old enough, or an age is reached.

Each test decides for an instant ``now``, and gives the earliest later instant at which its answer may be another:
`NEVER` when time cannot turn it. See also `streams.runtime.timers`, which fires the due times of a partition.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

import msgspec

from rules.times import birthday, format_duration
from rules.value_tests import NumberTest, Shown

NEVER = 0  # no event is from before the year 2000

TimedDecision = tuple[bool, int]  # whether it holds, and when time alone may next turn that


class Count(msgspec.Struct, frozen=True):
    """A number of facts, both ends included; ``at_most`` ``None``: no upper end."""

    at_least: int = 0
    at_most: int | None = None

    def decide(self, times: Sequence[int], within: int | None, now: int) -> TimedDecision:
        """Decide for facts at these ascending times, each of which counts for [time, time + within)."""
        inside = len(times) - outside(times, within, now)
        if self.at_most is not None and inside > self.at_most:
            return False, NEVER if within is None else times[-self.at_most - 1] + within
        if inside < self.at_least:
            return False, NEVER
        if within is None or not self.at_least:
            return True, NEVER
        return True, times[-self.at_least] + within

    def decide_delayed(self, times: Sequence[int], after: int, within: int, now: int) -> TimedDecision:
        """Decide for facts at these ascending times, each of which counts for [time + after, time + within)."""
        counting, left = outside(times, after, now), outside(times, within, now)
        answer = self._fits(counting - left)
        while left < len(times):
            due = times[left] + within
            if counting < len(times):
                due = min(due, times[counting] + after)
            while counting < len(times) and times[counting] + after <= due:
                counting += 1
            while left < len(times) and times[left] + within <= due:
                left += 1
            if self._fits(counting - left) != answer:
                return answer, due
        return answer, NEVER

    def _fits(self, number: int) -> bool:
        return number >= self.at_least and (self.at_most is None or number <= self.at_most)

    @property
    def newest_needed(self) -> int:
        """How many of the newest facts decide this count and its due time."""
        return max(self.at_least, 0 if self.at_most is None else self.at_most + 1)

    @property
    def test(self) -> dict[str, Shown]:
        """The test as it stands in a definition."""
        if self.at_most is None:
            return {"at_least": self.at_least}
        if self.at_least == self.at_most:
            return {"exactly": self.at_least}
        ends: dict[str, Shown] = {"at_least": self.at_least} if self.at_least else {}
        return {**ends, "at_most": self.at_most}


class AgeRange(msgspec.Struct, frozen=True):
    """A time after a moment: from ``at_least`` on, and before ``at_most`` (ms; ``None``: open)."""

    at_least: int | None = None
    at_most: int | None = None

    def decide(self, moment: int, now: int) -> TimedDecision:
        """Decide for a moment that may lie ahead; before it the answer is false."""
        opens = moment + (self.at_least or 0)
        if now < opens:
            return False, opens
        if self.at_most is None:
            return True, NEVER
        closes = moment + self.at_most
        return (True, closes) if now < closes else (False, NEVER)

    def decide_fact(self, moment: int, now: int) -> TimedDecision:
        """Decide for the moment of a fact; 0: there is none."""
        return self.decide(moment, now) if moment else (False, NEVER)

    @property
    def test(self) -> dict[str, Shown]:
        """The test as it stands in a definition."""
        ends = {"at_least": self.at_least, "at_most": self.at_most}
        return {name: format_duration(ms) for name, ms in ends.items() if ms is not None}


class Years(msgspec.Struct, frozen=True):
    """A number of completed years since a day: from ``first`` on and before ``end`` (``None``: open)."""

    first: int
    end: int | None
    number_test: NumberTest

    def decide(self, moment: int, now: int) -> TimedDecision:
        """Decide for a day of birth that may lie ahead; before it there is no age."""
        opens = birthday(moment, self.first)
        if opens is None:
            return False, NEVER
        if now < opens:
            return False, opens
        closes = None if self.end is None else birthday(moment, self.end)
        if closes is None:
            return True, NEVER
        return (True, closes) if now < closes else (False, NEVER)

    @property
    def test(self) -> dict[str, Shown]:
        """The test as it stands in a definition."""
        return self.number_test.test


def outside(times: Sequence[int], within: int | None, now: int) -> int:
    """How many of these ascending times have left the window (ms; ``None``: ever)."""
    return 0 if within is None else bisect_right(times, now - within)
