"""The records that a step publishes, by topic.

The one rule: the key is the customer's id, so that what concerns one customer stays in order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from rules.ahead import Told
from rules.events import Event, Origin
from streams.merge import Record
from streams.outbox import OutRecord
from streams.wire import changes, dead_letters, memberships, merges
from streams.wire.merges import MERGES

CHANGES = "segment-changes"
MEMBERSHIPS = "segment-memberships"
DEAD_LETTERS = "dead-letters"


def change_record(change: changes.SegmentChange) -> OutRecord:
    """A change."""
    return OutRecord(CHANGES, change.customer_id.encode(), changes.encode(change), changes.headers(change))


def bounded(record: OutRecord) -> OutRecord:
    """A record of the outbox as this version would save it: one saved by a former version may be too large."""
    if record.topic != CHANGES or record.value is None or len(record.value) <= changes.CHANGE_MAX_BYTES:
        return record
    return OutRecord(CHANGES, record.key, changes.bounded(record.value), record.headers)


def membership_record(customer_id: str, membership: memberships.Membership | None) -> OutRecord:
    """A customer's row of the table; ``None`` takes it away."""
    key = customer_id.encode()
    if membership is None:
        return OutRecord(MEMBERSHIPS, key, None, [])
    return OutRecord(MEMBERSHIPS, key, memberships.encode(membership), memberships.headers(membership))


def said_row(customer_id: str, told: Told | None) -> OutRecord:
    """The row after a published change; without one, none."""
    return membership_record(customer_id, None if told is None else memberships.of_told(customer_id, told))


def told_records(
    told: Sequence[changes.SegmentChange], erased: Iterable[str], is_erased: Callable[[str], bool]
) -> list[OutRecord]:
    """Changes, and the row of each of their customers; ``erased``: who else has none any more."""
    newest = {change.customer_id: change for change in told}
    out = [change_record(change) for change in told]
    for customer_id in {**newest, **dict.fromkeys(sorted(erased))}:
        change = newest.get(customer_id)
        if change is None or change.cause.kind == "erasure" or is_erased(customer_id):
            out.append(membership_record(customer_id, None))
        else:
            out.append(membership_record(customer_id, memberships.of(change)))
    return out


def sent_record(event: Event) -> OutRecord:
    """What one id of a person sends to another."""
    return OutRecord(MERGES, event.customer.encode(), merges.encode(event), [])


def dead_letter_record(record: Record, reason: str, partition: int) -> OutRecord:
    """A record that cannot be used, as it came."""
    headers = dead_letters.headers(record.value, reason, Origin(record.topic, partition, record.offset), record.key)
    return OutRecord(DEAD_LETTERS, dead_letters.kept(record.key), dead_letters.kept(record.value), headers)
