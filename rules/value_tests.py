"""Tests of values: of a property, a trait or a number.

The one rule: an absent value meets only ``exists: false``, and every key of one test must be met.

See also: `rules.conditions` (which use them).
"""

from __future__ import annotations

from functools import cache, lru_cache
from typing import Any, TypeAlias

import msgspec
import re2

from rules.values import Json, Path, Real, number, resolve_path, shown_number, text


class Number(msgspec.Struct, frozen=True):
    """A number of a rule, in 10⁻⁶."""

    micro: int


Scalar: TypeAlias = bool | str | Number
# A value of a definition as plain JSON. `Any`, as msgspec makes no schema for `object`.
Shown: TypeAlias = Any


class NumberTest(msgspec.Struct, frozen=True):
    """A range of numbers in 10⁻⁶; an end that is ``None`` is open."""

    at_least: int | None = None
    at_most: int | None = None
    above: int | None = None
    below: int | None = None

    def meets(self, micro: int, per: int = 1) -> bool:
        """Whether ``micro / per`` lies in the range; exact, as it is computed without a division."""
        return (
            (self.at_least is None or micro >= self.at_least * per)
            and (self.at_most is None or micro <= self.at_most * per)
            and (self.above is None or micro > self.above * per)
            and (self.below is None or micro < self.below * per)
        )

    @property
    def test(self) -> dict[str, Shown]:
        """The test as it stands in a definition."""
        ends = ((name, getattr(self, name)) for name in self.__struct_fields__)
        return {name: shown_number(micro) for name, micro in ends if micro is not None}


class ValueTest(msgspec.Struct, frozen=True):
    """A test of a value; a part that is ``None`` is always met."""

    equals: Scalar | None = None
    in_: tuple[Scalar, ...] | None = None
    not_in: tuple[Scalar, ...] | None = None
    contains: Scalar | None = None
    exists: bool | None = None
    matches: str | None = None
    numbers: NumberTest | None = None

    def meets(self, value: Json) -> bool:
        """Whether a value, `None` when it is absent, meets every part."""
        if value is None:
            return self == _ABSENT
        return (
            self.exists is not False
            and (self.equals is None or _equal(self.equals, value))
            and (self.in_ is None or any(_equal(scalar, value) for scalar in self.in_))
            and (self.not_in is None or not any(_equal(scalar, value) for scalar in self.not_in))
            and (self.contains is None or _contains(self.contains, value))
            and (self.matches is None or _matches(self.matches, value))
            and (self.numbers is None or _in_range(self.numbers, value))
        )

    @property
    def test(self) -> Shown:
        """The test as it stands in a definition."""
        if self.equals is not None:
            return shown(self.equals)
        parts: dict[str, Shown] = {} if self.numbers is None else dict(self.numbers.test)
        if self.in_ is not None:
            parts["in"] = [shown(scalar) for scalar in self.in_]
        if self.not_in is not None:
            parts["not_in"] = [shown(scalar) for scalar in self.not_in]
        if self.contains is not None:
            parts["contains"] = shown(self.contains)
        if self.exists is not None:
            parts["exists"] = self.exists
        if self.matches is not None:
            parts["matches"] = self.matches
        return parts


_ABSENT = ValueTest(exists=False)


class PropertyTests(msgspec.Struct, frozen=True):
    """Tests of an event's properties, all of which must be met."""

    tests: tuple[tuple[Path, ValueTest], ...] = ()

    def meets(self, fields: Json) -> bool:
        """Whether the properties meet every test."""
        return all(test.meets(resolve_path(fields, path)) for path, test in self.tests)

    @property
    def test(self) -> dict[str, Shown]:
        """The test as it stands in a definition."""
        return {".".join(path): test.test for path, test in self.tests}


ANYWHERE = PropertyTests()
ENDS = NumberTest.__struct_fields__  # the names of a range's ends, as a definition has them


@cache
def pattern(source: str) -> re2._Regexp:
    """Compile an RE2 expression; its time is linear in the text for every rule. Raises `re2.error`."""
    options = re2.Options()
    options.log_errors = False
    return re2.compile(source, options)


def shown(scalar: Scalar) -> Shown:
    """Format a rule's value as it stands in a definition."""
    return shown_number(scalar.micro) if isinstance(scalar, Number) else scalar


def _equal(scalar: Scalar, value: Json) -> bool:
    if isinstance(scalar, Number):
        return number(value) == scalar.micro
    if isinstance(scalar, bool) or isinstance(value, bool):
        return scalar is value
    return text(value) == scalar


def _contains(scalar: Scalar, value: Json) -> bool:
    if isinstance(value, list):
        return any(_equal(scalar, member) for member in value)
    return isinstance(scalar, str) and isinstance(value, str) and not isinstance(value, Real) and scalar in value


def _matches(source: str, value: Json) -> bool:
    content = text(value)
    if content is None or len(content) > _CACHED_MAX_CHARS:
        return content is not None and pattern(source).search(content) is not None
    return _matches_short(source, content)


_CACHED_MAX_CHARS = 200


# A shop has few categories, locales and referrers: most texts were tested just before (0.1 µs against 4 µs).
@lru_cache(maxsize=10_000)
def _matches_short(source: str, content: str) -> bool:
    return pattern(source).search(content) is not None


def _in_range(range_: NumberTest, value: Json) -> bool:
    micro = number(value)
    return micro is not None and range_.meets(micro)
