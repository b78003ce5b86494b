"""What ids of one person send to one another as bytes: the internal topic ``merges``, key = the id that it is for.

The one rule: written and read by workers alone, so it may change with the version; a worker that finds something else
there takes it for a dead letter.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from rules.events import UNNAMED, Event, Origin
from rules.people import Erased, Forwarded, Link, Moved, Unlinked
from streams.wire.decode import Rejected, decode_line

MERGES = "merges"

Kind = Literal["link", "unlinked", "moved", "forwarded", "erased"]
_KINDS: dict[type[Event], Kind] = {
    Link: "link", Unlinked: "unlinked", Moved: "moved", Forwarded: "forwarded", Erased: "erased",
}  # fmt: skip


class Sent(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """One record. ``origin``: where the event was read that it comes of. The other fields: as of `rules.people`."""

    kind: Kind
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


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Sent)


def encode(event: Event) -> bytes:
    """The value of the record."""
    kind, origin = _KINDS[type(event)], event.origin
    own = {name: getattr(event, name) for name in type(event).__struct_fields__ if name not in Event.__struct_fields__}
    place = None if origin is None else (origin.topic, origin.partition, origin.offset)
    return _encoder.encode(Sent(kind, event.customer, event.time, event.id, place, **own))


def read(value: bytes | None, key: bytes | None) -> Event | str:
    """The event of a record, or why it is a dead letter."""
    if value is None:
        return "not_json"
    try:
        sent = _decoder.decode(value)
    except msgspec.ValidationError:
        return "bad_value"
    except msgspec.DecodeError:
        return "not_json"
    if key != sent.customer.encode():
        return "wrong_key"
    return _event(sent)


def _event(sent: Sent) -> Event | str:
    origin = None if sent.origin is None else Origin(*sent.origin)
    if sent.kind == "forwarded":
        return _forwarded(sent, origin)
    fields: dict[str, dict[str, Any]] = {
        "link": {"into": sent.into},
        "unlinked": {"former": sent.former},
        "moved": {"profile": sent.profile, "definitions": sent.definitions, "path": sent.path},
        "erased": {"into": sent.into, "linked": sent.linked},
    }
    kind = next(made for made, name in _KINDS.items() if name == sent.kind)
    return kind(sent.customer, UNNAMED, sent.time, sent.id, origin=origin, **fields[sent.kind])


def _forwarded(sent: Sent, origin: Origin | None) -> Event | str:
    try:
        event = decode_line(sent.value, None if sent.appended_ms < 0 else sent.appended_ms, origin)
    except Rejected as rejected:
        return str(rejected.args[0])
    fields: dict[str, Any] = {name: getattr(event, name) for name in Event.__struct_fields__}
    fields["customer"] = sent.customer
    return Forwarded(**fields, path=sent.path, value=sent.value, appended_ms=sent.appended_ms)
