"""The forms of a segments file: what each mapping in it may hold.

The one rule: a form checks one mapping by itself and says what would be right; how mappings fit
together is for `rules.definitions.condition_parsing`.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from rules.conditions import Ago, Count
from rules.conditions.calendars import WEEKDAYS
from rules.conditions.cart import Stage
from rules.conditions.totals import Aggregate
from rules.context import ATTRIBUTES
from rules.definitions import value_test_parsing
from rules.events import ALIASES
from rules.times import MINUTE_MS
from rules.value_tests import NumberTest, PropertyTests
from rules.values import path_of

DEFAULT_GAP_MS = 30 * MINUTE_MS
STEPS_MAX = 10
TEXT_MAX_CHARS = 300

Calendar = Literal["gregorian", "jalali"]

_DAYS: dict[Calendar, tuple[int, ...]] = {
    "gregorian": (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31),
    "jalali": (31,) * 6 + (30,) * 6,
}


def _event_names(value: object) -> tuple[str, ...]:
    given: list[object] = value if isinstance(value, list) else [value]
    names = [name for name in given if isinstance(name, str) and name.strip()]
    if not names or len(names) < len(given):
        raise ValueError(f"{value!r} is not an event; write a name such as Order Completed, or a list of names")
    canonical = [ALIASES.get(name, name) for name in names]
    return tuple(sorted({"page" if name == "screen" else name for name in canonical}))


def _property(value: object) -> str:
    if not isinstance(value, str) or not all(path_of(value)):
        raise ValueError(f"{value!r} is not a property; write its name, or a dotted one such as address.city")
    return value


def _where(value: object) -> PropertyTests:
    if not isinstance(value, dict) or not value:
        raise ValueError("expected {property: test}, such as {category: shoes}, at least one")
    tests = []
    for name, told in value.items():
        path = path_of(value_test_parsing.under(name, _property, name))
        tests.append((path, value_test_parsing.under(name, value_test_parsing.value_test, told)))
    return PropertyTests(tuple(sorted(tests, key=lambda test: test[0])))


def _weekdays(value: object) -> tuple[int, ...]:
    given = value if isinstance(value, list) else [value]
    if not given or any(day not in WEEKDAYS for day in given):
        raise ValueError(f"{value!r} is not a weekday; write one of {', '.join(WEEKDAYS)}, or a list of them")
    return tuple(sorted({WEEKDAYS.index(str(day)) for day in given}))


def _month_days(value: object) -> tuple[tuple[int, int], tuple[int, int]]:
    form = "two month-days in quotes, both included, such as ['12-29', '01-13']"
    if not isinstance(value, list) or len(value) != 2:
        raise ValueError(f"{value!r} is not a range of days; write {form}")
    days = []
    for one in value:
        month, _, day = str(one).partition("-")
        if not (month.isdecimal() and day.isdecimal() and len(month) == len(day) == 2):
            raise ValueError(f"{one!r} is not a month-day; write {form}")
        days.append((int(month), int(day)))
    return days[0], days[1]


def month_day_problem(days: tuple[tuple[int, int], ...], calendar: Calendar) -> str | None:
    """What is wrong with the first month-day that the calendar does not have."""
    for month, day in days:
        if not 1 <= month <= len(_DAYS[calendar]) or not 1 <= day <= _DAYS[calendar][month - 1]:
            return f"the {calendar} calendar has no {month:02d}-{day:02d} (month, then day)"
    return None


Duration = Annotated[int, BeforeValidator(value_test_parsing.duration)]
EventNames = Annotated[tuple[str, ...], BeforeValidator(_event_names)]
CountTest = Annotated[Count, BeforeValidator(value_test_parsing.count)]
NumberRange = Annotated[NumberTest, BeforeValidator(value_test_parsing.number_test)]
WhereTests = Annotated[PropertyTests, BeforeValidator(_where)]
Property = Annotated[str, BeforeValidator(_property)]


class _Form(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, arbitrary_types_allowed=True)


class PerformedForm(_Form):
    event: EventNames
    where: WhereTests = PropertyTests()
    count: CountTest = Count(at_least=1)
    within: Duration | None = None


class TotalForm(_Form):
    agg: Aggregate
    of: Property
    event: EventNames
    where: WhereTests = PropertyTests()
    within: Duration | None = None
    at_least: object = None
    at_most: object = None
    above: object = None
    below: object = None


class MomentForm(_Form):
    event: EventNames
    where: WhereTests = PropertyTests()
    ago: Annotated[Ago, BeforeValidator(value_test_parsing.ago)] = Ago()


class StepForm(_Form):
    event: EventNames
    where: WhereTests = PropertyTests()


class SequenceForm(_Form):
    steps: list[StepForm] = Field(min_length=2, max_length=STEPS_MAX)
    within: Duration | None = None
    same: Property | None = None


class CartForm(_Form):
    idle_for: Duration | None = None
    until: Duration | None = None
    stage: Stage | None = None
    value: NumberRange | None = None
    items: NumberRange | None = None


class SessionsForm(_Form):
    count: CountTest
    within: Duration
    gap: Duration = DEFAULT_GAP_MS


class CalendarForm(_Form):
    between: Annotated[tuple[tuple[int, int], tuple[int, int]], BeforeValidator(_month_days)] | None = None
    weekday: Annotated[tuple[int, ...], BeforeValidator(_weekdays)] | None = None
    calendar: Calendar = "gregorian"
    timezone: str = "UTC"


class SampleForm(_Form):
    percent: object
    salt: str = ""


class SegmentForm(_Form):
    title: str = Field(min_length=1, max_length=TEXT_MAX_CHARS)
    about: str | None = Field(None, min_length=1, max_length=TEXT_MAX_CHARS)
    kind: str | None = Field(None, min_length=1, max_length=TEXT_MAX_CHARS)
    hold: Duration | None = None
    when: object = None
    bands: object = None


class BandsForm(_Form):
    model_config = ConfigDict(extra="forbid", strict=True, populate_by_name=True)
    total: dict[str, object]
    from_: dict[str, object] = Field(alias="from")


class LibraryForm(_Form):
    without: list[str] = Field(default=[], min_length=1)
    only: list[str] = Field(default=[], min_length=1)


CONTEXT_KEYS = (*ATTRIBUTES, "touch")
