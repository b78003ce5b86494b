"""Orders, formed of the messages about them.

The messages of an order are read in (time, message id) order, however they came:

    Order Completed   the order begins to stand, unless it stands; value, products and properties are its newest ones
    Order Updated     value, products and properties, read whole; without a total the former value stays
    Order Cancelled   the order stands no longer, until the next completion
    Order Refunded    its value falls by the refund; a full refund ends it for good

An order ends the carts of its customer when it first begins to stand, and at confirmations repeated within
`REPEATED_WITHIN_MS`: later ones may come long after a new cart was begun.

An order and its refunds are compared in the order's own currency; a refund in another one is of unknown value, and
lowers nothing. A refund of products without an amount is their price times quantity: the price that the order listed
when they were refunded (or lists first after it), else that of the refund, else unknown.
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
    the rest of its content. ``time_views``: of a completion, the views whose tests of its time it meets.
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
    time_views: int = -1


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
        return Order(
            only, only, only.views & only.total_views & only.time_views, _readable(only.amount), only.currency, 0
        )
    start: OrderMessage | None = None
    content: OrderMessage | None = None  # the newest completion or update
    valued: OrderMessage | None = None  # the newest of them which tells an amount
    refunds = _Refunds()
    for message in messages:
        if message.kind == CANCELLED:
            start = None
            continue
        if message.kind == REFUNDED:
            if message.amount is None and not message.lines:
                return None
            refunds.add(message)
        else:
            content = message
            valued = message if valued is None or message.amount is not None else valued
            start = message if start is None and message.kind == COMPLETED else start
            if message.lines:
                refunds.listed(message)
        # A full refund is for good: neither a completion nor an update that comes after it undoes it.
        if valued is not None and refunds.reach(_readable(valued.amount), valued.currency):
            return None
    if start is None or content is None or valued is None:
        return None
    views = content.views & valued.total_views & start.time_views
    refunded = refunds.total(valued.currency)
    return Order(start, content, views, _readable(valued.amount), valued.currency, refunded)


def _readable(amount: int | None) -> int | None:
    return None if amount == UNREAD else amount


class _Refunds:
    """The refunds of one order, summed as they are read, so that an order of many messages is formed in one walk.

    Refunded products are worth what the order listed at the time of the refund, else what it lists first after it.
    """

    def __init__(self) -> None:
        self._sums: dict[str, int] = {}  # the known ones by currency; "": none is named
        self._listing: OrderMessage | None = None  # the newest completion or update which lists products
        self._unlisted: list[OrderMessage] = []  # those which came before any listing

    def add(self, refund: OrderMessage) -> None:
        """Add a refund which is not a full one by its form."""
        if self._listing is None:
            self._unlisted.append(refund)
        worth = _worth(refund, self._listing)
        if worth is not None:
            amount, currency = worth
            self._sums[currency] = self._sums.get(currency, 0) + amount

    def listed(self, content: OrderMessage) -> None:
        """Take the products of a completion or update as the order's."""
        unlisted, self._unlisted = self._unlisted, []
        is_first, self._listing = self._listing is None, content
        if is_first:
            self._sums.clear()
            for refund in unlisted:
                self.add(refund)

    def total(self, currency: str) -> int:
        """The known refunds (10⁻⁶) of an order in this currency."""
        if not currency:
            return sum(self._sums.values())
        return self._sums.get(currency, 0) + self._sums.get("", 0)

    def reach(self, value: int | None, currency: str) -> bool:
        """Whether refunds are known that are as much as the value of the order (10⁻⁶ of ``currency``)."""
        if value is None or not self._sums:
            return False
        is_known = not currency or currency in self._sums or "" in self._sums
        return is_known and self.total(currency) >= value


def _worth(refund: OrderMessage, listing: OrderMessage | None) -> tuple[int, str] | None:
    """What a refund takes (10⁻⁶) and its currency; ``None`` if it is unknown."""
    if refund.amount is None:
        return _worth_of_products(refund, listing)
    return None if refund.amount == UNREAD else (refund.amount, refund.currency)


def _worth_of_products(refund: OrderMessage, listing: OrderMessage | None) -> tuple[int, str] | None:
    """The value of refunded products (10⁻⁶) and its currency; ``None`` if the price of one of them is not known.

    The prices are those of the order, else those of the refund; where they are in two currencies the value is unknown.
    """
    lines = listing.lines if listing is not None and listing.time >= refund.time - LINES_AGE_MS else ()
    total = 0
    currencies = set[str]()
    for product, own_price, quantity in refund.lines:
        stated = (price for line, price, _ in lines if is_same(line, product))
        price = next((price for price in stated if price is not None and price != UNREAD), None)
        currencies.add(refund.currency if listing is None or price is None else listing.currency)
        price = own_price if price is None else price
        if price is None or price == UNREAD:
            return None
        total += price * quantity // MICRO
    currencies.discard("")
    if len(currencies) > 1:
        return None
    return total, next(iter(currencies), "")


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
