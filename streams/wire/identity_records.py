"""Identity messages as bytes: what one id of a person sends to another over the internal topic ``merges``.

The key of a record is the id that receives it, so the record reaches the partition which owns that id. The anonymous
visitor `phone` logs in as the user `ann`:

    phone  Product Added                           no record: one id
    ann    page {userId: ann, anonymousId: phone}  ann's owner writes    link       key phone, other ann
    (the owner of phone reads the link)            phone's owner writes  moved      key ann, value: the profile of phone
    phone  Order Completed                         phone's owner writes  forwarded  key ann, value: the input record

Workers alone write and read the topic, so the format may change with the version; a record that cannot be read becomes
a dead letter. Records are msgpack, as events and profiles are bytes: JSON would make them a third larger, and an
event that Kafka accepted might no longer fit into a record. Records of former versions, which wrote JSON, can still be
read.

See also: `rules.identity.dispatch` (what each message does), `rules.identity.profile_merge` (profiles in parts).
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from rules.event_names import UNNAMED
from rules.events import Event, Origin
from rules.identity.events import (
    CascadedErasure,
    ErasureNotice,
    ForwardedEvent,
    Link,
    ProfileMerge,
    Unlink,
    Unlinked,
    fields_of,
)
from rules.identity.profile_merge import move_id
from rules.placeholders import BUILT_IN, Placeholders
from streams.wire.dead_letters import Undecodable, undecodable
from streams.wire.event_decoder import Rejected, decode_line

# The largest batch that brokers accept by default (message.max.bytes); the topic must accept as much.
BATCH_MAX_BYTES = 1_048_588
# The largest record; the batch around it adds less than 200 bytes.
RECORD_MAX_BYTES = 1_048_000

Kind = Literal["link", "unlinked", "unlink", "moved", "forwarded", "erased", "notice"]
_KINDS: dict[type[Event], Kind] = {
    Link: "link", Unlinked: "unlinked", Unlink: "unlink", ProfileMerge: "moved", ForwardedEvent: "forwarded",
    CascadedErasure: "erased", ErasureNotice: "notice",
}  # fmt: skip
_CLASSES: dict[Kind, type[Event]] = {kind: event_class for event_class, kind in _KINDS.items()}


class SentRecord(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One identity message. ``origin``: topic, partition and offset of the input record that led to it.

    ``other`` is the other id, which the events call ``into``, ``former`` or ``other``; ``value`` is the encoded
    profile of a `ProfileMerge`, and the input record of a `ForwardedEvent`. For the other fields see
    `rules.identity.events`. It is stored as an array, so new fields are added at the end.
    """

    kind: Kind
    customer: str
    time: int
    id: str
    origin: tuple[str, int, int] | None = None
    other: str = ""
    vouched: bool = False
    linked: int = 0
    path: tuple[str, ...] = ()
    value: bytes = b""
    appended_ms: int = -1
    definitions: str = ""
    move: int = 0
    taken: dict[int, int] = {}
    part: int = 0
    parts: int = 1
    digest: bytes = b""
    is_relayed: bool = False


class JsonRecord(msgspec.Struct, frozen=True, gc=False):
    """One identity message as former versions wrote it."""

    kind: Literal["link", "unlinked", "moved", "forwarded", "erased"]
    customer: str
    time: int
    id: str
    origin: tuple[str, int, int] | None = None
    into: str = ""
    linked: int = 0
    former: str = ""
    profile: bytes = b""
    definitions: str = ""
    path: tuple[str, ...] = ()
    value: bytes = b""
    appended_ms: int = -1


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(SentRecord)
_json_decoder = msgspec.json.Decoder(JsonRecord)


def encode(event: Event) -> bytes:
    """The value of the record of an event."""
    origin = event.origin
    place = None if origin is None else (origin.topic, origin.partition, origin.offset)
    kind = _KINDS[type(event)]
    return _encoder.encode(
        SentRecord(kind, event.customer, event.time, event.id, place, vouched=event.vouched, **_own(event))
    )


def _own(event: Event) -> dict[str, Any]:
    """The fields that only this kind of event has."""
    if isinstance(event, Link):
        return {"other": event.into}
    if isinstance(event, Unlinked):
        return {"other": event.former}
    if isinstance(event, Unlink):
        return {"other": event.other, "is_relayed": event.is_relayed}
    if isinstance(event, CascadedErasure):
        return {"other": event.into, "linked": event.linked}
    if isinstance(event, ForwardedEvent):
        return {"path": event.path, "value": event.value, "appended_ms": event.appended_ms}
    if isinstance(event, ProfileMerge):
        return {
            "value": event.profile, "definitions": event.definitions, "path": event.path, "move": event.move,
            "linked": event.linked, "taken": event.taken, "part": event.part, "parts": event.parts,
            "digest": event.digest,
        }  # fmt: skip
    return {}


def fits(event: Event) -> bool:
    """Whether the event fits into a record; only a forwarded event can be too large."""
    # A value of less than half the bound always fits: id, path and names are far smaller than the other half.
    if not isinstance(event, ForwardedEvent) or len(event.value) < RECORD_MAX_BYTES // 2:
        return True
    return len(encode(event)) + len(event.customer.encode()) <= RECORD_MAX_BYTES


def read(value: bytes | None, key: bytes | None, placeholders: Placeholders = BUILT_IN) -> Event | Undecodable:
    """The event of a record, or the reason why it is a dead letter."""
    if value is None:
        return undecodable("not_json")
    try:
        record = _of_json(value) if value[:1] == b"{" else _decoder.decode(value)
    except msgspec.ValidationError:
        return undecodable("bad_value")
    except msgspec.DecodeError:
        return undecodable("not_json")
    if key != record.customer.encode():
        return undecodable("wrong_key")
    return _event(record, placeholders)


def is_of_former_version(value: bytes) -> bool:
    """Whether a version wrote the record that did not write an `ErasureNotice` for each erasure."""
    return value[:1] == b"{"


def _of_json(value: bytes) -> SentRecord:
    """The message of a record that a former version wrote."""
    former = _json_decoder.decode(value)
    record = SentRecord(
        former.kind, former.customer, former.time, former.id, former.origin, other=former.into or former.former,
        linked=former.linked, path=former.path, value=former.value, appended_ms=former.appended_ms,
    )  # fmt: skip
    if former.kind != "moved":
        return record
    # Those versions did not name moves, nor send the time of the link: both are derived, the same at each reading.
    path = (*former.path, former.customer)
    move = move_id(path[0], path[1] if len(path) > 1 else "", former.id)
    return msgspec.structs.replace(
        record, value=former.profile, definitions=former.definitions, move=move, linked=former.time
    )


def _event(record: SentRecord, placeholders: Placeholders) -> Event | Undecodable:
    origin = None if record.origin is None else Origin(*record.origin)
    if record.kind == "forwarded":
        return _forwarded(record, origin, placeholders)
    # The inverse of `_own`: the fields that only events of this kind have.
    own: dict[Kind, dict[str, Any]] = {
        "link": {"into": record.other},
        "unlinked": {"former": record.other},
        "unlink": {"other": record.other, "is_relayed": record.is_relayed},
        "erased": {"into": record.other, "linked": record.linked},
        "notice": {},
        "moved": {
            "profile": record.value, "definitions": record.definitions, "path": record.path, "move": record.move,
            "linked": record.linked, "taken": record.taken, "part": record.part, "parts": record.parts,
            "digest": record.digest,
        },
    }  # fmt: skip
    common: dict[str, Any] = {"origin": origin, "vouched": record.vouched}
    return _CLASSES[record.kind](record.customer, UNNAMED, record.time, record.id, **common, **own[record.kind])


def _forwarded(record: SentRecord, origin: Origin | None, placeholders: Placeholders) -> Event | Undecodable:
    try:
        appended_ms = None if record.appended_ms < 0 else record.appended_ms
        event = decode_line(record.value, appended_ms, origin, placeholders)
    except Rejected as rejected:
        return undecodable(rejected.reason, rejected.field)
    fields = fields_of(event)
    # The event was another id's, so it does not identify the customer that receives it. The exception is an event whose
    # record had another id as its key (`Misaddressed`): it was the receiver's from the beginning.
    fields["identifies"] = event.identifies and event.customer == record.customer
    fields["customer"] = record.customer
    return ForwardedEvent(**fields, path=record.path, value=record.value, appended_ms=record.appended_ms)
