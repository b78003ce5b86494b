"""Reasons: why a condition holds or does not, as data and as words.

The one rule: a reason shows what was observed beside what was asked, so that whoever reads a
segment change needs no access to the profile. These structs are part of the public contract.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import msgspec

from rules.predicates import Shown
from rules.times import format_duration, parse_duration

Instant = Annotated[str, msgspec.Meta(description="RFC 3339, UTC, milliseconds")]


class Observed(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """What was seen.

    ``count``: orders, events or sessions in the window; ``or_more``: there may be more of them,
    which no test asks about and so are not kept. ``items``: the quantity in the cart. ``value``:
    of a total or of the cart; absent where there is nothing to average or compare. ``stage``: how
    far the cart came. ``values``: traits or attributes as they are known, shortened; null: not
    known. ``first_at``, ``last_at``: the earliest or newest of it, also when it has left the
    window. ``since``: when the segment asked about was entered. ``date``: the local day.
    """

    count: int | None = None
    or_more: bool = False
    items: int | float | None = None
    value: int | float | None = None
    stage: str | None = None
    values: dict[str, str | None] | None = None
    first_at: Instant | None = None
    last_at: Instant | None = None
    since: Instant | None = None
    date: str | None = None


class StepAsked(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """A step of a sequence, as the definition has it."""

    event: str | tuple[str, ...]
    where: Mapping[str, Shown] | None = None


class Reason(msgspec.Struct, frozen=True, omit_defaults=True, rename={"not_": "not"}, gc=False):
    """One node: either members under ``all``, ``any`` or ``not``, or a ``condition``.

    A condition shows what it saw (``observed``) beside what it asked (``test`` and the
    definition's own keys). ``until`` is the instant at which time alone may turn the answer.
    """

    holds: bool
    condition: str | None = None
    observed: Observed | None = None
    test: Mapping[str, Shown] | None = None
    until: Instant | None = None
    event: str | tuple[str, ...] | None = None
    where: Mapping[str, Shown] | None = None
    within: str | None = None
    gap: str | None = None
    agg: str | None = None
    of: str | None = None
    steps: list[StepAsked] | None = None
    same: str | None = None
    touch: str | None = None
    segment: str | None = None
    all: list[Reason] | None = None
    any: list[Reason] | None = None
    not_: list[Reason] | None = None


def sentence(reason: Reason) -> str:
    """What was seen and what was asked, as one phrase in English."""
    if reason.all is not None:
        return " and ".join(map(_member, reason.all))
    if reason.any is not None:
        return " or ".join(map(_member, reason.any))
    if reason.not_ is not None:
        return "none of: " + "; ".join(map(sentence, reason.not_))
    phrase = {"cart": _cart, "performed": _performed, "sessions": _sessions}[reason.condition or ""]
    return phrase(reason)


def _member(reason: Reason) -> str:
    return f"({sentence(reason)})" if reason.condition is None else sentence(reason)


def _cart(reason: Reason) -> str:
    observed, test = reason.observed or Observed(), reason.test or {}
    if not observed.items:
        return "the cart is empty" if observed.last_at else "no open cart"
    holds = f"the cart holds {_number(observed.items)} item" + ("" if observed.items == 1 else "s")
    quiet = f"no cart activity since {observed.last_at}"
    if reason.holds and "idle_for" not in test:
        return f"{holds}, touched at {observed.last_at}"
    if reason.holds:
        return f"{quiet}, for {_words(test['idle_for'])}; {holds}"
    if reason.until is not None:
        return f"{holds}, touched at {observed.last_at}, less than {_words(test.get('idle_for'))} ago"
    return f"{quiet}, for {_words(test.get('until'))} or longer; {holds}"


def _number(number: float) -> str:
    return f"{number:.6f}".rstrip("0").rstrip(".")


def _performed(reason: Reason) -> str:
    events = (reason.event,) if isinstance(reason.event, str) else reason.event or ()
    more = " or more" if reason.observed and reason.observed.or_more else ""
    return f"{_count(reason)}{more} × {' or '.join(events)} {_window(reason)} ({_asked(reason)})"


def _sessions(reason: Reason) -> str:
    count = _count(reason)
    return f"{count} session{'' if count == 1 else 's'} {_window(reason)} ({_asked(reason)})"


def _count(reason: Reason) -> int:
    return (reason.observed and reason.observed.count) or 0


def _window(reason: Reason) -> str:
    return f"within {_words(reason.within)}" if reason.within else "ever"


def _asked(reason: Reason) -> str:
    return "asked: " + ", ".join(f"{name.replace('_', ' ')} {number}" for name, number in (reason.test or {}).items())


def _words(duration: object) -> str:
    """``30m`` → ``30 minutes``."""
    ms = parse_duration(duration)
    if ms is None:
        return ""
    short = format_duration(ms)
    number = short.rstrip("dhms")
    unit = {"d": "day", "h": "hour", "m": "minute", "s": "second", "ms": "millisecond"}[short[len(number) :]]
    return f"{number} {unit}" + ("" if number == "1" else "s")
