"""Describes parts of a definition in English words: events, windows, counts, tests.

The words come from the canonical form, which decides.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rules.times import parse_duration, words
from rules.value_tests import ENDS

# The canonical form of a condition's body; Any: each kind has its own.
Canonical = Any


def events(form: Canonical) -> str:
    """The events of a condition, and the tests of their properties."""
    names = form["event"]
    text = " or ".join(names) if isinstance(names, list | tuple) else str(names)
    where = " and ".join(f"{name} is {value_test(test)}" for name, test in form.get("where", {}).items())
    text = f"{text} where {where}" if where else text
    times = _times(form)
    return f"{text} ({times})" if times else text


def _times(form: Canonical) -> str:
    """The days, weekdays and hours of events."""
    parts = []
    days = form.get("on")
    if isinstance(days, Mapping):
        parts += [f"{'since' if end == 'from' else 'up to'} {day}" for end, day in days.items()]
    elif days:
        parts.append(f"on {days[0]}" if days[0] == days[1] else f"from {days[0]} to {days[1]}")
    if form.get("weekday"):
        parts.append(f"on {' or '.join(form['weekday'])}")
    if form.get("hours"):
        parts.append(f"between {form['hours']['from']} and {form['hours']['to']}")
    if form.get("timezone"):
        parts.append(f"in {form['timezone']}")
    return " ".join(parts)


def window(form: Canonical) -> str:
    """The window of a condition."""
    if form.get("between"):
        first, last = form["between"]
        return f" between {words(first)} and {words(last)} ago"
    return f" within {words(form['within'])}" if form.get("within") else " ever"


def count(form: Canonical) -> str:
    """A test of a count."""
    return " and ".join(f"{name.replace('_', ' ')} {number}" for name, number in form.items())


def range_of(form: Canonical) -> str:
    """The ends of a range among the keys of a mapping."""
    return value_test({name: form[name] for name in ENDS if name in form})


def value_test(test: object) -> str:
    """A test of a value; it may be a value alone."""
    if not isinstance(test, Mapping):
        return value(test)
    return " and ".join(_part(str(name), operand) for name, operand in test.items())


def _part(name: str, operand: object) -> str:
    if name == "exists":
        return "known" if operand else "not known"
    if name == "age":
        return f"of age {value_test(operand)}"
    if name == "ahead":
        return f"ahead {value_test(operand)}"
    if name == "anniversary":
        return f"a date with its anniversary {_anniversary(operand)}"
    verbs = {
        "in": "one of",
        "not_in": "known and none of",
        "contains": "something that contains",
        "not_contains": "nothing that contains",
        "starts_with": "something that starts with",
        "ends_with": "something that ends with",
        "matches": "like",
        "exact": "exactly",
    }
    text = ", ".join(map(value, operand)) if isinstance(operand, list) else value(operand)
    return f"{verbs.get(name, name.replace('_', ' '))} {text}"


def _anniversary(test: Canonical) -> str:
    kind = next(key for key in test if key != "timezone")
    words_of = "today" if kind == "today" else f"{kind.replace('_', ' the ')} {test[kind]}"
    return f"{words_of} in {test['timezone']}" if "timezone" in test else words_of


def value(given: object) -> str:
    """A single value."""
    if isinstance(given, bool):
        return "true" if given else "false"
    return f"{given:,}" if isinstance(given, int | float) else str(given)


def long_duration(short: object) -> str:
    """Write a duration such as ``30d`` in words."""
    ms = parse_duration(short)
    assert ms is not None
    return words(ms)
