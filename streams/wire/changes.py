"""Segment changes as bytes: the contract of the ``segment-changes`` topic.

The one rule: the key is the customer id, the value is this JSON, the headers are CloudEvents 1.0
(binary mode of the Kafka protocol binding). Fields are added, never renamed.

A change is never dropped, so it must always fit into a record: `encode` gives at most `CHANGE_MAX_BYTES`.
Only its reason, and the sentences made of it, can be too long; those are cut and marked
(`rules.reason_limits`, `rules.sentences.reason_sentence`). All other fields are bounded where they come from and are
never cut: 1,000 segments with keys of 64 characters, ids of 256 bytes or characters.

See also: `streams.wire.memberships` (the newest state of each customer), `streams.wire.records` (the
records of a step), `streams.triggers.decision_log` (what becomes of a change that a trigger acts on).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal, Protocol

import msgspec
from msgspec import UNSET, Meta, UnsetType
from msgspec.structs import replace

from rules import reason_limits
from rules.changes import Change
from rules.published_ahead import PublishedChange
from rules.reason_limits import REASON_MAX_BYTES
from rules.reasons import Instant, Reason
from rules.sentences.reason_sentence import LANGUAGES, SENTENCE_MAX_CHARS, sentence
from rules.times import format_instant, parse_instant
from rules.untrusted_texts import shortened
from streams.wire.json_text import decoded

SOURCE = "segmenter"
TYPE_PREFIX = "segmenter.segment."
# The largest value of a record: 67 kB of membership, 8 KiB of reason, two sentences of at most 8 kB each, and room for
# later fields. It is an eighth of the batch that a topic takes by default (max.message.bytes, 1,048,588). A change of
# a customer in a few dozen segments takes less than the 20 kB that Standard Webhooks advises for a payload.
CHANGE_MAX_BYTES = 128 * 1024
# The longest ids and membership together, which are never cut. Those that workers write stay below 65,000.
_UNCUT_MAX_CHARS = 100_000

Header = tuple[str, bytes]


class Cause(msgspec.Struct, frozen=True, gc=False):
    """The cause that made a decision necessary; for an event also its id and where it was read."""

    kind: Literal["event", "time", "definition", "merge", "erasure"]
    event_id: str | None = None
    topic: str | UnsetType | None = UNSET
    partition: int | UnsetType | None = UNSET
    offset: int | UnsetType | None = UNSET


class SegmentChange(msgspec.Struct, frozen=True, gc=False):
    """A customer entered or left a segment.

    ``change_id`` is the same however often the decision is made, so that a consumer recognises a
    repeat by it. ``sequence`` counts per customer, without gaps. ``segments`` is the membership
    after this change, sorted. ``late``: the change corrects earlier ones, because an event arrived
    after its time, or was read in another order after a loss. ``definition``: fingerprint of the
    segments file that decided. ``said``: the reason as one sentence, by language; a long one ends
    with an ellipsis, and a right-to-left one is safe to embed unchanged. ``data``: what the segment's definition
    includes of the customer, as it was when the change was decided.
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
    data: dict[str, Any] | UnsetType = UNSET
    emitted_at: Instant | UnsetType = UNSET


class _CauseHead(msgspec.Struct, frozen=True, gc=False):
    kind: str


class _ChangeHead(msgspec.Struct, frozen=True, gc=False):
    """The fields that identify a change and say what is true after it; the others are not decoded."""

    change_id: str
    customer_id: str
    occurred_at: str
    sequence: int
    segments: tuple[str, ...]
    cause: _CauseHead


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(SegmentChange)
_head_decoder = msgspec.json.Decoder(_ChangeHead)


def of(change: Change, emitted_at: str | UnsetType = UNSET, languages: Sequence[str] = LANGUAGES) -> SegmentChange:
    """The public form of a decided change.

    Without ``emitted_at`` (a replay) the cause does not say from which topic and offset its event was read.
    """
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
        data=UNSET if change.data is None else dict(change.data),
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
    # Nearly every change ends here: if the whole value is within the bound of a reason, its reason is, too.
    if len(value) <= REASON_MAX_BYTES:
        return value
    sentences = {language: shortened(text, SENTENCE_MAX_CHARS) for language, text in change.said.items()}
    return _encoder.encode(replace(change, reason=reason_limits.bounded(change.reason), said=sentences))


def bounded(value: bytes) -> bytes:
    """A record's value, cut to `CHANGE_MAX_BYTES` as `encode` does: a former version may have written a longer one."""
    if len(value) <= CHANGE_MAX_BYTES:
        return value
    return encode(decode(value))


def decode(value: bytes) -> SegmentChange:
    """Decode a record's value; raises `msgspec.DecodeError`."""
    return decoded(_decoder, value)


def published_change(value: bytes) -> tuple[str, PublishedChange]:
    """The customer and the change of a published record; raises `msgspec.DecodeError`.

    It refuses a record whose ids and membership are too long for a row of the membership topic: other programs can
    write to the topic of changes, and a row is made of what is read back from it.
    """
    head = decoded(_head_decoder, value)
    if len(head.customer_id) + len(head.change_id) + sum(map(len, head.segments)) > _UNCUT_MAX_CHARS:
        raise msgspec.ValidationError("longer than any change that a worker writes")
    occurred_at = parse_instant(head.occurred_at)
    if occurred_at is None:
        raise msgspec.ValidationError(f"{head.occurred_at!r} is no instant")
    is_erasure = head.cause.kind == "erasure"
    return head.customer_id, PublishedChange(head.change_id, occurred_at, head.sequence, head.segments, is_erasure)


def identity(headers: Sequence[tuple[str, bytes]]) -> tuple[bytes, ...]:
    """The header that identifies the record of a change: ``ce_id``, its change id."""
    return tuple(value for name, value in headers if name == "ce_id")


def headers(change: SegmentChange) -> list[Header]:
    """The CloudEvents attributes of a change."""
    return cloud_event(TYPE_PREFIX + change.change, change)


class Occurred(Protocol):
    """A record's content of which the attributes of a CloudEvent are made."""

    @property
    def change_id(self) -> str: ...
    @property
    def customer_id(self) -> str: ...
    @property
    def occurred_at(self) -> str: ...


def cloud_event(kind: str, content: Occurred) -> list[Header]:
    """The CloudEvents attributes of a record as headers.

    See https://github.com/cloudevents/spec, kafka-protocol-binding.md, 3.2.
    """
    return [
        ("ce_specversion", b"1.0"),
        ("ce_id", content.change_id.encode()),
        ("ce_source", SOURCE.encode()),
        ("ce_type", kind.encode()),
        ("ce_subject", content.customer_id.encode()),
        ("ce_time", content.occurred_at.encode()),
        ("content-type", b"application/json"),
    ]
