"""Orders, formed of the messages about them.

The messages of an order are read in (time, message id) order, however they came:

    Order Completed   the order begins to stand, unless it stands; value, products and properties are its newest ones
    Order Updated     value, products and properties, read whole; without a total the former value stays
    Order Cancelled   the order stands no longer, until the next completion
    Order Refunded    its value falls by the refund; a full refund ends it for good

An order ends the carts of its customer when it first begins to stand, and at confirmations repeated within
`REPEATED_WITHIN_MS`: later ones may come long after a new cart was begun.

An order and its refunds are compared in the order's own currency; a refund in another one is of unknown value, and
lowers nothing. A refund of products without an amount is their price times quantity, where the order or the refund
tells the price.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import msgspec

from rules.currencies import counts_in
from rules.number_text import MICRO
from rules.profile.products import is_same
from rules.times import DAY_MS, MINUTE_MS

COMPLETED, REFUNDED, CANCELLED, UPDATED = 0, 1, 2, 3
TOTAL = 0  # the value that refunds lower; a property of the definitions has the place after it
UNREAD = -1  # an amount or price that cannot be read, or is in another currency than its message
REPEATED_WITHIN_MS = 5 * MINUTE_MS
LINES_MAX = 16
LINES_AGE_MS = 180 * DAY_MS

OrderLine = tuple[str, int | None, int]  # product, price (10⁻⁶; `UNREAD`), quantity (10⁻⁶)


class OrderMessage(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One message about an order; in the order of (time, message id).

    ``order`` is the order id, ``None`` when the message has none and so stands for itself. ``amount`` (10⁻⁶ of
    ``currency``): `UNREAD` if it cannot be read; ``None``: none is told. Of a completion or update, bit i of ``views``
    says that it meets the definitions' view i of orders, and ``values`` has one place per property that they read.
    ``lines``: its products, up to `LINES_MAX`. ``cart``: the hash of the cart that it names; 0: none. ``total_views``:
    the views whose tests of the total it meets, which ``views`` leaves out, as the total of an order may be older than
    the rest of its content.
    """

    time: int
    id: str
    kind: int
    order: str | None = None
    amount: int | None = None
    views: int = 0
    values: tuple[tuple[int, ...], ...] = ()
    currency: str = ""
    lines: tuple[OrderLine, ...] = ()
    cart: int = 0
    total_views: int = -1


class Order(msgspec.Struct, frozen=True, gc=False):
    """An order that stands.

    ``start``: the completion at which it began to stand. ``content``: its newest completion or update. ``views``: those
    that it meets, as bits. ``value`` (10⁻⁶ of ``currency``): ``None`` if it is unknown. ``refunded``: what
    refunds took of it.
    """

    start: OrderMessage
    content: OrderMessage
    views: int
    value: int | None
    currency: str
    refunded: int

    @property
    def time(self) -> int:
        """When (ms) it began to stand."""
        return self.start.time


class CartEnd(NamedTuple):
    """The end of carts by an order: when (ms), and the hash of the cart that the order names; 0: none."""

    time: int
    cart: int


_OrderKey = tuple[bool, str]


def _key(message: OrderMessage) -> _OrderKey:
    """The order that a message is about: an order id and a message id of the same text are two orders."""
    return message.order is None, message.id if message.order is None else message.order


def _by_order(messages: Iterable[OrderMessage]) -> dict[_OrderKey, list[OrderMessage]]:
    by_order: dict[_OrderKey, list[OrderMessage]] = {}
    for message in messages:
        by_order.setdefault(_key(message), []).append(message)
    return by_order


def standing(messages: Iterable[OrderMessage]) -> list[Order]:
    """The orders that are neither cancelled nor fully refunded, ascending by when they began to stand."""
    orders = [order for stated in _by_order(messages).values() if (order := _formed(stated)) is not None]
    return sorted(orders, key=lambda order: (order.start.time, order.start.id))


def _formed(messages: Sequence[OrderMessage]) -> Order | None:
    """The order of these messages; ``None`` if it does not stand."""
    if len(messages) == 1:  # as most orders are
        only = messages[0]
        if only.kind != COMPLETED:
            return None
        return Order(only, only, only.views & only.total_views, _readable(only.amount), only.currency, 0)
    start: OrderMessage | None = None
    contents: list[OrderMessage] = []
    refunds: list[OrderMessage] = []
    for message in messages:
        if message.kind == CANCELLED:
            start = None
            continue
        if message.kind == REFUNDED:
            refunds.append(message)
        else:
            contents.append(message)
            start = message if start is None and message.kind == COMPLETED else start
        # A full refund is for good: neither a completion nor an update that comes after it undoes it.
        if refunds and _is_fully_refunded(contents, refunds):
            return None
    if start is None:
        return None
    valued = _valued(contents)
    refunded = sum(_known_refunds(contents, refunds))
    views = contents[-1].views & valued.total_views
    return Order(start, contents[-1], views, _readable(valued.amount), valued.currency, refunded)


def _valued(contents: Sequence[OrderMessage]) -> OrderMessage:
    """The message that tells the value of an order: the newest which tells an amount."""
    return next((message for message in reversed(contents) if message.amount is not None), contents[-1])


def _readable(amount: int | None) -> int | None:
    return None if amount == UNREAD else amount


def _is_fully_refunded(contents: Sequence[OrderMessage], refunds: Sequence[OrderMessage]) -> bool:
    """Whether these refund all: one without an amount and products, or as much as the order's known value."""
    if any(refund.amount is None and not refund.lines for refund in refunds):
        return True
    value = _readable(_valued(contents).amount) if contents else None
    if value is None:
        return False
    amounts = _known_refunds(contents, refunds)
    return bool(amounts) and sum(amounts) >= value


def _known_refunds(contents: Sequence[OrderMessage], refunds: Sequence[OrderMessage]) -> list[int]:
    """The refunds (10⁻⁶ of the order's currency) whose amount is known."""
    currency = _valued(contents).currency if contents else ""
    comparable = [refund for refund in refunds if not refund.currency or not currency or refund.currency == currency]
    amounts = [
        _of_products(refund, contents) if refund.amount is None else _readable(refund.amount) for refund in comparable
    ]
    return [amount for amount in amounts if amount is not None]


def _of_products(refund: OrderMessage, contents: Sequence[OrderMessage]) -> int | None:
    """The value of refunded products (10⁻⁶); ``None`` if the price of one of them is not known."""
    since = refund.time - LINES_AGE_MS
    listed = next((message.lines for message in reversed(contents) if message.lines and message.time >= since), ())
    total = 0
    for product, own_price, quantity in refund.lines:
        stated = (price for line, price, _ in listed if is_same(line, product))
        price = next((price for price in (*stated, own_price) if price is not None and price != UNREAD), None)
        if price is None:
            return None
        total += price * quantity // MICRO
    return total


def value_of(order: Order, place: int, of_file: str | None) -> tuple[int, ...]:
    """The values of an order under a property; `TOTAL` is its value less its refunds, in the currency of the file."""
    if place != TOTAL:
        return order.content.values[place - 1] if order.content.values else ()
    if order.value is None or not counts_in(order.currency, of_file):
        return ()
    return (order.value - order.refunded,)


def cart_ends(messages: Iterable[OrderMessage]) -> list[CartEnd]:
    """When orders ended carts, ascending: each at its first completion, and at those repeated soon after.

    An order that stands again after a cancel ends none.
    """
    first: dict[_OrderKey, int] = {}
    cancelled: set[_OrderKey] = set()
    ends = []
    for message in messages:
        key = _key(message)
        if message.kind == CANCELLED:
            cancelled.add(key)
        if message.kind != COMPLETED:
            continue
        is_again = key in cancelled and key in first
        cancelled.discard(key)
        if not is_again and message.time <= first.setdefault(key, message.time) + REPEATED_WITHIN_MS:
            ends.append(CartEnd(message.time, message.cart))
    return ends
