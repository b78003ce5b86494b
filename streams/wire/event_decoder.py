"""Decodes a record into an event, or gives the reason why it cannot be used.

The one rule: the reasons are a closed list (`streams.wire.dead_letters.REASONS`), checked in its order; the first that
applies wins.
What `decode` accepts is a complete event, so no later module checks it again.

    value of a record → `read_envelope`: size, JSON → `_decoded`: ids, message id, time, type → `_event`: properties,
    traits, context → an `Event`; `Rejected` at the first thing that is wrong

No value of a property, trait or context is wrong: what cannot be read is unknown, and the event counts without it.

See also: `streams.wire.envelope` (the fields), `streams.wire.customer_ids` (customer and other id),
`streams.wire.event_times`, `streams.wire.shop` (items and orders), `streams.wire.identity_records` (records between ids
of one person).
"""

from __future__ import annotations

import re

import msgspec

from rules.context import NO_CONTEXT, PAGE_WITHOUT_CONTEXT, Context
from rules.event_names import ERASE, IDENTIFY, INPUTS, PAGE, SHOP_NAMES, UNNAMED, reserved_name
from rules.events import Event, Origin
from rules.identity.events import Misaddressed, Unlink, fields_of
from rules.placeholders import BUILT_IN, Placeholders
from rules.profile.short_ids import short_id
from rules.values import NO_DOCUMENT, Document
from streams import defects
from streams.wire.customer_ids import CUSTOMER_MAX_BYTES, Rejected, customer_of, is_id, names_user, present, previous_of
from streams.wire.dead_letters import Undecodable, undecodable
from streams.wire.envelope import DEPTH_MAX, RECORD_MAX_BYTES, LooseEnvelope, read_envelope
from streams.wire.event_times import event_time
from streams.wire.segment_spec import NOTHING, Envelope
from streams.wire.shop import shop_fields

__all__ = ["CUSTOMER_MAX_BYTES", "DEPTH_MAX", "RECORD_MAX_BYTES", "Rejected", "decode", "decode_line", "read"]

# A longer message id is replaced by its head and a hash: it goes into every change that its event causes.
MESSAGE_ID_MAX_CHARS = 256

_TYPES = {
    "page": PAGE, "screen": PAGE, "identify": IDENTIFY, "alias": "alias", "group": "group", "erase": ERASE,
    "unlink": UNNAMED,
}  # fmt: skip
# The trusted topic: only systems which may vouch for ids write to it, so erasures, aliases and unlinks count there.
_PROFILES = INPUTS[0]
_FLOAT = re.compile(rb"(-?\d+)\.0+")


class _ContextTraits(msgspec.Struct, gc=False):
    """The part of a context that is read of an identify."""

    traits: msgspec.Raw = NOTHING


_contexts = msgspec.json.Decoder(_ContextTraits)


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
    fields = read_envelope(value)
    event = _decoded(fields, record_time, origin, placeholders)
    if event.name == UNNAMED and not origin.topic.endswith(_PROFILES):
        raise Rejected("bad_type", "type")  # a claim looks for erasures and unlinks on that topic alone
    if key != event.customer.encode():
        return _misaddressed(event, key, fields)
    return event


def _misaddressed(event: Event, key: bytes | None, fields: Envelope) -> Misaddressed:
    """The event of a record whose key is another spelling or id that the record names. Raises `Rejected`."""
    if not key or event.name == UNNAMED:
        raise Rejected("wrong_key", "key")
    texts = [text.encode() for text in (fields.userId, fields.anonymousId) if isinstance(text, str)]
    is_float = _FLOAT.fullmatch(key)
    spellings = fields.spellings if isinstance(fields, LooseEnvelope) else ()
    if key in texts or key in spellings or (is_float and is_float[1] in texts):
        text = key.decode()
        if is_id(text):
            return Misaddressed(**fields_of(event), key=text)
    raise Rejected("wrong_key", "key")


def read(
    value: bytes | None, key: bytes | None, timestamp: int, origin: Origin, placeholders: Placeholders = BUILT_IN
) -> Event | Undecodable:
    """The event of a Kafka record, or the reason why it is a dead letter. ``timestamp``: ms, -1 when it has none."""
    try:
        return decode(value, key, timestamp if timestamp >= 0 else None, origin, placeholders)
    except Rejected as rejected:
        return undecodable(rejected.reason, rejected.field)
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
    return _decoded(read_envelope(value), record_time, origin, placeholders)


def _decoded(fields: Envelope, record_time: int | None, origin: Origin | None, placeholders: Placeholders) -> Event:
    """The event of these fields, checked in the order of `streams.wire.dead_letters.REASONS`. Raises `Rejected`."""
    user = present(fields.userId, placeholders)
    anonymous = present(fields.anonymousId, placeholders)
    customer = customer_of(user, anonymous)
    previous = None if fields.previousId is None else previous_of(fields, placeholders)
    if not isinstance(fields.messageId, str) or not fields.messageId.strip():
        raise Rejected("no_message_id", "messageId")
    time = event_time(fields, record_time)
    name = _name(fields.type, fields.event)
    if name == UNNAMED:
        return _request(customer, previous, time, fields, origin)
    # The other id of the same person: that of an alias, else the anonymous one.
    link = previous or (anonymous if isinstance(anonymous, str) and is_id(anonymous) else None)
    if link == customer:
        link = None
    # An alias on the trusted topic is vouched for, and so is its customer: it counts as the id of a user.
    vouched = previous is not None and (origin is None or origin.topic.endswith(_PROFILES))
    identifies = vouched or (customer == user and (user != anonymous or _names_user(name, fields, origin)))
    return _event(customer, name, time, fields, origin, link, vouched, identifies)


def _names_user(name: str, fields: Envelope, origin: Origin | None) -> bool:
    return names_user(name, origin, has_traits=name == IDENTIFY and bool(_traits(fields).fields))


def _request(customer: str, previous: str | None, time: int, fields: Envelope, origin: Origin | None) -> Event:
    """A request about a customer's ids: to erase the customer, or to unlink it from another id. Raises `Rejected`."""
    if fields.type != "unlink":
        return Event(customer, ERASE, time, _message_id(fields), origin=origin)
    if previous is None or previous == customer:
        raise Rejected("bad_id", "previousId")
    return Unlink(customer, UNNAMED, time, _message_id(fields), origin=origin, other=previous)


def _name(kind: object, event: object) -> str:
    """The name of an event: that of a track, else the type. Raises `Rejected`."""
    if kind == "track":
        if not isinstance(event, str) or not event.strip():
            raise Rejected("bad_value", "event")
        # Names and types share one namespace: a track that is called `page` counts as a page.
        return reserved_name(event) or _TYPES.get(event) or event
    name = _TYPES.get(kind) if isinstance(kind, str) else None
    if name is None:
        raise Rejected("bad_type", "type")
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
        shop = shop_fields(name, fields.properties)
        return Event(
            customer, name, time, message_id, shop.items, shop.order, shop.amount, origin, properties, NO_DOCUMENT,
            context, link, vouched, identifies, shop.currency, shop.cart, shop.is_unvalued, shop.unread,
        )  # fmt: skip
    traits = _traits(fields) if name == IDENTIFY else NO_DOCUMENT
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
    """A document that is decoded only when a rule reads it; anything but an object is as an empty one."""
    return Document(raw) if raw is not NOTHING and bytes(raw)[:1] == b"{" else NO_DOCUMENT


def _traits(fields: Envelope) -> Document:
    """The traits of an identify: `context.traits`, as RudderStack sends them, below the top-level ones."""
    top = _document(fields.traits)
    if fields.context is NOTHING or b'"traits"' not in (context := bytes(fields.context)) or context[:1] != b"{":
        return top
    below = _document(_contexts.decode(context).traits)
    if below is NO_DOCUMENT or top is NO_DOCUMENT:
        return top if below is NO_DOCUMENT else below
    return Document(top.raw, below=below.raw)
