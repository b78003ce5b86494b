"""Attribute values: of the first or last event that has a trait or a context's attribute.

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
        """Whether every test has the same answer as in another value."""
        return other is not None and self.met == other.met and self.dates == other.dates


def stands(current: AttributeValue | None, time: int, event_id: str, *, first: bool) -> bool:
    """Whether an event precedes (``first``) or follows the current value's, and so replaces it."""
    if current is None:
        return True
    return (time, event_id) < (current.time, current.id) if first else (time, event_id) > (current.time, current.id)


def merge(mine: AttributeValue | None, theirs: AttributeValue | None, *, first: bool) -> AttributeValue | None:
    """Merge the values of two profiles: the earliest or newest of them."""
    if mine is None or theirs is None:
        return mine or theirs
    return theirs if stands(mine, theirs.time, theirs.id, first=first) else mine


def shortened(text: str) -> str:
    """Cut a text to the length that reasons show."""
    return text if len(text) <= SHOWN_MAX_CHARS else text[: SHOWN_MAX_CHARS - 1] + "…"
