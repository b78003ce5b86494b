"""Memberships as bytes: the contract of the compacted topic ``segment-memberships``.

The one rule: the newest value of a key is what is true of that customer. So a consumer that starts needs no
history: it reads this table, and continues with the changes whose sequence is higher. A key without a value
(a tombstone) is that of an erased customer.

See also: `streams.wire.changes` (the stream of changes), `streams.worker.output_recovery` (rows after a crash).
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from rules.published_ahead import PublishedChange
from rules.reasons import Instant
from rules.times import format_instant
from streams.wire.changes import Header, SegmentChange, cloud_event
from streams.wire.records import OutRecord
from streams.wire.topics import MEMBERSHIPS

TYPE = "segmenter.membership"


class Membership(msgspec.Struct, frozen=True, gc=False):
    """The segments of a customer after a change; ``change_id``, ``sequence`` and ``occurred_at`` are that change's.

    ``segments`` is sorted, and may be empty. Compare ``sequence`` with that of a change to know which is newer.
    """

    customer_id: str
    segments: tuple[str, ...]
    sequence: Annotated[int, Meta(ge=1)]
    occurred_at: Instant
    change_id: str


def of(change: SegmentChange) -> Membership:
    """The membership after this change."""
    return Membership(change.customer_id, change.segments, change.sequence, change.occurred_at, change.change_id)


def of_published(customer_id: str, change: PublishedChange) -> Membership:
    """The membership after a change that was read back from its topic."""
    occurred_at = format_instant(change.occurred_at)
    return Membership(customer_id, change.segments, change.sequence, occurred_at, change.change_id)


_encoder, _decoder = msgspec.json.Encoder(), msgspec.json.Decoder(Membership)


def encode(membership: Membership) -> bytes:
    """The value of the record."""
    return _encoder.encode(membership)


def decode(value: bytes) -> Membership:
    """Decode a record's value; raises `msgspec.DecodeError`."""
    return _decoder.decode(value)


def headers(membership: Membership) -> list[Header]:
    """The CloudEvents attributes of a membership, as a change has them."""
    return cloud_event(TYPE, membership)


def membership_record(customer_id: str, membership: Membership | None) -> OutRecord:
    """A customer's row of the membership table; ``None`` deletes the row (a tombstone)."""
    key = customer_id.encode()
    if membership is None:
        return OutRecord(MEMBERSHIPS, key, None, [])
    return OutRecord(MEMBERSHIPS, key, encode(membership), headers(membership))


def row_of(customer_id: str, newest: PublishedChange | None) -> OutRecord:
    """A customer's row after its newest published change; ``None`` deletes the row."""
    membership = None if newest is None else of_published(customer_id, newest)
    return membership_record(customer_id, membership)
