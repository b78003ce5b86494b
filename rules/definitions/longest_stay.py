"""How long a customer stays in a segment at most, from the canonical form.

    performed … within: 30d          30 days after the newest event; another event renews the stay
    cart idle_for: 30m, until: 30d   from 30 minutes to 30 days after it was touched; a touch ends the stay
    all of them                      until the first of them ends; any: one may begin when another ends

The one rule: a bound is never too short. Whatever has no bound of its own (a trait, a count of 0, ``not``, a calendar)
counts as without end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from rules.conditions.score import HALF_LIVES
from rules.definitions.segments_file import Definitions
from rules.forms.description import Canonical
from rules.times import parse_duration


class LongestStay(NamedTuple):
    """The longest stay (ms): if nothing more happens, and whatever happens; ``None``: there is no bound."""

    alone: int | None
    ever: int | None


_ENDLESS = LongestStay(None, None)


def longest_stay(definitions: Definitions, key: str) -> LongestStay:
    """The longest stay in a segment."""
    segment = definitions.segment(key)
    assert segment is not None, "the caller names a segment of the definitions"
    longest = _of_group(definitions, {kind: body for kind, body in segment.canonical.items() if kind != "hold"})
    return LongestStay(*(None if bound is None else max(bound, segment.hold) for bound in longest))


def _of_group(definitions: Definitions, condition: Mapping[str, Canonical]) -> LongestStay:
    ((kind, body),) = condition.items()
    if kind == "all":
        members = [_of_group(definitions, member) for member in body]
        return LongestStay(_least(member.alone for member in members), _least(member.ever for member in members))
    if kind == "any":
        members = [_of_group(definitions, member) for member in body]
        return LongestStay(_sum(member.alone for member in members), None)
    if kind == "in_segment":
        return longest_stay(definitions, body)
    read = _BOUNDS.get(kind)
    return _ENDLESS if read is None else read(body)


def _least(bounds: Iterable[int | None]) -> int | None:
    return min((bound for bound in bounds if bound is not None), default=None)


def _sum(bounds: Iterable[int | None]) -> int | None:
    each = list(bounds)
    limits = [bound for bound in each if bound is not None]
    return sum(limits) if len(limits) == len(each) else None


def _of_count(body: Canonical) -> LongestStay:
    count = body["count"]
    least: int = count.get("exactly", count.get("at_least", 0))
    if least > 0 and body.get("between"):
        longer, shorter = body["between"]
        return LongestStay(longer - shorter, None)
    return LongestStay(_ms(body["within"]), None) if least > 0 else _ENDLESS


def _of_total(body: Canonical) -> LongestStay:
    asks_for_some = body.get("at_least", 0) > 0 or body.get("above", -1) >= 0
    is_bounded = body["agg"] not in ("sum", "distinct") or asks_for_some
    return LongestStay(_ms(body["within"]), None) if is_bounded else _ENDLESS


def _of_score(body: Canonical) -> LongestStay:
    asks_for_some = body.get("at_least", 0) > 0 or body.get("above", -1) >= 0
    return LongestStay(HALF_LIVES * body["half_life"], None) if asks_for_some else _ENDLESS


def _of_age(first: str, last: str, ages: Canonical) -> int | None:
    ends = _ms(ages.get(last))
    return None if ends is None else ends - (_ms(ages.get(first)) or 0)


def _of_first(body: Canonical) -> LongestStay:
    bound = _of_age("at_least", "at_most", body["ago"])
    return LongestStay(bound, bound)


def _of_newest(first: str, ages: Canonical, bound: int | None) -> LongestStay:
    """Of what is measured from the newest event: another one ends the stay, or where it may be new renews it."""
    return LongestStay(bound, bound if _ms(ages.get(first)) else None)


def _of_last(body: Canonical) -> LongestStay:
    return _of_newest("at_least", body["ago"], _of_age("at_least", "at_most", body["ago"]))


def _of_cart(body: Canonical) -> LongestStay:
    return _of_newest("idle_for", body, _of_age("idle_for", "until", body))


# Kinds of conditions that time alone ends.
_BOUNDS: Mapping[str, Callable[[Canonical], LongestStay]] = {
    "performed": _of_count,
    "sessions": _of_count,
    "total": _of_total,
    "score": _of_score,
    "sequence": lambda body: LongestStay(_ms(body["within"]), None),
    "first": _of_first,
    "last": _of_last,
    "cart": _of_cart,
}


def _ms(duration: object) -> int | None:
    """A duration of a canonical form, which is written or in ms; ``None`` or 0: there is none."""
    return duration if isinstance(duration, int) and duration else parse_duration(duration)
