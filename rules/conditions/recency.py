"""Moments: the first or last of something, and how long ago it was (`first`, `last`)."""

from __future__ import annotations

import msgspec

from rules.conditions.base import NEVER, CustomerView, Decision, shown_events, until
from rules.reasons import Observed, Reason
from rules.times import format_duration, format_instant
from rules.value_tests import PropertyTests, Shown


class Ago(msgspec.Struct, frozen=True):
    """From ``at_least`` after a moment on, and before ``at_most`` after it (ms; ``None``: open)."""

    at_least: int | None = None
    at_most: int | None = None

    def decide(self, moment: int, now: int) -> Decision:
        """For a moment that may lie ahead; before it nothing holds."""
        opens = moment + (self.at_least or 0)
        if now < opens:
            return False, opens
        if self.at_most is None:
            return True, NEVER
        closes = moment + self.at_most
        return (True, closes) if now < closes else (False, NEVER)

    def decide_known(self, moment: int, now: int) -> Decision:
        """The same for the moment of a fact, 0 when there is none."""
        return self.decide(moment, now) if moment else (False, NEVER)

    @property
    def test(self) -> dict[str, Shown]:
        """As it stands in a definition."""
        ends = {"at_least": self.at_least, "at_most": self.at_most}
        return {name: format_duration(ms) for name, ms in ends.items() if ms is not None}


class Recency(msgspec.Struct, frozen=True):
    """There is a first (or last) of these events or orders, and it was so long ago.

    ``view`` and ``slot`` as of `rules.conditions.counts.Performed`.
    """

    first: bool
    events: tuple[str, ...]
    where: PropertyTests
    ago: Ago
    view: int | None
    slot: int | None

    def _moment(self, who: CustomerView) -> int:
        """When it was; 0: never."""
        profile = who.profile
        if self.view is None and self.slot is not None:
            if self.first:
                return profile.firsts[self.slot]
            newest = profile.occurrences[self.slot].times
            return newest[-1] if newest else 0
        times: list[int] = []
        if self.slot is not None and self.first:
            times.append(profile.firsts[self.slot])
        elif self.slot is not None:
            times += profile.occurrences[self.slot].times[-1:]
        if self.view is not None and profile.orders is not None:
            times += who.completions(self.view)
            if profile.orders.settled is not None and self.first:
                times.append(profile.orders.settled.first.get(self.view, 0))
        times = [time for time in times if time]
        return (min(times) if self.first else max(times)) if times else 0

    def decide(self, who: CustomerView, now: int) -> Decision:
        return self.ago.decide_known(self._moment(who), now)

    def reason(self, who: CustomerView, now: int) -> Reason:
        moment = self._moment(who)
        holding, due = self.ago.decide_known(moment, now)
        at = format_instant(moment) if moment else None
        return Reason(
            holding,
            condition="first" if self.first else "last",
            observed=Observed(first_at=at) if self.first else Observed(last_at=at),
            test={"ago": self.ago.test} if self.ago.test else {},
            until=until(due),
            event=shown_events(self.events),
            where=self.where.test or None,
        )
