"""The condition on the age of the first or last event or order (`first`, `last`). See also `rules.due_times`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import ClassVar

import msgspec

from rules.conditions.base import ConditionKind, CustomerView, Parsed, Scope, TimedDecision, until
from rules.conditions.event_choice import canonical_where, orders_and_others, shown_choice
from rules.due_times import AgeRange
from rules.facts.occurrences import FirstFact, OccurrenceFact
from rules.facts.order_messages import OrderFact
from rules.facts.selection import EventFilter
from rules.forms import description
from rules.forms.description import Canonical
from rules.forms.form import AgoTest, EventForm
from rules.forms.json_schema import form_schema
from rules.languages import value_tests
from rules.languages.language import Language, SentenceTemplate
from rules.languages.parts import beside, events, observed_of
from rules.reasons import Observed, Reason
from rules.times import format_instant
from rules.value_tests import PropertyTests


class Recency(msgspec.Struct, frozen=True):
    """The first (or last) of these events or orders exists, and its age lies in a range.

    ``view`` and ``slot``: see `rules.conditions.event_count.Performed`.
    """

    first: bool
    events: tuple[str, ...]
    where: PropertyTests
    ago: AgeRange
    view: int | None
    slot: int | None

    def _moment(self, customer: CustomerView) -> int:
        """When (ms) the first (or last) of them was; 0: never."""
        profile = customer.profile
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
            # Settled orders have left the messages; only their first is still known.
            times += customer.completions(self.view)
            if profile.orders.settled is not None and self.first:
                times.append(profile.orders.settled.first.get(self.view, 0))
        times = [time for time in times if time]
        return (min(times) if self.first else max(times)) if times else 0

    def decide(self, customer: CustomerView, now: int) -> TimedDecision:
        return self.ago.decide_fact(self._moment(customer), now)

    def reason(self, customer: CustomerView, now: int) -> Reason:
        moment = self._moment(customer)
        holds, due = self.ago.decide_fact(moment, now)
        at = format_instant(moment) if moment else None
        return Reason(
            holds,
            condition="first" if self.first else "last",
            observed=Observed(first_at=at) if self.first else Observed(last_at=at),
            test={"ago": self.ago.test} if self.ago.test else {},
            until=until(due),
            **shown_choice(self.events, self.where),
        )


class RecencyForm(EventForm):
    ago: AgoTest = AgeRange()


class LastForm(RecencyForm):
    example: ClassVar = "{event: Order Completed, ago: {at_least: 60d}}"


class FirstForm(RecencyForm):
    example: ClassVar = "{event: Order Completed, ago: {at_most: 30d}}"


def _parser(kind: str, form_type: type[RecencyForm]) -> Callable[[Scope, str, object], Parsed]:
    """A parser of ``first`` or ``last``. Orders are a fact of their own, as a later message may cancel one."""
    first = kind == "first"

    def parse(scope: Scope, path: str, body: object) -> Parsed:
        form = scope.problems.fill(path, form_type, body)
        of_orders, others = orders_and_others(path, form.event)
        picked = EventFilter.of(form.where, scope.currency)
        view = OrderFact.require_view(scope.facts, picked, None) if of_orders else None
        slot = None
        if others and first:
            slot = scope.facts.require(FirstFact(others, picked)).slot
        elif others:
            slot = scope.facts.require(OccurrenceFact(others, picked, None, 1)).slot
        canonical = {"event": form.event, "ago": form.ago.test} | canonical_where(form.where)
        return Recency(first, form.event, form.where, form.ago, view, slot), {kind: canonical}

    return parse


def _description(kind: str) -> Callable[[Canonical], str]:
    def describe(form: Canonical) -> str:
        ago = form["ago"]
        ends = [f"at least {description.long_duration(ago['at_least'])} ago"] if "at_least" in ago else []
        ends += [f"less than {description.long_duration(ago['at_most'])} ago"] if "at_most" in ago else []
        return f"the {kind} {description.events(form)} was {' and '.join(ends) or 'ever'}"

    return describe


def _phrase(lang: Language, reason: Reason) -> str:
    observed, test = observed_of(reason), (reason.test or {}).get("ago") or {}
    at, event = observed.first_at or observed.last_at, events(lang, reason, reason.cut)
    test_words = value_tests.ago(lang, test) if test else lang.say("any_time")
    if at is None:
        return beside(lang, lang.say("never", event=event), test_words)
    text = lang.say(reason.condition or "", event=event, at=lang.name(at))
    if not reason.holds and reason.until is not None:
        text = lang.say("too_new", observed=text, time=lang.duration(test.get("at_least")))
    elif not reason.holds:
        text = lang.say("too_old", observed=text, time=lang.duration(test.get("at_most")))
    return beside(lang, text, test_words)


def _kind(key: str, form: type[RecencyForm], messages: Mapping[str, Mapping[str, SentenceTemplate]]) -> ConditionKind:
    return ConditionKind(key, form.example, form_schema(form), _parser(key, form), _description(key), _phrase, messages)


LAST = _kind(
    "last",
    LastForm,
    {
        "en": {"last": "the last {event} was at {at}", "never": "no {event} ever"},
        "fa": {"last": "آخرین رویداد {event} در {at} بوده است", "never": "رویداد {event} تاکنون رخ نداده است"},
    },
)
FIRST = _kind(
    "first",
    FirstForm,
    {
        "en": {"first": "the first {event} was at {at}"},
        "fa": {"first": "نخستین رویداد {event} در {at} بوده است"},
    },
)
