"""How the oracle reads the values of events and rules: absence, exact numbers, equality, tests, durations.

Its one rule: what is absent is None here, and numbers are whole millionths or fractions, never floats.
"""

import re
from collections.abc import Callable, Hashable, Iterable, Mapping
from decimal import Decimal
from fractions import Fraction
from functools import cache

Json = Mapping[str, object]

MILLION = 1_000_000
NUMBERS_END = 9 * 10**12  # a number of this size is none to a test
JSON_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")

SECOND_MS = 1000
DAY_MS = 86_400 * SECOND_MS
UNIT_MS = {"ms": 1, "s": SECOND_MS, "m": 60 * SECOND_MS, "h": 3600 * SECOND_MS, "d": DAY_MS}
DURATION = re.compile(r"([0-9]+)(ms|s|m|h|d)")


def mapping(value: object) -> Json:
    """A JSON object; what is absent or null has no members."""
    return value if isinstance(value, Mapping) else {}


def listed(value: object) -> list[object]:
    """A list, or the one thing that stands in its place."""
    return value if isinstance(value, list) else [value]


@cache
def duration_ms(text: object) -> int:
    """A duration such as 90s, 30m, 24h or 30d."""
    match = DURATION.fullmatch(str(text))
    assert match is not None, text
    return int(match[1]) * UNIT_MS[match[2]]


# --- what a name finds -------------------------------------------------------------------------


def lookup(properties: Json, name: str) -> object:
    """What a dotted name finds; None where that is absent."""
    return reach(properties, name.split("."))


def reach(value: object, path: list[str]) -> object:
    """Follow a path down into objects; through a list it gives the list of what its members have there."""
    if not path:
        return present(value)
    if isinstance(value, list):
        inner_values = [reach(member, path) for member in value]
        return [inner for inner in inner_values if inner is not None] or None
    return reach(mapping(value).get(path[0]), path[1:])


def present(value: object) -> object:
    """The value, or None for the two that stand for absence: null and the empty text."""
    return None if value == "" else value


def identifier(value: object) -> str | None:
    """An id: integers as their digits, the empty text as none."""
    return None if value is None or value == "" else str(value)


# --- numbers, texts, equality ------------------------------------------------------------------


def millionths(value: object) -> int | None:
    """A number or numeric text, exact, digits beyond 10⁻⁶ cut."""
    if value is None:
        return None
    exact = Decimal(str(value))  # a float's shortest text is what stood in the JSON
    return 0 if exact.adjusted() < -6 else int(Fraction(exact) * MILLION)


def number(value: object) -> int | None:
    """A number in millionths; None for what is no number to a test: true and false, other texts, what is too large."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    if isinstance(value, str) and not JSON_NUMBER.fullmatch(value):
        return None
    size = millionths(value)
    assert size is not None
    return size if abs(size) < NUMBERS_END * MILLION else None


def text(value: object) -> str | None:
    """A text, or an integer's digits."""
    if isinstance(value, bool) or not isinstance(value, int | str):
        return None
    return str(value)


def equal(rule_value: object, value: object) -> bool:
    """Whether a value of an event is the value of a rule; lists and objects equal nothing."""
    if isinstance(rule_value, bool) or isinstance(value, bool):
        return rule_value is value
    if isinstance(rule_value, str):
        return text(value) == rule_value
    wanted = number(rule_value)
    return wanted is not None and number(value) == wanted


def scalars(value: object) -> set[Hashable]:
    """What tells values apart: that of a scalar, or that of each scalar member of a list."""
    keys = (scalar(member) for member in listed(value))
    return {key for key in keys if key is not None}


def scalar(value: object) -> Hashable:
    """The key of a scalar: texts and whole numbers by their characters, other numbers by size, and booleans."""
    if isinstance(value, bool):
        return "boolean", value
    characters = text(present(value))
    if characters is not None:
        return "text", characters
    size = number(value)
    if size is not None and size % MILLION == 0:
        return "text", str(size // MILLION)
    return None if size is None else ("number", size)


# --- tests -------------------------------------------------------------------------------------


def meets_test(value: object, test: object) -> bool:
    """Whether a value (None: absent) is what a rule says, or meets all that it asks."""
    if not isinstance(test, Mapping):
        return equal(test, value)
    return all(TESTS[key](value, rule_value) for key, rule_value in test.items())


def is_one_of(value: object, rule_value: object) -> bool:
    return any(equal(option, value) for option in listed(rule_value))


def is_none_of(value: object, rule_value: object) -> bool:
    return value is not None and not is_one_of(value, rule_value)


def contains(value: object, rule_value: object) -> bool:
    """A text that contains the text, or a list with such a member."""
    if isinstance(value, list):
        return any(equal(rule_value, member) for member in value)
    return isinstance(value, str) and isinstance(rule_value, str) and rule_value in value


def matches(value: object, rule_value: object) -> bool:
    """Whether the pattern is found anywhere; RE2's rules are those of Python for what the tests ask."""
    characters = text(value)
    return characters is not None and re.search(str(rule_value), characters) is not None


def exists(value: object, rule_value: object) -> bool:
    return (value is not None) == rule_value


def compares(name: str) -> Callable[[object, object], bool]:
    """The test of a value's size."""

    def test(value: object, rule_value: object) -> bool:
        size = number(value)
        return size is not None and COMPARE[name](Fraction(size, MILLION), bound(rule_value))

    return test


def meets(size: int | Fraction, test: object) -> bool:
    """A count, sum or value against a number to equal, or against bounds that must all be met."""
    bounds = test if isinstance(test, Mapping) else {"exactly": test}
    return all(COMPARE[name](Fraction(size), bound(limit)) for name, limit in bounds.items())


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

TESTS: dict[str, Callable[[object, object], bool]] = {
    "in": is_one_of,
    "not_in": is_none_of,
    "contains": contains,
    "matches": matches,
    "exists": exists,
    "at_least": compares("at_least"),
    "at_most": compares("at_most"),
    "above": compares("above"),
    "below": compares("below"),
}


def inline_test(form: Json, names: Iterable[str] = COMPARE) -> Json:
    """The bounds that stand among a condition's other keys."""
    return {name: form[name] for name in names if name in form}
