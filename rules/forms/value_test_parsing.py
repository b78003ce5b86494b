"""Parses tests of a segments file: plain data into the types of `rules.value_tests` and `rules.due_times`.

Each function takes a value of YAML and returns a test, or raises `ValueError` with what would be right.

See also: `rules.forms.form`, whose fields call these functions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import TypeVar

import re2

from rules.due_times import AgeRange, Count, Years
from rules.number_text import MICRO
from rules.times import DURATION_FORM, parse_duration
from rules.value_tests import ENDS, TEST_KEYS, Number, NumberTest, Scalar, ValueTest, pattern
from rules.values import number

COUNT_MAX = 1_000
YEARS_MAX = 200
IN_MAX = 1_000
FACTOR_MAX = 100
POINTS_MAX = 1_000
EVENTS_WITH_POINTS_MAX = 16
PATTERN_MAX_CHARS = 500

COUNT_KEYS = ("at_least", "at_most", "exactly")
AGO_KEYS = ("at_least", "at_most", "below")
EMPTY = "nothing stands here; write a value, or leave the key out"

T = TypeVar("T")


class WrongValue(ValueError):
    """An error further inside a value: ``path`` is its place, such as ``.in[2]``."""

    def __init__(self, path: str, text: str) -> None:
        super().__init__(text)
        self.path = path


def path_of_error(error: object) -> str:
    """The path from a test to the error in it."""
    return error.path if isinstance(error, WrongValue) else ""


def under(name: object, read: Callable[[object], T], value: object) -> T:
    """Read the value under a key; an error in it has the key in its path."""
    try:
        return read(value)
    except ValueError as error:
        raise WrongValue(f".{name}{path_of_error(error)}", str(error)) from None


def count(value: object) -> Count:
    """A whole number, or ``{at_least, at_most}`` or ``{exactly}``."""
    if isinstance(value, int) and not isinstance(value, bool):
        value = {"exactly": value}
    if not isinstance(value, dict) or not value:
        raise ValueError(f"{value!r} is not a count; write {{at_least: 2}}, {{at_most: 5}} or {{exactly: 1}}")
    only(value, COUNT_KEYS)
    for name, bound in value.items():
        if not isinstance(bound, int) or isinstance(bound, bool) or not 0 <= bound <= COUNT_MAX:
            raise WrongValue(f".{name}", f"{bound!r} is not a whole number from 0 to {COUNT_MAX}")
    if "exactly" in value:
        if len(value) > 1:
            raise ValueError("exactly stands alone, without at_least and at_most")
        return Count(value["exactly"], value["exactly"])
    at_least, at_most = value.get("at_least", 0), value.get("at_most")
    if at_most is not None and at_most < at_least:
        raise ValueError(f"no count is at least {at_least} and at most {at_most}")
    if at_most is None and not at_least:
        raise ValueError("every count is at least 0; write at_least: 1 or more")
    return Count(at_least, at_most)


def micro(value: object) -> int:
    """A number of a rule, in 10⁻⁶."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{value!r} is not a number")  # noqa: TRY004 (what pydantic reports)
    exact = number(value if isinstance(value, int) else repr(value))
    if exact is None:
        raise ValueError(f"{value!r} is out of reach; numbers go up to 9·10¹² (an id is written in quotes)")
    if isinstance(value, float) and Decimal(repr(value)) != Decimal(exact) / MICRO:
        raise ValueError(f"{value!r} has more than six digits after the point")
    return exact


def factor(value: object) -> int:
    """A number above 0 and up to 100, in 10⁻⁶."""
    return above_zero(value, FACTOR_MAX)


def above_zero(value: object, most: int) -> int:
    """A number above 0 and up to ``most``, in 10⁻⁶."""
    exact = micro(value)
    if not 0 < exact <= most * MICRO:
        raise ValueError(f"{value!r} is not above 0 and up to {most}")
    return exact


def number_test(value: object) -> NumberTest:
    """A number, or a mapping of ends."""
    if isinstance(value, dict):
        if not value:
            raise ValueError("expected a number or {at_least, at_most, above, below}")
        only(value, ENDS)
        return ends(value)
    exact = micro(value)
    return NumberTest(at_least=exact, at_most=exact)


def ends(value: dict[object, object]) -> NumberTest:
    """The ends among the keys, which must leave room between them."""
    bounds = {name: under(name, micro, value[name]) for name in ENDS if name in value}
    test = NumberTest(**bounds)
    if "at_least" in bounds and "above" in bounds:
        raise ValueError("at_least and above are both lower ends; keep one")
    if "at_most" in bounds and "below" in bounds:
        raise ValueError("at_most and below are both upper ends; keep one")
    low, high = test.at_least, test.at_most
    low = low if test.above is None else test.above + 1
    high = high if test.below is None else test.below - 1
    if low is not None and high is not None and low > high:
        raise ValueError(f"no number is {' and '.join(f'{name} {value[name]}' for name in bounds)}")
    return test


def value_test(value: object) -> ValueTest:
    """A value, or a mapping of tests."""
    if isinstance(value, dict):
        return _tests(value)
    if value is None:
        raise ValueError("nothing stands here; write a value, or exists: false for what is absent")
    if isinstance(value, list):
        raise ValueError("a list stands here; write {in: […]} for one of them")  # noqa: TRY004 (as above)
    return ValueTest(equals=scalar(value))


def text_test(value: object) -> ValueTest:
    """A test of a value that is always text."""
    test = value_test(value)
    scalars = [test.equals, test.contains, test.not_contains, *(test.in_ or ()), *(test.not_in or ())]
    wrong = next((scalar for scalar in scalars if scalar is not None and not isinstance(scalar, str)), None)
    if wrong is not None or test.numbers is not None:
        raise ValueError("this value is always text: quote it and drop at_least, at_most, above, below")
    return test


def trait_test(value: object) -> tuple[ValueTest | None, AgeRange | Years | None]:
    """A test of a trait, a test of its age, or both."""
    if not isinstance(value, dict) or "age" not in value:
        return value_test(value), None
    rest = {name: test for name, test in value.items() if name != "age"}
    return _tests(rest) if rest else None, under("age", age, value["age"])


def ago(value: object) -> AgeRange:
    """Durations ``{at_least, at_most}``; ``below`` means the same as ``at_most``."""
    if not isinstance(value, dict) or not value:
        raise ValueError("expected {at_least: 7d, at_most: 14d}, one of them or both")
    only(value, AGO_KEYS)
    if "at_most" in value and "below" in value:
        raise ValueError("at_most and below say the same; keep one")
    durations = {name: under(name, duration, duration_text) for name, duration_text in value.items()}
    at_most = durations.get("at_most", durations.get("below"))
    if at_most is not None and at_most <= durations.get("at_least", 0):
        raise ValueError("at_most must be longer than at_least")
    return AgeRange(durations.get("at_least"), at_most)


def between(value: object) -> tuple[int, int]:
    """Two durations ``[60d, 30d]``, the longer one first."""
    if not isinstance(value, list) or len(value) != 2:
        raise ValueError("expected two durations, the longer one first, such as [60d, 30d]")
    longer, shorter = (_member(index, text) for index, text in enumerate(value))
    if longer <= shorter:
        raise ValueError(f"{value[0]} is not longer than {value[1]}; the longer one is first")
    return longer, shorter


def _member(index: int, value: object) -> int:
    """A duration of a list."""
    try:
        return duration(value)
    except ValueError as error:
        raise WrongValue(f"[{index}]", str(error)) from None


def age(value: object) -> AgeRange | Years:
    """A test of an age: completed years as whole numbers, or durations."""
    if not isinstance(value, dict) or not value:
        raise ValueError("expected {at_least: 18, below: 25} in years, or durations such as {at_most: 30d}")
    only(value, ENDS)
    if any(isinstance(bound, str) for bound in value.values()):
        return ago(value)
    for name, bound in value.items():
        if not isinstance(bound, int) or isinstance(bound, bool) or not 0 <= bound <= YEARS_MAX:
            raise WrongValue(
                f".{name}", f"{bound!r} is not a whole number of years from 0 to {YEARS_MAX}, nor a duration"
            )
    test = ends(value)
    low = test.at_least or 0 if test.above is None else test.above + MICRO
    high = test.below if test.at_most is None else test.at_most + MICRO
    if high is not None and high <= low:
        raise ValueError("no age lies in this range")
    return Years(low // MICRO, None if high is None else high // MICRO, test)


def duration(value: object) -> int:
    """A length of time, in milliseconds."""
    ms = parse_duration(value)
    if ms is None:
        raise ValueError(f"{value!r} is not a duration; write {DURATION_FORM}")
    return ms


def scalar(value: object) -> Scalar:
    """A single value of a rule."""
    if isinstance(value, bool):
        return value
    if isinstance(value, str):
        if not value:
            raise ValueError("empty text counts as absent; write exists: false")
        return value
    return Number(micro(value))


def _tests(value: dict[object, object]) -> ValueTest:
    """All keys of one test; each of them must be met."""
    if not value:
        raise ValueError("nothing is asked; write a value or one of " + ", ".join(TEST_KEYS))
    only(value, TEST_KEYS)
    if value.get("exists") is False and len(value) > 1:
        raise ValueError("an absent value meets no other test; exists: false stands alone")
    if "exists" in value and not isinstance(value["exists"], bool):
        raise WrongValue(".exists", f"{value['exists']!r} is neither true nor false")
    has_ends = any(name in value for name in ENDS)
    return ValueTest(
        in_=_optional(value, "in", _scalars),
        not_in=_optional(value, "not_in", _scalars),
        contains=_optional(value, "contains", scalar),
        not_contains=_optional(value, "not_contains", scalar),
        starts_with=_optional(value, "starts_with", _part),
        ends_with=_optional(value, "ends_with", _part),
        exists=_optional(value, "exists", bool),
        matches=_optional(value, "matches", _pattern),
        numbers=ends(value) if has_ends else None,
        exact=_optional(value, "exact", _text),
    )


def _part(value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError("expected a part of a text, in quotes where it looks like a number")
    return value


def _text(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError("expected a text, which is compared as it stands")
    return value


def _optional(tests: dict[object, object], key: str, read: Callable[[object], T]) -> T | None:
    """Read the value under a key, if the key is there."""
    return under(key, read, tests[key]) if key in tests else None


def _scalars(value: object) -> tuple[Scalar, ...]:
    if not isinstance(value, list) or not 0 < len(value) <= IN_MAX:
        raise ValueError(f"expected a list of 1 to {IN_MAX} values")
    return tuple(map(scalar, value))


def _pattern(value: object) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= PATTERN_MAX_CHARS:
        raise ValueError(f"expected a regular expression (RE2) of up to {PATTERN_MAX_CHARS} characters, in quotes")
    try:
        pattern(value)
    except re2.error as error:
        message = error.args[0].decode(errors="replace") if isinstance(error.args[0], bytes) else error.args[0]
        raise ValueError(f"{value!r} is not a regular expression (RE2): {message}") from None
    return value


def only(value: dict[object, object], keys: Iterable[str]) -> None:
    """Refuse other keys than these, and keys under which nothing stands. Raises `ValueError`."""
    keys = tuple(keys)
    unknown = [str(name) for name in value if name not in keys]
    empty = next((str(name) for name, item in value.items() if item is None), None)
    if empty is not None:
        raise WrongValue(f".{empty}", EMPTY)
    if unknown:
        raise ValueError(f"unknown key {', '.join(unknown)}; known here: {', '.join(keys)}")
