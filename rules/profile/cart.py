"""The cart: products that a customer has chosen and not yet bought.

The one rule: the newest purchase is a barrier. A cart event at or before it never counts, whenever it
arrives; everything after it is folded in (time, message id) order.

Bounds: item events more than 90 days before the newest cart event, those before the newest event
that states the whole cart, and those before the newest 256 do not count; nor do prices from more
than 90 days before the newest cart event, or of products beyond the 256 with the newest prices. Of an event
that lists products, the first 256 count.

See also: `rules.facts.carts` (the fact that needs it).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from rules.profile import deduplication
from rules.times import DAY_MS
from rules.values import MICRO

LINES_MAX = 256
LINES_AGE_MS = 90 * DAY_MS
PRICES_MAX = 256
ITEMS_MAX = 256

ADDED, REMOVED, REPLACED = 0, 1, 2

Price = tuple[int, str, int]  # an item event's time, message id and price (10⁻⁶)


class Line(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One item event: its kind, its products, and their quantities (10⁻⁶; ``None``: not stated)."""

    time: int
    id: str
    kind: int
    items: tuple[tuple[str, int | None], ...]


class Cart(msgspec.Struct, array_like=True, gc=False):
    """The cart; instants are 0 for never.

    ``bought``: the newest purchase; ``touched``: the newest cart event after it; ``checkout``: the
    newest of those that belong to a checkout. ``prices``: by product the newest item event that
    states a price, and the price (10⁻⁶).
    """

    bought: int = 0
    touched: int = 0
    lines: list[Line] = []
    checkout: int = 0
    prices: dict[str, Price] = {}


def buy(cart: Cart, time: int) -> bool:
    """End every cart up to the time of a purchase; whether a cart was open."""
    if time <= cart.bought:
        return False
    was_open = cart.touched > 0
    cart.bought = time
    cart.touched = cart.touched if cart.touched > time else 0
    cart.checkout = cart.checkout if cart.checkout > time else 0
    if was_open:
        cart.lines = [line for line in cart.lines if line.time > time]
        cart.prices = {product: price for product, price in cart.prices.items() if price[0] > time}
    return was_open


def touch(cart: Cart, time: int) -> bool:
    """Note a cart event, which keeps the cart open after the newest purchase; whether it is the newest event."""
    if time <= cart.bought or time <= cart.touched:
        return False
    cart.touched = time
    _bound(cart)
    return True


def reach_checkout(cart: Cart, time: int) -> bool:
    """Note a checkout event; whether it is the first since the newest purchase."""
    if time <= cart.bought:
        return False
    reached = not cart.checkout
    cart.checkout = max(cart.checkout, time)
    return reached


def change(cart: Cart, line: Line) -> bool:
    """Insert an item event by (time, message id); whether it is new and counts."""
    if line.time <= cart.bought:
        return False
    if not deduplication.insert(cart.lines, line, _key):
        return False
    if not touch(cart, line.time):
        _bound(cart)
    return True


def price(cart: Cart, newest: Mapping[str, Price]) -> None:
    """Note prices that item events state; each product has the newest one."""
    prices = cart.prices
    newer = {
        product: item
        for product, item in newest.items()
        if item[0] > cart.bought and item[:2] >= prices.get(product, (0, ""))[:2]
    }
    if not newer:
        return
    for product in newer:
        prices.pop(product, None)
    # The dict is ordered by (time, id). One newer price mostly belongs at the end, so that nothing is sorted.
    last = _priced(prices, next(reversed(prices))) if prices else None
    prices.update(newer)
    if len(newer) > 1 or (last is not None and _priced(prices, next(iter(newer))) < last):
        cart.prices = {product: prices[product] for product in sorted(prices, key=lambda item: _priced(prices, item))}
    _bound(cart)


def _priced(prices: dict[str, Price], product: str) -> tuple[int, str, str]:
    """The sort key of stored prices, so that equal carts are stored alike."""
    time, message_id, _ = prices[product]
    return time, message_id, product


def merge(mine: Cart | None, theirs: Cart | None) -> Cart | None:
    """Merge two carts: the result is that of all events of both."""
    if mine is None and theirs is None:
        return None
    mine, theirs = mine or Cart(), theirs or Cart()
    bought = max(mine.bought, theirs.bought)
    touched = max(mine.touched, theirs.touched)
    checkout = max(mine.checkout, theirs.checkout)
    merged = Cart(
        bought,
        touched if touched > bought else 0,
        deduplication.merged((line for line in (*mine.lines, *theirs.lines) if line.time > bought), _key),
        checkout if checkout > bought else 0,
    )
    price(merged, mine.prices)
    price(merged, theirs.prices)
    _bound(merged)
    return merged


def _key(line: Line) -> tuple[int, str]:
    return line.time, line.id


def _bound(cart: Cart) -> None:
    """Drop the lines and prices beyond the bounds. A line that states the whole cart makes all lines before it void."""
    lines = cart.lines
    # Lines are ordered by time, so that dropping a line drops all lines before it.
    start = max(0, len(lines) - LINES_MAX)
    frontier = cart.touched - LINES_AGE_MS
    while start < len(lines) and lines[start].time < frontier:
        start += 1
    for index in range(len(lines) - 1, start, -1):
        if lines[index].kind == REPLACED:
            start = index
            break
    if start:
        del lines[:start]
    prices = cart.prices
    if prices and (len(prices) > PRICES_MAX or next(iter(prices.values()))[0] < frontier):
        newest = sorted(prices, key=lambda product: _priced(prices, product))[-PRICES_MAX:]
        cart.prices = {product: prices[product] for product in newest if prices[product][0] >= frontier}


def contents(lines: Iterable[Line]) -> dict[str, int]:
    """Product to quantity (10⁻⁶, above 0), folded in order; a quantity never falls below 0."""
    quantities: dict[str, int] = {}
    for line in lines:
        if line.kind == REPLACED:
            quantities.clear()
        for product, quantity in line.items:
            if line.kind == REMOVED:
                left = 0 if quantity is None else quantities.get(product, 0) - quantity
                quantities[product] = max(0, left)
            else:
                quantities[product] = quantities.get(product, 0) + (MICRO if quantity is None else quantity)
    return {product: quantity for product, quantity in quantities.items() if quantity}


def worth(cart: Cart, quantities: Mapping[str, int]) -> int:
    """The value of these quantities, in 10⁻¹², each product at its newest price; 0 where none was stated."""
    prices = cart.prices
    return sum(quantity * prices[product][2] for product, quantity in quantities.items() if product in prices)
