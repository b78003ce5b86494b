"""Parses the tests of a trait: of its value, and of the date that it is.

See also: `rules.date_tests`, and `rules.forms.value_test_parsing`, whose errors these are.
"""

from __future__ import annotations

from collections.abc import Callable

from rules.date_tests import After, Anniversary, AnniversaryKind, Before, DateTest, LiesAhead
from rules.forms.event_time_parsing import time_zone
from rules.forms.value_test_parsing import WrongValue, duration, only, trait_test, under
from rules.times import DAY_MS, parse_date
from rules.value_tests import ValueTest

_AHEAD_KEYS = ("at_least", "at_most")
_ANNIVERSARY_KINDS: tuple[AnniversaryKind, ...] = ("today", "within_next", "within_last")
_ANNIVERSARY_FORM = "expected today, {within_next: 7d} or {within_last: 7d}"
_WITHIN_MAX_DAYS = 365


def dated_trait_test(value: object) -> tuple[ValueTest | None, dict[str, DateTest]]:
    """A test of the value of a trait, and tests of the date that it is, by key; one of them or more."""
    if not isinstance(value, dict):
        return trait_test(value)[0], {}
    dates: dict[str, DateTest] = {key: under(key, read, value[key]) for key, read in _KEYS.items() if key in value}
    rest = {name: test for name, test in value.items() if name not in _KEYS}
    if dates and not rest:
        return None, dates
    test, age = trait_test(rest)
    return test, dates if age is None else {"age": age, **dates}


def _before(value: object) -> Before:
    return Before(_date(value))


def _after(value: object) -> After:
    return After(_date(value))


def _date(value: object) -> int:
    moment = parse_date(value) if isinstance(value, str) else None
    if moment is None:
        raise ValueError(f"{value!r} is not a date; write one such as '2025-01-01' or '2025-01-01T09:00:00+01:00'")
    return moment


def _ahead(value: object) -> LiesAhead:
    if not isinstance(value, dict) or not value:
        raise ValueError("expected {at_most: 14d}, {at_least: 1d}, or both")
    only(value, _AHEAD_KEYS)
    ends = {name: under(name, duration, text) for name, text in value.items()}
    if len(ends) > 1 and ends["at_most"] <= ends["at_least"]:
        raise ValueError("at_most must be longer than at_least")
    return LiesAhead(ends.get("at_least"), ends.get("at_most"))


def _anniversary(value: object) -> Anniversary:
    if value == "today":
        value = {"today": True}
    if not isinstance(value, dict) or len(kinds := [kind for kind in _ANNIVERSARY_KINDS if kind in value]) != 1:
        raise ValueError(_ANNIVERSARY_FORM)
    only(value, (*_ANNIVERSARY_KINDS, "timezone"))
    kind, timezone = kinds[0], under("timezone", time_zone, value.get("timezone", "UTC"))
    if kind == "today":
        if value[kind] is not True:
            raise ValueError(_ANNIVERSARY_FORM)
        return Anniversary(kind, 0, timezone)
    ms = under(kind, duration, value[kind])
    if not DAY_MS <= ms <= _WITHIN_MAX_DAYS * DAY_MS:
        raise WrongValue(f".{kind}", f"the time is from 1d to {_WITHIN_MAX_DAYS}d")
    return Anniversary(kind, ms, timezone)


_KEYS: dict[str, Callable[[object], DateTest]] = {
    "before": _before,
    "after": _after,
    "ahead": _ahead,
    "anniversary": _anniversary,
}
