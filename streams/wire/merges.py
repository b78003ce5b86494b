"""What ids of one person send to one another as bytes: the internal topic ``merges``, key = the id that it is for.

Written and read by workers alone, so it may change with the version; a worker that reads something else there takes it
for a dead letter. Records are msgpack, as events and profiles are bytes: in JSON they would grow by a third, and an
event that Kafka took would not fit into a record any more. Records of versions before, which wrote JSON, are read on.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from rules.events import UNNAMED, Event, Origin
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
from rules.identity.profile_moves import move_id
from rules.placeholders import BUILT_IN, Placeholders
from streams.wire.decode import Rejected, decode_line

# Of a batch, as brokers take it by default (message.max.bytes); the topic must take as much.
BATCH_MAX_BYTES = 1_048_588
# Of a whole record; the batch around it adds less than 200.
RECORD_MAX_BYTES = 1_048_000

Kind = Literal["link", "unlinked", "unlink", "moved", "forwarded", "erased", "notice"]
_KINDS: dict[type[Event], Kind] = {
    Link: "link", Unlinked: "unlinked", Unlink: "unlink", ProfileMerge: "moved", ForwardedEvent: "forwarded",
    CascadedErasure: "erased", ErasureNotice: "notice",
}  # fmt: skip
_CLASSES: dict[Kind, type[Event]] = {kind: made for made, kind in _KINDS.items()}


class SentRecord(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One record. ``origin``: where the event which it comes of was read.

    For the other fields see `rules.identity.resolution`.

    ``other`` is the other id: ``into``, ``former`` or ``other`` there. Fields are added at the end alone.
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
    """One record as former versions wrote it."""

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
    """The value of the record."""
    origin = event.origin
    place = None if origin is None else (origin.topic, origin.partition, origin.offset)
    kind = _KINDS[type(event)]
    return _encoder.encode(
        SentRecord(kind, event.customer, event.time, event.id, place, vouched=event.vouched, **_own(event))
    )


def _own(event: Event) -> dict[str, Any]:
    """The fields that are those of the kind alone."""
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
    """Whether a record holds it; of all kinds only an event that is sent on may be too large."""
    if not isinstance(event, ForwardedEvent) or len(event.value) < RECORD_MAX_BYTES // 2:
        return True
    return len(encode(event)) + len(event.customer.encode()) <= RECORD_MAX_BYTES


def read(value: bytes | None, key: bytes | None, placeholders: Placeholders = BUILT_IN) -> Event | str:
    """The event of a record, or why it is a dead letter."""
    if value is None:
        return "not_json"
    try:
        record = _of_json(value) if value[:1] == b"{" else _decoder.decode(value)
    except msgspec.ValidationError:
        return "bad_value"
    except msgspec.DecodeError:
        return "not_json"
    if key != record.customer.encode():
        return "wrong_key"
    return _event(record, placeholders)


def is_of_former_version(value: bytes) -> bool:
    """Whether a version wrote it that noted no erasures (`rules.identity.resolution.ErasureNotice`)."""
    return value[:1] == b"{"


def _of_json(value: bytes) -> SentRecord:
    former = _json_decoder.decode(value)
    record = SentRecord(
        former.kind, former.customer, former.time, former.id, former.origin, other=former.into or former.former,
        linked=former.linked, path=former.path, value=former.value, appended_ms=former.appended_ms,
    )  # fmt: skip
    if former.kind != "moved":
        return record
    path = (*former.path, former.customer)
    move = move_id(path[0], path[1] if len(path) > 1 else "", former.id)
    return msgspec.structs.replace(
        record, value=former.profile, definitions=former.definitions, move=move, linked=former.time
    )


def _event(record: SentRecord, placeholders: Placeholders) -> Event | str:
    origin = None if record.origin is None else Origin(*record.origin)
    if record.kind == "forwarded":
        return _forwarded(record, origin, placeholders)
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


def _forwarded(record: SentRecord, origin: Origin | None, placeholders: Placeholders) -> Event | str:
    try:
        appended_ms = None if record.appended_ms < 0 else record.appended_ms
        event = decode_line(record.value, appended_ms, origin, placeholders)
    except Rejected as rejected:
        return str(rejected.args[0])
    fields = fields_of(event)
    # It names the customer that it is for only where its record had come under another key.
    fields["identifies"] = event.identifies and event.customer == record.customer
    fields["customer"] = record.customer
    return ForwardedEvent(**fields, path=record.path, value=record.value, appended_ms=record.appended_ms)
