"""The actions of a customer, as the oracle reads them: events, the cart, orders, sessions, the last and first touch.

Each is computed from all known events of the customer, in (time, messageId) order.
"""

from collections.abc import Sequence
from functools import cache
from itertools import pairwise
from typing import NamedTuple
from urllib.parse import urlsplit

from tests.oracle.values import DAY_MS, MILLION, Json, identifier, listed, lookup, mapping, millionths

ITEM_RETENTION_MS = 90 * DAY_MS  # the product's stated bound of a cart
ORDER_RETENTION_MS = 90 * DAY_MS  # the product's stated bound, beyond the longest window over orders

COMPLETED, REFUNDED, CANCELLED = "Order Completed", "Order Refunded", "Order Cancelled"
PURCHASES = {COMPLETED, REFUNDED, CANCELLED}
ADDING = {"Product Added", "Wishlist Product Added to Cart"}
REMOVING = {"Product Removed"}
REPLACING = {"Cart Viewed", "Checkout Started"}
CHECKOUT = {"Checkout Started", "Checkout Step Viewed", "Checkout Step Completed", "Payment Info Entered"}
CARTS = ADDING | REMOVING | REPLACING | CHECKOUT | {
    "Coupon Entered", "Coupon Applied", "Coupon Removed", "Coupon Denied",
}  # fmt: skip
BROWSE = {
    "Product Viewed", "Product List Viewed", "Product List Filtered", "Products Searched",
    "Product Clicked", "Promotion Viewed", "Promotion Clicked",
}  # fmt: skip
ACTIVITY = {"page"} | BROWSE | CARTS

SEARCH_ENGINES = {
    "google", "bing", "yahoo", "duckduckgo", "yandex", "baidu", "ecosia", "startpage", "qwant", "naver",
    "seznam", "ask", "aol", "kagi", "zarebin", "parsijoo", "gerdoo",
}  # fmt: skip
BEFORE_THE_ENGINE = {"www", "m", "search"}
ATTRIBUTES = {
    "device": "device.type",
    "source": "campaign.source",
    "medium": "campaign.medium",
    "campaign": "campaign.name",
    "country": "location.country",
    "city": "location.city",
    "locale": "locale",
}


class Fact(NamedTuple):
    """One event as the rules see it."""

    time: int
    message_id: str
    name: str
    properties: Json
    traits: Json
    context: Json


class Order(NamedTuple):
    """An order that still stands; its value in millionths, less what is known to be refunded."""

    completion: Fact
    value: int | None


def moment_of(what: Fact) -> tuple[int, str]:
    return what.time, what.message_id


# --- sessions ----------------------------------------------------------------------------------


def session_starts(facts: Sequence[Fact], gap: int) -> list[int]:
    """An activity at least `gap` after the one before starts a session."""
    times = [what.time for what in facts if what.name in ACTIVITY]
    return times[:1] + [time for before, time in pairwise(times) if time - before >= gap]


# --- the cart ----------------------------------------------------------------------------------


def since_purchase(facts: Sequence[Fact]) -> list[Fact]:
    """The cart events after the newest Order Completed message, whatever became of that order."""
    purchases = [what.time for what in facts if what.name == COMPLETED]
    newest = max(purchases, default=0)
    return [what for what in facts if what.name in CARTS and what.time > newest]


def still_counting(touches: list[Fact]) -> list[Fact]:
    """The touches that are not more than 90 days older than the newest."""
    return [what for what in touches if what.time >= touches[-1].time - ITEM_RETENTION_MS]


def contents(touches: list[Fact]) -> dict[str | None, int]:
    """What lies in the cart: product to quantity in millionths, above zero."""
    quantities: dict[str | None, int] = {}
    for what in still_counting(touches):
        quantities = after_touch(quantities, what)
    return {product: quantity for product, quantity in quantities.items() if quantity > 0}


def after_touch(quantities: dict[str | None, int], what: Fact) -> dict[str | None, int]:
    item = product(what.properties)
    before = quantities.get(item, 0)
    if what.name in ADDING:
        return {**quantities, item: before + quantity(what.properties)}
    if what.name in REMOVING:
        gone = millionths(what.properties.get("quantity"))
        return {**quantities, item: 0 if gone is None else max(0, before - gone)}
    products = what.properties.get("products")
    if what.name in REPLACING and isinstance(products, list):
        return whole_cart(products)
    return quantities


def whole_cart(products: list[object]) -> dict[str | None, int]:
    """A whole cart as told; a product told twice is there with both quantities."""
    quantities: dict[str | None, int] = {}
    for properties in map(mapping, products):
        item = product(properties)
        quantities[item] = quantities.get(item, 0) + quantity(properties)
    return quantities


def product(properties: Json) -> str | None:
    """product_id, else sku, else name; None is the one unnamed product."""
    names = (identifier(properties.get(key)) for key in ("product_id", "sku", "name"))
    return next((name for name in names if name is not None), None)


def quantity(properties: Json) -> int:
    number = millionths(properties.get("quantity"))
    return MILLION if number is None else number


def prices(touches: list[Fact]) -> dict[str | None, int]:
    """The last price told of each product, in millionths."""
    price_of: dict[str | None, int] = {}
    for what in still_counting(touches):
        for properties in stated_items(what):
            price = millionths(properties.get("price"))
            if price is not None:
                price_of[product(properties)] = price
    return price_of


def stated_items(what: Fact) -> list[Json]:
    """The products that an item event speaks of, in its order."""
    if what.name in ADDING | REMOVING:
        return [what.properties]
    products = what.properties.get("products")
    return [mapping(properties) for properties in listed(products)] if what.name in REPLACING and products else []


def at_checkout(touches: list[Fact]) -> bool:
    return any(what.name in CHECKOUT for what in touches)


# --- orders ------------------------------------------------------------------------------------


def standing_orders(facts: Sequence[Fact], retention_ms: int | None) -> list[Order]:
    """Each order that is neither cancelled nor fully refunded."""
    orders: dict[tuple[str, str], list[Fact]] = {}
    for message in order_messages(facts, retention_ms):
        orders.setdefault(order_key(message), []).append(message)
    standing = [order_of(messages) for messages in orders.values()]
    return [order for order in standing if order is not None]


def order_messages(facts: Sequence[Fact], retention_ms: int | None) -> list[Fact]:
    """The messages about an order that still count: none older than `retention_ms` before the newest.

    A refund or cancel without an order id is about no order.
    """
    messages = [what for what in facts if what.name in PURCHASES]
    messages = [what for what in messages if what.name == COMPLETED or order_key(what)[0] == "order"]
    return [what for what in messages if retention_ms is None or what.time >= messages[-1].time - retention_ms]


def order_key(message: Fact) -> tuple[str, str]:
    order_id = identifier(message.properties.get("order_id"))
    return ("message", message.message_id) if order_id is None else ("order", order_id)


def order_of(messages: list[Fact]) -> Order | None:
    """The order at its earliest completion; None when there is none, or the order was taken back."""
    completions = [message for message in messages if message.name == COMPLETED]
    cancelled = any(message.name == CANCELLED for message in messages)
    if not completions or cancelled or fully_refunded(completions[0], messages):
        return None
    value = amount(completions[0])
    return Order(completions[0], None if value is None else value - sum(refunds_known(messages)))


def fully_refunded(completion: Fact, messages: list[Fact]) -> bool:
    """A refund without an amount, or refunds that add up to the order's value."""
    amounts = refunds_known(messages)
    value = amount(completion)
    refunds = [message for message in messages if message.name == REFUNDED]
    return len(amounts) < len(refunds) or (bool(amounts) and value is not None and sum(amounts) >= value)


def refunds_known(messages: list[Fact]) -> list[int]:
    """The amounts of those refunds that tell one."""
    amounts = [amount(message) for message in messages if message.name == REFUNDED]
    return [refund for refund in amounts if refund is not None]


def amount(message: Fact) -> int | None:
    total = millionths(message.properties.get("total"))
    return millionths(message.properties.get("revenue")) if total is None else total


# --- touches -----------------------------------------------------------------------------------


def attribute(what: Fact, name: str) -> str | None:
    """What an event carries of its context: a text that is not empty."""
    if name == "channel":
        return channel(what)
    if name == "referrer":
        return text_at(what.context, "referrer.url") or text_at(what.context, "page.referrer")
    return text_at(what.context, ATTRIBUTES[name])


def text_at(context: Json, path: str) -> str | None:
    value = lookup(context, path)
    return value if isinstance(value, str) else None


def channel(what: Fact) -> str | None:
    """Where a visit came from, as far as the event tells."""
    if any(attribute(what, name) for name in ("source", "medium", "campaign")):
        return "campaign"
    referrer = attribute(what, "referrer")
    if referrer is None:
        return "direct" if what.name == "page" else None
    host = host_of(referrer)
    if host is None or host == host_of(text_at(what.context, "page.url") or ""):
        return None
    return "search" if is_search_engine(host) else "referral"


@cache
def host_of(url: str) -> str | None:
    """The host of an address in lower case, without a leading www."""
    try:
        host = urlsplit(url).hostname
    except ValueError:  # brackets that hold no address
        return None
    return host.removeprefix("www.") if host else None


def is_search_engine(host: str) -> bool:
    labels = host.split(".")
    while labels and (labels[0] in BEFORE_THE_ENGINE or len(labels[0]) == 2):
        labels = labels[1:]
    return bool(labels) and labels[0] in SEARCH_ENGINES
