"""What becomes of an order: its messages, its ids, refunds, cancels, and the carts that it ends."""

from collections.abc import Iterator
from fractions import Fraction
from itertools import product
from typing import Any, Final

from tests.input_surface.model import ABSENT, Case, Event, label, make, track
from tests.input_surface.truth import Cart, Order, of_cart, of_orders

NO_ID: Final[tuple[Any, ...]] = (ABSENT, None, "", True, {}, [], {"id": "1"}, 1.5)
SAME_ID: Final[tuple[Any, ...]] = (77, 77.0, "77")
ID_FIELDS: Final = ("order_id", "orderId", "id")
WITHOUT_AMOUNT: Final[tuple[Any, ...]] = (ABSENT, None, "", "  ")


def completed(message: str, minutes: float, /, **properties: Any) -> Event:
    """A completed order."""
    return track("Order Completed", message, minutes, **properties)


def refunded(message: str, minutes: float, /, **properties: Any) -> Event:
    """A refund."""
    return track("Order Refunded", message, minutes, **properties)


def order(value: Any, back: Any = 0) -> Order:
    """An order of a known value."""
    return Order(Fraction(str(value)), Fraction(str(back)))


def ids() -> Iterator[Case]:
    """One order id in all its spellings, in each name of its field."""
    for (first, here), (second, there) in product(product(SAME_ID, ID_FIELDS), repeat=2):
        events = [completed("m1", 0, **{here: first, "total": 60}), completed("m2", 1, **{there: second, "total": 60})]
        name = f"{here} {label(first)} and {there} {label(second)} are one order"
        yield make(name, ("R18", "R21"), "orders", events, of_orders([order(60)]))
        events = [
            completed("m1", 0, **{here: first, "total": 60}),
            refunded("m2", 1, **{there: second}),
            completed("m3", 2, order_id=78, total=50),
        ]
        name = f"refund of {here} {label(first)} by {there} {label(second)}"
        yield make(name, ("R16", "R21"), "orders", events, of_orders([order(50)]))
    for field, value in product(ID_FIELDS, NO_ID):
        events = [completed(f"m{case}", case, **{field: value, "total": 60}) for case in (1, 2)]
        name = f"two orders with {field} {label(value)}"
        yield make(name, ("R18", "R21", "R7"), "orders", events, of_orders([order(60), order(60)]))
        for verb in ("Order Refunded", "Order Cancelled"):
            events = [completed("m1", 0, order_id="1", total=60), track(verb, "m2", 1, **{field: value})]
            name = f"{verb} with {field} {label(value)} touches none"
            yield make(name, ("R16", "R19", "R21"), "orders", events, of_orders([order(60)]))
    for case, other in (("77", "78"), (77, 78), ("A", "a"), ("77", "77A"), ("077", "77")):
        events = [completed("m1", 0, order_id=case, total=60), completed("m2", 1, order_id=other, total=60)]
        name = f"orders {label(case)} and {label(other)} are two"
        yield make(name, ("R18", "R21"), "orders", events, of_orders([order(60), order(60)]))


def newest() -> Iterator[Case]:
    """The value of an order is that of its newest completion or update."""
    for verb, total in product(("Order Completed", "Order Updated"), (80, "80", "80,00 €", 0.5)):
        right = Fraction("0.5") if total == 0.5 else Fraction(80)
        events = [completed("m1", 0, order_id="1", total=60), track(verb, "m2", 30, order_id="1", total=total)]
        yield make(f"{verb} with {label(total)} later", ("R18",), "orders", events, of_orders([Order(right)]))
        yield make(
            f"{verb} with {label(total)} later, read first", ("R18",), "orders", events[::-1], of_orders([Order(right)])
        )
    for verb, total in product(("Order Completed", "Order Updated"), WITHOUT_AMOUNT):
        events = [completed("m1", 0, order_id="1", total=60), track(verb, "m2", 30, order_id="1", total=total)]
        name = f"{verb} with total {label(total)} leaves the value"
        yield make(name, ("R18", "R7"), "orders", events, of_orders([order(60)]))
    for verb, total in product(("Order Completed", "Order Updated"), ("free", True, {}, "1,049", 10**12, "£80")):
        events = [completed("m1", 0, order_id="1", total=60), track(verb, "m2", 30, order_id="1", total=total)]
        name = f"{verb} with total {label(total)} makes the value unknown"
        yield make(name, ("R18", "R11"), "orders", events, of_orders([Order(None)]))
    updated = track("Order Updated", "m1", 0, order_id="1", total=60)
    yield make("an update alone is no order", ("R18",), "orders", [updated], of_orders([]))
    late = completed("m2", 5, order_id="1")
    yield make("an update before the completion", ("R18",), "orders", [updated, late], of_orders([order(60)]))


def cancels() -> Iterator[Case]:
    """A cancel holds until a later completion."""
    for name in ("Order Cancelled", "Order Canceled", "Cancelled Order", "order_canceled", "ORDER-CANCELLED"):
        stop = track(name, "m2", 10, order_id="1")
        events = [completed("m1", 0, order_id="1", total=60), stop]
        yield make(f"{name} after", ("R19", "R29", "R30"), "orders", events, of_orders([]))
        yield make(f"{name} read before", ("R19",), "orders", events[::-1], of_orders([]))
        again = completed("m3", 20, order_id="1", total=70)
        yield make(f"{name}, then paid", ("R19",), "orders", [stop, again], of_orders([order(70)]))
        yield make(f"{name}, then completed again", ("R19",), "orders", [*events, again], of_orders([order(70)]))
        update = track("Order Updated", "m3", 20, order_id="1", total=70)
        yield make(f"{name}, then updated", ("R19",), "orders", [*events, update], of_orders([]))


def refund_sums() -> Iterator[Case]:
    """Refunds of one order add up, each message once."""
    start = completed("m1", 0, order_id="1", total=100)
    for parts, left in (
        ((30,), 70),
        ((30, 30), 40),
        ((30, "30", "€30"), 10),
        ((-30, "-30"), 40),
        ((60, 40), None),
        ((60, 60), None),
        ((101,), None),
        ((99.999999,), "0.000001"),
        ((30, "free"), 70),
        (("£30", 20), 80),
        ((0,), 100),
    ):
        events = [start, *(refunded(f"m{i}", i, order_id="1", total=part) for i, part in enumerate(parts, 2))]
        right = of_orders([] if left is None else [Order(Fraction(100), 100 - Fraction(str(left)))])
        yield make(f"refunds {parts} of 100", ("R16",), "orders", events, right)
        yield make(f"refunds {parts} of 100, twice read", ("R16", "R26"), "orders", [*events, *events[1:]], right)
        yield make(f"refunds {parts} of 100, read before", ("R16",), "orders", events[::-1], right)
    for verb in ("Order Completed", "Order Updated"):
        events = [start, refunded("m2", 1, order_id="1"), track(verb, "m3", 2, order_id="1", total=120)]
        yield make(f"{verb} does not undo a full refund", ("R19", "R16"), "orders", events, of_orders([]))


def refund_currencies() -> Iterator[Case]:
    """An order and its refunds are compared in the order's own currency."""
    for of_order, of_refund, total, stands in (
        ("EUR", "EUR", 100, None),
        ("EUR", "eur", "100", None),
        ("EUR", "JPY", 3300, Order(Fraction(100))),
        ("EUR", ABSENT, "£100", Order(Fraction(100))),
        ("EUR", ABSENT, "$100", Order(Fraction(100))),
        ("EUR", ABSENT, "€100", None),
        (ABSENT, "EUR", 100, None),
        (ABSENT, "USD", 100, Order(Fraction(100))),
        ("JPY", "JPY", 100, None),
        ("jpy", " JPY ", 100, None),
        ("JPY", "JPY", 50, Order(None)),
        ("JPY", "EUR", 100, Order(None)),
        ("JPY", ABSENT, 100, None),
        ("JPY", ABSENT, "¥100", None),
        ("USD", ABSENT, "$100", None),
        ("CAD", "CAD", "$100", None),
        ("CAD", "USD", "$100", Order(None)),
    ):
        events = [
            completed("m1", 0, order_id="1", total=100, currency=of_order),
            refunded("m2", 1, order_id="1", total=total, currency=of_refund),
        ]
        name = f"refund {label(total)} {label(of_refund)} of 100 {label(of_order)}"
        yield make(name, ("R16", "R10"), "orders", events, of_orders([stands] if stands else []))
    unreadable: tuple[Any, ...] = ("free", ABSENT, {})
    for total in unreadable:
        events = [completed("m1", 0, order_id="1", total=total), refunded("m2", 1, order_id="1", total=50)]
        name = f"refund of 50 of an order of {label(total)}"
        yield make(name, ("R16", "R11"), "orders", events, of_orders([Order(None)]))
        events[1] = refunded("m2", 1, order_id="1")
        yield make(f"refund of all of an order of {label(total)}", ("R16", "R11"), "orders", events, of_orders([]))


def refund_products() -> Iterator[Case]:
    """A refund that tells products and no amount."""
    shirt, coat = {"product_id": "shirt", "price": 40}, {"product_id": "coat", "price": 80}
    whole = {"order_id": "A", "total": 120, "products": [shirt, coat]}
    for amount, quantity in product(WITHOUT_AMOUNT, (ABSENT, None, "", 1, "1", "۱", 1.0, "free")):
        back: Event = {"product_id": "shirt"} if quantity is ABSENT else {"product_id": "shirt", "quantity": quantity}
        events = [completed("m1", 0, **whole), refunded("m2", 9, order_id="A", total=amount, products=[back])]
        name = f"refund {label(amount)} of quantity {label(quantity)} of a shirt"
        yield make(name, ("R17", "R14"), "orders", events, of_orders([order(120, 40)]))
    plain = {"order_id": "A", "total": 120}
    three = {**whole, "products": [{**shirt, "quantity": 3}]}
    integer = {**whole, "products": [{"product_id": 7, "price": 40}]}
    by_sku, by_name, by_id = ({**whole, "products": [{field: "x", "price": 40}]} for field in ("sku", "name", "id"))
    tables: tuple[tuple[str, Event, Any, Order | None], ...] = (
        ("by the order's price", whole, [{"product_id": "coat"}], order(120, 80)),
        ("of two by quantity", three, [{"product_id": "shirt", "quantity": 2}], order(120, 80)),
        ("of both", whole, [{"product_id": "shirt"}, {"product_id": "coat"}], None),
        ("of one object", whole, {"product_id": "shirt"}, order(120, 40)),
        ("by the order's price before its own", whole, [{"product_id": "shirt", "price": 10}], order(120, 40)),
        ("by its own price", plain, [{"product_id": "shirt", "price": 50}], order(120, 50)),
        ("by its own price as text", plain, [{"product_id": "shirt", "price": "50,00 €"}], order(120, 50)),
        ("by its own quantity", plain, [{"product_id": "shirt", "price": "20", "quantity": "3"}], order(120, 60)),
        ("without a price", plain, [{"product_id": "shirt"}], order(120)),
        ("with a price that cannot be read", plain, [{"product_id": "shirt", "price": "free"}], order(120)),
        ("of a product with an integer id", integer, [{"product_id": "7"}], order(120, 40)),
        ("of a product by sku", by_sku, [{"sku": "x"}], order(120, 40)),
        ("of a product by name", by_name, [{"name": "x"}], order(120, 40)),
        ("of a product by id", by_id, [{"id": "x"}], order(120, 40)),
        ("of products null", whole, None, None),
        ("of products that are text", whole, "shirt", order(120)),
        ("of products that are a number", whole, 1, order(120)),
    )
    for name, start, products, stands in tables:
        events = [completed("m1", 0, **start), refunded("m2", 9, order_id="A", products=products)]
        yield make(f"refund {name}", ("R17", "R23"), "orders", events, of_orders([stands] if stands else []))
    events = [completed("m1", 0, **whole), refunded("m2", 9, order_id="A", total=15, products=[{"product_id": "coat"}])]
    yield make("refund with an amount and products", ("R17", "R16"), "orders", events, of_orders([order(120, 15)]))


def ends_carts() -> Iterator[Case]:
    """Which carts an order ends, whatever its value."""
    case = Cart(Fraction(10), Fraction(1))
    put = track("Product Added", "m1", 0, product_id="a", price=10)
    values: tuple[Any, ...] = (ABSENT, None, "", 9, "$49.90", "free", True, {}, [], -5, 10**12, "x" * 3000)
    for total in values:
        events = [put, completed("m2", 5, order_id="1", total=total)]
        yield make(f"an order of {label(total)} ends the cart", ("R20", "R11"), "carts", events, of_cart(None))
    for value in NO_ID:
        events = [put, completed("m2", 5, order_id=value, total=9)]
        yield make(
            f"an order with order_id {label(value)} ends the cart", ("R20", "R21"), "carts", events, of_cart(None)
        )
    for minutes, ended in ((2, True), (4.99, True), (5, True), (5.01, False), (60, False)):
        right = of_cart(None if ended else case)
        events = [completed("m0", -1, order_id="1", total=9), put, completed("m2", -1 + minutes, order_id="1", total=9)]
        yield make(f"a repeat {minutes} minutes after the order", ("R20",), "carts", events, right)
    for stop, again in product((2, 3), (4, 60)):
        events = [
            completed("m0", -1, order_id="1", total=9),
            put,
            track("Order Cancelled", "m2", stop, order_id="1"),
            completed("m3", 10 + again, order_id="1", total=9),
        ]
        name = f"an order that stands again after {stop} and {again} minutes ends none"
        yield make(name, ("R20", "R19"), "carts", events, of_cart(case))
    for verb in ("Order Updated", "Order Refunded", "Order Cancelled"):
        events = [put, track(verb, "m2", 5, order_id="1", total=9)]
        yield make(f"{verb} ends no cart", ("R20",), "carts", events, of_cart(case))


def cases() -> Iterator[Case]:
    """All of this module."""
    for part in (ids, newest, cancels, refund_sums, refund_currencies, refund_products, ends_carts):
        yield from part()
