"""The condition on the number of sessions that began in a window (`sessions`).

See also: `rules.profile.sessions` (how sessions are formed), and `rules.due_times` (when time alone turns a count).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import msgspec

from rules.conditions.base import ConditionKind, CustomerView, Parsed, Scope, TimedDecision, until
from rules.conditions.event_count import observed_count
from rules.due_times import Count
from rules.facts.sessions import SessionFact
from rules.forms import description
from rules.forms.description import Canonical
from rules.forms.form import CountTest, Duration, Form
from rules.forms.json_schema import form_schema
from rules.forms.problems import WrongCondition
from rules.languages import value_tests
from rules.languages.language import Language
from rules.languages.parts import beside, observed_of, window
from rules.profile.sessions import INTERVALS_MAX
from rules.reasons import Reason
from rules.times import MINUTE_MS, format_duration, words

DEFAULT_GAP_MS = 30 * MINUTE_MS


class SessionCount(msgspec.Struct, frozen=True):
    """The number of sessions that began in the window fits; times are in ms."""

    count: Count
    within: int
    gap: int
    slot: int

    def _starts(self, customer: CustomerView) -> Sequence[int]:
        return [start for start, _ in customer.profile.sessions[self.slot]]

    def decide(self, customer: CustomerView, now: int) -> TimedDecision:
        return self.count.decide(self._starts(customer), self.within, now)

    def reason(self, customer: CustomerView, now: int) -> Reason:
        starts = self._starts(customer)
        holds, due = self.count.decide(starts, self.within, now)
        return Reason(
            holds,
            condition="sessions",
            observed=observed_count(starts, self.within, now),
            test=self.count.test,
            until=until(due),
            within=format_duration(self.within),
            gap=format_duration(self.gap),
        )


class SessionsForm(Form):
    example: ClassVar = "{count: {at_least: 2}, within: 30d}"

    count: CountTest
    within: Duration
    gap: Duration = DEFAULT_GAP_MS


def _parse(scope: Scope, path: str, body: object) -> Parsed:
    form = scope.problems.fill(path, SessionsForm, body)
    if form.count.newest_needed >= INTERVALS_MAX:
        raise WrongCondition(f"{path}.count", f"sessions are counted up to {INTERVALS_MAX - 1}")
    slot = scope.facts.require(SessionFact(form.gap, form.within)).slot
    canonical = {"count": form.count.test, "within": form.within, "gap": form.gap}
    return SessionCount(form.count, form.within, form.gap, slot), {"sessions": canonical}


def _describe(form: Canonical) -> str:
    gap = f", each ended by {words(form['gap'])} without activity"
    return f"{description.count(form['count'])} sessions{description.window(form)}{gap}"


def _phrase(lang: Language, reason: Reason) -> str:
    count = observed_of(reason).count or 0
    key = "sessions" if count else "no_sessions"
    text = lang.say(key, count, count=lang.number(count), window=window(lang, reason.within))
    test = value_tests.numbers(lang, reason.test or {})
    if reason.gap and reason.gap != format_duration(DEFAULT_GAP_MS):  # the default gap is not mentioned
        test = lang.say("apart", range=test, gap=lang.duration(reason.gap))
    return beside(lang, text, test)


SESSIONS = ConditionKind(
    "sessions",
    SessionsForm.example,
    form_schema(SessionsForm),
    _parse,
    _describe,
    _phrase,
    messages={
        "en": {
            "sessions": ("{count} session {window}", "{count} sessions {window}"),
            "no_sessions": "{count} sessions {window}",
            "apart": "{range}, {gap} apart",
        },
        "fa": {
            "sessions": "{window} {count} نشست ثبت شده است",
            "no_sessions": "{window} نشستی ثبت نشده است",
            "apart": "{range}، با فاصلهٔ {gap}",
        },
    },
)
