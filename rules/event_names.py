"""The names of events: those with a meaning here, the spellings in which they come, and the topic of each.

A reserved name is recognised without regard to case, to spaces around it, and to `_`, `-`, a space or nothing between
its words, as Segment's libraries do: `order_completed` is Order Completed. So are the names of the first version of the
Segment Spec, which has verb and object turned round (Completed Order). Any other name is a shop's own, and counts as
it is written.

Names: https://segment.com/docs/connections/spec/ecommerce/v2/
"""

from __future__ import annotations

import re
from functools import lru_cache

PAGE = "page"
IDENTIFY = "identify"
PRODUCT_ADDED = "Product Added"
WISHLIST_ADDED = "Wishlist Product Added to Cart"
PRODUCT_REMOVED = "Product Removed"
CART_VIEWED = "Cart Viewed"
CHECKOUT_STARTED = "Checkout Started"
ORDER_COMPLETED = "Order Completed"
ORDER_UPDATED = "Order Updated"
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
ORDER_NAMES = frozenset({ORDER_COMPLETED, ORDER_UPDATED, ORDER_REFUNDED, ORDER_CANCELLED})
ACTIVITY_NAMES = BROWSE_NAMES | CART_NAMES | {PAGE}
SHOP_NAMES = BROWSE_NAMES | CART_NAMES | ORDER_NAMES

# Other spellings of reserved names: the first version of the spec, and American English.
ALIASES = {
    "Viewed Product": "Product Viewed",
    "Viewed Product Category": "Product List Viewed",
    "Clicked Product": "Product Clicked",
    "Viewed Promotion": "Promotion Viewed",
    "Clicked Promotion": "Promotion Clicked",
    "Searched Products": "Products Searched",
    "Filtered Product List": "Product List Filtered",
    "Added Product": PRODUCT_ADDED,
    "Removed Product": PRODUCT_REMOVED,
    "Viewed Cart": CART_VIEWED,
    "Started Checkout": CHECKOUT_STARTED,
    "Viewed Checkout Step": "Checkout Step Viewed",
    "Completed Checkout Step": "Checkout Step Completed",
    "Entered Payment Info": "Payment Info Entered",
    "Entered Coupon": "Coupon Entered",
    "Applied Coupon": "Coupon Applied",
    "Removed Coupon": "Coupon Removed",
    "Denied Coupon": "Coupon Denied",
    "Completed Order": ORDER_COMPLETED,
    "Updated Order": ORDER_UPDATED,
    "Refunded Order": ORDER_REFUNDED,
    "Cancelled Order": ORDER_CANCELLED,
    "Canceled Order": ORDER_CANCELLED,
    "Order Canceled": ORDER_CANCELLED,
}

# The names of events that no customer causes, which no track call can have: a request to erase a customer, and the
# events of `rules.identity.resolution`.
UNNAMED = ""
ERASE = UNNAMED

# Segment Spec calls that link ids and group people; no condition depends on them.
WITHOUT_EFFECT = frozenset({"alias", "group"})

# Inputs in the order in which records of one millisecond are read.
INPUTS = ("profiles", "visits", "carts", "purchases")

_SEPARATORS = re.compile(r"[\s_-]+")
_SPELLED_MAX_CHARS = 64  # no reserved name is nearly so long, whatever stands between its words


def _folded(name: str) -> str:
    return _SEPARATORS.sub("", name).lower()


_BY_FOLDED = {_folded(name): name for name in SHOP_NAMES} | {_folded(old): name for old, name in ALIASES.items()}


def reserved_name(name: str) -> str | None:
    """The reserved name that a spelling stands for; `None` for a shop's own name."""
    return name if name in SHOP_NAMES else _of_spelling(name)


@lru_cache(maxsize=4_096)
def _of_spelling(name: str) -> str | None:
    return None if len(name) > _SPELLED_MAX_CHARS else _BY_FOLDED.get(_folded(name))


def input_of(name: str) -> str:
    """The input topic, without prefix, on which an event of this name belongs."""
    if name in CART_NAMES:
        return "carts"
    if name in ORDER_NAMES:
        return "purchases"
    return "profiles" if name in (IDENTIFY, "alias", UNNAMED) else "visits"
