"""Orders and carts as templates and plugins of shop platforms fill them in, each read to the cent.

The forms follow what is published of each; the values are made up:

templates that write every value as text, as Spree's do    https://gist.github.com/Sinetheta/7bae0a549cd3e635cb6420b9252b5e18
Medusa's storefronts: ``order_completed`` with ``revenue``, products with a ``variant_id`` and ``title``
WordPress plugins on analytics-php: the first version of the spec, user ids as numbers, a float for a price
Shopify's pixels on analytics.js: numbers, a ``null`` for what a product does not have
Segment's source for Shopify, by its tables of events, properties and products (2020 and later):
    https://segment.com/docs/connections/sources/catalog/libraries/website/shopify-littledata/
Segment's plugin for WordPress with WooCommerce: https://github.com/segment-boneyard/analytics-wordpress
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from rules.changes import Change
from rules.definitions.segments_file import built_in
from rules.engine import Engine
from rules.events import Event, Item
from rules.profile.products import product_key
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


# --- Segment's source for Shopify: all properties of its tables, each in the type which is given there ---

SHOPIFY_PRODUCT = {
    "brand": "Tea & Co", "category": "all", "compare_at_price": "29.95", "image_url": "https://shop.example/1.jpg",
    "list_id": "c-1", "list_position": 1, "name": "Sencha", "price": 24.95, "product_id": "6610887671941",
    "quantity": 2, "shopify_product_id": "6610887671941", "shopify_variant_id": "39430119391365", "sku": "SEN-100",
    "url": "https://shop.example/products/sencha", "variant": "100 g",
}  # fmt: skip
SHOPIFY_SAMPLE = SHOPIFY_PRODUCT | {
    "name": "Sample", "product_id": "6610887671942", "shopify_product_id": "6610887671942", "sku": "", "variant": None,
    "price": 0.0, "quantity": 1, "compare_at_price": None,
}  # fmt: skip
SHOPIFY_ORDER = {
    "affiliation": "Shopify", "cart_id": "f3b1c2", "checkoutId": 22101934, "coupon": "", "currency": "EUR",
    "discount": 5.0, "email": "kim@shop.example", "order_id": "3811712041029", "payment_method": "visa",
    "presentment_currency": "USD", "presentment_total": "56.21", "products": [SHOPIFY_PRODUCT, SHOPIFY_SAMPLE],
    "revenue": 41.93, "sent_from": "server", "shipping_method": "post", "shipping": 4.9, "step": 4, "subtotal": 44.9,
    "tax": 7.97, "total": 49.8, "userId": "5144862163",
}  # fmt: skip
SHOPIFY_LINES = [("6610887671941", 24_950_000, 2_000_000), ("6610887671942", 0, 1_000_000)]

# --- Segment's plugin for WooCommerce: names of the first version of the spec, prices as WooCommerce has them: text ---

WOO_PRODUCT = {"id": 99, "sku": "", "name": "Teapot", "price": "28.90", "category": "Pots, Tea"}
WOO_ORDER = {
    "id": "4711", "total": "62.70", "revenue": 53.83, "shipping": "4.90", "tax": "3.97", "currency": "EUR",
    "products": [
        WOO_PRODUCT | {"price": "57.8", "quantity": "2"},  # the plugin puts the line's price here
        {"id": None, "sku": "CUP", "name": "Cup", "price": "0", "quantity": "1", "category": ""},
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
        ("Order Completed", SHOPIFY_ORDER, "3811712041029", 49_800_000, "EUR", SHOPIFY_LINES),
        ("Completed Order", WOO_ORDER, "4711", 62_700_000, "EUR", [
            ("99", 57_800_000, 2_000_000), ("CUP", 0, 1_000_000),
        ]),
    ],
    ids=["all text", "variants", "first version", "nulls", "Segment's source for Shopify", "Segment's WooCommerce"],
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


# The events of the tables: the name which is sent, the name for which it counts, and what is known of it.
OWN = ("Page Viewed", "Product Image Clicked", "Product Shared", "Registration Viewed", "Thank you Page Viewed",
       "Customer Created", "Customer Enabled", "Fulfillment Created", "Fulfillment Updated", "POS Order Placed",
       "Payment Failure", "Charge Failed", "Order Processed", "Subscription Created")  # fmt: skip
OF_CARTS = {
    "Cart Viewed": SHOPIFY_LINES, "Checkout Started": SHOPIFY_LINES, "Checkout Step Completed": [],
    "Coupon Applied": [], "Payment Info Entered": [],
}  # fmt: skip


@pytest.mark.parametrize("name", OWN)
def test_an_event_outside_the_spec_keeps_its_name(name: str) -> None:
    """The thank-you page is no second order, nor is an order of the till or of a subscription."""
    event = read(name, SHOPIFY_ORDER)
    assert (event.name, event.order, event.amount, event.items) == (name, None, None, None)


@pytest.mark.parametrize("name", OF_CARTS)
def test_a_cart_of_segments_source_for_shopify(name: str) -> None:
    """Cart and checkout events name their cart, and nothing of them is unread."""
    event = read(name, {key: value for key, value in SHOPIFY_ORDER.items() if key != "order_id"})
    assert (event.name, event.cart, event.unread) == (name, "f3b1c2", ())
    assert lines(event) == OF_CARTS[name]


@pytest.mark.parametrize("name", ["Product Added", "Product Removed"])
def test_a_product_of_segments_source_for_shopify(name: str) -> None:
    """The product stands in the properties themselves; its SKU and variant make its line."""
    event = read(name, SHOPIFY_PRODUCT | {"cart_id": "f3b1c2", "currency": "EUR"})
    (item,) = event.items or ()
    assert item == Item(product_key("6610887671941", "SEN-100", "100 g"), 2_000_000, 24_950_000, "EUR")
    assert (event.cart, event.unread) == ("f3b1c2", ())


def test_what_ends_an_order_of_segments_source_for_shopify() -> None:
    """A cancel names its order; a refund names its amount, and what of the order it takes back."""
    cancelled = read("Order Cancelled", SHOPIFY_ORDER | {"cancel_reason": "customer"})
    assert (cancelled.name, cancelled.order, cancelled.unread) == ("Order Cancelled", "3811712041029", ())
    refunded = read("Order Refunded", SHOPIFY_ORDER | {"total": 24.95, "products": [SHOPIFY_PRODUCT | {"quantity": 1}]})
    assert (refunded.order, refunded.amount, refunded.currency) == ("3811712041029", 24_950_000, "EUR")
    assert lines(refunded) == [("6610887671941", 24_950_000, 1_000_000)]


def test_traits_of_segments_source_for_shopify() -> None:
    """Numbers, dates and truth values come as they are written."""
    traits = {
        "createdAt": "2026-01-05T09:00:00Z", "customerLifetimeValue": 129.7, "email": "kim@shop.example",
        "marketingOptIn": "single_opt_in", "purchaseCount": 3, "tags": "vip, tea", "verified_email": True,
    }  # fmt: skip
    message = BASE | {"type": "identify", "userId": 5144862163.0, "traits": traits}
    event = decode_line(json.dumps(message).encode())
    assert event.customer == "5144862163"
    assert json.loads(json.dumps(event.traits.fields)) == traits | {"customerLifetimeValue": "129.7"}


def test_a_cart_of_segments_plugin_for_woocommerce() -> None:
    """A removal states the quantity that is left, 0, and takes all of the product out: its cart is none."""
    engine = Engine(built_in())
    customer = engine.new()
    added = read("Added Product", WOO_PRODUCT | {"quantity": 2})
    removed = read("Removed Product", WOO_PRODUCT | {"quantity": 0}, messageId="m2", timestamp="2026-03-01T09:05:00Z")
    again = read("Added Product", WOO_PRODUCT, messageId="m3", timestamp="2026-03-01T11:00:00Z")
    assert (added.name, lines(added)) == ("Product Added", [("99", 28_900_000, 2_000_000)])
    assert (removed.name, lines(removed)) == ("Product Removed", [("99", 28_900_000, 0)])
    for event in (added, removed):
        engine.apply("u", customer, event)
    assert "abandoned_cart" not in entered(engine.fire("u", customer, again.time - 1))
    engine.apply("u", customer, again)
    assert "abandoned_cart" in entered(engine.fire("u", customer, again.time + 86_400_000))


def entered(changes: list[Change]) -> set[str]:
    return {change.segment for change in changes if change.kind == "entered"}
