"""Definitions in words: what a segment asks, which events it looks at, what it keeps of a customer.

The one rule: the words come from the canonical form, which is what decides, so they cannot tell
another story than the file.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from rules.definitions.segments_file import Definitions, Segment, closure
from rules.facts.base import Fact
from rules.times import format_duration, parse_duration, words
from rules.value_tests import ENDS

Form = Mapping[str, object]


def sentence(segment: Segment) -> str:
    """What the segment asks, as one English sentence."""
    form = {kind: body for kind, body in segment.canonical.items() if kind != "hold"}
    stay = f"; stays for at least {words(segment.hold)}" if segment.hold else ""
    return _capital(_condition(form)) + stay + "."


def events(segment: Segment, definitions: Definitions) -> list[str]:
    """The event names that can change it; ``any`` where every event may."""
    names: set[str] = set()
    for fact in _facts(segment, definitions):
        names |= {"any"} if fact.names is None else fact.names
    return sorted(names)


def bytes_most(segment: Segment, definitions: Definitions) -> int:
    """About how many bytes its facts take of a stored customer at their bounds; shared facts count in full."""
    return sum(fact.bytes_most for fact in _facts(segment, definitions))


def windows(segment: Segment) -> list[str]:
    """Every duration that it looks back over, shortest first."""
    return [format_duration(ms) for ms in sorted(set(_durations(segment.canonical)))]


def _facts(segment: Segment, definitions: Definitions) -> list[Fact]:
    """What is kept of a customer for it and for the segments that it asks about."""
    keys = closure(segment.key, definitions.segments)
    mask = sum(1 << index for index, other in enumerate(definitions.segments) if other.key in keys)
    return [fact for fact, looking in definitions.facts.with_segments() if looking & mask]


def _durations(form: object) -> list[int]:
    if isinstance(form, Mapping):
        found = [form[key] for key in ("within", "idle_for", "until") if form.get(key)]
        found += [parse_duration(told) for told in _form(form.get("ago", {})).values()]
        own = [ms for ms in found if isinstance(ms, int)]
        return own + [ms for value in form.values() for ms in _durations(value)]
    return [ms for value in form for ms in _durations(value)] if isinstance(form, list) else []


# --- words


def _condition(form: Form) -> str:
    ((kind, body),) = form.items()
    return _KINDS[kind](body)


def _members(body: object, between: str) -> str:
    assert isinstance(body, list)
    return between.join(f"({_condition(one)})" if set(one) & {"all", "any"} else _condition(one) for one in body)


def _none(body: object) -> str:
    assert isinstance(body, list)
    return f"not: {_condition(body[0])}" if len(body) == 1 else f"none of: {_members(body, '; ')}"


def _performed(body: object) -> str:
    form = _form(body)
    return f"{_count(_form(form['count']))} × {_event(form)}{_within(form)}"


def _sessions(body: object) -> str:
    form = _form(body)
    gap = f", each ended by {_duration(form['gap'])} without activity"
    return f"{_count(_form(form['count']))} sessions{_within(form)}{gap}"


def _total(body: object) -> str:
    form = _form(body)
    agg = {"sum": "sum", "avg": "average", "min": "least", "max": "greatest", "distinct": "number of different values"}
    test = _test({name: form[name] for name in ENDS if name in form})
    return f"{agg[str(form['agg'])]} of {form['of']} of {_event(form)}{_within(form)} is {test}"


def _moment(which: str) -> Callable[[object], str]:
    def told(body: object) -> str:
        form = _form(body)
        ago = _form(form["ago"])
        ends = [f"at least {_long(ago['at_least'])} ago"] if "at_least" in ago else []
        ends += [f"less than {_long(ago['at_most'])} ago"] if "at_most" in ago else []
        return f"{which} {_event(form)} was {' and '.join(ends) or 'ever'}"

    return told


def _sequence(body: object) -> str:
    form = _form(body)
    found = form["steps"]
    assert isinstance(found, list)
    same = f", all with the same {form['same']}" if "same" in form else ""
    return ", then ".join(_event(step) for step in found) + same + _within(form)


def _cart(body: object) -> str:
    form = _form(body)
    told = ["something is in the cart"]
    told += [f"the cart's {name} is {_test(form[name])}" for name in ("stage", "value", "items") if name in form]
    told += [f"untouched for {_duration(form['idle_for'])}"] if form["idle_for"] else []
    told += [f"until {_duration(form['until'])} after it was touched last"] if form["until"] else []
    return ", ".join(told)


def _trait(body: object) -> str:
    return " and ".join(f"trait {name} is {_test(test)}" for name, test in _form(body).items())


def _context(body: object) -> str:
    form = _form(body)
    asked = " and ".join(f"{name} is {_test(test)}" for name, test in form.items() if name != "touch")
    return f"{form['touch']} known {asked}"


def _in_segment(body: object) -> str:
    return f"in segment {body}"


def _calendar(body: object) -> str:
    form = _form(body)
    days = []
    if "between" in form:
        between = form["between"]
        assert isinstance(between, list)
        days.append(f"from {between[0]} to {between[1]} ({form['calendar']})")
    if "weekday" in form:
        weekdays = form["weekday"]
        assert isinstance(weekdays, list)
        days.append(f"on {' or '.join(weekdays)}")
    return f"the day is {' and '.join(days)} in {form['timezone']}"


def _sample(body: object) -> str:
    form = _form(body)
    return f"among a stable {_number(form['percent'])} % of the customers (salt {form['salt'] or 'empty'})"


_KINDS: dict[str, Callable[[object], str]] = {
    "all": lambda body: _members(body, "; and "),
    "any": lambda body: _members(body, "; or "),
    "not": _none,
    "performed": _performed,
    "total": _total,
    "last": _moment("the last"),
    "first": _moment("the first"),
    "sequence": _sequence,
    "cart": _cart,
    "sessions": _sessions,
    "trait": _trait,
    "context": _context,
    "in_segment": _in_segment,
    "calendar": _calendar,
    "sample": _sample,
}


def _form(body: object) -> Form:
    assert isinstance(body, Mapping)
    return body


def _event(form: Form) -> str:
    given = form["event"]
    names = " or ".join(given) if isinstance(given, list | tuple) else str(given)
    where = " and ".join(f"{name} is {_test(test)}" for name, test in _form(form.get("where", {})).items())
    return f"{names} where {where}" if where else names


def _within(form: Form) -> str:
    return f" within {_duration(form['within'])}" if form.get("within") else " ever"


def _count(form: Form) -> str:
    return " and ".join(f"{name.replace('_', ' ')} {number}" for name, number in form.items())


def _test(test: object) -> str:
    if not isinstance(test, Mapping):
        return _number(test)
    return " and ".join(_part(str(name), value) for name, value in test.items())


def _part(name: str, value: object) -> str:
    if name == "exists":
        return "known" if value else "not known"
    if name == "age":
        return f"of age {_test(value)}"
    asked = {"in": "one of", "not_in": "known and none of", "contains": "something that contains", "matches": "like"}
    told = ", ".join(map(_number, value)) if isinstance(value, list) else _number(value)
    return f"{asked.get(name, name.replace('_', ' '))} {told}"


def _number(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"{value:,}" if isinstance(value, int | float) else str(value)


def _duration(ms: object) -> str:
    assert isinstance(ms, int)
    return words(ms)


def _long(short: object) -> str:
    """``30d`` in words, as durations of a test are written."""
    ms = parse_duration(short)
    assert ms is not None
    return words(ms)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
