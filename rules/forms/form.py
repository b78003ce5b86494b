"""The form against which a mapping of a segments file is checked, and the fields that several mappings share.

A form checks one mapping by itself, and its error says what would be right. How mappings fit together is checked by the
kind of condition that they describe.
"""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, WithJsonSchema

from rules.due_times import AgeRange, Count
from rules.events import ALIASES
from rules.forms import value_test_parsing
from rules.forms.json_schema import NUMBER, TEXT, reference
from rules.value_tests import NumberTest, PropertyTests
from rules.values import path_of


class Form(BaseModel):
    """A mapping of a file; ``example``: a valid one, which an error shows."""

    model_config = ConfigDict(extra="forbid", strict=True, arbitrary_types_allowed=True)

    example: ClassVar[str]


def _event_names(value: object) -> tuple[str, ...]:
    items: list[object] = value if isinstance(value, list) else [value]
    names = [name for name in items if isinstance(name, str) and name.strip()]
    if not names or len(names) < len(items):
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
    for name, test in value.items():
        path = path_of(value_test_parsing.under(name, _property, name))
        tests.append((path, value_test_parsing.under(name, value_test_parsing.value_test, test)))
    return PropertyTests(tuple(sorted(tests, key=lambda item: item[0])))


Duration = Annotated[int, BeforeValidator(value_test_parsing.duration), WithJsonSchema(reference("duration"))]
EventNames = Annotated[tuple[str, ...], BeforeValidator(_event_names), WithJsonSchema(reference("events"))]
CountTest = Annotated[Count, BeforeValidator(value_test_parsing.count), WithJsonSchema(reference("count"))]
AgoTest = Annotated[AgeRange, BeforeValidator(value_test_parsing.ago), WithJsonSchema(reference("ago"))]
NumberRange = Annotated[NumberTest, BeforeValidator(value_test_parsing.number_test), WithJsonSchema(reference("range"))]
WhereTests = Annotated[PropertyTests, BeforeValidator(_where), WithJsonSchema(reference("where"))]
Property = Annotated[str, BeforeValidator(_property), WithJsonSchema(TEXT)]
# An end of a range, read together with the other ends.
NumberEnd = Annotated[object, WithJsonSchema(NUMBER)]


class EventForm(Form):
    """A choice of events, by their names and tests of their properties."""

    event: EventNames
    where: WhereTests = PropertyTests()
