"""Attribute values: the first or last event that has a trait or an attribute, and what it says of it.

The one rule: the earliest or newest by (time, message id) stands, in whatever order events came. Of the value only the
answers to the definitions' tests are stored, the dates that they look at, and a short form to show.

See also: `rules.facts.attribute_facts`, which answers the tests.
"""

from __future__ import annotations

import msgspec

SHOWN_MAX_CHARS = 80


class AttributeValue(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The value that one event has. Bit i of ``met``: it meets test i; ``dates``: in ms, ``None`` for no date."""

    time: int
    id: str
    met: int
    shown: str | None = None
    dates: tuple[int | None, ...] = ()

    def answers(self, other: AttributeValue | None) -> bool:
        """Whether every test is answered as by the other."""
        return other is not None and self.met == other.met and self.dates == other.dates


def stands(current: AttributeValue | None, time: int, event_id: str, *, first: bool) -> bool:
    """Whether an event comes before (``first``) or after the current value's, and so takes its place."""
    if current is None:
        return True
    return (time, event_id) < (current.time, current.id) if first else (time, event_id) > (current.time, current.id)


def merge(mine: AttributeValue | None, theirs: AttributeValue | None, *, first: bool) -> AttributeValue | None:
    """The value of two profiles that stands."""
    if mine is None or theirs is None:
        return mine or theirs
    return theirs if stands(mine, theirs.time, theirs.id, first=first) else mine


def shortened(text: str) -> str:
    """What is shown of a text."""
    return text if len(text) <= SHOWN_MAX_CHARS else text[: SHOWN_MAX_CHARS - 1] + "…"
