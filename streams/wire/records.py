"""The records that a step publishes, by topic.

The one rule: the key is the customer's id, so that what concerns one customer stays in order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

import msgspec

from rules.events import Event, Origin
from rules.published_ahead import PublishedChange
from streams.wire import changes, dead_letters, memberships, merges
from streams.wire.changes import Header
from streams.wire.memberships import Membership
from streams.wire.topics import CHANGES, DEAD_LETTERS, MEMBERSHIPS, MERGES


def change_record(change: changes.SegmentChange) -> OutRecord:
    """A change."""
    return OutRecord(CHANGES, change.customer_id.encode(), changes.encode(change), changes.headers(change))


def bounded(record: OutRecord) -> OutRecord:
    """A record of the outbox as this version would save it: one saved by a former version may be too large."""
    if record.topic != CHANGES or record.value is None or len(record.value) <= changes.CHANGE_MAX_BYTES:
        return record
    return OutRecord(CHANGES, record.key, changes.bounded(record.value), record.headers)


def membership_record(customer_id: str, membership: Membership | None) -> OutRecord:
    """A customer's row of the table; ``None`` takes it away."""
    key = customer_id.encode()
    if membership is None:
        return OutRecord(MEMBERSHIPS, key, None, [])
    return OutRecord(MEMBERSHIPS, key, memberships.encode(membership), memberships.headers(membership))


def said_row(customer_id: str, told: PublishedChange | None) -> OutRecord:
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


def dead_letter_record(record: InputRecord, reason: str, partition: int) -> OutRecord:
    """A record that cannot be used, as it came."""
    headers = dead_letters.headers(record.value, reason, Origin(record.topic, partition, record.offset), record.key)
    return OutRecord(DEAD_LETTERS, dead_letters.kept(record.key), dead_letters.kept(record.value), headers)


class OutRecord(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One record to publish: the topic's name without prefix, key, value, headers."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: list[Header]


# Published to the partition of its key, whoever publishes it; of all else the partition is that of the outbox.
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
    """What is needed of a Kafka record; ``timestamp`` in ms, -1 when it has none."""

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


# Of what is published together; a topic must take so much (`batch_size_needed`).
BATCH_MAX_BYTES = 512 * 1024


def batch_size_needed(topic: str) -> int:
    """The max.message.bytes which a topic needs; ``topic``: its name without prefix.

    A single record of `merges` may be larger than what is published together.
    """
    return merges.BATCH_MAX_BYTES if topic == MERGES else BATCH_MAX_BYTES
