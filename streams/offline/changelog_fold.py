"""The fold of the ``segment-changes`` topic: the memberships that a consumer derives from all of its records.

The one rule: a repeat, known by its ``change_id``, is dropped. A change that then does not follow the one before it is
a fault of the topic, which is reported once per customer.

    entered cart  1   in cart
    entered cart  1   the same id: a repeat
    exited  cart  2   in none
    entered buyer 4   fault: change 4 follows 2

See also: `streams.offline.verification`, which compares the fold with Redis and with the recomputed customers.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping

import msgspec

from rules.times import parse_instant
from streams.wire import changes
from streams.wire.changes import SegmentChange


class FoldedCustomer(msgspec.Struct):
    """One customer: the segments that it is in, since when (ms), and the sequence of its last change.

    ``late``: a change corrected an earlier one. ``fault``: the first change that did not follow, in words.
    """

    since: dict[str, int] = {}
    sequence: int = 0
    late: bool = False
    fault: str = ""
    # The first eight bytes of each change's id: among the changes of one customer they are enough to tell a repeat.
    ids: array[int] = msgspec.field(default_factory=lambda: array("Q"))


class ChangelogFold:
    """The customers of one partition of the topic."""

    def __init__(self, upto: Mapping[str, int]) -> None:
        """``upto``: by customer, the sequence of the last change that counts; later changes are skipped.

        Redis is read before the topic, so the topic may be ahead of it by then.
        """
        self.customers: dict[str, FoldedCustomer] = {}
        self.changes = 0
        self.repeats = 0
        self._upto = upto

    def read(self, values: Iterable[bytes | None]) -> None:
        """Fold the values of records, in the order of their offsets."""
        for value in values:
            try:
                change = changes.decode(value or b"")
            except msgspec.DecodeError:
                continue  # another program wrote to the topic; `segmenter tail` reports such a record
            self._add(change)

    def _add(self, change: SegmentChange) -> None:
        customer = self.customers.get(change.customer_id)
        if customer is None:
            customer = self.customers[change.customer_id] = FoldedCustomer()
        short_id = int(change.change_id[:16], 16)
        if short_id in customer.ids:
            self.repeats += 1
        elif change.sequence <= self._upto.get(change.customer_id, change.sequence):
            self.changes += 1
            customer.ids.append(short_id)
            customer.fault = customer.fault or _fault(customer, change)
            _apply(customer, change)


def _fault(customer: FoldedCustomer, change: SegmentChange) -> str:
    """Describe why a change does not follow the one before it; empty if it does."""
    if change.sequence != customer.sequence + 1:
        return f"change {change.sequence} follows {customer.sequence}"
    if (change.change == "entered") == (change.segment in customer.since):
        return f"change {change.sequence} says {change.segment} {change.change} twice"
    after = customer.since.keys() ^ {change.segment}
    if set(change.segments) != after:
        return f"change {change.sequence} says {', '.join(change.segments) or 'none'}, which does not follow"
    return ""


def _apply(customer: FoldedCustomer, change: SegmentChange) -> None:
    if change.change == "entered":
        customer.since[change.segment] = parse_instant(change.occurred_at) or 0
    else:
        customer.since.pop(change.segment, None)
    customer.sequence = change.sequence
    customer.late |= change.late
