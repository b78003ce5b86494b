"""Decodes a record into an event, or gives the reason why it cannot be used.

The one rule: the reasons are a closed list (`streams.wire.dead_letters.REASONS`), checked in its order; the first that
applies wins.
What `decode` accepts is a complete event, so no later module checks it again.

    value of a record → `_read`: size → `_fields`: JSON, types of the fields → `_decoded`: ids, message id,
    time, type → `_event`: properties, traits, context → an `Event`; `Rejected` at the first thing that is wrong

See also: `streams.wire.segment_spec` (the fields), `streams.wire.customer_ids` (customer and other id),
`streams.wire.shop` (items and orders), `streams.wire.identity_records` (records between ids of one person).
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec

from rules.context import NO_CONTEXT, PAGE_WITHOUT_CONTEXT, Context
from rules.events import (
    ALIASES,
    ERASE,
    IDENTIFY,
    INPUTS,
    PAGE,
    SHOP_NAMES,
    UNNAMED,
    Event,
    Origin,
)
from rules.identity.events import Misaddressed, Unlink, fields_of
from rules.placeholders import BUILT_IN, Placeholders
from rules.profile.deduplication import AHEAD_MAX_MS
from rules.profile.profile import short_id
from rules.times import parse_instant
from rules.values import NO_DOCUMENT, Document
from streams import defects
from streams.wire.customer_ids import CUSTOMER_MAX_BYTES, Rejected, customer_of, is_id, names_user, present, previous_of
from streams.wire.dead_letters import Head, Undecodable, undecodable
from streams.wire.segment_spec import NOTHING, Envelope
from streams.wire.shop import shop_fields

__all__ = ["CUSTOMER_MAX_BYTES", "DEPTH_MAX", "RECORD_MAX_BYTES", "Rejected", "decode", "decode_line", "read"]

RECORD_MAX_BYTES = 1024 * 1024
DEPTH_MAX = 100  # nested objects and lists: later readers of a value rely on it
# A longer message id is replaced by its head and a hash: it goes into every change that its event causes.
MESSAGE_ID_MAX_CHARS = 256
OLDEST_MS = int(datetime(2000, 1, 1, tzinfo=UTC).timestamp() * 1000)

_TYPES = {
    "page": PAGE, "screen": PAGE, "identify": IDENTIFY, "alias": "alias", "group": "group", "erase": ERASE,
    "unlink": UNNAMED,
}  # fmt: skip
# The trusted topic: only systems which may vouch for ids write to it, so erasures, aliases and unlinks count there.
_PROFILES = INPUTS[0]
_envelope = msgspec.json.Decoder(Envelope)
_raw_envelope = msgspec.json.Decoder(
    msgspec.defstruct("RawEnvelope", [(name, msgspec.Raw, NOTHING) for name in Envelope.__struct_fields__])
)
_WRONG: Any = object()


def decode(
    value: bytes | None,
    key: bytes | None,
    record_time: int | None,
    origin: Origin,
    placeholders: Placeholders = BUILT_IN,
) -> Event:
    """The event of a record; ``record_time`` (ms) is its Kafka time, if it has one. Raises `Rejected`.

    The key must be the customer's id, as the key decides the partition. If it is another id that the record names, or
    a placeholder that was taken for one, the event is `Misaddressed`: it is sent on to its customer's partition.
    """
    fields = _read(value)
    event = _decoded(fields, record_time, origin, placeholders)
    if event.name == UNNAMED and not origin.topic.endswith(_PROFILES):
        raise Rejected("bad_type")  # a claim looks for erasures and unlinks on that topic alone
    if key != event.customer.encode():
        return _misaddressed(event, key, fields)
    return event


def _misaddressed(event: Event, key: bytes | None, fields: Envelope) -> Misaddressed:
    """The event of a record whose key is another id that the record names. Raises `Rejected`."""
    if not key or event.name == UNNAMED:
        raise Rejected("wrong_key")
    for text in (fields.userId, fields.anonymousId):
        if isinstance(text, str) and key == text.encode() and is_id(text):
            return Misaddressed(**fields_of(event), key=text)
    raise Rejected("wrong_key")


def read(
    value: bytes | None, key: bytes | None, timestamp: int, origin: Origin, placeholders: Placeholders = BUILT_IN
) -> Event | Undecodable:
    """The event of a Kafka record, or the reason why it is a dead letter. ``timestamp``: ms, -1 when it has none."""
    try:
        return decode(value, key, timestamp if timestamp >= 0 else None, origin, placeholders)
    except Rejected as rejected:
        return undecodable(str(rejected.args[0]))
    except Exception as error:  # noqa: BLE001  # a defect, but no record may stop the worker at each start
        defects.report(f"the reading of {origin.topic}-{origin.partition}, offset {origin.offset}", error)
        return undecodable("bad_value")


def decode_line(
    value: bytes | None,
    record_time: int | None = None,
    origin: Origin | None = None,
    placeholders: Placeholders = BUILT_IN,
) -> Event:
    """The event of a value without a key, as a line of a file is. Raises `Rejected`."""
    return _decoded(_read(value), record_time, origin, placeholders)


def _read(value: bytes | None) -> Envelope:
    if value is None:
        raise Rejected("not_json")
    if len(value) > RECORD_MAX_BYTES or isinstance(value, Head):
        raise Rejected("too_large")
    return _fields(value)


def _decoded(fields: Envelope, record_time: int | None, origin: Origin | None, placeholders: Placeholders) -> Event:
    """The event of these fields, checked in the order of `streams.wire.dead_letters.REASONS`. Raises `Rejected`."""
    user = present(fields.userId, placeholders)
    anonymous = present(fields.anonymousId, placeholders)
    customer = customer_of(user, anonymous)
    previous = previous_of(fields, placeholders)
    if not isinstance(fields.messageId, str) or not fields.messageId:
        raise Rejected("no_message_id")
    time = _time(fields.timestamp, record_time)
    name = _name(fields.type, fields.event)
    if name == UNNAMED:
        return _request(customer, previous, time, fields, origin)
    # The other id of the same person: that of an alias, else the anonymous one.
    link = previous or (anonymous if isinstance(anonymous, str) and is_id(anonymous) else None)
    if link == customer:
        link = None
    # An alias on the trusted topic is vouched for, and so is its customer: it counts as the id of a user.
    vouched = previous is not None and (origin is None or origin.topic.endswith(_PROFILES))
    identifies = vouched or (user is not None and (user != anonymous or names_user(name, fields, origin)))
    return _event(customer, name, time, fields, origin, link, vouched, identifies)


def _request(customer: str, previous: str | None, time: int, fields: Envelope, origin: Origin | None) -> Event:
    """A request about a customer's ids: to erase the customer, or to unlink it from another id. Raises `Rejected`."""
    if fields.type != "unlink":
        return Event(customer, ERASE, time, _message_id(fields), origin=origin)
    if previous is None or previous == customer:
        raise Rejected("bad_id")
    return Unlink(customer, UNNAMED, time, _message_id(fields), origin=origin, other=previous)


def _fields(value: bytes) -> Envelope:
    """The fields that are used. After an error of one type they come from `_loose`, so types are checked again later.

    Raises `Rejected`.
    """
    try:
        # msgspec does not decode the strings that it skips, so UTF-8 is checked here (0.05 µs when ASCII).
        if not value.isascii():
            value.decode()
        if value.count(b"{") + value.count(b"[") > DEPTH_MAX and _is_too_deep(value):
            raise Rejected("not_json")
        return _envelope.decode(value)
    except msgspec.ValidationError:
        return _loose(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise Rejected("not_json") from None


def _is_too_deep(value: bytes) -> bool:
    # NumPy takes 12 MB of memory, and most workers never read a value with so many brackets.
    from streams.wire.json_depth import is_deeper  # noqa: PLC0415

    return is_deeper(value, DEPTH_MAX)


def _loose(value: bytes) -> Envelope:
    """Decode the fields without checking types; `_decoded` then reports the first error in the order of `REASONS`.

    A field of a wrong type gets the value `_WRONG`. Raises `Rejected`. See `streams.wire.dead_letters` for the reasons.
    """
    try:
        msgspec.json.decode(value, type=msgspec.Raw)  # is it JSON? Fields that are not used are not checked further
        document = _raw_envelope.decode(value)  # not into a dict: a hostile object has 100,000 names
    except msgspec.ValidationError:
        raise Rejected("not_object") from None
    except (msgspec.DecodeError, RecursionError):
        raise Rejected("not_json") from None
    fields = Envelope()
    for name in ("type", "messageId", "timestamp", "event", "userId", "anonymousId", "previousId"):
        setattr(fields, name, _field(getattr(document, name), str | None))
    for name in ("properties", "traits", "context"):
        setattr(fields, name, getattr(document, name))
    return fields


def _field(raw: msgspec.Raw, right: Any) -> Any:
    """The value if it is of the right type, else `_WRONG`, which has none of the types."""
    try:
        return msgspec.json.decode(raw, type=right)
    except (msgspec.DecodeError, RecursionError):
        return _WRONG


def _time(timestamp: object, record_time: int | None) -> int:
    """The time of an event (ms): at most that of its record, which the broker's clock bounds. Raises `Rejected`.

    A device's clock may be a little fast: an event at most `AHEAD_MAX_MS` after its record takes the record's time.
    """
    if not isinstance(timestamp, str):
        raise Rejected("no_timestamp")
    time = parse_instant(timestamp)
    if time is None or time < OLDEST_MS:
        raise Rejected("absurd_timestamp")
    if record_time is None or time <= record_time:
        return time
    if time > record_time + AHEAD_MAX_MS:
        raise Rejected("absurd_timestamp")
    return record_time


def _name(kind: object, event: object) -> str:
    """The name of an event: that of a track, else the type. Raises `Rejected`."""
    if kind == "track":
        if not isinstance(event, str) or not event:
            raise Rejected("bad_value")
        # Names and types share one namespace: a track that is called `page` counts as a page.
        return ALIASES.get(event) or _TYPES.get(event) or event
    name = _TYPES.get(kind) if isinstance(kind, str) else None
    if name is None:
        raise Rejected("bad_type")
    return name


def _message_id(fields: Envelope) -> str:
    assert fields.messageId is not None
    return fields.messageId if len(fields.messageId) <= MESSAGE_ID_MAX_CHARS else short_id(fields.messageId)


# It has eight parameters, since an object that holds the values would cost as much as the event itself.
def _event(
    customer: str,
    name: str,
    time: int,
    fields: Envelope,
    origin: Origin | None,
    link: str | None,
    vouched: bool,
    identifies: bool,
) -> Event:
    message_id = _message_id(fields)
    properties = _document(fields.properties)
    context = PAGE_WITHOUT_CONTEXT if name == PAGE else NO_CONTEXT
    if fields.context is not NOTHING and bytes(fields.context)[:1] == b"{":
        context = Context(fields.context, of_page=name == PAGE)
    if name in SHOP_NAMES:
        try:
            items, order, amount_ = shop_fields(name, fields.properties)
        except (ValueError, msgspec.DecodeError, RecursionError):
            raise Rejected("bad_value") from None
        return Event(
            customer, name, time, message_id, items, order, amount_, origin, properties, NO_DOCUMENT, context, link,
            vouched, identifies,
        )  # fmt: skip
    traits = _document(fields.traits) if name == IDENTIFY else NO_DOCUMENT
    return Event(
        customer,
        name,
        time,
        message_id,
        origin=origin,
        properties=properties,
        traits=traits,
        context=context,
        link=link,
        vouched=vouched,
        identifies=identifies,
    )


def _document(raw: msgspec.Raw) -> Document:
    """A document that is decoded only when a rule reads it. Raises `Rejected` if it is no object."""
    if raw is NOTHING:
        return NO_DOCUMENT
    if bytes(raw)[:1] not in (b"{", b"n"):
        raise Rejected("bad_value")
    return Document(raw)
