"""The form against which a mapping of a segments file is checked, and the fields that several mappings share.

A form checks one mapping by itself, and its error says what would be right. How mappings fit together is checked by the
kind of condition that they describe.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Self

import msgspec
from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationInfo, WithJsonSchema, model_validator

from rules.due_times import AgeRange, Count
from rules.event_names import ALIASES, reserved_name
from rules.event_times import EventTimes
from rules.forms import json_schema, value_test_parsing
from rules.forms.event_time_parsing import EventDays, EventHours, TimeZone, Weekdays
from rules.forms.json_schema import NUMBER, TEXT, fixed_list, reference
from rules.value_tests import ITEM, TEST_KEYS, NumberTest, PropertyTests, ValueTest
from rules.values import Path, path_of

# How values, texts, names, carts and orders are read. A part of the fingerprint of a file from the second on: what a
# former reading stored is taken over as a change of definitions. The first one knew reserved names in few spellings.
FIRST_READING = 1
READING = 2


class Form(BaseModel):
    """A mapping of a file; ``example``: a valid one, which an error shows."""

    model_config = ConfigDict(extra="forbid", strict=True, arbitrary_types_allowed=True)

    example: ClassVar[str]


_FIRST_ALIASES = ("Viewed Product", "Added Product", "Removed Product", "Completed Order")


def _event_names(value: object, info: ValidationInfo) -> tuple[str, ...]:
    items: list[object] = value if isinstance(value, list) else [value]
    names = [name for name in items if isinstance(name, str) and name.strip()]
    if not names or len(names) < len(items):
        raise ValueError(f"{value!r} is not an event; write a name such as Order Completed, or a list of names")
    is_first = (info.context or {}).get("reading") == FIRST_READING
    canonical = [_first_canonical(name) if is_first else reserved_name(name) or name for name in names]
    return tuple(sorted({"page" if name == "screen" else name for name in canonical}))


def _event_points(value: object, info: ValidationInfo) -> tuple[tuple[str, int], ...]:
    most = value_test_parsing.EVENTS_WITH_POINTS_MAX
    if not isinstance(value, dict) or not 0 < len(value) <= most:
        raise ValueError(f"expected {{event: points}} of 1 to {most} events, such as {{Product Viewed: 1}}")
    points: dict[str, int] = {}
    for name, number in value.items():
        (event,) = _event_names(None if isinstance(name, list) else name, info)
        if event in points:
            raise ValueError(f"{name} is {event}, which has points already")
        points[event] = value_test_parsing.under(name, _points, number)
    return tuple(sorted(points.items()))


def _points(value: object) -> int:
    return value_test_parsing.above_zero(value, value_test_parsing.POINTS_MAX)


def _first_canonical(name: str) -> str:
    return ALIASES[name] if name in _FIRST_ALIASES else name


def property_name(value: object) -> str:
    """The name of a property, or a dotted one. Raises `ValueError`."""
    if not isinstance(value, str) or not all(path_of(value)):
        raise ValueError(f"{value!r} is not a property; write its name, or a dotted one such as address.city")
    return value


def _where(value: object) -> PropertyTests:
    if not isinstance(value, dict) or not value:
        raise ValueError("expected {property: test}, such as {category: shoes}, at least one")
    item = value.get(ITEM)
    if not isinstance(item, dict) or not item or all(name in TEST_KEYS for name in item):
        return PropertyTests(_property_tests(value))  # a property of a shop that has this name
    rest = {name: test for name, test in value.items() if name != ITEM}
    return PropertyTests(_property_tests(rest), value_test_parsing.under(ITEM, _property_tests, item))


def _property_tests(value: object) -> tuple[tuple[Path, ValueTest], ...]:
    assert isinstance(value, dict)
    tests = []
    for name, test in value.items():
        path = path_of(value_test_parsing.under(name, property_name, name))
        tests.append((path, value_test_parsing.under(name, value_test_parsing.value_test, test)))
    return tuple(sorted(tests, key=lambda item: item[0]))


Duration = Annotated[int, BeforeValidator(value_test_parsing.duration), WithJsonSchema(reference("duration"))]
# (A, B): from B after an event on, and before A after it.
Between = Annotated[
    tuple[int, int], BeforeValidator(value_test_parsing.between), WithJsonSchema(fixed_list(reference("duration"), 2))
]
EventNames = Annotated[tuple[str, ...], BeforeValidator(_event_names), WithJsonSchema(reference("events"))]
CountTest = Annotated[Count, BeforeValidator(value_test_parsing.count), WithJsonSchema(reference("count"))]
AgoTest = Annotated[AgeRange, BeforeValidator(value_test_parsing.ago), WithJsonSchema(reference("ago"))]
NumberRange = Annotated[NumberTest, BeforeValidator(value_test_parsing.number_test), WithJsonSchema(reference("range"))]
WhereTests = Annotated[PropertyTests, BeforeValidator(_where), WithJsonSchema(reference("where"))]
# (name, points in 10⁻⁶) of each event, by name.
EventPoints = Annotated[
    tuple[tuple[str, int], ...], BeforeValidator(_event_points), WithJsonSchema(json_schema.event_points())
]
# A number above 0, in 10⁻⁶.
Factor = Annotated[int, BeforeValidator(value_test_parsing.factor), WithJsonSchema(NUMBER)]
Property = Annotated[str, BeforeValidator(property_name), WithJsonSchema(TEXT)]
# An end of a range, read together with the other ends.
NumberEnd = Annotated[object, WithJsonSchema(NUMBER)]


class EventForm(Form):
    """A choice of events, by their names, tests of their properties, and when they were.

    ``where`` has the tests of their times, too.
    """

    event: EventNames
    where: WhereTests = PropertyTests()
    on: EventDays | None = None
    weekday: Weekdays | None = None
    hours: EventHours | None = None
    timezone: TimeZone | None = None

    @model_validator(mode="after")
    def _times(self) -> Self:
        if self.on is None and self.weekday is None and self.hours is None:
            if self.timezone is not None:
                raise ValueError("a time zone is one of days or hours; write on, weekday or hours beside it")
            return self
        first, last = self.on or (None, None)
        times = EventTimes(self.timezone or "UTC", first, last, self.weekday, self.hours)
        self.where = msgspec.structs.replace(self.where, times=times)
        return self
