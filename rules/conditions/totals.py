"""Totals: a sum, average, extreme or number of different values over a window (`total`)."""

from __future__ import annotations

from bisect import bisect_right
from typing import Literal

import msgspec

from rules import orders, sums
from rules.conditions.base import NEVER, Decision, Subject, shown_events, until
from rules.conditions.counts import Count
from rules.extremes import staircase
from rules.predicates import NumberTest, Where
from rules.profile import hashed_id
from rules.reasons import Observed, Reason
from rules.times import format_duration
from rules.values import MICRO, number_key, shown_number

Aggregate = Literal["sum", "avg", "min", "max", "distinct"]


class Total(msgspec.Struct, frozen=True):
    """An aggregate of a property of events or orders, in 10⁻⁶, lies in a range.

    ``view`` and ``place``: of orders, where Order Completed is named; ``slot``: where what the
    other events contribute is kept. ``count``: the test of a number of different values.
    """

    agg: Aggregate
    of: str
    events: tuple[str, ...]
    where: Where
    within: int | None
    test: NumberTest
    count: Count
    view: int | None
    place: int
    slot: int | None

    def decide(self, who: Subject, now: int) -> Decision:
        if self.agg in ("sum", "avg"):
            return self._decide_sum(who, now)
        if self.agg == "distinct":
            return self.count.decide(self._newest_times(who), self.within, now)
        return self._decide_extreme(who, now)

    def value(self, who: Subject, now: int) -> int | None:
        """The aggregate at an instant, in 10⁻⁶ (``distinct``: times 10⁶); ``None``: of nothing."""
        if self.agg in ("sum", "avg"):
            inside = self._inside(self._contributions(who), now)
            total, count = sum(entry[1] for entry in inside), sum(entry[2] for entry in inside)
            if self.agg == "sum":
                return total
            return total // count if count else None
        if self.agg == "distinct":
            times = self._newest_times(who)
            return MICRO * (len(times) - self._outside(times, now))
        steps = self._steps(who)
        at = self._outside([time for time, _ in steps], now)
        return steps[at][1] if at < len(steps) else None

    def reason(self, who: Subject, now: int) -> Reason:
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

    def _outside(self, times: list[int], now: int) -> int:
        return 0 if self.within is None else bisect_right(times, now - self.within)

    def _inside(self, entries: list[tuple[int, int, int]], now: int) -> list[tuple[int, int, int]]:
        return entries[self._outside([entry[0] for entry in entries], now) :]

    # --- sum and avg

    def _decide_sum(self, who: Subject, now: int) -> Decision:
        inside = self._inside(self._contributions(who), now)
        total, count = sum(entry[1] for entry in inside), sum(entry[2] for entry in inside)
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

    def _contributions(self, who: Subject) -> list[tuple[int, int, int]]:
        """As `rules.sums.leaving`."""
        kept = [] if self.slot is None else sums.leaving(who.profile.sums[self.slot])
        found = [(time, value, 1) for time, value in self._of_orders(who)]
        kept_orders = who.profile.orders
        if self.view is not None and kept_orders is not None and kept_orders.settled is not None:
            days = kept_orders.settled.days.get(orders.slot_of(self.view, self.place), {})
            found += sums.by_day(days)
        return sorted(kept + found) if found else kept

    def _of_orders(self, who: Subject) -> list[tuple[int, int]]:
        """What standing orders contribute, each at its time."""
        view = self.view
        if view is None:
            return []
        return [
            (order.completion.time, value)
            for order in who.standing
            if order.completion.views >> view & 1
            for value in orders.value_of(order, self.place)
        ]

    # --- min and max

    def _steps(self, who: Subject) -> list[tuple[int, int]]:
        kept = [] if self.slot is None else who.profile.extremes[self.slot]
        found = self._of_orders(who)
        return staircase(sorted(kept + found), greatest=self.agg == "max") if found else kept

    def _decide_extreme(self, who: Subject, now: int) -> Decision:
        steps = self._steps(who)
        inside = steps[self._outside([time for time, _ in steps], now) :]
        answers = [self.test.meets(value) for _, value in inside] + [False]
        if self.within is not None:
            for (time, _), answer in zip(inside, answers[1:], strict=True):
                if answer != answers[0]:
                    return answers[0], time + self.within
        return answers[0], NEVER

    # --- distinct

    def _newest_times(self, who: Subject) -> list[int]:
        newest = {} if self.slot is None else dict(who.profile.distincts[self.slot])
        for time, value in self._of_orders(who):
            key = hashed_id(number_key(value)) if self.place == orders.TOTAL else value
            newest[key] = max(time, newest.get(key, 0))
        return sorted(newest.values())
