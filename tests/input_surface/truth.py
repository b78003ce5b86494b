"""The segments files of the cases, and the segments that follow from what is true of a customer."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final

import yaml

LADDER: Final = ("0.99", "1", "1.6", "49.9", "50", "1049.9", "1000000")
ITEMS: Final = ("0.5", "1", "2", "3", "5")

BROWSE: Final = (
    "Product Viewed",
    "Product List Viewed",
    "Product List Filtered",
    "Products Searched",
    "Product Clicked",
    "Promotion Viewed",
    "Promotion Clicked",
)
CART: Final = (
    "Product Added",
    "Product Removed",
    "Wishlist Product Added to Cart",
    "Cart Viewed",
    "Checkout Started",
    "Checkout Step Viewed",
    "Checkout Step Completed",
    "Payment Info Entered",
    "Coupon Entered",
    "Coupon Applied",
    "Coupon Removed",
    "Coupon Denied",
)
PURCHASES: Final = ("Order Completed", "Order Updated", "Order Refunded", "Order Cancelled")
RESERVED: Final = (*BROWSE, *CART, *PURCHASES)
CUSTOM: Final = "Signed Up"

Condition = dict[str, Any]


def slug(name: str) -> str:
    """A name as a part of a segment key: 49.9 is 49_9."""
    return name.lower().replace(" ", "_").replace(".", "_")


def did(name: str) -> str:
    """The key of the segment of all who did this."""
    return f"did_{slug(name)}"


def number(text: str) -> int | float:
    """A step of a ladder as YAML has it."""
    return float(text) if "." in text else int(text)


def tests(prefix: str, steps: Sequence[str], form: Any) -> dict[str, Condition]:
    """For each step a segment of at least it and one of at most it; `form` makes the condition of a test."""
    return {
        f"{prefix}_{short}_{slug(step)}": form({test: number(step)})
        for step in steps
        for short, test in (("ge", "at_least"), ("le", "at_most"))
    }


def ladder(prefix: str, steps: Sequence[str], low: Fraction, *, complete: bool = True) -> set[str]:
    """The keys of the steps that a value meets; of a value with an unknown part only those of at least."""
    hit = {f"{prefix}_ge_{slug(step)}" for step in steps if low >= Fraction(step)}
    if complete:
        hit |= {f"{prefix}_le_{slug(step)}" for step in steps if low <= Fraction(step)}
    return hit


@dataclass(frozen=True)
class Order:
    """An order that stands: its value in the file's currency (None: unknown), and what was refunded of it."""

    value: Fraction | None
    refunded: Fraction = Fraction(0)


@dataclass(frozen=True)
class Cart:
    """An open cart: the known part of its value, whether that is all, the number of items, the stage."""

    value: Fraction
    items: Fraction
    complete: bool = True
    checkout: bool = False


def of_orders(orders: Sequence[Order]) -> set[str]:
    """The segments of the file `orders`, `orders_usd` and `orders_cad`."""
    readable = [order for order in orders if order.value is not None]
    values = [order.value for order in readable if order.value is not None]
    hit = ladder("spent", LADDER, sum(values, Fraction(0)) - sum((order.refunded for order in readable), Fraction(0)))
    for value in values:
        hit |= ladder("total", LADDER, value)
    hit |= {"bought"} if orders else set()
    hit |= {"bought_twice"} if len(orders) > 1 else set()
    return hit


def of_cart(cart: Cart | None) -> set[str]:
    """The segments of the file `carts`."""
    if cart is None or cart.items == 0:
        return set()
    hit = {"abandoned"} | ladder("items", ITEMS, cart.items)
    hit |= ladder("cart", LADDER, cart.value, complete=cart.complete)
    return hit | {"checkout" if cart.checkout else "shopping"}


def of_price(price: Fraction | None) -> set[str]:
    """The segments of the file `prices` of one view of a product."""
    return {did("Product Viewed")} | (set() if price is None else ladder("price", LADDER, price))


def performed(event: str, where: Condition | None = None, **more: Any) -> Condition:
    """The condition of an event that was performed."""
    return {"performed": {"event": event, **({"where": where} if where else {}), **more}}


def _orders(currency: str) -> dict[str, Any]:
    whole: Condition = {"agg": "sum", "of": "total", "event": "Order Completed"}
    segments = {
        "bought": performed("Order Completed"),
        "bought_twice": performed("Order Completed", count={"at_least": 2}),
        **tests("spent", LADDER, lambda test: {"total": {**whole, **test}}),
        **tests("total", LADDER, lambda test: performed("Order Completed", {"total": test})),
    }
    return document(segments, currency=currency)


def document(segments: dict[str, Condition], **top: Any) -> dict[str, Any]:
    """A segments file of these conditions."""
    titled = {key: {"title": key, "when": condition} for key, condition in segments.items()}
    return {"version": 1, "library": {"only": ["gender_female"]}, **top, "segments": titled}


NAMES: Final = {
    **{did(name): performed(name) for name in (*RESERVED, "page", CUSTOM)},
    "active": {"sessions": {"count": {"at_least": 1}, "within": "30d"}},
}
FILES: Final[dict[str, dict[str, Any]]] = {
    "orders": _orders("EUR"),
    "orders_usd": _orders("USD"),
    "orders_cad": _orders("CAD"),
    "carts": document(
        {
            "abandoned": {"cart": {"idle_for": "30m", "until": "30d"}},
            "checkout": {"cart": {"stage": "checkout"}},
            "shopping": {"cart": {"stage": "cart"}},
            **tests("items", ITEMS, lambda test: {"cart": {"items": test}}),
            **tests("cart", LADDER, lambda test: {"cart": {"value": test}}),
        },
        currency="EUR",
    ),
    "prices": document(
        {
            did("Product Viewed"): performed("Product Viewed"),
            **tests("price", LADDER, lambda test: performed("Product Viewed", {"price": test})),
        },
        currency="EUR",
    ),
    "points": document(tests("points", LADDER, lambda test: {"trait": {"points": test}})),
    "names": document(NAMES),
    "spelled": document({did(name): performed(slug(name).upper()) for name in RESERVED}),
    "spelled_old": document(
        {
            did("Product Viewed"): performed("Viewed Product"),
            did("Product Added"): performed("added_product"),
            did("Order Completed"): performed("Completed Order"),
            did("Order Cancelled"): performed("Order Canceled"),
        }
    ),
}


def text_of(file: str) -> str:
    """The segments file as YAML."""
    return yaml.safe_dump(FILES[file], allow_unicode=True, sort_keys=False)


def own_keys(file: str) -> frozenset[str]:
    """The keys of the segments of a file."""
    return frozenset(FILES[file]["segments"])
