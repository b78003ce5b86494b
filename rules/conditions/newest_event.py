"""The condition on properties of the newest event or order (`newest`), unlike that on any one of them (`performed`).

    newest: {event: E, where: W, has: H}    of the events E that meet W, the newest one meets H

The newest that meets W and H is the newest that meets W, if they happened at the same instant: so two facts that other
conditions have, too, are all that is stored. Of several events at one instant, one must meet H.
"""

from __future__ import annotations

from typing import ClassVar

import msgspec

from rules.conditions.base import NEVER, ConditionKind, CustomerView, Parsed, Scope, TimedDecision
from rules.conditions.event_choice import canonical_where, orders_and_others, shown_choice
from rules.facts.occurrences import OccurrenceFact
from rules.facts.order_messages import OrderFact
from rules.facts.selection import EventFilter
from rules.forms import description
from rules.forms.description import Canonical
from rules.forms.form import EventForm, WhereTests
from rules.forms.json_schema import form_schema
from rules.forms.problems import WrongCondition
from rules.languages import value_tests
from rules.languages.language import Language
from rules.languages.parts import events, judged, observed_of
from rules.reasons import Observed, Reason
from rules.times import format_instant
from rules.value_tests import ITEM, PropertyTests


class NewestTimes(msgspec.Struct, frozen=True):
    """Where a profile has the times of some events: ``view`` of the orders, ``slot`` of others; `None`: none."""

    view: int | None
    slot: int | None

    def newest(self, customer: CustomerView) -> int:
        """When (ms) the newest of them was; 0: never."""
        times = [] if self.slot is None else customer.profile.occurrences[self.slot].times[-1:]
        if self.view is not None:
            times = times + customer.completions(self.view)[-1:]
        return max(times, default=0)


class NewestIs(msgspec.Struct, frozen=True):
    """The newest of these events (and orders) meets tests.

    ``all_times``: of those that may be the newest; ``right_times``: of those among them that meet the tests.
    """

    events: tuple[str, ...]
    where: PropertyTests
    has: PropertyTests
    all_times: NewestTimes
    right_times: NewestTimes

    def decide(self, customer: CustomerView, now: int) -> TimedDecision:  # noqa: ARG002
        newest = self.all_times.newest(customer)
        return newest > 0 and self.right_times.newest(customer) == newest, NEVER

    def reason(self, customer: CustomerView, now: int) -> Reason:
        newest, right = self.all_times.newest(customer), self.right_times.newest(customer)
        last_at, met_at = (format_instant(time) if time else None for time in (newest, right))
        return Reason(
            self.decide(customer, now)[0],
            condition="newest",
            observed=Observed(last_at=last_at, met_at=met_at),
            test=self.has.test,
            **shown_choice(self.events, self.where),
        )


class NewestForm(EventForm):
    example: ClassVar = "{event: Order Completed, has: {total: {at_least: 100}}}"

    has: WhereTests


def _parse(scope: Scope, path: str, body: object) -> Parsed:
    form = scope.problems.fill(path, NewestForm, body)
    if form.where.item and form.has.item:
        raise WrongCondition(path, f"{ITEM} stands in where and in has", "ask it in one of them")
    of_orders, others = orders_and_others(path, form.event)
    both = PropertyTests(
        tuple(sorted((*form.where.tests, *form.has.tests), key=lambda test: test[0])),
        form.where.item or form.has.item,
        form.where.times,
    )

    def times(tests: PropertyTests) -> NewestTimes:
        picked = EventFilter.of(tests, scope.currency)
        view = OrderFact.require_view(scope.facts, picked, None) if of_orders else None
        return NewestTimes(view, scope.facts.require(OccurrenceFact(others, picked, None, 1)).slot if others else None)

    condition = NewestIs(form.event, form.where, form.has, times(form.where), times(both))
    return condition, {"newest": {"event": form.event, "has": form.has.test} | canonical_where(form.where)}


def _describe(form: Canonical) -> str:
    tests = [f"{name} is {description.value_test(test)}" for name, test in form["has"].items()]
    return f"of the newest {description.events(form)} {' and '.join(tests)}"


def _phrase(lang: Language, reason: Reason) -> str:
    event, at = events(lang, reason, reason.cut), observed_of(reason).last_at
    text = lang.say("no_newest", event=event) if at is None else lang.say("newest", event=event, at=lang.name(at))
    return judged(lang, reason, text, value_tests.properties(lang, reason.test or {}, reason.cut, "/test"))


NEWEST = ConditionKind(
    "newest",
    NewestForm.example,
    form_schema(NewestForm),
    _parse,
    _describe,
    _phrase,
    messages={
        "en": {"newest": "the newest {event} was at {at}", "no_newest": "no {event} so far"},
        "fa": {
            "newest": "تازه‌ترین رویداد {event} در {at} بوده است",
            "no_newest": "رویداد {event} تا این لحظه رخ نداده است",
        },
    },
)
