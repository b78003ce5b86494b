"""The properties of a shop's events: items, orders and exact amounts.

No value makes an event unusable: the names of properties whose value cannot be read are told beside the rest.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import lru_cache

import msgspec

from rules.currencies import UNREADABLE, currency_of, money_currency
from rules.event_names import (
    CART_NAMES,
    CART_VIEWED,
    CHECKOUT_STARTED,
    ORDER_COMPLETED,
    ORDER_NAMES,
    ORDER_REFUNDED,
    ORDER_UPDATED,
    PRODUCT_ADDED,
    PRODUCT_REMOVED,
    WISHLIST_ADDED,
)
from rules.events import Item
from rules.profile.products import product_key
from streams.wire.segment_spec import NOTHING, Product, Properties
from streams.wire.values import ABSENT, CACHED_MAX_BYTES, Amount, amount, identity, is_stated, signed_amount

_ONE_PRODUCT = frozenset({PRODUCT_ADDED, PRODUCT_REMOVED, WISHLIST_ADDED})
WHOLE_CART = frozenset({CART_VIEWED, CHECKOUT_STARTED})
_WITH_LINES = frozenset({ORDER_COMPLETED, ORDER_UPDATED, ORDER_REFUNDED})
# The most products of an event that are read; of a cart and of an order fewer count.
LISTED_MAX = 256
_USUAL_BYTES = 64 * 1024  # a list of so many bytes is decoded at once

_properties = msgspec.json.Decoder(Properties)
_NO_PROPERTIES = Properties()
_products = msgspec.json.Decoder(list[Product])
_product = msgspec.json.Decoder(Product)
_scanner = json.JSONDecoder()
_BETWEEN = re.compile(r"[\s,]*")
_text = msgspec.json.Decoder(str)


class ShopFields(msgspec.Struct, gc=False):
    """The fields of an event of a shop; see `rules.events.Event`."""

    items: tuple[Item, ...] | None = None
    order: str | None = None
    amount: int | None = None
    currency: str = ""
    cart: str | None = None
    is_unvalued: bool = False
    unread: tuple[str, ...] = ()


_NO_FIELDS = ShopFields()


def shop_fields(name: str, raw: msgspec.Raw) -> ShopFields:
    """The fields of an event with a name of the shop."""
    is_of_order = name in ORDER_NAMES
    if not is_of_order and name not in CART_NAMES:
        return _NO_FIELDS  # of a browse event no value is stored unless a rule asks for it
    given = _NO_PROPERTIES if bytes(raw)[:1] != b"{" else _properties.decode(raw)
    unread: list[str] = []
    currency = ""
    if given.currency is not NOTHING:
        raw_currency = bytes(given.currency)
        is_short = len(raw_currency) <= CACHED_MAX_BYTES
        currency = _cached_currency(raw_currency) if is_short else _event_currency(raw_currency)
        if currency == UNREADABLE:
            unread.append("currency")
    cart = _id(given.cart_id, given.cartId, unread, "cart_id") or None
    if is_of_order:
        return _of_order(name, given, currency, cart, unread)
    items: tuple[Item, ...] | None = None
    if name in _ONE_PRODUCT:
        # Beside the product which is added or removed, some senders list all that the cart then holds.
        alone = given.products is NOTHING or _names_product(given)
        items = (None if alone else _listed(given.products, currency, unread)) or (_item(given, currency, unread),)
    elif name in WHOLE_CART:
        items = _listed(given.products, currency, unread)
    return ShopFields(items, cart=cart, unread=_once(unread))


def _names_product(given: Properties) -> bool:
    return any(identity(raw) for raw in (given.product_id, given.id, given.sku))


def _once(names: list[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names)) if names else ()


def _of_order(name: str, given: Properties, currency: str, cart: str | None, unread: list[str]) -> ShopFields:
    order = _id(given.order_id, given.orderId, unread, "order_id") or identity(given.id) or None
    items = _listed(given.products, currency, unread) if name in _WITH_LINES else None
    value = _value(given, unread, is_refund=name == ORDER_REFUNDED)
    if name == ORDER_REFUNDED and value.micro is None and not items and "products" in unread:
        value = Amount(None, is_unread=True)  # a refund of some products, not of all
    micro = None if value.micro is None else abs(value.micro)
    named = money_currency(value.currency, currency)
    return ShopFields(items, order, micro, named, cart, value.is_unread, _once(unread))


def _value(given: Properties, unread: list[str], *, is_refund: bool) -> Amount:
    """The value of an order or a refund: its total, else its revenue. A refund may be told as a negative number."""
    read = signed_amount if is_refund else amount
    for field, raw in (("total", given.total), ("revenue", given.revenue)):
        if raw is NOTHING:
            continue
        value = read(raw)
        if value.is_unread:
            unread.append(field)
        if value.micro is not None or value.is_unread:
            return value
    return ABSENT


def _event_currency(raw: bytes) -> str:
    if raw == b"null":
        return ""
    return currency_of(_text.decode(raw)) if raw[:1] == b'"' else UNREADABLE


_cached_currency = lru_cache(maxsize=1_024)(_event_currency)


def _id(raw: msgspec.Raw, former: msgspec.Raw, unread: list[str], name: str) -> str:
    """An id, under its name or that of the first version of the spec."""
    read = "" if raw is NOTHING else identity(raw)
    if read:
        return read
    if raw is not NOTHING and is_stated(raw):
        unread.append(name)
    return "" if former is NOTHING else identity(former)


def _listed(raw: msgspec.Raw, currency: str, unread: list[str]) -> tuple[Item, ...] | None:
    """The products of a list, or of one object in its place; `None` if there is no list."""
    if raw is NOTHING:
        return None
    head = bytes(raw)[:1]
    if head == b"{":
        return (_item(_product.decode(raw), currency, unread),)
    if head != b"[":
        if head != b"n" and not (head == b'"' and (not (text := _text.decode(raw)) or text.isspace())):
            unread.append("products")
        return None
    return tuple([_item(product, currency, unread) for product in _products_of(raw, unread)])


def _products_of(raw: msgspec.Raw, unread: list[str]) -> list[Product]:
    """The first products of a list; a member that is no object is none."""
    if len(bytes(raw)) <= _USUAL_BYTES:
        try:
            return _products.decode(raw)[:LISTED_MAX]
        except msgspec.ValidationError:
            unread.append("products")
    return [_product.decode(member) for member in _members(bytes(raw).decode()) if member.startswith("{")]


def _members(text: str) -> Iterator[str]:
    """The first members of a JSON list, as they are written: of a list as long as a record may be, not all are read."""
    place = _BETWEEN.match(text, 1).end()  # type: ignore[union-attr]  # it matches anywhere
    for _ in range(LISTED_MAX):
        if text[place] == "]":
            return
        _, end = _scanner.raw_decode(text, place)
        yield text[place:end]
        place = _BETWEEN.match(text, end).end()  # type: ignore[union-attr]


def _item(given: Product | Properties, currency: str, unread: list[str]) -> Item:
    product = _id(given.product_id, given.id, unread, "product_id")
    sku = "" if given.sku is NOTHING else identity(given.sku)
    variant = "" if given.variant is NOTHING else identity(given.variant)
    if not product:
        product, sku = (sku, "") if sku else (identity(given.name), "")
    quantity = ABSENT if given.quantity is NOTHING else amount(given.quantity)
    price = ABSENT if given.price is NOTHING else amount(given.price)
    if quantity.is_unread:
        unread.append("quantity")
    if price.is_unread:
        unread.append("price")
    named = money_currency(price.currency, currency) if price.currency else currency
    return Item(product_key(product, sku, variant), quantity.micro, price.micro, named, price.is_unread)
