"""What reading a segments file has in common: problems with their paths, and what is known on the way.

The one rule: every problem is noted with the path at which it stands and what would be right.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import msgspec
from pydantic import BaseModel, ValidationError

from rules.conditions import Condition
from rules.definitions import forms, value_test_parsing
from rules.facts.registry import FactRegistry

FORMS = {
    "all": "a list of conditions",
    "any": "a list of conditions",
    "not": "a condition or a list of conditions",
    "performed": "{event: Order Completed, count: {at_least: 2}, within: 365d}",
    "total": "{agg: sum, of: total, event: Order Completed, within: 365d, at_least: 1000}",
    "last": "{event: Order Completed, ago: {at_least: 60d}}",
    "first": "{event: Order Completed, ago: {at_most: 30d}}",
    "sequence": "{steps: [{event: Product Viewed}, {event: Product Added}], within: 1h}",
    "cart": "{idle_for: 30m, until: 30d}",
    "sessions": "{count: {at_least: 2}, within: 30d}",
    "trait": "{plan: pro}",
    "context": "{device: mobile}",
    "in_segment": "another segment's key, such as repeat_buyer",
    "calendar": "{between: ['12-20', '12-31']} or {weekday: [fri]}",
    "sample": "{percent: 10, salt: hold-out}",
}
_EXAMPLES: dict[type[BaseModel], str] = {
    forms.PerformedForm: FORMS["performed"],
    forms.TotalForm: FORMS["total"],
    forms.MomentForm: FORMS["last"],
    forms.SequenceForm: FORMS["sequence"],
    forms.StepForm: "{event: Product Viewed}",
    forms.CartForm: FORMS["cart"],
    forms.SessionsForm: FORMS["sessions"],
    forms.CalendarForm: FORMS["calendar"],
    forms.SampleForm: FORMS["sample"],
    forms.SegmentForm: "{title: Repeat buyer, when: {…}}",
    forms.BandsForm: "{total: {agg: sum, …}, from: {low: 0, high: 1001}}",
    forms.LibraryForm: "{without: [hold_out]}",
}

FormT = TypeVar("FormT", bound=BaseModel)
GivenT = TypeVar("GivenT")
T = TypeVar("T")
Parsed = tuple[Condition, object]


class WrongCondition(Exception):
    """A condition is wrong: ``args`` are the path and what would be right; without them, it was noted."""


class Problems:
    """What is wrong with a file, as lines that begin with a path."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def note(self, path: str, text: str) -> None:
        """Note what is wrong at a path, and what would be right."""
        self.lines.append(f"{path}: {text}" if path else text)

    def fill(self, path: str, form: type[FormT], value: object) -> FormT:
        """Check a mapping against its form. Raises `Wrong` after noting all that is."""
        empty = [name for name, told in value.items() if told is None] if isinstance(value, dict) else []
        for name in empty:
            self.note(f"{path}.{name}", value_test_parsing.EMPTY)
        if empty:
            raise WrongCondition
        try:
            return form.model_validate(value)
        except ValidationError as error:
            for detail in error.errors():
                parts = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in detail["loc"])
                inner = value_test_parsing.path_of_error(detail.get("ctx", {}).get("error"))
                self.note(path + parts + inner, _say(detail["type"], detail["msg"], form))
            raise WrongCondition from None

    def read(self, path: str, read: Callable[[GivenT], T], given: GivenT) -> T:
        """Read what stands at a path. Raises `Wrong` after the problem was added.

        ``read``: one of the functions of `rules.definitions.value_test_parsing`.
        """
        try:
            return read(given)
        except ValueError as error:
            self.note(path + value_test_parsing.path_of_error(error), str(error))
            raise WrongCondition from None


class Scope(msgspec.Struct):
    """What a condition is read in: a file's currency, its segments and their places, what is wished for.

    ``named``: the segments that the conditions read so far ask about.
    """

    problems: Problems
    currency: str | None
    places: dict[str, int]
    facts: FactRegistry
    named: set[str]


def _say(kind: str, message: str, form: type[BaseModel]) -> str:
    known = [field.alias or name for name, field in form.model_fields.items()]
    if kind == "extra_forbidden":
        return f"unknown key; known here: {', '.join(known)}"
    if kind == "missing":
        return f"is missing; expected {_EXAMPLES[form]}"
    if kind == "model_type":
        return f"expected {_EXAMPLES[form]}"
    return message.removeprefix("Value error, ")
