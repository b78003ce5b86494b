"""The condition on a customer's own rhythm (`overdue`): nothing for longer than usual between their events or orders.

    overdue: {event: E, where: W, times: 1.5, count: {at_least: 3}}

Of the newest events at t1 ≤ … ≤ tn the mean gap is (tn - t1) / (n - 1), and the customer is overdue from
tn + times × the mean gap on. Bound: the newest 64, none of which is more than 1,096 days older than tn.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import ClassVar

import msgspec

from rules.conditions.base import NEVER, ConditionKind, CustomerView, Parsed, Scope, TimedDecision, until
from rules.conditions.event_choice import ORDERS_MAX, canonical_where, orders_and_others, shown_choice
from rules.due_times import Count
from rules.facts.occurrences import OccurrenceFact
from rules.facts.order_messages import OrderFact
from rules.facts.selection import EventFilter
from rules.forms import description
from rules.forms.description import Canonical
from rules.forms.form import CountTest, EventForm, Factor
from rules.forms.json_schema import form_schema
from rules.forms.problems import WrongCondition
from rules.languages.language import Language
from rules.languages.parts import events, judged, observed_of
from rules.number_text import MICRO
from rules.reasons import Observed, Reason
from rules.times import DAY_MS, HOUR_MS, MINUTE_MS, format_instant, parse_instant
from rules.value_tests import PropertyTests
from rules.values import shown_number

_NEWEST_MAX = ORDERS_MAX
_SPAN_MS = 1_096 * DAY_MS
_LEAST, _MOST = 2, _NEWEST_MAX
_UNITS = (("d", DAY_MS), ("h", HOUR_MS), ("m", MINUTE_MS))


class Overdue(msgspec.Struct, frozen=True):
    """The time since the newest of these events (or orders) is longer than so many times their mean gap.

    ``factor``: how many times, in 10⁻⁶; ``least``: how many events a rhythm takes. ``view`` and ``slot``: see
    `rules.conditions.event_count.Performed`.
    """

    events: tuple[str, ...]
    where: PropertyTests
    factor: int
    least: int
    view: int | None
    slot: int | None

    def _times(self, customer: CustomerView) -> Sequence[int]:
        times = [] if self.slot is None else customer.profile.occurrences[self.slot].times
        if self.view is not None:
            times = sorted(times + customer.completions(self.view))
        newest = times[-_NEWEST_MAX:]
        return newest[bisect_right(newest, newest[-1] - _SPAN_MS) :] if newest else newest

    def _due(self, times: Sequence[int]) -> int:
        """From when on (ms) the customer is overdue; 0: there is no rhythm."""
        if len(times) < self.least or times[0] == times[-1]:
            return NEVER
        late = self.factor * (times[-1] - times[0])
        return times[-1] - -late // ((len(times) - 1) * MICRO)  # rounded up

    def decide(self, customer: CustomerView, now: int) -> TimedDecision:
        due = self._due(self._times(customer))
        return (due != NEVER and due <= now), (due if due > now else NEVER)

    def reason(self, customer: CustomerView, now: int) -> Reason:
        times = self._times(customer)
        holds, due = self.decide(customer, now)
        first_at, last_at = (format_instant(times[place]) if times else None for place in (0, -1))
        return Reason(
            holds,
            condition="overdue",
            observed=Observed(count=len(times), first_at=first_at, last_at=last_at),
            test={"times": shown_number(self.factor), "count": {"at_least": self.least}},
            until=until(due),
            **shown_choice(self.events, self.where),
        )


class OverdueForm(EventForm):
    example: ClassVar = "{event: Order Completed, times: 1.5}"

    times: Factor
    count: CountTest = Count(at_least=3)


def _parse(scope: Scope, path: str, body: object) -> Parsed:
    form = scope.problems.fill(path, OverdueForm, body)
    if form.count.at_most is not None or not _LEAST <= form.count.at_least <= _MOST:
        raise WrongCondition(f"{path}.count", f"a rhythm takes at_least, from {_LEAST} to {_MOST}")
    of_orders, others = orders_and_others(path, form.event)
    picked = EventFilter.of(form.where, scope.currency)
    view = OrderFact.require_view(scope.facts, picked, _SPAN_MS) if of_orders else None
    slot = scope.facts.require(OccurrenceFact(others, picked, _SPAN_MS, _NEWEST_MAX)).slot if others else None
    canonical = {"event": form.event, "times": shown_number(form.times), "count": form.count.test}
    condition = Overdue(form.event, form.where, form.times, form.count.at_least, view, slot)
    return condition, {"overdue": canonical | canonical_where(form.where)}


def _describe(form: Canonical) -> str:
    return (
        f"no {description.events(form)} for {description.value(form['times'])} times their mean gap, of at least "
        f"{form['count']['at_least']}"
    )


def _phrase(lang: Language, reason: Reason) -> str:
    observed, test = observed_of(reason), reason.test or {}
    event, number = events(lang, reason, reason.cut), observed.count or 0
    first, last = (parse_instant(at or "") or 0 for at in (observed.first_at, observed.last_at))
    if number > 1:
        gap = _gap(lang, (last - first) / (number - 1))
        text = lang.say("rhythm", event=event, count=lang.number(number), gap=gap, at=lang.name(observed.last_at))
    else:
        text = lang.say("no_rhythm", event=event, count=lang.number(number))
    least = (test.get("count") or {}).get("at_least", 0)
    rhythm_test = lang.say("longer_than", times=lang.number(test.get("times", 0)), count=lang.number(least))
    return judged(lang, reason, text, rhythm_test)


def _gap(lang: Language, ms: float) -> str:
    """A mean gap, in the longest unit of which it has one or more, with one digit after the point."""
    unit, size = next(((unit, size) for unit, size in _UNITS if ms >= size), _UNITS[-1])
    tenths = round(10 * ms / size)
    return lang.measured(tenths // 10 if tenths % 10 == 0 else tenths / 10, unit)


OVERDUE = ConditionKind(
    "overdue",
    OverdueForm.example,
    form_schema(OverdueForm),
    _parse,
    _describe,
    _phrase,
    messages={
        "en": {
            "rhythm": "{count} × {event}, every {gap} on average, the newest at {at}",
            "no_rhythm": "{count} × {event}, which is no rhythm",
            "longer_than": "nothing for {times} × the average, of at least {count}",
        },
        "fa": {
            "rhythm": "رویداد {event} {count} بار و به‌طور میانگین هر {gap} رخ داده است، تازه‌ترین در {at}",
            "no_rhythm": "رویداد {event} {count} بار رخ داده است که آهنگی ندارد",
            "longer_than": "{times} برابر میانگین بدون رویداد، از حداقل {count} رویداد",
        },
    },
)
