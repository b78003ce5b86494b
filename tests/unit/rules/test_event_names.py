"""The names of events: every reserved name in every spelling, those of the first version, and names that are none."""

import pytest

from rules.event_names import (
    ACTIVITY_NAMES,
    BROWSE_NAMES,
    CART_NAMES,
    ORDER_NAMES,
    SHOP_NAMES,
    input_of,
    reserved_name,
)
from rules.text_equality import fold

BROWSE = (
    "Product Viewed", "Product List Viewed", "Product List Filtered", "Products Searched", "Product Clicked",
    "Promotion Viewed", "Promotion Clicked",
)  # fmt: skip
CARTS = (
    "Product Added", "Product Removed", "Wishlist Product Added to Cart", "Cart Viewed", "Checkout Started",
    "Checkout Step Viewed", "Checkout Step Completed", "Payment Info Entered", "Coupon Entered", "Coupon Applied",
    "Coupon Removed", "Coupon Denied",
)  # fmt: skip
ORDERS = ("Order Completed", "Order Updated", "Order Refunded", "Order Cancelled")
RESERVED = (*BROWSE, *CARTS, *ORDERS)
FORMER = {
    "Viewed Product": "Product Viewed", "Viewed Product Category": "Product List Viewed",
    "Clicked Product": "Product Clicked", "Added Product": "Product Added", "Removed Product": "Product Removed",
    "Viewed Cart": "Cart Viewed", "Started Checkout": "Checkout Started",
    "Viewed Checkout Step": "Checkout Step Viewed", "Completed Checkout Step": "Checkout Step Completed",
    "Entered Payment Info": "Payment Info Entered", "Completed Order": "Order Completed",
    "Updated Order": "Order Updated", "Refunded Order": "Order Refunded", "Cancelled Order": "Order Cancelled",
    "Canceled Order": "Order Cancelled", "Order Canceled": "Order Cancelled", "Viewed Promotion": "Promotion Viewed",
    "Clicked Promotion": "Promotion Clicked", "Searched Products": "Products Searched",
    "Filtered Product List": "Product List Filtered", "Entered Coupon": "Coupon Entered",
    "Applied Coupon": "Coupon Applied", "Removed Coupon": "Coupon Removed", "Denied Coupon": "Coupon Denied",
}  # fmt: skip


def spellings(name: str) -> list[str]:
    """The spellings of a name: between its words a space, `_`, `-` or nothing, in any case, and spaces around."""
    words = name.split()
    between = [mark.join(words) for mark in (" ", "_", "-", "")]
    camel = words[0].lower() + "".join(word.capitalize() for word in words[1:])
    mixed = f"{words[0]}_{'-'.join(words[1:])}"
    around = [f" {name}", f"{name}  ", f"\t{name.lower()}\n"]
    return [*between, *(text.lower() for text in between), *(text.upper() for text in between), camel, mixed, *around]


def test_the_lists_of_names() -> None:
    """The names are those of the Segment Spec, each in one list."""
    assert set(BROWSE) == BROWSE_NAMES
    assert set(CARTS) == CART_NAMES
    assert set(ORDERS) == ORDER_NAMES
    assert set(RESERVED) == SHOP_NAMES
    assert {*BROWSE, *CARTS, "page"} == ACTIVITY_NAMES


@pytest.mark.parametrize("name", RESERVED)
def test_reserved_names_in_every_spelling(name: str) -> None:
    """A reserved name is recognised however it is spelled."""
    assert len(set(spellings(name))) >= 6
    for spelling in spellings(name):
        assert reserved_name(spelling) == name, spelling


@pytest.mark.parametrize(("former", "name"), FORMER.items())
def test_names_of_the_first_version(former: str, name: str) -> None:
    """A name of the first version, in any spelling, is that of today."""
    for spelling in spellings(former):
        assert reserved_name(spelling) == name, spelling


OTHERS = [
    "Signed Up", "signed_up", "page", "identify", "alias", "Order Complted", "Orders Completed", "Order Complete",
    "Order.Completed", "Order/Completed", "Order Completed!", "The Order Completed", "Order Completed 2",
    "Product Add", "Products Added", "Product Viewd", "Cart View", "Add to Cart", "Purchase", "Order", "Completed",
    "Completed Order Completed", "Product Category Viewed", "Viewed Product List", "Added to Cart Wishlist Product",
    "Step Checkout Viewed", "Info Payment Entered", "Product\u200cAdded", "Prodüct Added", "ثبت نام", "", " ", "_", "-",
    "x" * 100_000, "Order " * 1_000,
]  # fmt: skip


@pytest.mark.parametrize("name", OTHERS, ids=lambda name: name[:30])
def test_names_of_ones_own(name: str) -> None:
    """Any other name is no reserved one, however near it is."""
    assert reserved_name(name) is None


@pytest.mark.parametrize("name", ["Pro duct Added", "Order Com-pleted", "O_rder Completed"])
def test_marks_within_a_word_count(name: str) -> None:
    """A mark may stand between two words, and not within one."""
    assert reserved_name(name) is None


def test_the_input_of_a_name() -> None:
    """Cart events are carts, orders are purchases, identify and alias profiles, and all others visits."""
    assert {input_of(name) for name in CARTS} == {"carts"}
    assert {input_of(name) for name in ORDERS} == {"purchases"}
    assert {input_of(name) for name in (*BROWSE, "page", "group", "Signed Up")} == {"visits"}
    assert {input_of(name) for name in ("identify", "alias")} == {"profiles"}


def test_no_two_names_are_spelled_alike() -> None:
    """No spelling stands for two names."""
    folded = [fold(name).replace(" ", "") for name in (*RESERVED, *FORMER)]
    assert len(set(folded)) == len(folded)
