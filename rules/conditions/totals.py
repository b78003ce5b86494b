"""The condition on a sum, average, extreme or number of different values over a window (`total`).

The module is long because the four aggregates of one condition are decided by different facts.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from operator import itemgetter
from typing import ClassVar, Literal

import msgspec

from rules.conditions.base import NEVER, ConditionKind, CustomerView, Parsed, Scope, TimedDecision, until
from rules.conditions.event_choice import canonical_where, orders_and_others, shown_events
from rules.due_times import Count, outside
from rules.events import MONEY
from rules.facts import (
    DISTINCT_MAX,
    DistinctFact,
    EventFilter,
    ExtremeFact,
    OrderFact,
    PropertyReader,
    SumFact,
)
from rules.forms import description, value_test_parsing
from rules.forms.description import Canonical
from rules.forms.form import Duration, EventNames, Form, NumberEnd, Property, WhereTests
from rules.forms.json_schema import form_schema
from rules.forms.problems import Problems, WrongCondition
from rules.languages import value_tests
from rules.languages.language import Language
from rules.languages.parts import beside, events, observed_of, window
from rules.profile import days, orders, sums
from rules.profile.extremes import staircase
from rules.profile.orders import TOTAL as ORDER_TOTAL
from rules.profile.profile import hashed_id
from rules.reasons import Observed, Reason
from rules.times import format_duration
from rules.value_tests import ENDS, NumberTest, PropertyTests
from rules.values import MICRO, number_key, path_of, shown_number

# A contribution: (time from which its window runs, sum, count); see `rules.profile.sums.leaving`.
Contribution = tuple[int, int, int]
_time = itemgetter(0)

Aggregate = Literal["sum", "avg", "min", "max", "distinct"]


class Total(msgspec.Struct, frozen=True):
    """An aggregate of a property of events or orders, in 10⁻⁶, lies in a range.

    ``view`` and ``place``: of orders, where Order Completed is named; ``slot``: where what the
    other events contribute is remembered. ``count``: the test of a number of different values.
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

    def decide(self, customer: CustomerView, now: int) -> TimedDecision:
        if self.agg in ("sum", "avg"):
            return self._decide_sum(customer, now)
        if self.agg == "distinct":
            return self.count.decide(self._newest_times(customer), self.within, now)
        return self._decide_extreme(customer, now)

    def value(self, customer: CustomerView, now: int) -> int | None:
        """The aggregate at an instant, in 10⁻⁶ (``distinct``: times 10⁶); ``None``: of nothing."""
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

    def reason(self, customer: CustomerView, now: int) -> Reason:
        holds, due = self.decide(customer, now)
        value = self.value(customer, now)
        return Reason(
            holds,
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
        """How many of these entries, whose first item is their time, have left the window."""
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
        """The contributions of orders that stand, each at its time."""
        messages = customer.profile.orders
        return [] if self.view is None or messages is None else messages.values(self.view, self.place)

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
            key = hashed_id(number_key(value)) if self.place == orders.TOTAL else value
            newest[key] = max(time, newest.get(key, 0))
        return sorted(newest.values())


class TotalForm(Form):
    example: ClassVar = "{agg: sum, of: total, event: Order Completed, within: 365d, at_least: 1000}"

    agg: Aggregate
    of: Property
    event: EventNames
    where: WhereTests = PropertyTests()
    within: Duration | None = None
    at_least: NumberEnd = None
    at_most: NumberEnd = None
    above: NumberEnd = None
    below: NumberEnd = None


def _parse(scope: Scope, path: str, body: object) -> Parsed:
    """Read the body of ``total``. Orders are added up from their own fact, other events from one of contributions."""
    form = scope.problems.fill(path, TotalForm, body)
    of_orders, others = orders_and_others(path, form.event)
    test = _range(scope.problems, path, form)
    money = form.of in MONEY
    if money and scope.currency is None:
        raise WrongCondition(f"{path}.of", "money is added up in one currency", "write currency: EUR at the file's top")
    picked = EventFilter(form.where, scope.currency if money else None)
    view, place = None, ORDER_TOTAL
    if of_orders:
        view = OrderFact.require_view(scope.facts, picked, form.within)
    if of_orders and form.of != "total":
        place = OrderFact.require_property(scope.facts, _reader(form))
    slot = _slot(scope, form, picked, others) if others else None
    condition = Total(form.agg, form.of, form.event, form.where, form.within, test, count_of(test), view, place, slot)
    canonical = {"agg": form.agg, "of": form.of, "event": form.event, "within": form.within, **test.test}
    return condition, {"total": canonical | canonical_where(form.where)}


def _reader(form: TotalForm) -> PropertyReader:
    return PropertyReader(path_of(form.of), form.agg == "distinct")


def _slot(scope: Scope, form: TotalForm, picked: EventFilter, others: frozenset[str]) -> int:
    """The slot of the profile for contributions of events other than orders."""
    reader, within = _reader(form), form.within
    if form.agg in ("sum", "avg"):
        return scope.facts.require(SumFact(others, picked, reader, within)).slot
    if form.agg == "distinct":
        return scope.facts.require(DistinctFact(others, picked, reader, within)).slot
    return scope.facts.require(ExtremeFact(others, picked, reader, within, form.agg == "max")).slot


def _range(problems: Problems, path: str, form: TotalForm) -> NumberTest:
    bounds: dict[object, object] = {name: getattr(form, name) for name in ENDS if name in form.model_fields_set}
    if not bounds:
        raise WrongCondition(path, "no test", "write at_least, at_most, above or below beside agg")
    test = problems.read(path, value_test_parsing.ends, bounds)
    count = count_of(test)
    if form.agg == "distinct" and count.newest_needed >= DISTINCT_MAX:
        raise WrongCondition(path, f"different values are counted up to {DISTINCT_MAX - 1}")
    if form.agg == "distinct" and count.at_most is not None and count.at_most < count.at_least:
        raise WrongCondition(path, "no number of values is in this range")
    return test


def count_of(test: NumberTest) -> Count:
    """Convert a range of numbers to one of counts."""
    low, high = 0, None
    if test.at_least is not None:
        low = -(-test.at_least // MICRO)
    if test.above is not None:
        low = test.above // MICRO + 1
    if test.at_most is not None:
        high = test.at_most // MICRO
    if test.below is not None:
        high = -(-test.below // MICRO) - 1
    return Count(max(0, low), high)


_AGGREGATE_WORDS = {
    "sum": "sum", "avg": "average", "min": "least", "max": "greatest", "distinct": "number of different values",
}  # fmt: skip


def _describe(form: Canonical) -> str:
    subject = f"{_AGGREGATE_WORDS[form['agg']]} of {form['of']} of {description.events(form)}"
    return f"{subject}{description.window(form)} is {description.range_of(form)}"


def _phrase(lang: Language, reason: Reason) -> str:
    value, distinct = observed_of(reason).value, reason.agg == "distinct"
    money = reason.of in MONEY and not distinct
    of, event = lang.name(reason.of), events(lang, reason, reason.cut)
    within = window(lang, reason.within, "so_far")
    written = "" if value is None else lang.amount(value) if money else lang.number(value)
    if distinct:
        text = lang.say("distinct_values", value or 0, value=written, of=of, event=event, window=within)
    elif value is None:
        agg = lang.say(reason.agg or "", of=of)
        text = lang.say("total_of_nothing", agg=agg, of=of, event=event, window=within)
    else:
        text = lang.say("total", agg=lang.say(reason.agg or "", of=of), event=event, window=within, value=written)
    return beside(lang, text, value_tests.numbers(lang, reason.test or {}, money=money))


TOTAL = ConditionKind(
    "total",
    TotalForm.example,
    form_schema(TotalForm),
    _parse,
    _describe,
    _phrase,
    messages={
        "en": {
            "total": "the {agg} over {event} {window} is {value}",
            "total_of_nothing": "no {of} over {event} {window}, so no {agg}",
            "distinct_values": (
                "{value} different value of {of} over {event} {window}",
                "{value} different values of {of} over {event} {window}",
            ),
            "sum": "sum of {of}",
            "avg": "average {of}",
            "min": "lowest {of}",
            "max": "highest {of}",
        },
        "fa": {
            "total": "{agg} رویدادهای {event} {window} {value} است",
            "total_of_nothing": "رویدادهای {event} {window} {of} نداشته‌اند، پس {agg} هم در کار نیست",
            "distinct_values": "{of} در رویدادهای {event} {window} {value} مقدار متفاوت داشته است",
            "sum": "مجموع {of}",
            "avg": "میانگین {of}",
            "min": "کمترین {of}",
            "max": "بیشترین {of}",
        },
    },
)
