"""The condition on the number of events or orders in a window (`performed`). See also `rules.due_times`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import msgspec

from rules.conditions.base import ConditionKind, CustomerView, Parsed, Scope, TimedDecision, until
from rules.conditions.event_choice import ORDERS_MAX, canonical_where, orders_and_others, shown_choice
from rules.due_times import Count, outside
from rules.facts.occurrences import OccurrenceFact
from rules.facts.order_messages import OrderFact
from rules.facts.selection import EventFilter
from rules.forms import description
from rules.forms.description import Canonical
from rules.forms.form import Between, CountTest, Duration, EventForm
from rules.forms.json_schema import form_schema
from rules.forms.problems import WrongCondition
from rules.languages import value_tests
from rules.languages.language import Language
from rules.languages.parts import beside, events, observed_of, window
from rules.reasons import Observed, Reason
from rules.times import format_duration, format_instant
from rules.value_tests import PropertyTests

# How many of the newest events in a window that does not end now are stored.
_DELAYED_MAX = 256


class Performed(msgspec.Struct, frozen=True):
    """The number of these events (and orders) in a window lies in a range.

    ``within``: the window (ms; ``None``: all time). ``after``: how long after it (ms) an event begins to count.
    ``view``: the index of the orders' view if Order Completed is among the names. ``slot``: the index of the fact that
    stores the other events. Either is ``None`` when there are none.
    """

    events: tuple[str, ...]
    where: PropertyTests
    count: Count
    within: int | None
    view: int | None
    slot: int | None
    after: int = 0

    def _times(self, customer: CustomerView) -> Sequence[int]:
        times = [] if self.slot is None else customer.profile.occurrences[self.slot].times
        if self.view is None:
            return times
        completed = customer.completions(self.view)
        return sorted(times + completed) if times else completed

    def decide(self, customer: CustomerView, now: int) -> TimedDecision:
        return self._decide(self._times(customer), now)

    def _decide(self, times: Sequence[int], now: int) -> TimedDecision:
        if self.within is None or not self.after:
            return self.count.decide(times, self.within, now)
        return self.count.decide_delayed(times, self.after, self.within, now)

    def reason(self, customer: CustomerView, now: int) -> Reason:
        times = self._times(customer)
        holds, due = self._decide(times, now)
        return Reason(
            holds,
            condition="performed",
            observed=self._observed(times, now),
            test=self.count.test,
            until=until(due),
            **shown_choice(self.events, self.where),
            within=None if self.within is None else format_duration(self.within),
            after=format_duration(self.after) if self.after else None,
        )

    def _observed(self, times: Sequence[int], now: int) -> Observed:
        if not self.after:
            most = None if self.slot is None else self.count.newest_needed
            return observed_count(times, self.within, now, most)
        number = outside(times, self.after, now) - outside(times, self.within, now)
        return Observed(count=number, last_at=format_instant(times[-1]) if times else None)


def observed_count(times: Sequence[int], within: int | None, now: int, most: int | None = None) -> Observed:
    """The observed part of a count; ``most``: the profile may have stored only this many of them."""
    inside = len(times) - outside(times, within, now)
    last_at = format_instant(times[-1]) if times else None
    if most is not None and inside > most:
        return Observed(count=most + 1, or_more=True, last_at=last_at)
    return Observed(count=inside, last_at=last_at)


class PerformedForm(EventForm):
    example: ClassVar = "{event: Order Completed, count: {at_least: 2}, within: 365d}"

    count: CountTest = Count(at_least=1)
    within: Duration | None = None
    between: Between | None = None


def _parse(scope: Scope, path: str, body: object) -> Parsed:
    form = scope.problems.fill(path, PerformedForm, body)
    of_orders, others = orders_and_others(path, form.event)
    newest, within, after = form.count.newest_needed + 1, form.within, 0
    if form.between is not None:
        if within is not None:
            raise WrongCondition(path, "within and between are both windows; keep one")
        within, after = form.between
        if newest > _DELAYED_MAX:
            raise WrongCondition(f"{path}.count", f"with between, no count goes above {_DELAYED_MAX - 2}")
    if of_orders and newest > ORDERS_MAX:
        most = f"at_least goes up to {ORDERS_MAX - 1}, at_most and exactly up to {ORDERS_MAX - 2}"
        raise WrongCondition(f"{path}.count", f"for orders {most}")
    picked = EventFilter.of(form.where, scope.currency)
    view = OrderFact.require_view(scope.facts, picked, within) if of_orders else None
    # Those that count are not the newest, so that all of the window are stored, up to a bound.
    stored = _DELAYED_MAX if after else newest
    slot = scope.facts.require(OccurrenceFact(others, picked, within, stored)).slot if others else None
    canonical = {"event": form.event, "count": form.count.test, "within": form.within} | canonical_where(form.where)
    if form.between is not None:
        canonical["between"] = form.between
    condition = Performed(form.event, form.where, form.count, within, view, slot, after)
    return condition, {"performed": canonical}


def _describe(form: Canonical) -> str:
    return f"{description.count(form['count'])} × {description.events(form)}{description.window(form)}"


def _phrase(lang: Language, reason: Reason) -> str:
    observed = observed_of(reason)
    count = lang.say("or_more" if observed.or_more else "count", count=lang.number(observed.count or 0))
    key = "performed" if observed.count else "not_performed"
    text = lang.say(
        key, count=count, event=events(lang, reason, reason.cut), window=window(lang, reason.within, after=reason.after)
    )
    return beside(lang, text, lang.say("times", range=value_tests.numbers(lang, reason.test or {})))


PERFORMED = ConditionKind(
    "performed",
    PerformedForm.example,
    form_schema(PerformedForm),
    _parse,
    _describe,
    _phrase,
    messages={
        "en": {
            "performed": "{count} × {event} {window}",
            "not_performed": "{count} × {event} {window}",
            "count": "{count}",
            "or_more": "{count} or more",
            "times": "{range}",
        },
        "fa": {
            "performed": "رویداد {event} {window} {count} رخ داده است",
            "not_performed": "رویداد {event} {window} رخ نداده است",
            "count": "{count} بار",
            "or_more": "{count} بار یا بیشتر",
            "times": "{range} بار",
        },
    },
)
