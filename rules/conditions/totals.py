"""Totals: a sum, average, extreme or number of different values over a window (`total`)."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from operator import itemgetter
from typing import Literal

import msgspec

from rules.conditions.base import NEVER, CustomerView, Decision, shown_events, until
from rules.conditions.counts import Count, outside
from rules.profile import days, orders, sums
from rules.profile.extremes import staircase
from rules.profile.profile import hashed_id
from rules.reasons import Observed, Reason
from rules.times import format_duration
from rules.value_tests import NumberTest, PropertyTests
from rules.values import MICRO, number_key, shown_number

# (Time from which its window runs, sum, count), as of `rules.profile.sums.leaving`.
Contribution = tuple[int, int, int]
_time = itemgetter(0)

Aggregate = Literal["sum", "avg", "min", "max", "distinct"]


class Total(msgspec.Struct, frozen=True):
    """An aggregate of a property of events or orders, in 10⁻⁶, lies in a range.

    ``view`` and ``place``: of orders, where Order Completed is named; ``slot``: where what the
    other events contribute is kept. ``count``: the test of a number of different values.
    """

    agg: Aggregate
    of: str
    events: tuple[str, ...]
    where: PropertyTests
    within: int | None
    test: NumberTest
    count: Count
    view: int | None
    place: int
    slot: int | None

    def decide(self, who: CustomerView, now: int) -> Decision:
        if self.agg in ("sum", "avg"):
            return self._decide_sum(who, now)
        if self.agg == "distinct":
            return self.count.decide(self._newest_times(who), self.within, now)
        return self._decide_extreme(who, now)

    def value(self, who: CustomerView, now: int) -> int | None:
        """The aggregate at an instant, in 10⁻⁶ (``distinct``: times 10⁶); ``None``: of nothing."""
        if self.agg in ("sum", "avg"):
            _, total, count = self._inside(who, now)
            if self.agg == "sum":
                return total
            return total // count if count else None
        if self.agg == "distinct":
            times = self._newest_times(who)
            return MICRO * (len(times) - outside(times, self.within, now))
        steps = self._steps(who)
        at = self._outside(steps, now)
        return steps[at][1] if at < len(steps) else None

    def reason(self, who: CustomerView, now: int) -> Reason:
        holding, due = self.decide(who, now)
        value = self.value(who, now)
        return Reason(
            holding,
            condition="total",
            observed=Observed(value=None if value is None else shown_number(value)),
            test=self.test.test,
            until=until(due),
            event=shown_events(self.events),
            where=self.where.test or None,
            within=None if self.within is None else format_duration(self.within),
            agg=self.agg,
            of=self.of,
        )

    def _outside(self, entries: Sequence[tuple[int, ...]], now: int) -> int:
        """As `outside`, of entries that begin with their time."""
        return 0 if self.within is None else bisect_right(entries, now - self.within, key=_time)

    # --- sum and avg

    def _inside(self, who: CustomerView, now: int) -> tuple[list[Contribution], int, int]:
        """What is in the window, its sum and count."""
        entries = self._contributions(who)
        inside = entries[self._outside(entries, now) :]
        total = count = 0
        for _, value, number in inside:
            total += value
            count += number
        return inside, total, count

    def _decide_sum(self, who: CustomerView, now: int) -> Decision:
        inside, total, count = self._inside(who, now)
        holding = self._meets(total, count)
        if self.within is None:
            return holding, NEVER
        for at, (time, value, number) in enumerate(inside):
            total, count = total - value, count - number
            together = at + 1 < len(inside) and inside[at + 1][0] == time
            if not together and self._meets(total, count) != holding:
                return holding, time + self.within
        return holding, NEVER

    def _meets(self, total: int, count: int) -> bool:
        if self.agg == "sum":
            return self.test.meets(total)
        return count > 0 and self.test.meets(total, per=count)

    def _contributions(self, who: CustomerView) -> list[Contribution]:
        """As `rules.profile.sums.leaving`."""
        kept = [] if self.slot is None else sums.leaving(who.profile.sums[self.slot])
        found = [(time, value, 1) for time, value in self._of_orders(who)]
        kept_orders = who.profile.orders
        if self.view is not None and kept_orders is not None and kept_orders.settled is not None:
            settled = kept_orders.settled.days.get(orders.slot_of(self.view, self.place), {})
            found += days.leaving(settled)
        return sorted(kept + found) if found else kept

    def _of_orders(self, who: CustomerView) -> list[tuple[int, int]]:
        """What standing orders contribute, each at its time."""
        kept = who.profile.orders
        return [] if self.view is None or kept is None else kept.values(self.view, self.place)

    # --- min and max

    def _steps(self, who: CustomerView) -> list[tuple[int, int]]:
        kept = [] if self.slot is None else who.profile.extremes[self.slot]
        found = self._of_orders(who)
        return staircase(sorted(kept + found), greatest=self.agg == "max") if found else kept

    def _decide_extreme(self, who: CustomerView, now: int) -> Decision:
        steps = self._steps(who)
        inside = steps[self._outside(steps, now) :]
        answers = [self.test.meets(value) for _, value in inside] + [False]
        if self.within is not None:
            for (time, _), answer in zip(inside, answers[1:], strict=True):
                if answer != answers[0]:
                    return answers[0], time + self.within
        return answers[0], NEVER

    # --- distinct

    def _newest_times(self, who: CustomerView) -> list[int]:
        newest = {} if self.slot is None else dict(who.profile.distincts[self.slot])
        for time, value in self._of_orders(who):
            key = hashed_id(number_key(value)) if self.place == orders.TOTAL else value
            newest[key] = max(time, newest.get(key, 0))
        return sorted(newest.values())
