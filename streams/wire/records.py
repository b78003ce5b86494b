"""The records that a step publishes, by topic, and the entries of the outbox in which they wait.

The one rule: the key is the customer's id, so that the records of one customer stay in order.

See also: `streams.runtime.outbox` (from the saved entry to Kafka), `streams.wire.topics` (the topics' names).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

import msgspec

from rules.events import Event, Origin
from rules.published_ahead import PublishedChange
from streams.wire import changes, dead_letters, identity_records, memberships
from streams.wire.changes import Header
from streams.wire.memberships import Membership
from streams.wire.topics import CHANGES, DEAD_LETTERS, MEMBERSHIPS, MERGES


def change_record(change: changes.SegmentChange) -> OutRecord:
    """The record of a change."""
    return OutRecord(CHANGES, change.customer_id.encode(), changes.encode(change), changes.headers(change))


def bounded(record: OutRecord) -> OutRecord:
    """A record of the outbox, cut to the size that topics take: a former version may have saved a larger one."""
    if record.topic != CHANGES or record.value is None or len(record.value) <= changes.CHANGE_MAX_BYTES:
        return record
    return OutRecord(CHANGES, record.key, changes.bounded(record.value), record.headers)


def membership_record(customer_id: str, membership: Membership | None) -> OutRecord:
    """A customer's row of the membership table; ``None`` deletes the row (a tombstone)."""
    key = customer_id.encode()
    if membership is None:
        return OutRecord(MEMBERSHIPS, key, None, [])
    return OutRecord(MEMBERSHIPS, key, memberships.encode(membership), memberships.headers(membership))


def row_of(customer_id: str, newest: PublishedChange | None) -> OutRecord:
    """A customer's row after its newest published change; ``None`` deletes the row."""
    membership = None if newest is None else memberships.of_published(customer_id, newest)
    return membership_record(customer_id, membership)


def published_records(
    decided: Sequence[changes.SegmentChange], erased: Iterable[str], is_erased: Callable[[str], bool]
) -> list[OutRecord]:
    """The records of a step's changes: the changes in order, then one row for each of their customers.

    A customer's row is that of its last change here. It is deleted if the customer is erased: by that change, as
    ``is_erased`` says, or, for customers without a change in this step, as ``erased`` lists them.
    """
    newest = {change.customer_id: change for change in decided}
    records = [change_record(change) for change in decided]
    for customer_id in {**newest, **dict.fromkeys(sorted(erased))}:
        change = newest.get(customer_id)
        if change is None or change.cause.kind == "erasure" or is_erased(customer_id):
            records.append(membership_record(customer_id, None))
        else:
            records.append(membership_record(customer_id, memberships.of(change)))
    return records


def sent_record(event: Event) -> OutRecord:
    """The record of `merges` with which one id of a person sends something to another id."""
    return OutRecord(MERGES, event.customer.encode(), identity_records.encode(event), [])


def dead_letter_record(record: InputRecord, reason: str, partition: int) -> OutRecord:
    """The dead letter of an input record that cannot be used."""
    origin = Origin(record.topic, partition, record.offset)
    headers = dead_letters.headers(record.value, reason, origin, record.key)
    return OutRecord(DEAD_LETTERS, dead_letters.shortened(record.key), dead_letters.shortened(record.value), headers)


class OutRecord(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One record to publish: the topic's name without prefix, key, value, headers."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: list[Header]


# Topics whose records go to the partition of their key. Those of all other topics go to the partition of the outbox.
BY_KEY = frozenset({MERGES})
_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(list[OutRecord])


def encode_entry(records: Sequence[OutRecord]) -> bytes:
    """An entry of the outbox: the records of one save."""
    return _encoder.encode(records)


def decode_entry(entry: bytes) -> list[OutRecord]:
    """The records of an entry."""
    return _decoder.decode(entry)


class InputRecord(Protocol):
    """The parts of a Kafka record that are used; ``timestamp`` in ms, -1 when it has none."""

    @property
    def topic(self) -> str: ...
    @property
    def offset(self) -> int: ...
    @property
    def timestamp(self) -> int: ...
    @property
    def key(self) -> bytes | None: ...
    @property
    def value(self) -> bytes | None: ...


def size_of(record: InputRecord | OutRecord) -> int:
    """The bytes of a record's key and value. Keys count, as a key may be as large as a value."""
    return len(record.key or b"") + len(record.value or b"")


# The largest batch in which records are published together; a topic must take it (`batch_size_needed`).
BATCH_MAX_BYTES = 512 * 1024


def batch_size_needed(topic: str) -> int:
    """The max.message.bytes which a topic needs; ``topic``: its name without prefix.

    That of `merges` is larger: a single record of it may exceed `BATCH_MAX_BYTES`.
    """
    return identity_records.BATCH_MAX_BYTES if topic == MERGES else BATCH_MAX_BYTES
