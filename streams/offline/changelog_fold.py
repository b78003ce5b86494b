"""The fold of the ``segment-changes`` topic: what a reader knows who has followed it from its first record.

The one rule: what is known by its ``change_id`` is dropped, and whatever then is out of turn is a
fault of the topic, said once per customer.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping

import msgspec

from rules.times import parse_instant
from streams.wire import changes
from streams.wire.changes import SegmentChange


class Folded(msgspec.Struct):
    """One customer: in which segments since when (ms), after so many changes.

    ``late``: a change put right what was said before. ``fault``: what was out of turn, if anything.
    """

    since: dict[str, int] = {}
    sequence: int = 0
    late: bool = False
    fault: str = ""
    # The first eight bytes of the ids, by sequence: a customer's own are enough to know a repeat by.
    ids: array[int] = msgspec.field(default_factory=lambda: array("Q"))


class ChangelogFold:
    """The customers of one partition of the topic."""

    def __init__(self, upto: Mapping[str, int]) -> None:
        """``upto``: of each customer the last change that counts; what came after it is not looked at."""
        self.customers: dict[str, Folded] = {}
        self.changes = 0
        self.repeats = 0
        self._upto = upto

    def read(self, values: Iterable[bytes | None]) -> None:
        """Fold these records, in their order."""
        for value in values:
            try:
                change = changes.decode(value or b"")
            except msgspec.DecodeError:
                continue  # anybody may write to a topic, and `tail` says it
            self._add(change)

    def _add(self, change: SegmentChange) -> None:
        known = self.customers.get(change.customer_id)
        if known is None:
            known = self.customers[change.customer_id] = Folded()
        short = int(change.change_id[:16], 16)
        if short in known.ids:
            self.repeats += 1
        elif change.sequence <= self._upto.get(change.customer_id, change.sequence):
            self.changes += 1
            known.ids.append(short)
            known.fault = known.fault or _fault(known, change)
            _apply(known, change)


def _fault(known: Folded, change: SegmentChange) -> str:
    """What is out of turn with a change, in words; empty when nothing is."""
    if change.sequence != known.sequence + 1:
        return f"change {change.sequence} follows {known.sequence}"
    if (change.change == "entered") == (change.segment in known.since):
        return f"change {change.sequence} says {change.segment} {change.change} twice"
    after = known.since.keys() ^ {change.segment}
    if set(change.segments) != after:
        return f"change {change.sequence} says {', '.join(change.segments) or 'none'}, which does not follow"
    return ""


def _apply(known: Folded, change: SegmentChange) -> None:
    if change.change == "entered":
        known.since[change.segment] = parse_instant(change.occurred_at) or 0
    else:
        known.since.pop(change.segment, None)
    known.sequence = change.sequence
    known.late |= change.late
