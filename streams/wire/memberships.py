"""Memberships as bytes: the contract of the compacted topic ``segment-memberships``.

The one rule: the newest value of a key is what is true of that customer. So a consumer that starts needs no
history: it reads this table, and continues with the changes whose sequence is higher. A key without a value
(a tombstone) is that of an erased customer; its header `ERASED_TO` is the sequence of the last change before the
erasure, so that a consumer knows which of the changes that it keeps are erased, and which came after.

See also: `streams.wire.changes` (the stream of changes), `streams.worker.output_recovery` (rows after a crash).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import msgspec
from msgspec import Meta

from rules.published_ahead import PublishedChange
from rules.reasons import Instant
from rules.times import format_instant
from streams.wire.changes import Header, SegmentChange, cloud_event
from streams.wire.json_text import decoded
from streams.wire.records import OutRecord
from streams.wire.topics import MEMBERSHIPS

TYPE = "segmenter.membership"
# The header of a tombstone; absent where the worker did not know of the customer's changes.
ERASED_TO = "sequence"


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


_SEQUENCE_MAX_DIGITS = 19

_encoder, _decoder = msgspec.json.Encoder(), msgspec.json.Decoder(Membership)


def encode(membership: Membership) -> bytes:
    """The value of the record."""
    return _encoder.encode(membership)


def decode(value: bytes) -> Membership:
    """Decode a record's value; raises `msgspec.DecodeError`."""
    return decoded(_decoder, value)


def headers(membership: Membership) -> list[Header]:
    """The CloudEvents attributes of a membership, as a change has them."""
    return cloud_event(TYPE, membership)


def membership_record(customer_id: str, membership: Membership) -> OutRecord:
    """A customer's row of the membership table."""
    return OutRecord(MEMBERSHIPS, customer_id.encode(), encode(membership), headers(membership))


def tombstone(customer_id: str, sequence: int | None) -> OutRecord:
    """The deletion of an erased customer's row. ``sequence``: of the last change before; ``None``: it is unknown."""
    headers = [] if sequence is None else [(ERASED_TO, str(sequence).encode())]
    return OutRecord(MEMBERSHIPS, customer_id.encode(), None, headers)


def row_of(customer_id: str, newest: PublishedChange | None, sequence: int) -> OutRecord:
    """A customer's row after its newest published change; ``None`` deletes it, as erased up to ``sequence``."""
    if newest is None:
        return tombstone(customer_id, sequence)
    return membership_record(customer_id, of_published(customer_id, newest))


def erased_to(headers: Sequence[Header]) -> int:
    """The sequence that a tombstone names, else 0."""
    text = next((value for name, value in headers if name == ERASED_TO), b"")
    return int(text) if text.isdigit() and len(text) < _SEQUENCE_MAX_DIGITS else 0
