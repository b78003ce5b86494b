"""A record into an event, or the reason why it cannot be used.

The one rule: the reasons are a closed list, checked in its order; the first that applies wins.
What `decode` accepts is an event in full, so nothing behind it checks again.
"""

from __future__ import annotations

import re
import unicodedata
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from rules.context import NO_CONTEXT, PAGE_WITHOUT_CONTEXT, Context
from rules.events import (
    ALIASES,
    CART_VIEWED,
    CHECKOUT_STARTED,
    ERASE,
    IDENTIFY,
    INPUTS,
    ORDER_NAMES,
    PAGE,
    PRODUCT_ADDED,
    PRODUCT_REMOVED,
    SHOP_NAMES,
    WISHLIST_ADDED,
    Event,
    Item,
    Origin,
)
from rules.profile import short_id
from rules.repeats import AHEAD_MAX_MS
from rules.times import parse_instant
from rules.values import NO_DOCUMENT, Document
from streams import defects
from streams.wire.envelope import NOTHING, Envelope, Product, Properties
from streams.wire.values import amount, check_text, identity, product_key

REASONS: Final = (
    "too_large", "not_json", "not_object", "no_customer", "bad_id", "no_message_id", "no_timestamp",
    "absurd_timestamp", "bad_type", "bad_value", "wrong_key", "wrong_partition",
)  # fmt: skip

RECORD_MAX_BYTES = 1024 * 1024
DEPTH_MAX = 100  # of objects and lists in one another: what reads a value later may lean on it
CUSTOMER_MAX_BYTES = 256
# A longer message id is known by its head and a hash: it goes into every change that it causes.
MESSAGE_ID_MAX_CHARS = 256
OLDEST_MS = int(datetime(2000, 1, 1, tzinfo=UTC).timestamp() * 1000)

_TYPES = {"page": PAGE, "screen": PAGE, "identify": IDENTIFY, "alias": "alias", "group": "group", "erase": ERASE}
_PROFILES = INPUTS[0]
_ONE_PRODUCT = frozenset({PRODUCT_ADDED, PRODUCT_REMOVED, WISHLIST_ADDED})
_WHOLE_CART = frozenset({CART_VIEWED, CHECKOUT_STARTED})

_TEXTS = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_envelope = msgspec.json.Decoder(Envelope)
_properties = msgspec.json.Decoder(Properties | None)
_NO_PROPERTIES = Properties()
_products = msgspec.json.Decoder(list[Product] | None)
_WRONG: Any = object()


class Rejected(Exception):
    """The record is a dead letter; ``args[0]`` is one of `REASONS`."""


def decode(value: bytes | None, key: bytes | None, record_time: int | None, origin: Origin) -> Event:
    """The event of a record; ``record_time`` (ms) is its Kafka time, if it has one.

    Raises `Rejected`.
    """
    event = decode_line(value, record_time, origin)
    if event.name == ERASE and not origin.topic.endswith(_PROFILES):
        raise Rejected("bad_type")  # of the topics only that one is read for erasures before all else
    if key != event.customer.encode():
        raise Rejected("wrong_key")
    return event


def read(value: bytes | None, key: bytes | None, timestamp: int, origin: Origin) -> Event | str:
    """The event of a Kafka record, or the reason why it is a dead letter. ``timestamp``: ms, -1 when it has none."""
    try:
        return decode(value, key, timestamp if timestamp >= 0 else None, origin)
    except Rejected as rejected:
        return str(rejected.args[0])
    except Exception as error:  # noqa: BLE001  # a defect of ours, but no record may stop the worker again and again
        defects.report(f"the reading of {origin.topic}-{origin.partition}, offset {origin.offset}", error)
        return "bad_value"


def decode_line(value: bytes | None, record_time: int | None = None, origin: Origin | None = None) -> Event:
    """The event of a line of a file, which has neither key nor Kafka time. Raises `Rejected`."""
    if value is None:
        raise Rejected("not_json")
    if len(value) > RECORD_MAX_BYTES:
        raise Rejected("too_large")
    fields = _fields(value)
    customer = _customer(fields.userId, fields.anonymousId)
    link = _link(customer, fields)
    if not isinstance(fields.messageId, str) or not fields.messageId:
        raise Rejected("no_message_id")
    time = _time(fields.timestamp, record_time)
    name = _name(fields.type, fields.event)
    return _event(customer, name, time, fields, origin, None if name == ERASE else link)


def _fields(value: bytes) -> Envelope:
    """The fields that are used, checked for their types or not (`_loose`); nothing may lean on it."""
    try:
        # What is skipped is not read as text, so it is checked here (0.05 µs when ASCII).
        if not value.isascii():
            value.decode()
        if value.count(b"{") + value.count(b"[") > DEPTH_MAX and _depth(value) > DEPTH_MAX:
            raise Rejected("not_json")
        return _envelope.decode(value)
    except msgspec.ValidationError:
        return _loose(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise Rejected("not_json") from None


def _depth(value: bytes) -> int:
    """How deep objects and lists stand in one another, by their brackets outside of texts."""
    deepest = depth = 0
    for bracket in _TEXTS.sub(b"", value).translate(None, delete=_NO_BRACKETS):
        depth += 1 if bracket in b"[{" else -1
        deepest = max(deepest, depth)
    return deepest


def _loose(value: bytes) -> Envelope:
    """The same fields unchecked, so that the first wrong one in the order of `REASONS` is named."""
    try:
        msgspec.json.decode(value, type=msgspec.Raw)  # JSON at all? What is not used is not looked into
        document = msgspec.json.decode(value, type=dict[str, msgspec.Raw])
    except msgspec.ValidationError:
        raise Rejected("not_object") from None
    except (msgspec.DecodeError, RecursionError):
        raise Rejected("not_json") from None
    fields = Envelope()
    for name in ("type", "messageId", "timestamp", "event", "userId", "anonymousId", "previousId"):
        setattr(fields, name, _field(document.get(name, NOTHING), str | None))
    for name in ("properties", "traits", "context"):
        setattr(fields, name, document.get(name, NOTHING))
    return fields


def _field(raw: msgspec.Raw, right: Any) -> Any:
    """The value if it is of the right type, else something that is of none."""
    try:
        return msgspec.json.decode(raw, type=right)
    except (msgspec.DecodeError, RecursionError):
        return _WRONG


def _customer(user: object, anonymous: object) -> str:
    if user in (None, "") and anonymous in (None, ""):
        raise Rejected("no_customer")
    if not isinstance(user, str | None) or not isinstance(anonymous, str | None):
        raise Rejected("bad_id")
    customer = user or anonymous
    assert customer is not None
    if not _is_id(customer):
        raise Rejected("bad_id")
    return customer


def _is_id(text: str) -> bool:
    if text.isascii():
        return len(text) <= CUSTOMER_MAX_BYTES and text.isprintable()
    return len(text.encode()) <= CUSTOMER_MAX_BYTES and not any(
        unicodedata.category(character) == "Cc" for character in text
    )


def _link(customer: str, fields: Envelope) -> str | None:
    """Another id of the same person: of an alias the previous one, which must be an id; else the anonymous one."""
    previous: object = fields.previousId if fields.type == "alias" else None
    if previous not in (None, ""):
        if not isinstance(previous, str) or not _is_id(previous):
            raise Rejected("bad_id")
        return previous if previous != customer else None
    other = fields.anonymousId
    return other if other and other != customer and _is_id(other) else None


def _time(timestamp: object, record_time: int | None) -> int:
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
    if kind == "track":
        if not isinstance(event, str) or not event:
            raise Rejected("bad_value")
        # One namespace: a track called like a type is taken for it.
        return ALIASES.get(event) or _TYPES.get(event) or event
    name = _TYPES.get(kind) if isinstance(kind, str) else None
    if name is None:
        raise Rejected("bad_type")
    return name


def _event(customer: str, name: str, time: int, fields: Envelope, origin: Origin | None, link: str | None) -> Event:
    assert fields.messageId is not None
    message_id = fields.messageId
    if len(message_id) > MESSAGE_ID_MAX_CHARS:
        message_id = short_id(message_id)
    properties = _document(fields.properties)
    context = PAGE_WITHOUT_CONTEXT if name == PAGE else NO_CONTEXT
    if fields.context is not NOTHING and bytes(fields.context)[:1] == b"{":
        context = Context(fields.context, of_page=name == PAGE)
    if name in SHOP_NAMES:
        try:
            items, order, amount_ = _of_shop(name, fields.properties)
        except (ValueError, msgspec.DecodeError, RecursionError):
            raise Rejected("bad_value") from None
        return Event(
            customer, name, time, message_id, items, order, amount_, origin, properties, context=context, link=link
        )
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
    )


def _document(raw: msgspec.Raw) -> Document:
    """An object, read when a rule asks for it."""
    if raw is NOTHING:
        return NO_DOCUMENT
    if bytes(raw)[:1] not in (b"{", b"n"):
        raise Rejected("bad_value")
    return Document(raw)


def _of_shop(name: str, raw: msgspec.Raw) -> tuple[tuple[Item, ...] | None, str | None, int | None]:
    """The items of an item event; the order id and amount of an order event."""
    given = _NO_PROPERTIES if raw is NOTHING else (_properties.decode(raw) or _NO_PROPERTIES)
    product = product_key(given.product_id, given.sku, given.name)
    quantity = None if given.quantity is NOTHING else amount(given.quantity)
    price = None if given.price is NOTHING else amount(given.price)
    for money in (given.subtotal, given.value, given.tax, given.shipping, given.discount):
        if money is not NOTHING:
            amount(money)
    total = None if given.total is NOTHING else amount(given.total)
    revenue = None if given.revenue is NOTHING else amount(given.revenue)
    if given.currency is not NOTHING:
        check_text(given.currency)
    if name in ORDER_NAMES:
        return None, identity(given.order_id), revenue if total is None else total
    if name in _ONE_PRODUCT:
        return (Item(product, quantity, price),), None, None
    if name in _WHOLE_CART and given.products is not NOTHING:
        return _whole_cart(given.products), None, None
    return None, None, None


def _whole_cart(raw: msgspec.Raw) -> tuple[Item, ...] | None:
    products = _products.decode(raw)
    if products is None:
        return None
    return tuple(
        Item(product_key(one.product_id, one.sku, one.name), amount(one.quantity), amount(one.price))
        for one in products
    )
