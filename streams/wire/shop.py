"""The properties of a shop's events: items, orders and exact amounts."""

from __future__ import annotations

import msgspec

from rules.events import (
    CART_VIEWED,
    CHECKOUT_STARTED,
    ORDER_NAMES,
    PRODUCT_ADDED,
    PRODUCT_REMOVED,
    WISHLIST_ADDED,
    Item,
)
from streams.wire.segment_spec import NOTHING, Product, Properties
from streams.wire.values import amount, check_text, identity, product_key

_ONE_PRODUCT = frozenset({PRODUCT_ADDED, PRODUCT_REMOVED, WISHLIST_ADDED})
WHOLE_CART = frozenset({CART_VIEWED, CHECKOUT_STARTED})

_properties = msgspec.json.Decoder(Properties | None)
_NO_PROPERTIES = Properties()
_products = msgspec.json.Decoder(list[Product] | None)


def shop_fields(name: str, raw: msgspec.Raw) -> tuple[tuple[Item, ...] | None, str | None, int | None]:
    """The items of an item event; the order id and amount of an order event."""
    given = _NO_PROPERTIES if raw is NOTHING else (_properties.decode(raw) or _NO_PROPERTIES)
    # Every field is read, also those that this event does not use: a wrong value in any makes a dead letter.
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
    if name in WHOLE_CART and given.products is not NOTHING:
        return _whole_cart(given.products), None, None
    return None, None, None


def _whole_cart(raw: msgspec.Raw) -> tuple[Item, ...] | None:
    products = _products.decode(raw)
    if products is None:
        return None
    return tuple(
        Item(
            product_key(product.product_id, product.sku, product.name),
            amount(product.quantity),
            amount(product.price),
        )
        for product in products
    )
