"""Memberships as bytes: the contract of the compacted topic ``segment-memberships``.

The one rule: the newest value of a key is what is true of that customer. So a consumer that starts needs no
history: it reads this table, and goes on with the changes whose sequence is higher. A key without a value is
that of a customer who was erased.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from rules.published_ahead import PublishedChange
from rules.reasons import Instant
from rules.times import format_instant
from streams.wire.changes import Header, SegmentChange, cloud_event

TYPE = "segmenter.membership"


class Membership(msgspec.Struct, frozen=True, gc=False):
    """Where a customer stands after a change, which ``change_id``, ``sequence`` and ``occurred_at`` are those of.

    ``segments``: sorted; none is a standing too. Compare ``sequence`` with that of a change to know which is newer.
    """

    customer_id: str
    segments: tuple[str, ...]
    sequence: Annotated[int, Meta(ge=1)]
    occurred_at: Instant
    change_id: str


def of(change: SegmentChange) -> Membership:
    """After this change."""
    return Membership(change.customer_id, change.segments, change.sequence, change.occurred_at, change.change_id)


def of_told(customer_id: str, told: PublishedChange) -> Membership:
    """After a change that was read back."""
    return Membership(customer_id, told.segments, told.sequence, format_instant(told.occurred_at), told.change_id)


_encoder, _decoder = msgspec.json.Encoder(), msgspec.json.Decoder(Membership)


def encode(membership: Membership) -> bytes:
    """The value of the record."""
    return _encoder.encode(membership)


def decode(value: bytes) -> Membership:
    """A record's value; raises `msgspec.DecodeError`."""
    return _decoder.decode(value)


def headers(membership: Membership) -> list[Header]:
    """CloudEvents attributes, as those of a change."""
    return cloud_event(TYPE, membership)
