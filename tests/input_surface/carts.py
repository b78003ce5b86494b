"""What a cart holds after its events."""

from collections.abc import Iterator
from fractions import Fraction
from itertools import product
from typing import Any, Final

from tests.input_surface.model import ABSENT, Case, Event, label, make, track
from tests.input_surface.truth import CART, Cart, of_cart

PRODUCT_FIELDS: Final = ("product_id", "sku", "name", "id")
NO_PRODUCT_ID: Final[tuple[Any, ...]] = (None, "", True, {}, [])
NO_CART_ID: Final[tuple[Any, ...]] = (ABSENT, None, "", True, {}, [])
ADDING: Final = ("Product Added", "Added Product", "product_added", "PRODUCT-ADDED", "productAdded")
REMOVING: Final = ("Product Removed", "Removed Product", "product_removed", "PRODUCT-REMOVED", "productRemoved")


def added(message: str, minutes: float, /, **properties: Any) -> Event:
    """A product added."""
    return track("Product Added", message, minutes, **properties)


def removed(message: str, minutes: float, /, **properties: Any) -> Event:
    """A product removed."""
    return track("Product Removed", message, minutes, **properties)


def cart(value: Any, items: Any, **more: bool) -> Cart:
    """A cart of this value and so many items."""
    return Cart(Fraction(str(value)), Fraction(str(items)), **more)


def products() -> Iterator[Case]:
    """The field that names a product, in all spellings of its id."""
    for field, first, second in product(PRODUCT_FIELDS, (800, 800.0, "800"), (800, 800.0, "800")):
        if field == "name" and not isinstance(first, str) | isinstance(second, str):
            continue
        events = [added("m1", 0, **{field: first, "price": 10}), added("m2", 1, **{field: second, "price": 12})]
        name = f"{field} {label(first)} and {label(second)}"
        yield make(f"{name} are one", ("R21", "R22", "R13"), "carts", events, of_cart(cart(24, 2)))
        events[1] = removed("m2", 1, **{field: second})
        yield make(f"{name}: out again", ("R21", "R22", "R15"), "carts", events, of_cart(None))
    for value in NO_PRODUCT_ID:
        for field in ("sku", "name"):
            events = [
                added("m1", 0, **{"product_id": value, field: "x", "price": 10}),
                added("m2", 1, **{"product_id": value, field: "y", "price": 20}),
                removed("m3", 2, **{field: "x"}),
            ]
            name = f"product_id {label(value)}, so {field}"
            yield make(name, ("R21", "R22", "R7"), "carts", events, of_cart(cart(20, 1)))
        events = [added("m1", 0, product_id=value, price=10), added("m2", 1, product_id=value, price=20)]
        name = f"product_id {label(value)} alone is one unnamed product"
        yield make(name, ("R22",), "carts", events, of_cart(cart(40, 2)))
    for case, other in (("a", "b"), ("A", "a"), (1, 2), ("08", "8")):
        events = [added("m1", 0, product_id=case, price=10), removed("m2", 1, product_id=other)]
        name = f"product_id {label(case)} is not {label(other)}"
        yield make(name, ("R22", "R15"), "carts", events, of_cart(cart(10, 1)))


def lines() -> Iterator[Case]:
    """Lines of one product, told apart by sku and variant."""
    for field in ("sku", "variant"):
        small = {"product_id": "800", field: "S", "price": 15}
        large = {"product_id": "800", field: "L", "price": 120}
        both = track("Cart Viewed", "m1", 0, products=[small, large])
        yield make(f"two lines by {field}", ("R22",), "carts", [both], of_cart(cart(135, 2)))
        for out, right in (
            ({"product_id": "800", field: "S"}, cart(120, 1)),
            ({"product_id": "800", field: "L"}, cart(15, 1)),
            ({"product_id": "800", field: "M"}, cart(135, 2)),
            ({"product_id": "801", field: "S"}, cart(135, 2)),
            ({"product_id": "800"}, None),
            ({"product_id": "800", field: ""}, None),
            ({"product_id": "800", field: None}, None),
            ({"product_id": 800, field: "S"}, cart(120, 1)),
        ):
            events = [both, removed("m2", 1, **out)]
            yield make(f"two lines by {field}, without {out}", ("R22", "R15"), "carts", events, of_cart(right))
        events = [added("m1", 0, **small), added("m2", 1, **large), added("m3", 2, **small)]
        yield make(f"three added by {field}", ("R22",), "carts", events, of_cart(cart(150, 3)))
        events = [added("m1", 0, product_id="800", price=15), removed("m2", 1, product_id="800", **{field: "S"})]
        yield make(f"a line that tells no {field} goes too", ("R22", "R15"), "carts", events, of_cart(None))


def lists() -> Iterator[Case]:
    """`products` as a list, as one object, absent, and as something else."""
    hat, scarf = {"product_id": "hat", "price": 20}, {"product_id": "scarf", "price": 190}
    for name in ADDING:
        events = [track(name, "m1", 0, products=[hat, scarf])]
        yield make(f"{name} with a list", ("R23", "R29"), "carts", events, of_cart(cart(210, 2)))
        yield make(
            f"{name} with one object", ("R23",), "carts", [track(name, "m1", 0, products=hat)], of_cart(cart(20, 1))
        )
        for gone in REMOVING:
            out = [*events, track(gone, "m2", 1, product_id="hat")]
            yield make(f"{name}, {gone} of one", ("R23", "R29", "R30"), "carts", out, of_cart(cart(190, 1)))
            out = [*events, track(gone, "m2", 1, products=[{"product_id": "hat"}, {"product_id": "scarf"}])]
            yield make(f"{name}, {gone} of a list", ("R23", "R15"), "carts", out, of_cart(None))
        for field in ("product_id", "id", "sku"):
            beside = [track(name, "m1", 0, **{field: "hat"}, price=20, products=[hat, scarf])]
            yield make(f"{name} by {field} beside a list", ("R23",), "carts", beside, of_cart(cart(20, 1)))
    start = added("m1", 0, product_id="a", price=10)
    for name, checkout in (("Cart Viewed", False), ("Checkout Started", True)):
        for value, right in (
            ([hat, scarf], cart(210, 2, checkout=checkout)),
            ([hat], cart(20, 1, checkout=checkout)),
            (hat, cart(20, 1, checkout=checkout)),
            ([], None),
            ([hat, None], cart(20, 1, checkout=checkout)),
            ([5, hat, True], cart(20, 1, checkout=checkout)),
            (ABSENT, cart(10, 1, checkout=checkout)),
            (None, cart(10, 1, checkout=checkout)),
            ("", cart(10, 1, checkout=checkout)),
            ("hat", cart(10, 1, checkout=checkout)),
            (5, cart(10, 1, checkout=checkout)),
            (True, cart(10, 1, checkout=checkout)),
            ([{**hat, "quantity": "2"}, {**scarf, "quantity": None}], cart(230, 3, checkout=checkout)),
            ([{"product_id": "hat", "price": "20,00 €"}], cart(20, 1, checkout=checkout)),
        ):
            viewed = track(name, "m2", 1, products=value)
            shown = label(value)
            yield make(f"{name} with products {shown}", ("R23", "R31"), "carts", [start, viewed], of_cart(right))
    none: tuple[Any, ...] = (None, "", [], "hat", 5, True)
    for value in none:
        case = added("m1", 0, product_id="a", price=10, products=value)
        yield make(f"added beside products {label(value)}", ("R23", "R31"), "carts", [case], of_cart(cart(10, 1)))


def cart_prices() -> Iterator[Case]:
    """Several products of which some have no price that can be read, and prices that change."""
    unreadable: tuple[Any, ...] = ("free", "£9.00", "$9.00", "1,049", True, {}, -9, 10**12)
    for odd in unreadable:
        two = [{"product_id": "a", "price": 20}, {"product_id": "b", "price": odd}]
        for name, checkout in (("Cart Viewed", False), ("Checkout Started", True)):
            events = [track(name, "m1", 0, products=two)]
            right = of_cart(cart(20, 2, complete=False, checkout=checkout))
            yield make(f"{name} with a price {label(odd)}", ("R13", "R31"), "carts", events, right)
        events = [track("Product Added", "m1", 0, products=two)]
        right = of_cart(cart(20, 2, complete=False))
        yield make(f"added with a price {label(odd)}", ("R13", "R23"), "carts", events, right)
        out = [*events, removed("m2", 1, product_id="b")]
        yield make(f"a price {label(odd)} that went", ("R13", "R15"), "carts", out, of_cart(cart(20, 1)))
    absent: tuple[Any, ...] = (ABSENT, None, "")
    for later in absent:
        events = [added("m1", 0, product_id="a", price=10), added("m2", 1, product_id="a", price=later)]
        name = f"price 10, then {label(later)}"
        yield make(name, ("R13", "R7"), "carts", events, of_cart(cart(20, 2)))
        yield make(f"{name}, read first", ("R13", "R7"), "carts", events[::-1], of_cart(cart(20, 2)))
    for later in unreadable:
        events = [added("m1", 0, product_id="a", price=10), added("m2", 1, product_id="a", price=later)]
        yield make(f"price 10, then {label(later)}", ("R13",), "carts", events, of_cart(cart(20, 2)))
        events = [added("m1", 0, product_id="a", price=later), added("m2", 1, product_id="a", price=10)]
        yield make(f"price {label(later)}, then 10", ("R13",), "carts", events, of_cart(cart(20, 2)))


def cart_ids() -> Iterator[Case]:
    """Carts told apart by their id, and the order that ends one of them."""
    for field, other in product(("cart_id", "cartId"), repeat=2):
        for first, second in product((7, 7.0, "7"), repeat=2):
            two = [
                added("m1", 0, **{"product_id": "a", "price": 10, field: first}),
                added("m2", 1, **{"product_id": "b", "price": 20, field: "8"}),
            ]
            paid = track("Order Completed", "m3", 5, order_id="1", total=10, **{other: second})
            name = f"{field} {label(first)} ended by {other} {label(second)}"
            yield make(name, ("R20", "R21"), "carts", [*two, paid], of_cart(cart(20, 1)))
            viewed = track("Cart Viewed", "m3", 5, **{other: second, "products": [{"product_id": "c", "price": 5}]})
            name = f"{field} {label(first)} replaced by {other} {label(second)}"
            yield make(name, ("R23", "R21"), "carts", [*two, viewed], of_cart(cart(25, 2)))
    named = added("m1", 0, product_id="a", price=10, cart_id="7")
    plain = added("m2", 1, product_id="b", price=20)
    for value in (*NO_CART_ID, "9"):
        paid = track("Order Completed", "m3", 5, order_id="1", total=10, cart_id=value)
        name = f"an order with cart_id {label(value)} ends all"
        yield make(name, ("R20", "R21"), "carts", [named, plain, paid], of_cart(None))
    paid = track("Order Completed", "m3", 5, order_id="1", total=10, cart_id="7")
    yield make("an order ends its cart and items without one", ("R20",), "carts", [named, plain, paid], of_cart(None))
    for value in NO_CART_ID:
        events = [
            added("m1", 0, product_id="a", price=10),
            track("Cart Viewed", "m2", 1, cart_id=value, products=[{"product_id": "b", "price": 20}]),
        ]
        yield make(f"a view with cart_id {label(value)}", ("R21", "R23"), "carts", events, of_cart(cart(20, 1)))


def stages() -> Iterator[Case]:
    """Each cart event beside one item: the stage, and whether the event empties the cart."""
    checkout = ("Checkout Started", "Checkout Step Viewed", "Checkout Step Completed", "Payment Info Entered")
    odd: tuple[Any, ...] = (None, "", [], {}, True, "x", -1)
    for name in CART:
        if name in ("Product Added", "Product Removed", "Wishlist Product Added to Cart"):
            continue
        for field, value in product(("step", "coupon", "value", "payment_method"), odd):
            events = [added("m1", 0, product_id="a", price=10), track(name, "m2", 1, **{field: value})]
            right = of_cart(cart(10, 1, checkout=name in checkout))
            yield make(f"{name} with {field} {label(value)}", ("R31", "R14"), "carts", events, right)
    for quantity in (1, "2", "", None, "free"):
        times = 2 if quantity == "2" else 1
        event = track("Wishlist Product Added to Cart", "m1", 0, product_id="a", price=10, quantity=quantity)
        name = f"from the wishlist, quantity {label(quantity)}"
        yield make(name, ("R14",), "carts", [event], of_cart(cart(10 * times, times)))


def cases() -> Iterator[Case]:
    """All of this module."""
    for part in (products, lines, lists, cart_prices, cart_ids, stages):
        yield from part()
