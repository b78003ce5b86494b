"""Problems of a file that a person writes: their place, what is wrong, and what would be right.

    segments.vip.when.performed.count: 'two' is not a count; write {at_least: 2}, {at_most: 5} or {exactly: 1}
    <---------- path ---------------->  <------- text ---->  <------------------ suggestion ----------------->

All problems of a file are noted in one reading, so that they can be corrected in one go. The file of segments and the
file of triggers use the same type.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

import msgspec
from pydantic import ValidationError

from rules.forms import value_test_parsing
from rules.forms.form import READING, Form

FormT = TypeVar("FormT", bound=Form)
GivenT = TypeVar("GivenT")
T = TypeVar("T")


class Problem(msgspec.Struct, frozen=True):
    """An error in a file. ``path``: its place, empty for the file as a whole.

    ``text``: what is wrong, or what is expected; ``suggestion``: what would be right, if the text does not say it.
    """

    path: str
    text: str
    suggestion: str = ""

    def under(self, path: str) -> Problem:
        """Return this problem with its path below another one."""
        return Problem(f"{path}.{self.path}" if self.path else path, self.text, self.suggestion)

    def __str__(self) -> str:
        """The problem as one line of an error."""
        line = f"{self.text}; {self.suggestion}" if self.suggestion else self.text
        return f"{self.path}: {line}" if self.path else line


class WrongCondition(Exception):
    """A condition cannot be read. ``args``: those of `Problems.note`, or none if the problem is noted already."""


class Problems:
    """Collects the problems of a file."""

    def __init__(self, reading: int = READING) -> None:
        """``reading``: how the file is read; see `rules.forms.form.READING`."""
        self.noted: list[Problem] = []
        self._reading = reading

    def note(self, path: str, text: str, suggestion: str = "") -> None:
        """Note a problem at a path."""
        self.noted.append(Problem(path, text, suggestion))

    def fill(self, path: str, form: type[FormT], value: object) -> FormT:
        """Check a mapping against its form. Raises `WrongCondition` after noting all problems of it."""
        empty = [name for name, field in value.items() if field is None] if isinstance(value, dict) else []
        for name in empty:
            self.note(f"{path}.{name}", value_test_parsing.EMPTY)
        if empty:
            raise WrongCondition
        try:
            return form.model_validate(value, context={"reading": self._reading})
        except ValidationError as error:
            for detail in error.errors():
                parts = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in detail["loc"])
                inner = value_test_parsing.path_of_error(detail.get("ctx", {}).get("error"))
                self.note(path + parts + inner, *_explanation(detail["type"], detail["msg"], form))
            raise WrongCondition from None

    def read(self, path: str, read: Callable[[GivenT], T], given: GivenT) -> T:
        """Read the value at a path. Raises `WrongCondition` after noting the problem.

        ``read``: one of the functions of `rules.forms.value_test_parsing`.
        """
        try:
            return read(given)
        except ValueError as error:
            self.note(path + value_test_parsing.path_of_error(error), str(error))
            raise WrongCondition from None


def unknown_key(keys: Iterable[str], name: str = "") -> tuple[str, str]:
    """The two sentences on an unknown key: what is wrong, and which keys are known."""
    return f"unknown key {name}".rstrip(), f"known here: {', '.join(keys)}"


def _explanation(kind: str, message: str, form: type[Form]) -> tuple[str, str]:
    """The two sentences on an error that pydantic reports: what is wrong, and what would be right."""
    if kind == "extra_forbidden":
        return unknown_key(field.alias or name for name, field in form.model_fields.items())
    if kind == "missing":
        return "is missing", f"expected {form.example}"
    if kind == "model_type":
        return f"expected {form.example}", ""
    return message.removeprefix("Value error, "), ""
