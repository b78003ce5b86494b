"""Orders and carts as templates and plugins of shop platforms fill them in, each read to the cent.

The forms follow what is published of each; the values are made up:

templates that write every value as text, as Spree's do    https://gist.github.com/Sinetheta/7bae0a549cd3e635cb6420b9252b5e18
Medusa's storefronts: ``order_completed`` with ``revenue``, products with a ``variant_id`` and ``title``
WordPress plugins on analytics-php: the first version of the spec, user ids as numbers, a float for a price
Shopify's pixels on analytics.js: numbers, a ``null`` for what a product does not have
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from rules.events import Event
from streams.wire.event_decoder import decode_line

BASE: dict[str, Any] = {
    "type": "track", "messageId": "m", "userId": "u", "timestamp": "2026-03-01T09:00:00.000Z",
}  # fmt: skip
ALL_TEXT = {
    "order_id": "R123456789", "affiliation": "Tea Shop", "total": "124.97", "shipping": "5.0", "tax": "19.95",
    "discount": "-0.0", "coupon": "", "currency": "EUR",
    "products": [
        {"product_id": "17", "sku": "TEA-1", "name": "Green tea", "price": "39.99", "quantity": "3"},
        {"product_id": "18", "sku": "18", "name": "Cup", "price": "0.0", "quantity": "1"},
    ],
}  # fmt: skip
WITH_VARIANTS = {
    "order_id": "order_01J9", "revenue": 12.34, "subtotal": 10, "tax": 2.34, "shipping": 0, "discount": 0,
    "currency": "eur",
    "products": [
        {"product_id": "prod_1", "variant_id": "variant_1", "title": "Tea", "quantity": 2, "price": 4.115},
        {"variant_id": "variant_2", "title": "Sample", "quantity": 1, "price": 0},
    ],
}  # fmt: skip
FIRST_VERSION = {
    "id": 4711, "total": 29, "revenue": "24.37", "currency": "EUR", "coupon": [],
    "products": [{"id": 99, "sku": "", "name": "Course", "price": 28.999999999999996, "quantity": 1, "category": ""}],
}  # fmt: skip
WITH_NULLS = {
    "order_id": 5555555555555, "total": 1049.9, "revenue": 1000, "currency": "USD",
    "products": [
        {"product_id": 8266836345064, "sku": None, "variant": None, "category": None, "price": 524.95, "quantity": 2},
    ],
}  # fmt: skip


def read(event: str, properties: dict[str, Any], **fields: Any) -> Event:
    return decode_line(json.dumps(BASE | fields | {"event": event, "properties": properties}).encode())


def lines(event: Event) -> list[tuple[str, int | None, int | None]]:
    """Each product, its price and its quantity, in 10⁻⁶."""
    return [(item.product.split("\x1f")[0], item.price, item.quantity) for item in event.items or ()]


@pytest.mark.parametrize(
    ("name", "properties", "order", "amount", "currency", "products"),
    [
        ("Order Completed", ALL_TEXT, "R123456789", 124_970_000, "EUR", [
            ("17", 39_990_000, 3_000_000), ("18", 0, 1_000_000),
        ]),
        ("order_completed", WITH_VARIANTS, "order_01J9", 12_340_000, "EUR", [
            ("prod_1", 4_115_000, 2_000_000), ("", 0, 1_000_000),
        ]),
        ("Completed Order", FIRST_VERSION, "4711", 29_000_000, "EUR", [("99", 28_999_999, 1_000_000)]),
        ("Order Completed", WITH_NULLS, "5555555555555", 1_049_900_000, "USD", [
            ("8266836345064", 524_950_000, 2_000_000),
        ]),
    ],
    ids=["all text", "variants", "first version", "nulls"],
)  # fmt: skip
def test_an_order_is_read_to_the_cent(
    name: str, properties: dict[str, Any], order: str, amount: int, currency: str, products: list[Any]
) -> None:
    """The order, its value and each of its products are known, and nothing is unread."""
    event = read(name, properties)
    assert event.name == "Order Completed"
    assert (event.order, event.amount, event.currency, event.unread) == (order, amount, currency, ())
    assert lines(event) == products


def test_a_cart_of_the_first_version_is_read() -> None:
    """An added product under its former names, of a user whose id is a number."""
    event = read("Added Product", {"id": 99, "name": "Course", "price": "29.00", "category": "a, b"}, userId=12)
    assert (event.customer, event.name) == ("12", "Product Added")
    assert lines(event) == [("99", 29_000_000, None)]


def test_a_refund_of_a_plugin_is_of_its_size() -> None:
    """A refund that is told as a negative number is of that size."""
    event = read("Order Refunded", {"order_id": 4711, "total": "-12.50", "currency": "EUR", "products": []})
    assert (event.name, event.order, event.amount) == ("Order Refunded", "4711", 12_500_000)
