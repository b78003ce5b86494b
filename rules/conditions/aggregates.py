"""The decision on a sum, average, extreme or number of different values over a window.

The four aggregates of one condition are decided by different facts.

See also `rules.conditions.totals` for the form and the sentence of the condition.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from operator import itemgetter
from typing import Literal, NamedTuple

import msgspec

from rules.conditions.base import NEVER, CustomerView, TimedDecision, until
from rules.conditions.event_choice import shown_choice
from rules.due_times import Count, outside
from rules.number_text import MICRO
from rules.profile import days, order_fold, orders, sums
from rules.profile.extremes import staircase
from rules.profile.short_ids import hashed_id
from rules.reasons import Observed, Reason, TotalShown
from rules.times import format_duration
from rules.value_tests import NumberTest, PropertyTests
from rules.values import number_key, shown_number

# A contribution: (time from which its window runs, sum, count); see `rules.profile.sums.leaving`.
Contribution = tuple[int, int, int]
_time = itemgetter(0)

# A value in 10⁻⁶ as numerator and denominator.
ExactTotal = tuple[int, int]

Aggregate = Literal["sum", "avg", "min", "max", "distinct"]


class TotalOverTime(NamedTuple):
    """An aggregate for as long as nothing happens: ``values[i]``, once i of ``leaving`` are over.

    ``leaving``: the instants (ms) at which something leaves the window, ascending. A value is ``None`` where there is
    nothing to average or compare.
    """

    leaving: Sequence[int]
    values: Sequence[ExactTotal | None]

    def at(self, instant: int) -> ExactTotal | None:
        """The value at an instant."""
        return self.values[bisect_right(self.leaving, instant)]


class Total(msgspec.Struct, frozen=True):
    """An aggregate of a property of events or orders, in 10⁻⁶, lies in a range.

    ``view`` and ``place``: the orders' view and the property in it, if Order Completed is among the names; ``slot``:
    the index of the fact that stores the contributions of the other events. ``count``: the test of
    ``distinct``. ``currency``: that of the file.
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
    currency: str | None = None

    def decide(self, customer: CustomerView, now: int) -> TimedDecision:
        if self.agg in ("sum", "avg"):
            return self._decide_sum(customer, now)
        if self.agg == "distinct":
            return self.count.decide(self._newest_times(customer), self.within, now)
        return self._decide_extreme(customer, now)

    def value(self, customer: CustomerView, now: int) -> int | None:
        """The aggregate at an instant, in 10⁻⁶ (``distinct``: times 10⁶); ``None`` if nothing is in the window."""
        if self.agg in ("sum", "avg"):
            _, total, count = self._inside(customer, now)
            if self.agg == "sum":
                return total
            return total // count if count else None
        if self.agg == "distinct":
            times = self._newest_times(customer)
            return MICRO * (len(times) - outside(times, self.within, now))
        steps = self._steps(customer)
        oldest = self._outside(steps, now)
        return steps[oldest][1] if oldest < len(steps) else None

    def over_time(self, customer: CustomerView) -> TotalOverTime:
        """The exact aggregate from now on, if nothing happens."""
        values: list[ExactTotal | None]
        if self.agg in ("sum", "avg"):
            entries = self._contributions(customer)
            times, values = [time for time, _, _ in entries], self._remainders(entries)
        elif self.agg == "distinct":
            times = self._newest_times(customer)
            values = [(MICRO * (len(times) - left), 1) for left in range(len(times) + 1)]
        else:
            steps = self._steps(customer)
            times, values = [time for time, _ in steps], [*[(value, 1) for _, value in steps], None]
        if self.within is None:
            return TotalOverTime([], values[:1])
        return TotalOverTime([time + self.within for time in times], values)

    def _remainders(self, entries: Sequence[Contribution]) -> list[ExactTotal | None]:
        """The sum or average of all entries, of all but the first, and so on, down to none of them."""
        total = count = 0
        values: list[ExactTotal | None] = [(0, 1) if self.agg == "sum" else None]
        for _, value, number in reversed(entries):
            total, count = total + value, count + number
            values.append((total, 1 if self.agg == "sum" else count))
        return values[::-1]

    @property
    def shown(self) -> TotalShown:
        """The total as a reason of a ratio has it."""
        return TotalShown(
            self.agg,
            self.of,
            within=None if self.within is None else format_duration(self.within),
            **shown_choice(self.events, self.where),
        )

    def reason(self, customer: CustomerView, now: int) -> Reason:
        holds, due = self.decide(customer, now)
        value = self.value(customer, now)
        return Reason(
            holds,
            condition="total",
            observed=Observed(value=None if value is None else shown_number(value)),
            test=self.test.test,
            until=until(due),
            **shown_choice(self.events, self.where),
            within=None if self.within is None else format_duration(self.within),
            agg=self.agg,
            of=self.of,
        )

    def _outside(self, entries: Sequence[tuple[int, ...]], now: int) -> int:
        """The number of leading entries that are older than the window; the first item of an entry is its time."""
        return 0 if self.within is None else bisect_right(entries, now - self.within, key=_time)

    # --- sum and avg

    def _inside(self, customer: CustomerView, now: int) -> tuple[list[Contribution], int, int]:
        """The contributions in the window, their sum, and their count."""
        entries = self._contributions(customer)
        inside = entries[self._outside(entries, now) :]
        total = count = 0
        for _, value, number in inside:
            total += value
            count += number
        return inside, total, count

    def _decide_sum(self, customer: CustomerView, now: int) -> TimedDecision:
        inside, total, count = self._inside(customer, now)
        holds = self._meets(total, count)
        if self.within is None:
            return holds, NEVER
        for index, (time, value, number) in enumerate(inside):
            total, count = total - value, count - number
            together = index + 1 < len(inside) and inside[index + 1][0] == time
            if not together and self._meets(total, count) != holds:
                return holds, time + self.within
        return holds, NEVER

    def _meets(self, total: int, count: int) -> bool:
        if self.agg == "sum":
            return self.test.meets(total)
        return count > 0 and self.test.meets(total, per=count)

    def _contributions(self, customer: CustomerView) -> list[Contribution]:
        """The contributions of orders and other events, ascending by time."""
        others = [] if self.slot is None else sums.leaving(customer.profile.sums[self.slot])
        of_orders = [(time, value, 1) for time, value in self._of_orders(customer)]
        messages = customer.profile.orders
        if self.view is not None and messages is not None and messages.settled is not None:
            settled = messages.settled.days.get(orders.slot_of(self.view, self.place), {})
            of_orders += days.leaving(settled)
        return sorted(others + of_orders) if of_orders else others

    def _of_orders(self, customer: CustomerView) -> list[tuple[int, int]]:
        """The values of standing orders, with their completion times."""
        messages = customer.profile.orders
        return [] if self.view is None or messages is None else messages.values(self.view, self.place, self.currency)

    # --- min and max

    def _steps(self, customer: CustomerView) -> list[tuple[int, int]]:
        others = [] if self.slot is None else customer.profile.extremes[self.slot]
        of_orders = self._of_orders(customer)
        return staircase(sorted(others + of_orders), greatest=self.agg == "max") if of_orders else others

    def _decide_extreme(self, customer: CustomerView, now: int) -> TimedDecision:
        steps = self._steps(customer)
        inside = steps[self._outside(steps, now) :]
        answers = [self.test.meets(value) for _, value in inside] + [False]
        if self.within is not None:
            for (time, _), answer in zip(inside, answers[1:], strict=True):
                if answer != answers[0]:
                    return answers[0], time + self.within
        return answers[0], NEVER

    # --- distinct

    def _newest_times(self, customer: CustomerView) -> list[int]:
        newest = {} if self.slot is None else dict(customer.profile.distincts[self.slot])
        for time, value in self._of_orders(customer):
            key = hashed_id(number_key(value)) if self.place == order_fold.TOTAL else value
            newest[key] = max(time, newest.get(key, 0))
        return sorted(newest.values())
