"""Counts: how many of something fell into a window (`performed`, `sessions`)."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

import msgspec

from rules.conditions.base import NEVER, CustomerView, Decision, shown_events, until
from rules.reasons import Observed, Reason
from rules.times import format_duration, format_instant
from rules.value_tests import PropertyTests, Shown


class Count(msgspec.Struct, frozen=True):
    """How many are asked for, both ends included; ``at_most`` ``None``: no upper end."""

    at_least: int = 0
    at_most: int | None = None

    def decide(self, times: Sequence[int], within: int | None, now: int) -> Decision:
        """For facts at these ascending times, each of which counts for [time, time + within)."""
        inside = len(times) - outside(times, within, now)
        if self.at_most is not None and inside > self.at_most:
            return False, NEVER if within is None else times[-self.at_most - 1] + within
        if inside < self.at_least:
            return False, NEVER
        if within is None or not self.at_least:
            return True, NEVER
        return True, times[-self.at_least] + within

    @property
    def newest_needed(self) -> int:
        """So many of the newest facts decide this count and its due time."""
        return max(self.at_least, 0 if self.at_most is None else self.at_most + 1)

    @property
    def test(self) -> dict[str, Shown]:
        """As it stands in a definition."""
        if self.at_most is None:
            return {"at_least": self.at_least}
        if self.at_least == self.at_most:
            return {"exactly": self.at_least}
        ends: dict[str, Shown] = {"at_least": self.at_least} if self.at_least else {}
        return {**ends, "at_most": self.at_most}


class Performed(msgspec.Struct, frozen=True):
    """So many of these events, or orders, in the window (ms; ``None``: ever).

    ``view``: Order Completed is named, which means orders, these. ``slot``: where the other
    events are kept. Either is ``None`` when there are none.
    """

    events: tuple[str, ...]
    where: PropertyTests
    count: Count
    within: int | None
    view: int | None
    slot: int | None

    def _times(self, who: CustomerView) -> Sequence[int]:
        times = [] if self.slot is None else who.profile.occurrences[self.slot].times
        if self.view is None:
            return times
        completed = who.completions(self.view)
        return sorted(times + completed) if times else completed

    def decide(self, who: CustomerView, now: int) -> Decision:
        return self.count.decide(self._times(who), self.within, now)

    def reason(self, who: CustomerView, now: int) -> Reason:
        times = self._times(who)
        holding, due = self.count.decide(times, self.within, now)
        return Reason(
            holding,
            condition="performed",
            observed=seen(times, self.within, now, None if self.slot is None else self.count.newest_needed),
            test=self.count.test,
            until=until(due),
            event=shown_events(self.events),
            where=self.where.test or None,
            within=None if self.within is None else format_duration(self.within),
        )


class SessionCount(msgspec.Struct, frozen=True):
    """So many sessions begun in the window; times in ms."""

    count: Count
    within: int
    gap: int
    slot: int

    def _starts(self, who: CustomerView) -> Sequence[int]:
        return [start for start, _ in who.profile.sessions[self.slot]]

    def decide(self, who: CustomerView, now: int) -> Decision:
        return self.count.decide(self._starts(who), self.within, now)

    def reason(self, who: CustomerView, now: int) -> Reason:
        starts = self._starts(who)
        holding, due = self.count.decide(starts, self.within, now)
        return Reason(
            holding,
            condition="sessions",
            observed=seen(starts, self.within, now),
            test=self.count.test,
            until=until(due),
            within=format_duration(self.within),
            gap=format_duration(self.gap),
        )


def outside(times: Sequence[int], within: int | None, now: int) -> int:
    """How many of these ascending times have left the window (ms; ``None``: ever)."""
    return 0 if within is None else bisect_right(times, now - within)


def seen(times: Sequence[int], within: int | None, now: int, most: int | None = None) -> Observed:
    """``most``: beyond so many it is not certain that all were kept."""
    inside = len(times) - outside(times, within, now)
    last_at = format_instant(times[-1]) if times else None
    if most is not None and inside > most:
        return Observed(count=most + 1, or_more=True, last_at=last_at)
    return Observed(count=inside, last_at=last_at)
