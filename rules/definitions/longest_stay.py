"""How long a customer stays in a segment at most if nothing more happens to them, from the canonical form.

    performed … within: 30d          30 days after the newest event
    cart idle_for: 30m, until: 30d   from 30 minutes to 30 days after it was touched
    all of them                      until the first of them ends; any: until the last

The one rule: a bound is never too short. Whatever has no bound of its own (a trait, a count of 0, ``not``, a calendar)
counts as without end.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from rules.definitions.segments_file import Definitions
from rules.forms.description import Canonical
from rules.times import parse_duration


def longest_stay(definitions: Definitions, key: str) -> int | None:
    """The longest stay (ms) in a segment without a further event; ``None``: it has no bound."""
    segment = definitions.segment(key)
    assert segment is not None, "the caller names a segment of the definitions"
    longest = _of_group(definitions, {kind: body for kind, body in segment.canonical.items() if kind != "hold"})
    return None if longest is None else max(longest, segment.hold)


def _of_group(definitions: Definitions, condition: Mapping[str, Canonical]) -> int | None:
    ((kind, body),) = condition.items()
    if kind in ("all", "any"):
        bounds = [_of_group(definitions, member) for member in body]
        limits = [bound for bound in bounds if bound is not None]
        if kind == "all":
            return min(limits, default=None)
        return max(limits) if len(limits) == len(bounds) else None
    if kind == "in_segment":
        return longest_stay(definitions, body)
    read = _BOUNDS.get(kind)
    return None if read is None else read(body)


def _of_count(body: Canonical) -> int | None:
    count = body["count"]
    least: int = count.get("exactly", count.get("at_least", 0))
    return _ms(body["within"]) if least > 0 else None


def _of_total(body: Canonical) -> int | None:
    asks_for_some = body.get("at_least", 0) > 0 or body.get("above", -1) >= 0
    return _ms(body["within"]) if body["agg"] not in ("sum", "distinct") or asks_for_some else None


def _of_age(first: str, last: str, ages: Canonical) -> int | None:
    ends = _ms(ages.get(last))
    return None if ends is None else ends - (_ms(ages.get(first)) or 0)


def _of_recency(body: Canonical) -> int | None:
    return _of_age("at_least", "at_most", body["ago"])


# Kinds of conditions that time alone ends.
_BOUNDS: Mapping[str, Callable[[Canonical], int | None]] = {
    "performed": _of_count,
    "sessions": _of_count,
    "total": _of_total,
    "sequence": lambda body: _ms(body["within"]),
    "first": _of_recency,
    "last": _of_recency,
    "cart": partial(_of_age, "idle_for", "until"),
}


def _ms(duration: object) -> int | None:
    """A duration of a canonical form, which is written or in ms; ``None`` or 0: there is none."""
    return duration if isinstance(duration, int) and duration else parse_duration(duration)
