"""Tests of values: of a property, a trait or a number.

The one rule: an absent value meets only ``exists: false``, and every key of one test must be met. Of a list, one member
meets all keys, but ``not_in`` and ``not_contains`` hold if no member is what they exclude.

Texts are compared as `rules.text_equality` folds them, except under ``exact`` and ``matches``. See also
`rules.conditions`, which use them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache, lru_cache, partial
from typing import Any, TypeAlias

import msgspec
import re2

from rules.currencies import MONEY
from rules.event_times import EventTimes
from rules.text_equality import fold
from rules.values import (
    Json,
    Path,
    Real,
    event_currency,
    members_of,
    money,
    number,
    read_property,
    refunded_money,
    shown_number,
    text,
)


class Number(msgspec.Struct, frozen=True):
    """A number of a rule, in 10⁻⁶."""

    micro: int


Scalar: TypeAlias = bool | str | Number
# A value of a definition as plain JSON. `Any`, as msgspec makes no schema for `object`.
Shown: TypeAlias = Any
# Reads a value as a number in 10⁻⁶; `None`: it is none.
NumberReader: TypeAlias = Callable[[Json], int | None]


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
    exact: str | None = None
    not_contains: Scalar | None = None
    starts_with: str | None = None
    ends_with: str | None = None

    def meets(self, value: Json, read: NumberReader = number) -> bool:
        """Whether a value, `None` when it is absent, meets every part; ``read``: how it is read as a number."""
        if value is None:
            return self == _ABSENT
        if not isinstance(value, list):
            asks_for_member = self.contains is not None and not isinstance(self.contains, str)
            return not asks_for_member and self._meets_single(value, read) and not self._is_excluded(value, read)
        members = list(members_of(value))
        return any(self._meets_single(member, read, is_member=True) for member in members) and not any(
            self._is_excluded(member, read, is_member=True) for member in members
        )

    def _meets_single(self, value: Json, read: NumberReader, *, is_member: bool = False) -> bool:
        """Whether a value that is no list, or a member of one, meets every part but those that exclude it."""
        return (
            self.exists is not False
            and (self.equals is None or _equal(self.equals, value, read))
            and (self.in_ is None or any(_equal(scalar, value, read) for scalar in self.in_))
            and (self.contains is None or _contains(self.contains, value, read, is_member=is_member))
            and (self.matches is None or _matches(self.matches, value))
            and (self.exact is None or text(value) == self.exact)
            and (self.numbers is None or _in_range(self.numbers, value, read))
            and (self.starts_with is None or _has_end(self.starts_with, value, str.startswith))
            and (self.ends_with is None or _has_end(self.ends_with, value, str.endswith))
        )

    def _is_excluded(self, value: Json, read: NumberReader, *, is_member: bool = False) -> bool:
        if self.not_in is not None and any(_equal(scalar, value, read) for scalar in self.not_in):
            return True
        return self.not_contains is not None and _contains(self.not_contains, value, read, is_member=is_member)

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
        for name in ("contains", "not_contains", "starts_with", "ends_with", "exists", "matches", "exact"):
            operand = getattr(self, name)
            if operand is not None:
                parts[name] = shown(operand)
        return parts


_ABSENT = ValueTest(exists=False)


class PropertyTests(msgspec.Struct, frozen=True):
    """Tests of an event, which all must be met: of its properties, of one product of it, and of when it was."""

    tests: tuple[tuple[Path, ValueTest], ...] = ()
    item: tuple[tuple[Path, ValueTest], ...] = ()
    times: EventTimes | None = None

    @property
    def asks_for_money(self) -> bool:
        """Whether a test is one of money, which depends on the file's currency."""
        return any(path[-1] in MONEY for path, _ in (*self.tests, *self.item))

    @property
    def asks_for_context(self) -> bool:
        """Whether a test is of an event's context."""
        return any(path[0] == CONTEXT for path, _ in self.tests)

    def meets(self, fields: dict[str, Json], of_file: str | None = None, *, is_refund: bool = False) -> bool:
        """Whether properties (``is_refund``: of a refund) meet every test; ``of_file``: the currency of the file."""
        return _all_met(self.tests, fields, fields, of_file, is_refund=is_refund) and self._meets_item(fields, of_file)

    def meets_total(self, fields: dict[str, Json], of_file: str | None) -> bool:
        """Whether the properties meet the tests of the total."""
        return _all_met([item for item in self.tests if item[0] == _TOTAL], fields, fields, of_file)

    def meets_but_total(self, fields: dict[str, Json], of_file: str | None) -> bool:
        """Whether the properties meet all tests but those of the total."""
        tests = [item for item in self.tests if item[0] != _TOTAL]
        return _all_met(tests, fields, fields, of_file) and self._meets_item(fields, of_file)

    def _meets_item(self, fields: dict[str, Json], of_file: str | None) -> bool:
        return not self.item or any(_all_met(self.item, product, fields, of_file) for product in _products(fields))

    @property
    def test(self) -> dict[str, Shown]:
        """The test as it stands in a definition."""
        shown_tests = {".".join(path): test.test for path, test in self.tests}
        if self.item:
            shown_tests[ITEM] = {".".join(path): test.test for path, test in self.item}
        return shown_tests

    def __bool__(self) -> bool:
        """Whether there are tests of properties."""
        return bool(self.tests or self.item)


_TOTAL: Path = ("total",)
_AMOUNTS: frozenset[Path] = frozenset({_TOTAL, ("revenue",)})
ITEM, CONTEXT = "item", "context"  # the key of tests of one product; the first step to an event's context


def _all_met(
    tests: Iterable[tuple[Path, ValueTest]],
    holder: Json,
    fields: dict[str, Json],
    of_file: str | None,
    *,
    is_refund: bool = False,
) -> bool:
    """Whether a holder of values, the event's properties or one of its products, meets these tests."""
    return all(
        test.meets(read_property(holder, path), number_reader(path, fields, of_file, is_refund=is_refund))
        for path, test in tests
    )


def number_reader(path: Path, fields: dict[str, Json], of_file: str | None, *, is_refund: bool) -> NumberReader:
    """How the property at a path is read as a number: money in the currency of the file, without sign in a refund."""
    if path[-1] not in MONEY:
        return number
    read = refunded_money if is_refund and path in _AMOUNTS else money
    return partial(read, of_event=event_currency(fields), of_file=of_file)


def _products(fields: dict[str, Json]) -> list[Json]:
    """The products of an event; where it lists none, the one that its own properties tell."""
    products = fields.get("products")
    if isinstance(products, list) and products:
        return products
    return [products if isinstance(products, dict) else fields]


ANYWHERE = PropertyTests()
ENDS = NumberTest.__struct_fields__  # the names of a range's ends, as a definition has them
# The keys of a test.
TEST_KEYS = (
    "in", "not_in", *ENDS, "contains", "not_contains", "starts_with", "ends_with", "exists", "matches", "exact",
)  # fmt: skip


@cache
def pattern(source: str) -> re2._Regexp:
    """Compile an RE2 expression; its time is linear in the text for every rule. Raises `re2.error`."""
    options = re2.Options()
    options.log_errors = False
    return re2.compile(source, options)


def shown(scalar: Scalar) -> Shown:
    """Format a rule's value as it stands in a definition."""
    return shown_number(scalar.micro) if isinstance(scalar, Number) else scalar


# Texts that mean true or false: a shop's form or plugin may write either.
_TRUE, _FALSE = ("true", "yes", "1"), ("false", "no", "0")


def _equal(scalar: Scalar, value: Json, read: NumberReader) -> bool:
    if isinstance(scalar, Number):
        return read(value) == scalar.micro
    if isinstance(scalar, bool):
        return value is scalar or _says(value, _TRUE if scalar else _FALSE)
    content = text(value)
    return content is not None and fold(content) == _folded_rule(scalar)


def _says(value: Json, words: tuple[str, ...]) -> bool:
    if isinstance(value, Real):
        micro = number(value)
        return micro is not None and shown_number(micro) == int(words[-1])
    content = text(value)
    return content is not None and fold(content) in words


@lru_cache(maxsize=10_000)
def _folded_rule(scalar: str) -> str:
    return fold(scalar)


def _contains(scalar: Scalar, value: Json, read: NumberReader, *, is_member: bool) -> bool:
    """Whether a text contains another; a member of a list may also be equal to what is asked for."""
    if isinstance(scalar, str) and isinstance(value, str) and not isinstance(value, Real):
        return _folded_rule(scalar) in fold(value)
    return (is_member or not isinstance(scalar, str)) and _equal(scalar, value, read)


def _has_end(part: str, value: Json, is_there: Callable[[str, str], bool]) -> bool:
    """Whether a text begins (or ends) with another, compared as `_contains` compares."""
    return isinstance(value, str) and not isinstance(value, Real) and is_there(fold(value), _folded_rule(part))


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


def _in_range(range_: NumberTest, value: Json, read: NumberReader) -> bool:
    micro = read(value)
    return micro is not None and range_.meets(micro)
