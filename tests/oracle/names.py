"""The names of the spec: what is reserved, how it may be written, and what the spec's first version called it."""

import re

COMPLETED, UPDATED = "Order Completed", "Order Updated"
REFUNDED, CANCELLED = "Order Refunded", "Order Cancelled"
PURCHASES = {COMPLETED, UPDATED, REFUNDED, CANCELLED}
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

OLD_NAMES = {
    "Viewed Product": "Product Viewed",
    "Viewed Product Category": "Product List Viewed",
    "Clicked Product": "Product Clicked",
    "Added Product": "Product Added",
    "Removed Product": "Product Removed",
    "Viewed Cart": "Cart Viewed",
    "Started Checkout": "Checkout Started",
    "Viewed Checkout Step": "Checkout Step Viewed",
    "Completed Checkout Step": "Checkout Step Completed",
    "Entered Payment Info": "Payment Info Entered",
    "Completed Order": COMPLETED,
    "Updated Order": UPDATED,
    "Refunded Order": REFUNDED,
    "Cancelled Order": CANCELLED,
    "Canceled Order": CANCELLED,
    "Order Canceled": CANCELLED,
    "Viewed Promotion": "Promotion Viewed",
    "Clicked Promotion": "Promotion Clicked",
    "Searched Products": "Products Searched",
    "Filtered Product List": "Product List Filtered",
    "Entered Coupon": "Coupon Entered",
    "Applied Coupon": "Coupon Applied",
    "Removed Coupon": "Coupon Removed",
    "Denied Coupon": "Coupon Denied",
}
OLD_FIELDS = {"product_id": "id", "order_id": "orderId", "cart_id": "cartId"}


def key_of(name: str) -> str:
    """A name without case and without what may stand between its words."""
    return re.sub(r"[\s_-]", "", name).lower()


RESERVED = {key_of(name): name for name in BROWSE | CARTS | PURCHASES} | {
    key_of(old): new for old, new in OLD_NAMES.items()
}


def current_name(name: object) -> str:
    """The reserved name that a name stands for, else the name as it is written."""
    return RESERVED.get(key_of(str(name)), str(name))
