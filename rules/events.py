"""Events: actions of a customer and statements about it, as the rules see them.

The name decides the meaning of an event, never the topic that it came on. Names and their
meaning are the Segment Spec's (https://segment.com/docs/connections/spec/ecommerce/v2/); the
table comes first, the types after it.

See also: `streams.wire.event_decoder` (makes them of records), and `rules.identity.events` (events between ids of one
person).
"""

from __future__ import annotations

import msgspec

from rules.context import NO_CONTEXT, Context
from rules.values import NO_DOCUMENT, Document

PAGE = "page"
IDENTIFY = "identify"
PRODUCT_ADDED = "Product Added"
WISHLIST_ADDED = "Wishlist Product Added to Cart"
PRODUCT_REMOVED = "Product Removed"
CART_VIEWED = "Cart Viewed"
CHECKOUT_STARTED = "Checkout Started"
ORDER_COMPLETED = "Order Completed"
ORDER_REFUNDED = "Order Refunded"
ORDER_CANCELLED = "Order Cancelled"

BROWSE_NAMES = frozenset({
    "Product Viewed", "Product List Viewed", "Product List Filtered", "Products Searched",
    "Product Clicked", "Promotion Viewed", "Promotion Clicked",
})  # fmt: skip
CART_NAMES = frozenset({
    PRODUCT_ADDED, PRODUCT_REMOVED, WISHLIST_ADDED, CART_VIEWED, CHECKOUT_STARTED,
    "Checkout Step Viewed", "Checkout Step Completed", "Payment Info Entered",
    "Coupon Entered", "Coupon Applied", "Coupon Removed", "Coupon Denied",
})  # fmt: skip
CHECKOUT_NAMES = frozenset({
    CHECKOUT_STARTED, "Checkout Step Viewed", "Checkout Step Completed", "Payment Info Entered",
})  # fmt: skip
ORDER_NAMES = frozenset({ORDER_COMPLETED, ORDER_REFUNDED, ORDER_CANCELLED})
ACTIVITY_NAMES = BROWSE_NAMES | CART_NAMES | {PAGE}
SHOP_NAMES = BROWSE_NAMES | CART_NAMES | ORDER_NAMES

# The names of the first version of the spec, which some senders still use.
ALIASES = {
    "Viewed Product": "Product Viewed",
    "Added Product": PRODUCT_ADDED,
    "Removed Product": PRODUCT_REMOVED,
    "Completed Order": ORDER_COMPLETED,
}

# The names of events that no customer causes, which no track call can have: a request to erase a customer, and the
# events of `rules.identity.resolution`.
UNNAMED = ""
ERASE = UNNAMED

# Segment Spec calls that link ids and group people; no condition depends on them.
WITHOUT_EFFECT = frozenset({"alias", "group"})

# Properties that are money: exact, never negative, and added up in one currency only.
MONEY = frozenset({"total", "revenue", "subtotal", "value", "price", "tax", "shipping", "discount"})

# Inputs in the order in which records of one millisecond are read.
INPUTS = ("profiles", "visits", "carts", "purchases")


def input_of(name: str) -> str:
    """The input topic, without prefix, on which an event of this name belongs."""
    if name in CART_NAMES:
        return "carts"
    if name in ORDER_NAMES:
        return "purchases"
    return "profiles" if name in (IDENTIFY, "alias", UNNAMED) else "visits"


class Origin(msgspec.Struct, frozen=True, gc=False):
    """The place of an event's record: topic, partition, offset."""

    topic: str
    partition: int
    offset: int


class Item(msgspec.Struct, frozen=True, gc=False):
    """A product of an event; ``quantity`` and ``price`` in 10⁻⁶, ``None`` when the event states none."""

    product: str
    quantity: int | None = None
    price: int | None = None


class Event(msgspec.Struct, frozen=True, gc=False):
    """An event of a customer: its name, its time (ms, UTC), and its message id.

    ``items`` are the products of an item event (``None``: the event names none), ``order`` and
    ``amount`` (10⁻⁶ of the currency) those of an order event. ``properties``, ``traits`` (of an
    identify) and ``context`` are read when a rule asks for them. ``link``: another id of the same person;
    ``vouched``: by an `alias` on `profiles`, whose writers vouch for it. ``identifies``: the event names its customer
    as `userId` (see `rules.identity.resolution`).
    """

    customer: str
    name: str
    time: int
    id: str
    items: tuple[Item, ...] | None = None
    order: str | None = None
    amount: int | None = None
    origin: Origin | None = None
    properties: Document = NO_DOCUMENT
    traits: Document = NO_DOCUMENT
    context: Context = NO_CONTEXT
    link: str | None = None
    vouched: bool = False
    identifies: bool = False

    @property
    def is_erasure(self) -> bool:
        """Whether the event asks for the customer to be erased."""
        return self.name == ERASE and type(self) is Event
