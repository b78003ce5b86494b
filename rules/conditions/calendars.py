"""The condition on days of a year or of the week, in a time zone (`calendar`).

Time zones come from the system or the ``tzdata`` package, Jalali dates from ``jdatetime``; both
are tables, so that a date is a pure function of an instant.
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import Annotated, ClassVar, Literal, cast

import jdatetime
import msgspec
from pydantic import BeforeValidator, ConfigDict, WithJsonSchema

from rules.conditions.base import NEVER, ConditionKind, CustomerView, Parsed, Scope, TimedDecision, until
from rules.event_times import WEEKDAYS
from rules.forms.description import Canonical
from rules.forms.event_time_parsing import TimeZone, Weekdays
from rules.forms.form import Form
from rules.forms.json_schema import form_schema
from rules.forms.problems import WrongCondition
from rules.languages.language import Language
from rules.languages.parts import judged, observed_of, weekday_names
from rules.reasons import Observed, Reason
from rules.times import HOUR_MS, local_midnight, local_time
from rules.value_tests import Shown

# A rule that does not turn within this many days is decided again after them.
_LOOK_AHEAD_DAYS = 400
_DAY = timedelta(days=1)
_LAST = date(9999, 12, 25)  # no time zone is a week off

MonthDay = tuple[int, int]


class CalendarDays(msgspec.Struct, frozen=True, dict=True):
    """The local day lies between two month-days (inclusive, may wrap) and is one of these weekdays.

    The latest decision is cached beside the fields (``dict=True``) until it turns.
    """

    between: tuple[MonthDay, MonthDay] | None
    weekdays: tuple[int, ...] | None
    jalali: bool
    timezone: str

    def decide(self, customer: CustomerView, now: int) -> TimedDecision:  # noqa: ARG002
        since, answer = self.__dict__.get("latest", (0, (False, NEVER)))
        if since <= now < answer[1]:
            return cast(TimedDecision, answer)
        holds, due = _answer(self, local_day(self.timezone, now))
        while due != NEVER and due <= now:
            due += HOUR_MS  # clocks went back over midnight: it comes once more
        self.__dict__["latest"] = now, (holds, due)
        return holds, due

    def reason(self, customer: CustomerView, now: int) -> Reason:
        holds, due = self.decide(customer, now)
        observed = Observed(date=self._written(local_day(self.timezone, now)))
        return Reason(holds, condition="calendar", observed=observed, test=self.test, until=until(due))

    @property
    def test(self) -> dict[str, Shown]:
        """The test as it stands in a definition."""
        test: dict[str, Shown] = {}
        if self.between is not None:
            test["between"] = [f"{month:02d}-{day:02d}" for month, day in self.between]
        if self.weekdays is not None:
            test["weekday"] = [WEEKDAYS[weekday] for weekday in self.weekdays]
        return {**test, "calendar": "jalali" if self.jalali else "gregorian", "timezone": self.timezone}

    def holds_on(self, day: date) -> bool:
        """Whether a day is one of these days."""
        if self.weekdays is not None and day.weekday() not in self.weekdays:
            return False
        if self.between is None:
            return True
        first, last = self.between
        month_day = self._month_day(day)
        if first <= last:
            return first <= month_day <= last
        return month_day >= first or month_day <= last  # over the turn of the year

    def _month_day(self, day: date) -> MonthDay:
        if not self.jalali:
            return day.month, day.day
        jalali = jdatetime.date.fromgregorian(date=day)
        return jalali.month, jalali.day

    def _written(self, day: date) -> str:
        return str(jdatetime.date.fromgregorian(date=day)) if self.jalali else day.isoformat()


def local_day(timezone: str, now: int) -> date:
    """The day of an instant in a time zone; an instant after the year 9999 counts as its end."""
    return local_time(timezone, now).date()


# A decision for a day is that of each day up to the next turn.
_answers: dict[tuple[CalendarDays, date], TimedDecision] = {}
_ANSWERS_MAX = 100_000


def _answer(rule: CalendarDays, day: date) -> TimedDecision:
    """Whether the rule holds on that day, and the midnight at which that turns."""
    remembered = _answers.get((rule, day))
    if remembered is not None:
        return remembered
    holds, days = rule.holds_on(day), [day]
    while len(days) < _LOOK_AHEAD_DAYS and days[-1] < _LAST and rule.holds_on(days[-1] + _DAY) == holds:
        days.append(days[-1] + _DAY)
    if days[-1] >= _LAST:
        return holds, NEVER
    turn = days[-1] + _DAY
    answer = (holds, local_midnight(rule.timezone, turn))
    if len(_answers) >= _ANSWERS_MAX:
        _answers.clear()
    _answers.update(((rule, same_day), answer) for same_day in days)
    return answer


# --- its form in a file

Calendar = Literal["gregorian", "jalali"]

_MONTH_DAYS: dict[Calendar, tuple[int, ...]] = {
    "gregorian": (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31),
    "jalali": (31,) * 6 + (30,) * 6,
}


def _parse_month_days(value: object) -> tuple[MonthDay, MonthDay]:
    form = "two month-days in quotes, both included, such as ['12-29', '01-13']"
    if not isinstance(value, list) or len(value) != 2:
        raise ValueError(f"{value!r} is not a range of days; write {form}")
    days = []
    for end in value:
        month, _, day = str(end).partition("-")
        if not (month.isdecimal() and day.isdecimal() and len(month) == len(day) == 2):
            raise ValueError(f"{end!r} is not a month-day; write {form}")
        days.append((int(month), int(day)))
    return days[0], days[1]


def _month_day_problem(days: tuple[MonthDay, MonthDay], calendar: Calendar) -> str | None:
    """The problem with the first month-day that the calendar does not have."""
    lengths = _MONTH_DAYS[calendar]
    for month, day in days:
        if not 1 <= month <= len(lengths) or not 1 <= day <= lengths[month - 1]:
            return f"the {calendar} calendar has no {month:02d}-{day:02d} (month, then day)"
    return None


_MONTH_DAY_SCHEMA = {"type": "string", "pattern": "^[01][0-9]-[0-3][0-9]$"}

MonthDayRange = Annotated[
    tuple[MonthDay, MonthDay],
    BeforeValidator(_parse_month_days),
    WithJsonSchema({"type": "array", "items": _MONTH_DAY_SCHEMA, "minItems": 2, "maxItems": 2}),
]


class CalendarForm(Form):
    model_config = ConfigDict(json_schema_extra={"anyOf": [{"required": ["between"]}, {"required": ["weekday"]}]})
    example: ClassVar = "{between: ['12-20', '12-31']} or {weekday: [fri]}"

    between: MonthDayRange | None = None
    weekday: Weekdays | None = None
    calendar: Calendar = "gregorian"
    timezone: TimeZone = "UTC"


def _parse(scope: Scope, path: str, body: object) -> Parsed:
    form = scope.problems.fill(path, CalendarForm, body)
    if form.between is None and form.weekday is None:
        raise WrongCondition(path, f"expected {CalendarForm.example}")
    wrong = form.between and _month_day_problem(form.between, form.calendar)
    if wrong:
        raise WrongCondition(f"{path}.between", wrong)
    scope.facts.require_nothing()
    days = CalendarDays(form.between, form.weekday, form.calendar == "jalali", form.timezone)
    return days, {"calendar": days.test}


def _describe(form: Canonical) -> str:
    days = []
    if "between" in form:
        first, last = form["between"]
        days.append(f"from {first} to {last} ({form['calendar']})")
    if "weekday" in form:
        days.append(f"on {' or '.join(form['weekday'])}")
    return f"the day is {' and '.join(days)} in {form['timezone']}"


def _phrase(lang: Language, reason: Reason) -> str:
    test, written = reason.test or {}, observed_of(reason).date or ""
    calendar, weekdays = test.get("calendar", "gregorian"), test.get("weekday", ())
    day = lang.day(written, calendar, with_weekday=bool(weekdays))
    text = lang.say("calendar", day=day, timezone=lang.name(test.get("timezone", "UTC")))
    parts = []
    if len(test.get("between", ())) == 2:  # a reason that was cut may have fewer
        first, last = (lang.month_day(month_day, calendar) for month_day in test["between"])
        parts.append(lang.say("between", first=first, last=last))
    if weekdays:
        parts.append(lang.say("on_weekdays", days=weekday_names(lang, weekdays)))
    return judged(lang, reason, text, lang.say("comma").join(parts))


CALENDAR = ConditionKind(
    "calendar",
    CalendarForm.example,
    form_schema(CalendarForm),
    _parse,
    _describe,
    _phrase,
    messages={
        "en": {
            "calendar": "the day is {day} in {timezone}",
            "between": "from {first} to {last}",
            "on_weekdays": "on {days}",
        },
        "fa": {
            "calendar": "روز {day} است، به وقت {timezone}",
            "between": "از {first} تا {last}",
            "on_weekdays": "روز {days}",
        },
    },
)
