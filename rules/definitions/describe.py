"""Describes definitions in words: a segment's condition, its events, and the bytes that it stores of a customer.

The words come from the canonical form, which decides, so they cannot differ from the rules in force.

See also: `rules.conditions`, where each kind of condition says how it is described.
"""

from __future__ import annotations

from collections.abc import Mapping

from rules.conditions.kinds import CONDITION_KINDS
from rules.definitions.decision_order import closure
from rules.definitions.segments_file import Definitions, Segment
from rules.facts.base import Fact
from rules.forms.description import Canonical
from rules.times import format_duration, parse_duration, words

_DESCRIBE = {kind.key: kind.describe for kind in CONDITION_KINDS}


def sentence(segment: Segment) -> str:
    """The condition of a segment as one English sentence."""
    form = {kind: body for kind, body in segment.canonical.items() if kind != "hold"}
    stay = f"; stays for at least {words(segment.hold)}" if segment.hold else ""
    return _capital(_condition(form)) + stay + "."


def events(segment: Segment, definitions: Definitions) -> list[str]:
    """The names of events that can change a segment; ``any`` where every event may."""
    names: set[str] = set()
    for fact in _facts(segment, definitions):
        names |= {"any"} if fact.names is None else fact.names
    return sorted(names)


def bytes_most(segment: Segment, definitions: Definitions) -> int:
    """About how many bytes a segment's facts take in a stored customer at most; shared facts count in full."""
    return sum(fact.bytes_most for fact in _facts(segment, definitions))


def windows(segment: Segment) -> list[str]:
    """The windows of a segment's condition, shortest first."""
    return [format_duration(ms) for ms in sorted(set(_durations(segment.canonical)))]


def _facts(segment: Segment, definitions: Definitions) -> list[Fact]:
    """The facts that are stored for a segment and for those that its condition names."""
    keys = closure(segment.key, definitions.named)
    mask = sum(1 << index for index, other in enumerate(definitions.segments) if other.key in keys)
    return [fact for fact, looking in definitions.facts.with_segments() if looking & mask]


def _durations(form: object) -> list[int]:
    if isinstance(form, list):
        return [ms for value in form for ms in _durations(value)]
    if not isinstance(form, Mapping):
        return []
    durations = [form[key] for key in ("within", "idle_for", "until", "half_life") if form.get(key)]
    durations += form.get("between", ()) if form.get("count") else ()
    ago = form.get("ago", {})
    durations += [parse_duration(short) for short in ago.values()] if isinstance(ago, Mapping) else []
    of_members = [ms for value in form.values() for ms in _durations(value)]
    return [ms for ms in durations if isinstance(ms, int)] + of_members


def _condition(form: Canonical) -> str:
    ((key, body),) = form.items()
    if key == "all":
        return _members(body, "; and ")
    if key == "any":
        return _members(body, "; or ")
    if key == "not":
        return f"not: {_condition(body[0])}" if len(body) == 1 else f"none of: {_members(body, '; ')}"
    return _DESCRIBE[key](body)


def _members(members: list[Canonical], between: str) -> str:
    texts = [f"({_condition(form)})" if set(form) & {"all", "any"} else _condition(form) for form in members]
    return between.join(texts)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
