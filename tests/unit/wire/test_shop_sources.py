"""Every event of the sources of Shopify and WooCommerce, with all documented properties, each read to the cent.

The right values are written by hand from what each page says of a property; the messages stand in
`tests.support.shop_source_messages`. Beside it: test_shop_platforms (templates and plugins of further platforms).

Shopify by Littledata, and its table of 2019 (in the history of the page):
    https://segment.com/docs/connections/sources/catalog/libraries/website/shopify-littledata/
    the products beside an added or removed one:
    https://blog.littledata.io/help/posts/segment-changed-schema-for-product-added-and-product-removed/
Segment's own source for Shopify: https://segment.com/docs/connections/sources/catalog/libraries/website/shopify/
RudderStack's source for Shopify:
    https://www.rudderstack.com/docs/sources/event-streams/cloud-apps/shopify/shopify-source-solution/mappings/
    what its mappings give: https://github.com/rudderlabs/rudder-transformer/tree/develop/src/sources/shopify
Segment's former plugin for WordPress and WooCommerce: https://github.com/segment-boneyard/analytics-wordpress
Segment for WordPress by in8.io: https://github.com/omgwtfwow/segment-for-wp-by-in8-io
"""

from __future__ import annotations

import json
from typing import NamedTuple

import pytest

from rules.events import Event, Item
from rules.profile.products import product_key
from streams.wire.event_decoder import decode_line
from tests.support.shop_source_messages import (
    DEVICE,
    IN8,
    IN8_ORDER,
    IN8_POT,
    IN8_TEA,
    LITTLEDATA_2019_ORDER,
    LITTLEDATA_2019_PRODUCT,
    LITTLEDATA_CART,
    LITTLEDATA_CHECKOUT,
    LITTLEDATA_ORDER,
    LITTLEDATA_PAGE,
    LITTLEDATA_POT,
    LITTLEDATA_SERVER,
    LITTLEDATA_TEA,
    LITTLEDATA_TRAITS,
    PIXEL,
    PIXEL_CART,
    PIXEL_CHECKOUT,
    PIXEL_ORDER,
    PIXEL_PERSON,
    PIXEL_POT,
    PIXEL_TEA,
    RUDDER_CART,
    RUDDER_CHECKOUT,
    RUDDER_CUP,
    RUDDER_PIXEL,
    RUDDER_TEA,
    RUDDER_WEBHOOK,
    RUDDER_WEBHOOK_ORDER,
    WORDPRESS,
    WORDPRESS_ORDER,
    WORDPRESS_POT,
    WORDPRESS_REMOVAL,
    Fields,
    track,
)

MICRO = 1_000_000
SHOPIFY_CUSTOMER = "6790144000123"
E_MAIL = "kim@shop.example"


class Reading(NamedTuple):
    """The values of an event: its name, its customer, and what a shop's event states."""

    name: str
    customer: str
    items: tuple[Item, ...] | None = None
    order: str | None = None
    amount: int | None = None
    currency: str = ""
    cart: str | None = None


def reading(event: Event) -> Reading:
    return Reading(event.name, event.customer, event.items, event.order, event.amount, event.currency, event.cart)


def decoded(message: Fields) -> Event:
    return decode_line(json.dumps(message).encode())


def item(key: tuple[str, ...], price: int | None, quantity: int | None, currency: str = "EUR") -> Item:
    """A product by its id, SKU and variant, with a price in 10⁻⁶ and a whole quantity."""
    return Item(product_key(*key), None if quantity is None else quantity * MICRO, price, currency)


def is_read(message: Fields, right: Reading) -> None:
    """Assert that the message is read so, that nothing is unread, and that a rule can read each of its properties."""
    event = decoded(message)
    assert reading(event) == right
    assert (event.unread, event.is_unvalued, any(line.is_unpriced for line in event.items or ())) == ((), False, False)
    assert event.properties.fields.keys() == message["properties"].keys()


# --- Shopify by Littledata ---

TEA = item(("7010001", "ASM-250", "250 g"), 12_950_000, 2)
POT = item(("7010002",), 39_000_000, 1)
LITTLEDATA: list[tuple[Fields, str, Fields, Reading]] = [
    (LITTLEDATA_PAGE, "Cart Viewed", LITTLEDATA_CART, Reading(
        "Cart Viewed", DEVICE, (TEA, POT), cart="c1-9f2d",
    )),
    (LITTLEDATA_SERVER, "Checkout Started", LITTLEDATA_CHECKOUT, Reading(
        "Checkout Started", SHOPIFY_CUSTOMER, (TEA, POT), cart="c1-9f2d",
    )),
    (LITTLEDATA_SERVER, "Checkout Step Completed", LITTLEDATA_CHECKOUT, Reading(
        "Checkout Step Completed", SHOPIFY_CUSTOMER, cart="c1-9f2d",
    )),
    (LITTLEDATA_SERVER, "Coupon Applied", LITTLEDATA_CHECKOUT, Reading(
        "Coupon Applied", SHOPIFY_CUSTOMER, cart="c1-9f2d",
    )),
    (LITTLEDATA_SERVER, "Payment Info Entered", LITTLEDATA_CHECKOUT, Reading(
        "Payment Info Entered", SHOPIFY_CUSTOMER, cart="c1-9f2d",
    )),
    (LITTLEDATA_SERVER, "Order Completed", LITTLEDATA_ORDER, Reading(
        "Order Completed", SHOPIFY_CUSTOMER, (TEA, POT), "#1042", 64_800_000, "EUR", "c1-9f2d",
    )),
    (LITTLEDATA_SERVER, "Order Refunded", LITTLEDATA_ORDER | {"total": 39.0, "products": [LITTLEDATA_POT]}, Reading(
        "Order Refunded", SHOPIFY_CUSTOMER, (POT,), "#1042", 39_000_000, "EUR", "c1-9f2d",
    )),
    (LITTLEDATA_SERVER, "Order Cancelled", LITTLEDATA_ORDER | {"cancel_reason": "customer"}, Reading(
        "Order Cancelled", SHOPIFY_CUSTOMER, None, "#1042", 64_800_000, "EUR", "c1-9f2d",
    )),
    # A recurring order, for which Littledata sends Order Completed as well: without a cart, and of a hashed e-mail.
    (LITTLEDATA_SERVER | {"userId": "0bc83cb571cd1c50ba6f3e8a78ef1346", "anonymousId": None}, "Order Completed",
     LITTLEDATA_ORDER | {"cart_id": None, "checkout_id": None, "source_name": "subscription_contract", "total": "25.90",
                         "order_id": "#1043", "products": [LITTLEDATA_TEA], "currency": "eur"},
     Reading("Order Completed", "0bc83cb571cd1c50ba6f3e8a78ef1346", (TEA,), "#1043", 25_900_000, "EUR")),
    # Formerly an added or removed product stood alone in `products`.
    (LITTLEDATA_PAGE, "Product Added", {"cart_id": "c1-9f2d", "currency": "EUR", "products": [LITTLEDATA_TEA]}, Reading(
        "Product Added", DEVICE, (TEA,), cart="c1-9f2d",
    )),
    (LITTLEDATA_PAGE, "Product Removed", {"products": [{"id": "ABC", "name": "Socks", "quantity": 1}]}, Reading(
        "Product Removed", DEVICE, (item(("ABC",), None, 1, ""),),
    )),
]  # fmt: skip
LITTLEDATA_2019: list[tuple[Fields, str, Fields, Reading]] = [
    (LITTLEDATA_SERVER, "Order Completed", LITTLEDATA_2019_ORDER, Reading(
        "Order Completed", SHOPIFY_CUSTOMER, (item(("7010001", "ASM-250", "4010001"), 12_950_000, 2),), "3811712041",
        30_800_000, "EUR",
    )),
    (LITTLEDATA_SERVER, "Order Refunded", LITTLEDATA_2019_ORDER, Reading(
        "Order Refunded", SHOPIFY_CUSTOMER, (item(("7010001", "ASM-250", "4010001"), 12_950_000, 2),), "3811712041",
        30_800_000, "EUR",
    )),
    (LITTLEDATA_SERVER, "Checkout Started", LITTLEDATA_2019_ORDER, Reading(
        "Checkout Started", SHOPIFY_CUSTOMER, (item(("7010001", "ASM-250", "4010001"), 12_950_000, 2),),
    )),
    (LITTLEDATA_PAGE, "Product Added", {"products": [LITTLEDATA_2019_PRODUCT], "currency": "EUR"}, Reading(
        "Product Added", DEVICE, (item(("7010001", "ASM-250", "4010001"), 12_950_000, 2),),
    )),
]  # fmt: skip

# --- Segment's own source for Shopify: products without a quantity, orders without a total ---

PIXEL_ITEMS = (
    item(("7010001", "ASM-250", "250 g"), 12_950_000, None), item(("7010002",), 39_000_000, None),
)  # fmt: skip
SEGMENTS_PIXEL: list[tuple[Fields, str, Fields, Reading]] = [
    (PIXEL, "Product Added", PIXEL_TEA | {"quantity": 3, "total_price": 38.85}, Reading(
        "Product Added", DEVICE, (item(("7010001", "ASM-250", "250 g"), 12_950_000, 3),),
    )),
    (PIXEL, "Product Removed", PIXEL_POT | {"quantity": 1, "total_price": 39}, Reading(
        "Product Removed", DEVICE, (POT,),
    )),
    (PIXEL, "Cart Viewed", PIXEL_CART, Reading("Cart Viewed", DEVICE, PIXEL_ITEMS, cart="Z2NwLWV1LTE")),
    (PIXEL, "Checkout Started", PIXEL_CHECKOUT, Reading("Checkout Started", DEVICE, PIXEL_ITEMS)),
    (PIXEL, "Payment Info Entered", PIXEL_CHECKOUT, Reading("Payment Info Entered", DEVICE)),
    (PIXEL, "Order Completed", PIXEL_ORDER, Reading(
        "Order Completed", DEVICE, PIXEL_ITEMS, "5811712041029", None, "EUR",
    )),
]  # fmt: skip

# --- RudderStack's source for Shopify: its name is the variant's, and its variant is the product's title ---

RUDDER_LINE = (("8201", "DRJ-100", "Darjeeling"), 18_400_000, 2)
RUDDER_GIFT = (("8202", "", "Cup"), 0, 1)
RUDDER_WEBHOOK_ITEMS = (item(("8201", "DRJ-100"), 18_400_000, 2), item(("8202",), 0, 1))
RUDDERSTACK: list[tuple[Fields, str, Fields, Reading]] = [
    (RUDDER_PIXEL, "Product Added", RUDDER_TEA, Reading("Product Added", DEVICE, (item(*RUDDER_LINE, ""),))),
    (RUDDER_PIXEL, "Product Removed", RUDDER_CUP, Reading("Product Removed", DEVICE, (item(*RUDDER_GIFT, ""),))),
    (RUDDER_PIXEL, "Cart Viewed", RUDDER_CART, Reading(
        "Cart Viewed", DEVICE, (item(*RUDDER_LINE, ""), item(*RUDDER_GIFT, "")), cart="Z2NwLWV1LTI",
    )),
    (RUDDER_PIXEL, "Checkout Started", RUDDER_CHECKOUT, Reading(
        "Checkout Started", DEVICE, (item(*RUDDER_LINE), item(*RUDDER_GIFT)),
    )),
    (RUDDER_PIXEL, "Payment Info Entered", {"checkout_id": "84ad7857"}, Reading("Payment Info Entered", DEVICE)),
    (RUDDER_PIXEL | {"userId": "7358220173425"}, "Order Completed", RUDDER_CHECKOUT | {"order_id": "5778367414385"},
     Reading("Order Completed", "7358220173425", (item(*RUDDER_LINE), item(*RUDDER_GIFT)), "5778367414385", 41_700_000,
             "EUR")),
    (RUDDER_WEBHOOK, "Checkout Started", RUDDER_WEBHOOK_ORDER, Reading(
        "Checkout Started", "7358220173425", RUDDER_WEBHOOK_ITEMS,
    )),
    # An update comes without a value: what the order was worth before stands.
    (RUDDER_WEBHOOK, "Order Updated", {name: value for name, value in RUDDER_WEBHOOK_ORDER.items() if name != "value"},
     Reading("Order Updated", "7358220173425", RUDDER_WEBHOOK_ITEMS, "5778367414385", None, "EUR")),
    (RUDDER_WEBHOOK, "Order Cancelled", RUDDER_WEBHOOK_ORDER, Reading(
        "Order Cancelled", "7358220173425", None, "5778367414385", None, "EUR",
    )),
]  # fmt: skip

# --- WooCommerce ---

FORMER_PLUGIN: list[tuple[Fields, str, Fields, Reading]] = [
    (WORDPRESS, "Added Product", WORDPRESS_POT | {"quantity": 2}, Reading(
        "Product Added", E_MAIL, (item(("99", "POT-1"), 28_900_000, 2, ""),),
    )),
    (WORDPRESS, "Added Product", WORDPRESS_POT | {"sku": "", "quantity": "2"}, Reading(
        "Product Added", E_MAIL, (item(("99",), 28_900_000, 2, ""),),
    )),
    (WORDPRESS, "Removed Product", WORDPRESS_REMOVAL, Reading(
        "Product Removed", E_MAIL, (item(("POT-1",), 28_900_000, 0, ""),),
    )),
    (WORDPRESS, "Completed Order", WORDPRESS_ORDER, Reading(
        "Order Completed", E_MAIL, (item(("99", "POT-1"), 57_800_000, 2, ""), item(("CUP",), 0, 1, "")), "4711",
        62_700_000,
    )),
    # A customer who is not logged in has the device alone, and an order number of another plugin is text.
    (WORDPRESS | {"userId": None}, "Completed Order", WORDPRESS_ORDER | {"id": "WEB-2026-4711", "products": []},
     Reading("Order Completed", DEVICE, (), "WEB-2026-4711", 62_700_000)),
]  # fmt: skip
IN8_ITEMS = (
    item(("99", "Teapot"), 28_900_000, 2), item(("121", "Oolong"), 9_500_000, 1),
    item(("130", "Sample"), None, 1),
)  # fmt: skip
IN8_PLUGIN: list[tuple[Fields, str, Fields, Reading]] = [
    (IN8, "Product Added", IN8_POT, Reading("Product Added", "12", (item(("99", "POT-1"), 28_900_000, None, ""),))),
    # A variant is an object of attributes here, so the SKU alone tells the line from another.
    (IN8, "Product Added", IN8_TEA, Reading("Product Added", "12", (item(("120", "120"), 9_500_000, None, ""),))),
    (IN8, "Product Removed", IN8_POT | {"quantity": 1}, Reading(
        "Product Removed", "12", (item(("99", "POT-1"), 28_900_000, 1, ""),),
    )),
    (IN8, "Coupon Applied", {"coupon_code": "SPRING", "coupon_id": 77, "coupon_type": "Percentage discount"}, Reading(
        "Coupon Applied", "12",
    )),
    (IN8, "Order Completed", IN8_ORDER, Reading("Order Completed", "12", IN8_ITEMS, "4711", 72_200_000, "EUR")),
    # A refund carries the order's properties: the total is what is paid back.
    (IN8, "Order Refunded", IN8_ORDER | {"total_refunded": "72.20", "item_count_refunded": -4}, Reading(
        "Order Refunded", "12", IN8_ITEMS, "4711", 72_200_000, "EUR",
    )),
    (IN8, "Order Cancelled", IN8_ORDER, Reading("Order Cancelled", "12", None, "4711", 72_200_000, "EUR")),
    (IN8 | {"userId": None, "anonymousId": DEVICE}, "Order Completed", IN8_ORDER, Reading(
        "Order Completed", DEVICE, IN8_ITEMS, "4711", 72_200_000, "EUR",
    )),
]  # fmt: skip
SHOP_EVENTS = {
    "Littledata": LITTLEDATA, "Littledata 2019": LITTLEDATA_2019, "Segment": SEGMENTS_PIXEL,
    "RudderStack": RUDDERSTACK, "WordPress": FORMER_PLUGIN, "in8": IN8_PLUGIN,
}  # fmt: skip


@pytest.mark.parametrize(
    ("base", "name", "properties", "right"),
    [
        pytest.param(*case, id=f"{source} {index}: {case[1]}")
        for source, cases in SHOP_EVENTS.items()
        for index, case in enumerate(cases, 1)
    ],
)
def test_an_event_of_carts_or_orders_is_read_to_the_cent(
    base: Fields, name: str, properties: Fields, right: Reading
) -> None:
    """Customer, products, order, value, currency and cart are those that the source states, and nothing is unread."""
    is_read(track(base, name, properties), right)


CART_OF_LITTLEDATA: Fields = {"cart_id": "c1-9f2d", "currency": "EUR"}


@pytest.mark.parametrize(
    ("name", "properties", "right"),
    [
        ("Product Added", LITTLEDATA_POT | {"products": [LITTLEDATA_TEA, LITTLEDATA_POT]}, POT),
        ("Product Removed", LITTLEDATA_TEA | {"products": [LITTLEDATA_POT]}, TEA),
    ],
)
def test_the_products_beside_an_added_product_are_the_cart(name: str, properties: Fields, right: Item) -> None:
    """Littledata names the one product in the properties, and what the cart holds after the event in `products`."""
    message = track(LITTLEDATA_SERVER, name, CART_OF_LITTLEDATA | properties)
    is_read(message, Reading(name, SHOPIFY_CUSTOMER, (right,), cart="c1-9f2d"))


def test_the_last_product_of_a_littledata_cart_is_removed() -> None:
    """An empty list of what is left in the cart leaves the one product that the event names."""
    message = track(LITTLEDATA_SERVER, "Product Removed", CART_OF_LITTLEDATA | LITTLEDATA_TEA | {"products": []})
    is_read(message, Reading("Product Removed", SHOPIFY_CUSTOMER, (TEA,), cart="c1-9f2d"))


# --- events that hold neither a cart nor an order: what they are taken for, by source ---

LITTLEDATA_BROWSING: dict[str, Fields] = {
    "Product Clicked": LITTLEDATA_TEA, "Product List Viewed": {"list_id": "28101", "products": [LITTLEDATA_TEA]},
    "Product Viewed": LITTLEDATA_TEA, "Products Searched": {"query": "assam", "sent_from": "Littledata app"},
    "Page Viewed": LITTLEDATA_CART, "Product Image Clicked": LITTLEDATA_TEA, "Product Shared": LITTLEDATA_TEA,
    "Registration Viewed": LITTLEDATA_CART, "Blog Viewed": LITTLEDATA_CART, "Registration Completed": LITTLEDATA_CART,
    # These bear an order, and are none: the order comes as Order Completed, or is not one of this shop.
    "Thank you Page Viewed": LITTLEDATA_ORDER,
    "POS Order Placed": LITTLEDATA_ORDER | {"source_name": "pos", "location_id": 55213},
    "Payment Failure": LITTLEDATA_CHECKOUT,
    "Fulfillment Created": LITTLEDATA_ORDER | {"status": "success", "tracking_numbers": ["00340"]},
    "Fulfillment Updated": LITTLEDATA_ORDER | {"status": "success", "tracking_urls": ["https://post.example/00340"]},
    "Customer Created": LITTLEDATA_TRAITS, "Customer Enabled": LITTLEDATA_TRAITS,
    "Charge Failed": LITTLEDATA_ORDER | {"error_type": "CARD_DECLINED"}, "Charge Max Tries Reached": LITTLEDATA_ORDER,
    "Order Processed": LITTLEDATA_ORDER, "Payment Method Updated": LITTLEDATA_TRAITS,
    "Subscription Cancelled": LITTLEDATA_ORDER | {"cancellation_reason": "too much tea"},
    "Subscription Created": LITTLEDATA_ORDER | {"status": "ACTIVE", "order_interval_frequency": "30"},
    "Subscription Updated": LITTLEDATA_ORDER | {"status": "ACTIVE", "order_interval_unit": "day"},
}  # fmt: skip
PIXEL_BROWSING: dict[str, Fields] = {
    "Product Viewed": PIXEL_TEA, "Product List Viewed": {"products": [PIXEL_TEA, PIXEL_POT]},
    "Products Searched": {"products": [PIXEL_TEA], "query": "assam"}, "Shipping Info Entered": PIXEL_CHECKOUT,
    "Address Info Entered": PIXEL_CHECKOUT, "Contact Info Entered": PIXEL_CHECKOUT,
}  # fmt: skip
RUDDER_BROWSING: dict[str, Fields] = {
    "Product Viewed": RUDDER_TEA | {"currency": "EUR"}, "Products Searched": {"query": "darjeeling"},
    "Product List Viewed": {"cart_id": DEVICE, "list_id": "sh-77a1", "products": [RUDDER_TEA, RUDDER_CUP]},
    "Checkout Address Info Submitted": {"checkout_id": "84ad7857"},
    "Checkout Contact Info Submitted": {"checkout_id": "84ad7857"},
    "Checkout Shipping Info Submitted": {"checkout_id": "84ad7857"},
    "Payment Info Submitted": {"checkout_id": "84ad7857"},
}  # fmt: skip
RUDDER_WEBHOOKS = (
    "Checkout Updated", "Checkouts Delete", "Fulfillments Create", "Fulfillments Update", "Fulfillment Orders Split",
    "Order Created", "Orders Delete", "Orders Edited", "Orders Fulfilled", "Orders Paid", "Orders Partially Fulfilled",
    "Shipping Addresses Create", "Shipping Addresses Update", "Checkout Started Webhook", "Cart Update",
)  # fmt: skip
WORDPRESS_BROWSING: dict[str, Fields] = {
    "Viewed Home Page": {}, "Viewed About Page": {}, "Viewed Post": {"title": "Tea"}, "Logged In": {"username": "kim"},
}  # fmt: skip
IN8_ORDERS = ("Order Pending", "Order Processing", "Order Failed", "Order Paid", "Order On Hold")
BROWSING: list[tuple[str, Fields, str, dict[str, Fields]]] = [
    ("Littledata", LITTLEDATA_SERVER, SHOPIFY_CUSTOMER, LITTLEDATA_BROWSING),
    ("Segment", PIXEL, DEVICE, PIXEL_BROWSING),
    ("RudderStack's pixel", RUDDER_PIXEL, DEVICE, RUDDER_BROWSING),
    ("RudderStack's webhook", RUDDER_WEBHOOK, "7358220173425", dict.fromkeys(RUDDER_WEBHOOKS, RUDDER_WEBHOOK_ORDER)),
    ("WordPress", WORDPRESS, E_MAIL, WORDPRESS_BROWSING),
    ("in8", IN8, "12", dict.fromkeys(IN8_ORDERS, IN8_ORDER)),
]


@pytest.mark.parametrize(
    ("base", "customer", "name", "properties"),
    [
        pytest.param(base, customer, name, properties, id=f"{source}: {name}")
        for source, base, customer, events in BROWSING
        for name, properties in events.items()
    ],
)
def test_an_event_of_neither_carts_nor_orders_has_its_name_and_its_properties(
    base: Fields, customer: str, name: str, properties: Fields
) -> None:
    """An order that is only mentioned is none: the page after it, its parcel, its payment, or that of a till."""
    is_read(track(base, name, properties), Reading(name, customer))


def test_a_product_which_the_former_plugin_shows_is_viewed() -> None:
    """The name of the first version of the spec is taken for that of the second."""
    is_read(track(WORDPRESS, "Viewed Product", WORDPRESS_POT), Reading("Product Viewed", E_MAIL))


PAGES: dict[str, Fields] = {
    "Segment": PIXEL | {"name": "Page Viewed", "properties": PIXEL["context"]["page"]},
    "RudderStack": RUDDER_PIXEL | {"name": "Page View", "properties": RUDDER_PIXEL["context"]["page"]},
    "the former plugin": WORDPRESS | {"userId": None, "name": "Pots", "properties": {}},
}


@pytest.mark.parametrize("source", PAGES)
def test_a_page_is_one_whatever_its_name(source: str) -> None:
    """The type of the message makes a page, not the name that the source gives it."""
    is_read(PAGES[source] | {"type": "page"}, Reading("page", DEVICE))


# --- customers ---

WORDPRESS_TRAITS: Fields = {"username": "kim", "email": E_MAIL, "firstName": "Kim", "url": "https://kim.example"}
IN8_TRAITS: Fields = {
    "username": "kim", "nicename": "kim", "email": E_MAIL, "created_at": "2024-11-02T10:00:00+00:00",
    "display_name": "Kim Lee", "first_name": "Kim", "billing_city": "Hamburg",
}  # fmt: skip
RUDDER_TRAITS: Fields = {
    "email": E_MAIL, "firstName": "Kim", "lastName": "Lee", "phone": "+4940123456", "company": "Leaf & Pot",
    "createdAt": "2024-11-02T10:00:00Z", "cart_token_hash": "9125e1da-57b9-5bdc-953e-eb2b0ded5edc",
    "address": {"street": "Lange Reihe 5", "city": "Hamburg", "state": "HH", "postalCode": "20099", "country": "DE"},
}  # fmt: skip


@pytest.mark.parametrize(
    ("message", "customer", "traits"),
    [
        pytest.param(
            LITTLEDATA_SERVER | {"userId": 6790144000123.0, "traits": LITTLEDATA_TRAITS},
            SHOPIFY_CUSTOMER, LITTLEDATA_TRAITS | {"customerLifetimeValue": "312.4"}, id="Littledata",
        ),
        pytest.param(PIXEL | {"traits": PIXEL_PERSON}, DEVICE, PIXEL_PERSON, id="Segment"),
        pytest.param(
            RUDDER_WEBHOOK | {"context": {"traits": RUDDER_TRAITS}}, "7358220173425", RUDDER_TRAITS, id="RudderStack",
        ),
        pytest.param(WORDPRESS | {"traits": WORDPRESS_TRAITS}, E_MAIL, WORDPRESS_TRAITS, id="WordPress"),
        pytest.param(IN8 | {"traits": IN8_TRAITS}, "12", IN8_TRAITS, id="in8"),
        # A customer without any of the chosen traits: PHP writes an empty array.
        pytest.param(IN8 | {"traits": []}, "12", {}, id="in8, without traits"),
    ],
)  # fmt: skip
def test_a_customer_has_the_traits_of_the_source(message: Fields, customer: str, traits: Fields) -> None:
    """Ids that are numbers are their digits; a fraction keeps the digits in which it is written."""
    event = decoded(message | {"type": "identify"})
    assert (event.name, event.customer, event.traits.fields) == ("identify", customer, traits)


def test_a_device_becomes_the_customer_of_littledata() -> None:
    """An alias names the device as the former id, as the destinations of Littledata need it."""
    message: Fields = {
        "type": "alias", "messageId": "api-9", "timestamp": LITTLEDATA_SERVER["timestamp"], "previousId": DEVICE,
        "userId": 6790144000123,
    }  # fmt: skip
    event = decoded(message)
    assert (event.name, event.customer, event.link) == ("alias", SHOPIFY_CUSTOMER, DEVICE)
