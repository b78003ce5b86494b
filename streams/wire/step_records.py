"""The records that a step publishes: changes, rows of memberships, records for other ids, and dead letters.

The key is the customer's id, so that the records of one customer stay in order.

See also: `streams.worker.step_writer` (which of them a step has), `streams.wire.memberships` (the row of a customer).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from rules.customer import Customer
from rules.events import Event, Origin
from streams.wire import changes, dead_letters, identity_records, memberships
from streams.wire.memberships import membership_record, tombstone
from streams.wire.records import InputRecord, OutRecord
from streams.wire.topics import CHANGES, DEAD_LETTERS, MERGES


def change_record(change: changes.SegmentChange) -> OutRecord:
    """The record of a change."""
    return OutRecord(CHANGES, change.customer_id.encode(), changes.encode(change), changes.headers(change))


def bounded(record: OutRecord) -> OutRecord:
    """A record of the outbox, cut to the size that topics take: a former version may have saved a larger one."""
    if record.topic != CHANGES or record.value is None or len(record.value) <= changes.CHANGE_MAX_BYTES:
        return record
    return OutRecord(CHANGES, record.key, changes.bounded(record.value), record.headers)


def published_records(
    decided: Sequence[changes.SegmentChange], erased: Iterable[str], customer_of: Callable[[str], Customer]
) -> list[OutRecord]:
    """The records of a step's changes: the changes in order, then one row for each of their customers.

    A customer's row is that of its last change here. It is deleted if the customer is erased: by that change, as
    ``customer_of`` says, or, for customers without a change in this step, as ``erased`` lists them.
    """
    newest = {change.customer_id: change for change in decided}
    records = [change_record(change) for change in decided]
    for customer_id in {**newest, **dict.fromkeys(sorted(erased))}:
        change = newest.get(customer_id)
        if change is None:
            records.append(tombstone(customer_id, customer_of(customer_id).sequence))
        elif change.cause.kind == "erasure" or customer_of(customer_id).is_erased:
            records.append(tombstone(customer_id, change.sequence))
        else:
            records.append(membership_record(customer_id, memberships.of(change)))
    return records


def sent_record(event: Event) -> OutRecord:
    """The record of `merges` with which one id of a person sends something to another id."""
    return OutRecord(MERGES, event.customer.encode(), identity_records.encode(event), [])


def dead_letter_record(record: InputRecord, why: dead_letters.Undecodable, partition: int) -> OutRecord:
    """The dead letter of an input record that cannot be used."""
    origin = Origin(record.topic, partition, record.offset)
    headers = dead_letters.headers(record.value, why, origin, record.key)
    return OutRecord(DEAD_LETTERS, dead_letters.shortened(record.key), dead_letters.shortened(record.value), headers)
