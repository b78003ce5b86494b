"""The texts of a made-up shop: bodies as analytics.js sends them, as bytes.

Everything but ids and times is encoded once per process, so that an event is one `%` of bytes
(about 3 microseconds).
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import cache
from typing import Any

__all__ = ["Record", "ShopText", "TextKind", "record", "texts"]

Record = tuple[str, bytes, bytes, int]  # topic, key, value, time_ms


class TextKind(IntEnum):
    """The kinds of events. The number is the index in `texts()`."""

    PAGE = 0
    VIEWED = 1
    LISTED = 2
    SEARCHED = 3
    RATED = 4
    ADDED = 5
    CART = 6
    REMOVED = 7
    CHECKOUT = 8
    ORDER = 9
    IDENTIFY = 10


@dataclass(frozen=True, slots=True)
class ShopText:
    """The texts of one kind; `opening` has a place for the cart, order or mail address that it names."""

    topic: str
    head: bytes
    opening: bytes
    bodies: list[bytes]


ENVELOPE = (
    b'{%b,"messageId":"%b","userId":"%b","anonymousId":"7d5b1e0c-44a1-4c5e-9f2b-%012x","timestamp":"%bZ",%b%b%b%b}}'
)


def record(
    text: ShopText, customer: int, choice: int, campaign: int, uuid: bytes, stamp: bytes, time_ms: int
) -> Record:
    """One event; `stamp` is `time_ms` in ISO 8601 without offset, `choice` and `campaign` pick texts."""
    key = b"u%06d" % customer
    opening = text.opening
    if text.topic == "purchases":
        opening %= uuid[:13]
    elif text.topic != "visits":
        opening %= key
    if text.topic == "profiles":
        choice = customer  # the traits of a customer do not change
    value = ENVELOPE % (
        text.head,
        uuid,
        key,
        customer * 0x9E3779B97F4B & 0xFFFFFFFFFFFF,  # an odd factor, so that no two customers have the same value
        stamp,
        opening,
        text.bodies[choice % len(text.bodies)],
        VISITORS[customer % len(VISITORS)],
        CAMPAIGNS[campaign % len(CAMPAIGNS)],
    )
    return text.topic, key, value, time_ms


def _compact(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


SHOP = "https://shop.test"
SHELF_COUNT = 512
NAMES = ("Running Shoes", "Espresso Machine", "Phone", "کفش پیاده", "Rain Jacket", "Kaffeemühle", "Desk Lamp")
CATEGORIES = ("sport.shoes", "home.kitchen", "electronics.phone", "outdoor.jackets")
AGENTS = (
    ("en-US", "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:144.0) Gecko/20100101 Firefox/144.0"),
    ("fa-IR", "Mozilla/5.0 (Android 15; Mobile; rv:144.0) Gecko/144.0 Firefox/144.0"),
    ("de-DE", "Mozilla/5.0 (Android 15; Tablet; rv:144.0) Gecko/144.0 Firefox/144.0"),
    ("en-GB", "Mozilla/5.0 (X11; Linux x86_64; rv:144.0) Gecko/20100101 Firefox/144.0"),
)
LIBRARY = {"name": "analytics.js", "version": "1.81.0"}
VISITORS = [_compact({"userAgent": agent, "locale": locale, "library": LIBRARY})[1:-1] for locale, agent in AGENTS]
SOURCES = (("spring", "newsletter", "email"), ("brand", "google", "cpc"), ("launch", "instagram", "social"))
CAMPAIGNS = [b""] * 6 + [
    b',"campaign":' + _compact({"name": name, "source": source, "medium": medium}) for name, source, medium in SOURCES
]


@cache
def texts() -> tuple[ShopText, ...]:
    """The texts of every kind, in the order of `TextKind`."""
    shelf = [_product(number) for number in range(SHELF_COUNT)]
    goods = [_body(product, f"/p/{product['product_id']}") for product in shelf]
    added = [_body({**product, "quantity": 1}, f"/p/{product['product_id']}") for product in shelf]
    baskets = [(shelf * 2)[first : first + 1 + first % 3] for first in range(SHELF_COUNT)]
    return (
        ShopText("visits", b'"type":"page","name":"Home"', b'"properties":{', _pages()),
        _track("visits", "Product Viewed", goods),
        _track(
            "visits",
            "Product List Viewed",
            [_list(category, [{"product_id": "p00000"}]) for category in CATEGORIES],
        ),
        _track("visits", "Products Searched", [_body({"query": name}, "/search") for name in NAMES]),
        _track("visits", "NPS Submitted", [_body({"score": score}, "/feedback") for score in range(11)]),
        _track("carts", "Product Added", added, "cart_id"),
        _track("carts", "Cart Viewed", [_body({"currency": "USD"}, "/cart")], "cart_id"),
        _track("carts", "Product Removed", added, "cart_id"),
        _track("carts", "Checkout Started", [_basket("value", basket) for basket in baskets], "cart_id"),
        _track("purchases", "Order Completed", [_basket("total", basket) for basket in baskets], "order_id"),
        ShopText("profiles", b'"type":"identify"', b'"traits":{"email":"%b@mail.example",', _traits()),
    )


def _track(topic: str, event: str, bodies: list[bytes], id_name: str = "") -> ShopText:
    opening = b'"properties":{' + (b'"%b":"%%b",' % id_name.encode() if id_name else b"")
    return ShopText(topic, b'"type":"track","event":"%b"' % event.encode(), opening, bodies)


def _body(properties: dict[str, Any], path: str, referrer: str = f"{SHOP}/") -> bytes:
    """The rest of the properties or traits, and the page in the context, which stays open."""
    page = {"path": path, "referrer": referrer, "url": SHOP + path}
    return _compact(properties)[1:] + b',"context":{"page":' + _compact(page) + b","


def _pages() -> list[bytes]:
    referrers = ("", "https://www.google.com/", "https://www.instagram.com/", f"{SHOP}/sale")
    properties = {"path": "/", "search": "", "title": "Home", "url": f"{SHOP}/"}
    return [_body({**properties, "referrer": referrer}, "/", referrer) for referrer in referrers]


def _list(category: str, products: Sequence[dict[str, Any]]) -> bytes:
    return _body({"list_id": category, "category": category, "products": products}, f"/c/{category}")


def _product(number: int) -> dict[str, Any]:
    return {
        "product_id": f"p{number:05}",
        "category": CATEGORIES[number % len(CATEGORIES)],
        "name": f"{NAMES[number % len(NAMES)]} {number}",
        "price": (199 + number * 7919 % 40_000) / 100,
    }


def _basket(amount: str, products: Sequence[dict[str, Any]]) -> bytes:
    names = ("product_id", "price")
    lines = [{name: product[name] for name in names} | {"quantity": 1} for product in products]
    cents = sum(round(100 * product["price"]) for product in products)
    return _body({amount: cents / 100, "currency": "USD", "products": lines}, "/checkout")


def _traits() -> list[bytes]:
    return [
        _body({"birthday": f"{1950 + year}-05-17", "plan": plan, "newsletter": plan != "free"}, "/login")
        for year in range(56)
        for plan in ("free", "plus", "family")
    ]
