"""The condition on points that events add and that fade (`score`): how engaged a customer is now.

    score: {events: {Product Viewed: 1, Product Added: 3}, half_life: 7d, at_least: 10}

After m whole minutes an event adds floor(points × 10⁶ × 2^(-m / half-life in minutes)), in decimals of 28 digits. m is
the whole minutes from the event to the newest of these events, and those from the newest to the instant of the
decision. So between events the sum only falls, and only at whole minutes after the newest event: one number tells when.

Bound: of each event the newest 256, of orders the newest 64. After 30 half-lives an event adds nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Context, Decimal
from functools import lru_cache
from math import log2
from typing import ClassVar

import msgspec

from rules.conditions.base import NEVER, ConditionKind, CustomerView, Parsed, Scope, TimedDecision, until
from rules.conditions.event_choice import ORDERS_MAX, orders_and_others
from rules.conditions.totals import range_of
from rules.event_names import ORDER_COMPLETED
from rules.facts.occurrences import OccurrenceFact
from rules.facts.order_messages import OrderFact
from rules.facts.selection import EventFilter
from rules.forms import description
from rules.forms.description import Canonical
from rules.forms.form import Duration, EventPoints, Form, NumberEnd
from rules.forms.json_schema import form_schema
from rules.forms.problems import WrongCondition
from rules.languages import value_tests
from rules.languages.language import LISTED_MAX, Language
from rules.languages.parts import beside, observed_of
from rules.reasons import Observed, Reason
from rules.times import DAY_MS, MINUTE_MS, format_duration, format_instant, words
from rules.value_tests import ENDS, NumberTest, PropertyTests
from rules.values import shown_number

NEWEST_MAX = 256
HALF_LIFE_MAX_MS = 365 * DAY_MS
HALF_LIVES = 30  # after so many of them the most that an event may add, 10⁹ millionths, is less than one
_DIGITS = Context(prec=28)
_TWO = Decimal(2)
# A float tells the whole part of a value that is no closer to a whole number than this; its error is below 10⁻⁵.
_CLOSE = 1e-4
_CACHED_MAX = 4_096


@lru_cache(maxsize=_CACHED_MAX)
def faded(points: int, half_life: int, minutes: int) -> int:
    """What points are worth after so many minutes, both in 10⁻⁶; ``half_life``: in ms."""
    lives = _DIGITS.divide(Decimal(minutes * MINUTE_MS), Decimal(half_life))
    return int(_DIGITS.multiply(Decimal(points), _DIGITS.power(_TWO, -lives)))


class EventsWithPoints(msgspec.Struct, frozen=True):
    """Events of one name and the points of each, in 10⁻⁶; ``view`` or ``slot``: where their times are."""

    name: str
    points: int
    view: int | None
    slot: int | None

    def times(self, customer: CustomerView) -> Sequence[int]:
        """The times (ms) of those that count, ascending."""
        if self.view is not None:
            return customer.completions(self.view)[-ORDERS_MAX:]
        assert self.slot is not None, "events other than orders have a slot"
        return customer.profile.occurrences[self.slot].times[-NEWEST_MAX:]


class CurrentScore(msgspec.Struct, frozen=True):
    """The score of a customer over time.

    ``newest`` (ms; 0: no event); of each event its points (10⁻⁶), the minutes until the newest, and about what the
    points are worth then; ``half_life``: in ms.
    """

    newest: int
    half_life: int
    added: list[tuple[int, int, float]]

    def after(self, minutes: int) -> int:
        """The score so many minutes after the newest event, in 10⁻⁶."""
        share, score = 2.0 ** -(minutes * MINUTE_MS / self.half_life), 0
        for points, age, worth in self.added:
            value = worth * share
            whole = int(value)
            part = value - whole
            if part > 1 - _CLOSE or (part < _CLOSE and whole):
                whole = faded(points, self.half_life, age + minutes)
            score += whole
        return score

    def first_at_most(self, level: int, elapsed: int, score: int) -> int:
        """The first minute after which the score is no longer above a level of 0 or more.

        ``score``: that after ``elapsed`` minutes, which is above the level.
        """
        last, end = elapsed, elapsed + HALF_LIVES * self.half_life // MINUTE_MS + 1
        near = elapsed + int(log2(score / (level + 1)) * self.half_life / MINUTE_MS)
        # The rounding of each event moves the minute but little, so that two guesses leave few minutes to search.
        for guess in (near - 1, near + 2):
            if last < guess < end:
                last, end = (guess, end) if self.after(guess) > level else (last, guess)
        while end - last > 1:
            middle = (last + end) // 2
            last, end = (middle, end) if self.after(middle) > level else (last, middle)
        return end


class Score(msgspec.Struct, frozen=True):
    """The points that events added, each faded by its age, come to a sum in a range; ``half_life``: in ms."""

    events: tuple[EventsWithPoints, ...]
    half_life: int
    test: NumberTest

    def _current(self, customer: CustomerView) -> CurrentScore:
        times = [(each.points, each.times(customer)) for each in self.events]
        newest = max((those[-1] for _, those in times if those), default=0)
        added = [
            (points, age, points * 2.0 ** -(age * MINUTE_MS / self.half_life))
            for points, those in times
            for age in [(newest - time) // MINUTE_MS for time in those]
        ]
        return CurrentScore(newest, self.half_life, added)

    def decide(self, customer: CustomerView, now: int) -> TimedDecision:
        return self._decide(self._current(customer), now)[:2]

    def _decide(self, current: CurrentScore, now: int) -> tuple[bool, int, int]:
        """Whether it holds, the due time, and the score."""
        if not current.added:
            return self.test.meets(0), NEVER, 0
        elapsed = (now - current.newest) // MINUTE_MS
        score = current.after(elapsed)
        holds = self.test.meets(score)
        for level in self._levels():
            if level < score:
                minute = current.first_at_most(level, elapsed, score)
                if self.test.meets(current.after(minute)) != holds:
                    return holds, current.newest + minute * MINUTE_MS, score
        return holds, NEVER, score

    def _levels(self) -> list[int]:
        """The scores at or below which an end of the range is no longer met, or just met; the highest first."""
        test = self.test
        below = [bound - 1 for bound in (test.at_least, test.below) if bound is not None]
        levels = [*below, *(bound for bound in (test.above, test.at_most) if bound is not None)]
        return sorted((level for level in levels if level >= 0), reverse=True)

    def reason(self, customer: CustomerView, now: int) -> Reason:
        current = self._current(customer)
        holds, due, score = self._decide(current, now)
        last_at = format_instant(current.newest) if current.added else None
        points = {each.name: shown_number(each.points) for each in self.events}
        return Reason(
            holds,
            condition="score",
            observed=Observed(count=len(current.added), value=shown_number(score), last_at=last_at),
            test={**self.test.test, "half_life": format_duration(self.half_life), "events": points},
            until=until(due),
        )


class ScoreForm(Form):
    example: ClassVar = "{events: {Product Viewed: 1, Product Added: 3}, half_life: 7d, at_least: 10}"

    events: EventPoints
    half_life: Duration
    at_least: NumberEnd = None
    at_most: NumberEnd = None
    above: NumberEnd = None
    below: NumberEnd = None


def _parse(scope: Scope, path: str, body: object) -> Parsed:
    form = scope.problems.fill(path, ScoreForm, body)
    test = range_of(scope.problems, path, form, "beside events")
    if not MINUTE_MS <= form.half_life <= HALF_LIFE_MAX_MS:
        raise WrongCondition(f"{path}.half_life", "a half-life is from 1m to 365d")
    most = sum(points * (ORDERS_MAX if name == ORDER_COMPLETED else NEWEST_MAX) for name, points in form.events)
    least = test.at_least if test.above is None else test.above + 1
    if least is not None and least > most:
        raise WrongCondition(path, f"no score is above {shown_number(most):,}", _COUNTED)
    picked, window = EventFilter.of(PropertyTests(), scope.currency), HALF_LIVES * form.half_life
    orders_and_others(path, tuple(name for name, _ in form.events), "events")
    events = tuple(_events(scope, name, points, picked, window) for name, points in form.events)
    points = {each.name: shown_number(each.points) for each in events}
    canonical = {"events": points, "half_life": form.half_life, **test.test}
    return Score(events, form.half_life, test), {"score": canonical}


_COUNTED = f"the newest {NEWEST_MAX} of each event count, of orders {ORDERS_MAX}"


def _events(scope: Scope, name: str, points: int, picked: EventFilter, window: int) -> EventsWithPoints:
    if name == ORDER_COMPLETED:
        return EventsWithPoints(name, points, OrderFact.require_view(scope.facts, picked, window), None)
    fact = OccurrenceFact(frozenset({name}), picked, window, NEWEST_MAX)
    return EventsWithPoints(name, points, None, scope.facts.require(fact).slot)


def _describe(form: Canonical) -> str:
    points = ", ".join(f"{description.value(number)} for each {name}" for name, number in form["events"].items())
    return f"score of {points}, halved every {words(form['half_life'])}, is {description.range_of(form)}"


def _phrase(lang: Language, reason: Reason) -> str:
    observed, test = observed_of(reason), reason.test or {}
    number = observed.count or 0
    text = lang.say("score", number, count=lang.number(number), value=lang.number(observed.value or 0))
    ends = value_tests.numbers(lang, {end: test[end] for end in ENDS if end in test})
    events = test.get("events") or {}
    points = _points(lang, events) if isinstance(events, dict) else ""
    if points and test.get("half_life"):
        ends = lang.say("points_faded", range=ends, points=points, half_life=lang.duration(test["half_life"]))
    return beside(lang, text, ends)


def _points(lang: Language, events: dict[str, float]) -> str:
    """The points of each event. A reason that was cut may have fewer of them."""
    listed = list(events.items())[:LISTED_MAX]
    parts = [lang.say("points_of", event=lang.events(name), points=lang.number(number)) for name, number in listed]
    return lang.say("comma").join(parts)


SCORE = ConditionKind(
    "score",
    ScoreForm.example,
    form_schema(ScoreForm),
    _parse,
    _describe,
    _phrase,
    messages={
        "en": {
            "score": ("the score of {count} event is now {value}", "the score of {count} events is now {value}"),
            "points_of": "{points} for each {event}",
            "points_faded": "{range}, with {points}, halved every {half_life}",
        },
        "fa": {
            "score": "امتیاز {count} رویداد اکنون {value} است",
            "points_of": "{points} امتیاز برای هر {event}",
            "points_faded": "{range}، با {points}، که هر {half_life} نصف می‌شود",
        },
    },
)
