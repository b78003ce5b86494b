"""Segment changes as bytes: the contract of the ``segment-changes`` topic.

The one rule: the key is the customer id, the value is this JSON, the headers are CloudEvents 1.0
(binary mode of the Kafka protocol binding). Fields are added, never renamed.

A change is never dropped, so it always fits: `encode` gives at most `CHANGE_MAX_BYTES`. What makes
one too large is its reason and the sentences made of it; those are cut and marked
(`rules.reason_limits`, `rules.sentences`). All else is bounded where it comes from and never cut:
1,000 segments with keys of 64 characters, ids of 256 bytes or characters.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal, Protocol

import msgspec
from msgspec import UNSET, Meta, UnsetType
from msgspec.structs import replace

from rules import reason_limits
from rules.languages.untrusted import shortened
from rules.published_ahead import PublishedChange
from rules.reason_limits import REASON_MAX_BYTES
from rules.reasons import Instant, Reason
from rules.sentences import LANGUAGES, SENTENCE_MAX_CHARS, sentence
from rules.standing import Change
from rules.times import format_instant, parse_instant

SOURCE = "segmenter"
TYPE_PREFIX = "segmenter.segment."
# Of a record's value: 67 kB of membership, 8 KiB of reason, two sentences of at most 8 kB each, and room for what is
# to come. An eighth of what a topic takes by default in a batch (max.message.bytes, 1,048,588). Where a customer is in
# a few dozen segments a change takes less than the 20 kB that Standard Webhooks advises for a payload.
CHANGE_MAX_BYTES = 128 * 1024
# Of what is never cut; of ours it is 65,000 at most.
_UNCUT_MAX_CHARS = 100_000

Header = tuple[str, bytes]


class Cause(msgspec.Struct, frozen=True, gc=False):
    """What made the decision necessary; the event and where it was read, when it was one."""

    kind: Literal["event", "time", "definition", "merge", "erasure"]
    event_id: str | None = None
    topic: str | UnsetType | None = UNSET
    partition: int | UnsetType | None = UNSET
    offset: int | UnsetType | None = UNSET


class SegmentChange(msgspec.Struct, frozen=True, gc=False):
    """A customer entered or left a segment.

    ``change_id`` is the same wherever and however often the decision is made, so a repeat is
    recognised by it. ``sequence`` counts per customer, without gaps. ``segments`` is the
    membership after this change, sorted. ``late``: this puts right what was said before, as an
    event arrived after its time, or was read in another order after a loss. ``definition``:
    fingerprint of what decided. ``said``: the reason as one sentence, by language, of which a
    long one ends with an ellipsis; a right-to-left one is safe to embed as it is.
    """

    change_id: str
    customer_id: str
    segment: str
    change: Literal["entered", "exited"]
    occurred_at: Instant
    sequence: Annotated[int, Meta(ge=1)]
    segments: tuple[str, ...]
    cause: Cause
    reason: Reason
    definition: str
    late: bool = False
    backfill: bool = False
    said: dict[str, str] = {}
    emitted_at: Instant | UnsetType = UNSET


class _ToldCause(msgspec.Struct, frozen=True, gc=False):
    kind: str


class _ChangeHead(msgspec.Struct, frozen=True, gc=False):
    """As much of a change as says which one it is and what is true after it."""

    change_id: str
    customer_id: str
    occurred_at: str
    sequence: int
    segments: tuple[str, ...]
    cause: _ToldCause


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(SegmentChange)
_told_decoder = msgspec.json.Decoder(_ChangeHead)


def of(change: Change, emitted_at: str | UnsetType = UNSET, languages: Sequence[str] = LANGUAGES) -> SegmentChange:
    """The public form. Without ``emitted_at`` (a replay) it says nothing of where it was read."""
    return SegmentChange(
        change_id=change.id,
        customer_id=change.customer,
        segment=change.segment,
        change=change.kind,
        occurred_at=format_instant(change.occurred_at),
        sequence=change.sequence,
        segments=change.segments,
        cause=_cause(change, live=emitted_at is not UNSET),
        reason=change.reason,
        definition=change.definition,
        late=change.late,
        backfill=change.backfill,
        said={language: sentence(change.reason, language) for language in languages},
        emitted_at=emitted_at,
    )


def _cause(change: Change, *, live: bool) -> Cause:
    if change.event is None:
        return Cause(change.cause)
    origin = change.event.origin
    if origin is None or not live:
        return Cause(change.cause, change.event.id)
    return Cause(change.cause, change.event.id, origin.topic, origin.partition, origin.offset)


def encode(change: SegmentChange) -> bytes:
    """The value of the record, of at most `CHANGE_MAX_BYTES`."""
    value = _encoder.encode(change)
    # Nearly always: what is shorter in all has no longer reason.
    if len(value) <= REASON_MAX_BYTES:
        return value
    said = {language: shortened(words, SENTENCE_MAX_CHARS) for language, words in change.said.items()}
    return _encoder.encode(replace(change, reason=reason_limits.bounded(change.reason), said=said))


def bounded(value: bytes) -> bytes:
    """A record's value as `encode` gives it; what a former version wrote may be longer."""
    if len(value) <= CHANGE_MAX_BYTES:
        return value
    return encode(decode(value))


def decode(value: bytes) -> SegmentChange:
    """A record's value; raises `msgspec.DecodeError`."""
    return _decoder.decode(value)


def told(value: bytes) -> tuple[str, PublishedChange]:
    """Of which customer a published change is, and which one; raises `msgspec.DecodeError`.

    Its row must be publishable, too: what others wrote may have ids or a membership of any length.
    """
    read = _told_decoder.decode(value)
    if len(read.customer_id) + len(read.change_id) + sum(map(len, read.segments)) > _UNCUT_MAX_CHARS:
        raise msgspec.ValidationError("longer than any change of ours")
    occurred_at = parse_instant(read.occurred_at)
    if occurred_at is None:
        raise msgspec.ValidationError(f"{read.occurred_at!r} is no instant")
    erased = read.cause.kind == "erasure"
    return read.customer_id, PublishedChange(read.change_id, occurred_at, read.sequence, read.segments, erased)


def identity(headers: Sequence[tuple[str, bytes]]) -> tuple[bytes, ...]:
    """What a record of a change is known by, read from its headers."""
    return tuple(value for name, value in headers if name == "ce_id")


def headers(change: SegmentChange) -> list[Header]:
    """CloudEvents attributes of a change."""
    return cloud_event(TYPE_PREFIX + change.change, change)


class Occurred(Protocol):
    """What the attributes of a CloudEvent are read from."""

    @property
    def change_id(self) -> str: ...
    @property
    def customer_id(self) -> str: ...
    @property
    def occurred_at(self) -> str: ...


def cloud_event(kind: str, what: Occurred) -> list[Header]:
    """CloudEvents attributes, https://github.com/cloudevents/spec kafka-protocol-binding.md, 3.2."""
    return [
        ("ce_specversion", b"1.0"),
        ("ce_id", what.change_id.encode()),
        ("ce_source", SOURCE.encode()),
        ("ce_type", kind.encode()),
        ("ce_subject", what.customer_id.encode()),
        ("ce_time", what.occurred_at.encode()),
        ("content-type", b"application/json"),
    ]
