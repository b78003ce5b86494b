"""The cart: what a customer has put together and not yet bought.

The one rule: the newest purchase is a barrier. Nothing at or before it counts, whenever it
arrives; everything after it is folded in (time, message id) order.

Bounds: item events more than 90 days before the newest cart event, those before the newest event
that states the whole cart, and those before the newest 256 do not count.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable

import msgspec

from rules.events import Item
from rules.times import DAY_MS

LINES_MAX = 256
LINES_AGE_MS = 90 * DAY_MS
ONE = 1_000_000  # quantities are integers of 10⁻⁶

ADDED, REMOVED, REPLACED = 0, 1, 2


class Line(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One item event: what it does with which products."""

    time: int
    id: str
    kind: int
    items: tuple[Item, ...]


class Cart(msgspec.Struct, array_like=True, gc=False):
    """``bought``: the newest purchase; ``touched``: the newest cart event after it; 0 = never."""

    bought: int = 0
    touched: int = 0
    lines: list[Line] = []


def buy(cart: Cart, time: int) -> None:
    """A purchase ends every cart up to its own time."""
    if time <= cart.bought:
        return
    cart.bought = time
    if cart.touched <= time:
        cart.touched = 0
        cart.lines = []
    else:
        cart.lines = [line for line in cart.lines if line.time > time]


def touch(cart: Cart, time: int) -> None:
    """Any cart event after the newest purchase keeps the cart open."""
    if time > cart.bought and time > cart.touched:
        cart.touched = time
        _bound(cart)


def change(cart: Cart, line: Line) -> None:
    """An item event, in its place by (time, message id); a repeat changes nothing."""
    if line.time <= cart.bought:
        return
    lines = cart.lines
    if not lines or _key(line) > _key(lines[-1]):
        lines.append(line)
    else:
        at = bisect_left(lines, _key(line), key=_key)
        if _key(lines[at]) == _key(line):
            return
        lines.insert(at, line)
    touch(cart, line.time)
    _bound(cart)


def merge(ours: Cart | None, theirs: Cart | None) -> Cart | None:
    """The cart that all events of both would have left."""
    if ours is None and theirs is None:
        return None
    ours, theirs = ours or Cart(), theirs or Cart()
    bought = max(ours.bought, theirs.bought)
    touched = max(ours.touched, theirs.touched)
    known = {_key(line): line for line in (*ours.lines, *theirs.lines) if line.time > bought}
    merged = Cart(bought, touched if touched > bought else 0, sorted(known.values(), key=_key))
    _bound(merged)
    return merged


def _key(line: Line) -> tuple[int, str]:
    return line.time, line.id


def _bound(cart: Cart) -> None:
    lines = cart.lines
    start = max(0, len(lines) - LINES_MAX)
    frontier = cart.touched - LINES_AGE_MS
    while start < len(lines) and lines[start].time < frontier:
        start += 1
    for at in range(len(lines) - 1, start, -1):
        if lines[at].kind == REPLACED:
            start = at
            break
    if start:
        del lines[:start]


def contents(lines: Iterable[Line]) -> dict[str, int]:
    """Product to quantity (10⁻⁶, above 0), folded in order; a quantity never falls below 0."""
    held: dict[str, int] = {}
    for line in lines:
        if line.kind == REPLACED:
            held.clear()
        for item in line.items:
            if line.kind == REMOVED:
                left = 0 if item.quantity is None else held.get(item.product, 0) - item.quantity
                held[item.product] = max(0, left)
            else:
                quantity = ONE if item.quantity is None else item.quantity
                held[item.product] = held.get(item.product, 0) + quantity
    return {product: quantity for product, quantity in held.items() if quantity}
