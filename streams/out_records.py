"""The records that a step publishes, by topic.

The one rule: the key is the customer's id, so that what concerns one customer stays in order.
"""

from __future__ import annotations

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


def membership_record(customer_id: str, membership: memberships.Membership | None) -> OutRecord:
    """A customer's row of the table; ``None`` takes it away."""
    key = customer_id.encode()
    if membership is None:
        return OutRecord(MEMBERSHIPS, key, None, [])
    return OutRecord(MEMBERSHIPS, key, memberships.encode(membership), memberships.headers(membership))


def sent_record(event: Event) -> OutRecord:
    """What one id of a person sends to another."""
    return OutRecord(MERGES, event.customer.encode(), merges.encode(event), [])


def dead_letter_record(record: Record, reason: str, partition: int) -> OutRecord:
    """A record that cannot be used, as it came."""
    headers = dead_letters.headers(record.value, reason, Origin(record.topic, partition, record.offset), record.key)
    return OutRecord(DEAD_LETTERS, dead_letters.kept(record.key), dead_letters.kept(record.value), headers)
