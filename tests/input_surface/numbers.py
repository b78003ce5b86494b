"""Every form of a number in every field that holds one."""

from collections.abc import Iterator
from fractions import Fraction
from typing import Final

from tests.input_surface.meanings import (
    CURRENCIES,
    HUGE,
    LISTS,
    MONEY,
    NEGATIVE,
    PLAIN,
    UNKNOWN,
    Amount,
    Form,
    Unknown,
    money,
    quantity,
)
from tests.input_surface.model import ABSENT, Case, label, make, track
from tests.input_surface.truth import LADDER, Cart, Order, ladder, of_cart, of_orders, of_price

FILE_CURRENCIES: Final = {"orders": "EUR", "orders_usd": "USD", "orders_cad": "CAD"}
A_FEW: Final = tuple(form for form in MONEY if form.raw in (49.9, "49.90", "49,90 €", "$49.90", "£49.90", "free", None))


def readable(amount: Amount) -> Fraction | None:
    """The number, or None where there is none."""
    return amount if isinstance(amount, Fraction) else None


def totals() -> Iterator[Case]:
    """The value of an order in each file, as `total` and as `revenue`."""
    for file, currency in FILE_CURRENCIES.items():
        for form in MONEY:
            undecided = {key for key in of_orders([Order(Fraction(0)), Order(Fraction(10**9))]) if key[:5] == "total"}
            right = of_orders([Order(readable(money(form, None, currency)))])
            for field in ("total", "revenue") if file == "orders" else ("total",):
                yield make(
                    f"{file}: {field} {label(form.raw)}",
                    (*form.rules, "R11", "R12"),
                    file,
                    [track("Order Completed", "m", 0, order_id="1", **{field: form.raw})],
                    right,
                    undecided=undecided if form in LISTS else None,
                )


def totals_with_revenue() -> Iterator[Case]:
    """An absent total is replaced by revenue, an unknown one is not."""
    for form in MONEY:
        amount = money(form, None, "EUR")
        value = Fraction(50) if amount is ABSENT else readable(amount)
        if form in LISTS:
            continue
        yield make(
            f"total {label(form.raw)} beside revenue 50",
            (*form.rules, "R12"),
            "orders",
            [track("Order Completed", "m", 0, order_id="1", total=form.raw, revenue=50)],
            of_orders([Order(value)]),
        )


def currencies() -> Iterator[Case]:
    """Each form of `currency` with a few forms of the value."""
    for file, file_currency in FILE_CURRENCIES.items():
        for value, meaning in CURRENCIES:
            for form in A_FEW:
                if form.currency and _contradicts(form, meaning, file_currency):
                    continue
                amount = money(form, meaning, file_currency)
                yield make(
                    f"{file}: total {label(form.raw)} in {label(value)}",
                    (*form.rules, "R10"),
                    file,
                    [track("Order Completed", "m", 0, order_id="1", total=form.raw, currency=value)],
                    of_orders([Order(readable(amount))]),
                )


def _contradicts(form: Form, event_currency: str | Unknown | None, file_currency: str) -> bool:
    """True where the sign and the field contradict each other and the contract does not say which counts."""
    if form.currency == "$":
        return event_currency is UNKNOWN or (file_currency == "CAD" and event_currency not in (None, "USD", "CAD"))
    return event_currency not in (None, form.currency)


def no_value() -> Iterator[Case]:
    """No other field than total and revenue is read as the value of an order."""
    for field in ("value", "subtotal", "tax", "shipping", "discount", "price", "amount"):
        for form in MONEY[::3]:
            yield make(
                f"order with {field} {label(form.raw)} alone",
                (*form.rules, "R12", "R31"),
                "orders",
                [track("Order Completed", "m", 0, order_id="1", **{field: form.raw})],
                of_orders([Order(None)]),
            )


def beside_total() -> Iterator[Case]:
    """What no decision needs changes nothing."""
    for field in ("value", "subtotal", "tax", "shipping", "discount", "coupon"):
        for form in MONEY[::3]:
            yield make(
                f"total 49.9 beside {field} {label(form.raw)}",
                ("R31", *form.rules),
                "orders",
                [track("Order Completed", "m", 0, order_id="1", total=49.9, **{field: form.raw})],
                of_orders([Order(Fraction("49.9"))]),
            )


def refunds() -> Iterator[Case]:
    """Each form of the amount of a refund of an order of 100."""
    for form in MONEY:
        if form in LISTS:
            continue
        amount = money(form, None, "EUR")
        if isinstance(form.amount, Fraction) and form.amount < 0:  # a refund of that size
            amount = -form.amount
        for field in ("total", "revenue"):
            full = amount is ABSENT or (isinstance(amount, Fraction) and amount >= 100)
            left = [] if full else [Order(Fraction(100), readable(amount) or Fraction(0))]
            yield make(
                f"refund of 100 with {field} {label(form.raw)}",
                (*form.rules, "R16"),
                "orders",
                [
                    track("Order Completed", "m1", 0, order_id="1", total=100),
                    track("Order Refunded", "m2", 9, order_id="1", **{field: form.raw}),
                ],
                of_orders(left),
            )


def prices() -> Iterator[Case]:
    """Each form of a price: in a cart alone, beside another product, and in a test of `where`."""
    for form in MONEY:
        amount = money(form, None, "EUR")
        price = Fraction(0) if amount is ABSENT else readable(amount)
        complete = price is not None
        alone = Cart(price or Fraction(0), Fraction(1), complete)
        both = Cart((price or Fraction(0)) + 20, Fraction(2), complete)
        name = label(form.raw)
        if form not in LISTS:
            added = track("Product Added", "m", 0, product_id="a", price=form.raw)
            yield make(f"added at {name}", (*form.rules, "R13"), "carts", [added], of_cart(alone))
            products = [{"product_id": "b", "price": 20}, {"product_id": "a", "price": form.raw}]
            if form.raw is ABSENT:
                del products[1]["price"]
            viewed = track("Cart Viewed", "m", 0, products=products)
            yield make(f"20 and {name} in a cart", (*form.rules, "R13", "R23"), "carts", [viewed], of_cart(both))
        view = track("Product Viewed", "m", 0, product_id="a", price=form.raw)
        steps = ladder("price", LADDER, Fraction(0)) | ladder("price", LADDER, Fraction(10**9))
        undecided = steps if form in LISTS else None
        right = of_price(readable(amount))
        yield make(f"viewed at {name}", (*form.rules, "R31"), "prices", [view], right, undecided=undecided)


def price_currencies() -> Iterator[Case]:
    """One currency rule for the prices of a cart and of `where`."""
    for value, meaning in CURRENCIES:
        for form in A_FEW:
            if form.currency and _contradicts(form, meaning, "EUR"):
                continue
            amount = money(form, meaning, "EUR")
            price = Fraction(0) if amount is ABSENT else readable(amount)
            name = f"{label(form.raw)} in {label(value)}"
            added = track("Product Added", "m", 0, product_id="a", price=form.raw, currency=value)
            cart = Cart(price or Fraction(0), Fraction(1), price is not None)
            yield make(f"added at {name}", (*form.rules, "R10", "R13"), "carts", [added], of_cart(cart))
            view = track("Product Viewed", "m", 0, product_id="a", price=form.raw, currency=value)
            yield make(f"viewed at {name}", (*form.rules, "R10"), "prices", [view], of_price(readable(amount)))


def quantities() -> Iterator[Case]:
    """Each form of a quantity, added and removed."""
    for form in (*PLAIN, *LISTS, *HUGE, *NEGATIVE):
        given = quantity(form)
        added = Fraction(1) if given is None else given
        name = label(form.raw)
        if added * 10 < 10**12:
            case = track("Product Added", "m", 0, product_id="a", price=10, quantity=form.raw)
            yield make(f"quantity {name}", (*form.rules, "R14"), "carts", [case], of_cart(Cart(10 * added, added)))
        left = max(Fraction(0), 5 - given) if given else Fraction(0)
        removed = [
            track("Product Added", "m1", 0, product_id="a", price=10, quantity=5),
            track("Product Removed", "m2", 1, product_id="a", quantity=form.raw),
        ]
        yield make(f"removed {name} of 5", (*form.rules, "R15"), "carts", removed, of_cart(Cart(10 * left, left)))


def points() -> Iterator[Case]:
    """Each form of a number in a trait, below zero too."""
    for form in (*PLAIN, *NEGATIVE):
        if "0000009" in str(form.raw):  # whether digits beyond 10⁻⁶ are cut is said of money and quantities only
            continue
        right = ladder("points", LADDER, form.amount) if isinstance(form.amount, Fraction) else set()
        event = {"type": "identify", "messageId": "§m", "userId": "§u", "timestamp": "2026-03-02T09:00:00Z"}
        traits = {} if form.raw is ABSENT else {"points": form.raw}
        name = f"points {label(form.raw)}"
        yield make(
            name,
            ("R33", *(rule for rule in form.rules if rule != "R9")),
            "points",
            [{**event, "traits": traits}],
            right,
        )


def cases() -> Iterator[Case]:
    """All of this module."""
    for part in (
        totals,
        totals_with_revenue,
        currencies,
        no_value,
        beside_total,
        refunds,
        prices,
        price_currencies,
        quantities,
        points,
    ):
        yield from part()
