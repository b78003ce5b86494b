"""How the oracle reads the values of events and rules: absence, texts, equality, tests, durations.

Its one rule: a test asks of what was told, one value or the members of a list; what is absent was not told.
Long because the reading of all values stands here as a whole.
"""

import re
import unicodedata
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from fractions import Fraction
from functools import cache
from typing import NamedTuple

from tests.oracle.amounts import (
    MILLION,
    MONEY,
    Number,
    in_currency,
    is_same_currency,
    limited,
    money,
    named_currency,
    read_number,
    stated_currency,
)
from tests.oracle.names import OLD_FIELDS

Json = Mapping[str, object]

NUMBERS_END = 9 * 10**12  # a number of this size is none to a test

SECOND_MS = 1000
DAY_MS = 86_400 * SECOND_MS
UNIT_MS = {"ms": 1, "s": SECOND_MS, "m": 60 * SECOND_MS, "h": 3600 * SECOND_MS, "d": DAY_MS, "w": 7 * DAY_MS}
DURATION = re.compile(r"([0-9]+)(ms|s|m|h|d|w)")


def mapping(value: object) -> Json:
    """A JSON object; what is none has no members, as the empty list that PHP writes for it."""
    return value if isinstance(value, Mapping) else {}


def listed(value: object) -> list[object]:
    """A list, or the one thing that stands in its place."""
    return value if isinstance(value, list) else [value]


@cache
def duration_ms(text: object) -> int:
    """A duration such as 90s, 30m, 24h, 30d or 2w."""
    match = DURATION.fullmatch(str(text))
    assert match is not None, text
    return int(match[1]) * UNIT_MS[match[2]]


# --- what a name finds -------------------------------------------------------------------------


class Hits(NamedTuple):
    """A value that a name finds, the currency named beside it, and whether it is one of a list."""

    value: object
    currency: str | None
    is_member: bool


def find(properties: Json, name: str) -> list[Hits]:
    """All that a dotted name finds; nothing where it is absent."""
    return list(reach(properties, name.split(".")))


def reach(value: object, path: list[str], currency: str | None = None, *, is_member: bool = False) -> Iterator[Hits]:
    """Follow a path down into objects, and into every member of a list."""
    if isinstance(value, list):
        for member in value:
            yield from reach(member, path, currency, is_member=True)
    elif not path:
        if value is not None and value != "":
            yield Hits(value, currency, is_member)
    elif isinstance(value, Mapping):
        inner_currency = named_currency(value) or currency
        yield from reach(field(value, path[0]), path[1:], inner_currency, is_member=is_member)


def field(properties: Json, name: str) -> object:
    """A field under its name, else under that of the spec's first version."""
    value = properties.get(name)
    return properties.get(OLD_FIELDS.get(name, name)) if value is None or value == "" else value


def lookup(properties: Json, name: str) -> object:
    """The one value that a dotted name finds; None where that is absent, or a list."""
    hit = find(properties, name)
    return hit[0].value if len(hit) == 1 and not hit[0].is_member else None


def identifier(value: object) -> str | None:
    """An id: a text, or the digits of a whole number; the empty text and all else are none."""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    is_id = isinstance(value, str) or (isinstance(value, int) and not isinstance(value, bool))
    return str(value) if is_id and value != "" else None


# --- texts -------------------------------------------------------------------------------------

ONE_LETTER = {
    **{first + digit: str(digit) for first in (0x0660, 0x06F0) for digit in range(10)},
    0x064A: "\u06cc", 0x0649: "\u06cc", 0x0643: "\u06a9", 0x0640: None, 0x200C: None,
}  # fmt: skip


def folded(characters: str) -> str:
    """A text as tests compare it: case, spaces around and the spellings of one Persian letter do not count."""
    composed = unicodedata.normalize("NFC", characters).translate(ONE_LETTER).casefold()
    return unicodedata.normalize("NFC", composed).strip()


def text(value: object) -> str | None:
    """A text, or a whole number's digits."""
    return None if isinstance(value, bool) or not isinstance(value, int | float | str) else plain_text(value)


def plain_text(value: float | str) -> str | None:
    if isinstance(value, str):
        return value
    return str(int(value)) if value == value // 1 else None


# --- numbers -----------------------------------------------------------------------------------


def number(value: object) -> int | None:
    """A number in millionths; None for what is no number to a test."""
    stated = read_number(value)
    return None if stated is None else within_bounds(stated)


def within_bounds(stated: Number) -> int | None:
    return stated.size if stated.size is not None and abs(stated.size) < NUMBERS_END * MILLION else None


def size_of(hit: Hits, name: str, currency: str | None) -> int | None:
    """The size of a value under that name; money has one in the file's currency only."""
    stated = read_number(hit.value)
    if stated is None:
        return None
    kind = name.rpartition(".")[2]
    if kind in MONEY:
        return in_currency(money(hit.value, hit.currency, currency), currency)
    if kind == "quantity":
        return limited(stated.size)
    return within_bounds(stated) if is_same_currency(stated_currency(stated, None, currency), currency) else None


def is_foreign(hit: Hits, name: str, currency: str | None) -> bool:
    """Whether this is money of another currency than the file's, which is never a plain number."""
    stated = read_number(hit.value)
    if stated is None or stated.size is None:
        return False
    beside = hit.currency if name.rpartition(".")[2] in MONEY else None
    return not is_same_currency(stated_currency(stated, beside, currency), currency)


# --- keys --------------------------------------------------------------------------------------


def scalars(values: Iterable[object]) -> set[Hashable]:
    """What tells values apart: the keys of the scalars among them."""
    keys = map(scalar, values)
    return {key for key in keys if key is not None}


def scalar(value: object) -> Hashable:
    """The key of a scalar: texts and whole numbers by their characters, other numbers by size, and booleans."""
    if isinstance(value, bool):
        return "boolean", value
    characters = text(value)
    if characters is not None:
        return "text", characters
    size = number(value)
    return None if size is None else ("number", size)


# --- tests -------------------------------------------------------------------------------------


class Stated(NamedTuple):
    """A value as tests see it: as it stands, and its size if it is a number to them."""

    value: object
    size: int | None
    is_member: bool = False
    is_foreign: bool = False


def stated_values(hit: Iterable[Hits], name: str, currency: str | None) -> list[Stated]:
    return [
        Stated(case.value, size_of(case, name, currency), case.is_member, is_foreign(case, name, currency))
        for case in hit
    ]


def meets_test(stated: list[Stated], test: object) -> bool:
    """Whether what was told is what a rule says, or meets all that it asks.

    One member of a list must meet all that is asked of it; what is excluded no member may meet.
    """
    wanted = dict(test) if isinstance(test, Mapping) else {"is": test}
    if "exists" in wanted and wanted.pop("exists") != bool(stated):
        return False
    readable = [case for case in stated if not case.is_foreign]
    excluded = {EXCLUDING[key]: wanted.pop(key) for key in EXCLUDING if key in wanted}
    if excluded and (
        not readable or any(TESTS[key](case, wanted) for key, wanted in excluded.items() for case in readable)
    ):
        return False
    return not wanted or any(all(TESTS[key](case, wanted) for key, wanted in wanted.items()) for case in readable)


EXCLUDING = {"not_in": "in", "not_contains": "contains"}
TRUE, FALSE = ("true", "yes", "1"), ("false", "no", "0")


def equal(stated: Stated, wanted: object) -> bool:
    """Whether a value of an event is the value of a rule; objects equal nothing."""
    if isinstance(wanted, bool):
        return is_boolean(stated.value, wanted=wanted)
    if isinstance(wanted, str):
        characters = text(stated.value)
        return characters is not None and folded(characters) == folded(wanted)
    return stated.size is not None and stated.size == number(wanted)


def is_boolean(value: object, *, wanted: bool) -> bool:
    """Whether a value is clearly true, or clearly false."""
    if isinstance(value, str):
        return folded(value) in (TRUE if wanted else FALSE)
    return isinstance(value, bool | int | float) and value == wanted


def exactly(stated: Stated, wanted: object) -> bool:
    """As it stands: a text by its characters."""
    if isinstance(wanted, bool) or isinstance(stated.value, bool):
        return stated.value is wanted
    return text(stated.value) == wanted if isinstance(wanted, str) else equal(stated, wanted)


def is_one_of(stated: Stated, wanted: object) -> bool:
    return any(equal(stated, option) for option in listed(wanted))


def contains(stated: Stated, wanted: object) -> bool:
    """A text that contains the text; a member of a list may also be what is asked."""
    if isinstance(stated.value, str) and isinstance(wanted, str) and folded(wanted) in folded(stated.value):
        return True
    return stated.is_member and equal(stated, wanted)


def has_part(stated: Stated, wanted: object, *, at_start: bool) -> bool:
    """A text that begins, or ends, with the text; a number is no text."""
    if not isinstance(stated.value, str):
        return False
    whole, part = folded(stated.value), folded(str(wanted))
    return whole.startswith(part) if at_start else whole.endswith(part)


def matches(stated: Stated, wanted: object) -> bool:
    """Whether the pattern is found anywhere; RE2's rules are those of Python for what the tests ask."""
    characters = text(stated.value)
    return characters is not None and re.search(str(wanted), characters) is not None


def compares(name: str) -> Callable[[Stated, object], bool]:
    """The test of a value's size."""

    def test(stated: Stated, wanted: object) -> bool:
        return stated.size is not None and COMPARE[name](Fraction(stated.size, MILLION), bound(wanted))

    return test


def meets(size: Fraction | int, test: object) -> bool:
    """A count, sum or value against a number to equal, or against bounds that must all be met."""
    return all(COMPARE[name](Fraction(size), bound(limit)) for name, limit in bounds(test).items())


def meets_at_least(size: Fraction | int, test: object) -> bool:
    """Whether a size meets a test that is known only in part: no upper bound is met."""
    return meets(size, test) and bounds(test).keys() <= {"at_least", "above"}


def bounds(test: object) -> Json:
    return test if isinstance(test, Mapping) else {"exactly": test}


@cache
def bound(rule_value: object) -> Fraction:
    """A number of a rule, as exact as those of events."""
    size = number(rule_value)
    assert size is not None, rule_value
    return Fraction(size, MILLION)


COMPARE: dict[str, Callable[[Fraction, Fraction], bool]] = {
    "at_least": lambda size, limit: size >= limit,
    "at_most": lambda size, limit: size <= limit,
    "above": lambda size, limit: size > limit,
    "below": lambda size, limit: size < limit,
    "exactly": lambda size, limit: size == limit,
}

TESTS: dict[str, Callable[[Stated, object], bool]] = {
    "is": equal,
    "exact": exactly,
    "in": is_one_of,
    "contains": contains,
    "matches": matches,
    "starts_with": lambda stated, wanted: has_part(stated, wanted, at_start=True),
    "ends_with": lambda stated, wanted: has_part(stated, wanted, at_start=False),
    "at_least": compares("at_least"),
    "at_most": compares("at_most"),
    "above": compares("above"),
    "below": compares("below"),
}


def inline_test(form: Json, names: Iterable[str] = COMPARE) -> Json:
    """The bounds that stand among a condition's other keys."""
    return {name: form[name] for name in names if name in form}
