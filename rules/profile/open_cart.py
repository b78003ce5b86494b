"""The open cart: cart events and the orders that end carts, folded in the order of their times.

An order that names a cart of which a cart event told before ends the items of that cart and those without a cart; any
other order ends all. At one instant the items come first: an order at T ends every cart up to T.

A removal takes the lines of its product that differ in nothing that both tell, of the cart that it names, else of the
cart with the newest item event first. An emptied cart is not open.

See also: `rules.profile.cart` (the events), and `rules.profile.order_fold` (which orders end carts, and when).
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence

import msgspec

from rules.number_text import MICRO
from rules.profile.cart import ADDED, LINES_AGE_MS, REMOVED, REPLACED, UNNAMED_CART, Cart, Line, line_key
from rules.profile.order_fold import CartEnd
from rules.profile.products import is_same

_LineKey = tuple[int, str]  # the cart, and the product


class OpenCart(msgspec.Struct, gc=False):
    """What all open carts of a customer hold.

    ``quantities``: by cart and product, in 10⁻⁶, above 0. ``touched`` (ms): the newest event of the open carts; where
    nothing is in them, of any cart since it was ended, 0: none. ``in_checkout``: whether an open cart reached checkout.
    ``value``: in 10⁻¹², of the products whose price is known. ``is_unvalued``: the price of another one cannot be read.
    """

    quantities: Mapping[_LineKey, int]
    touched: int = 0
    in_checkout: bool = False
    value: int = 0
    is_unvalued: bool = False

    @property
    def items(self) -> int:
        """The sum of all quantities, in 10⁻⁶."""
        return sum(self.quantities.values())


NO_CART = OpenCart({})


def open_cart(cart: Cart, ends: Sequence[CartEnd]) -> OpenCart:
    """Fold the cart events of a customer; ``ends``: when orders ended carts, ascending."""
    readable = [end._replace(cart=_named_then(cart, end)) for end in ends]
    # Cart events of so long ago count no longer, whatever they were.
    forgotten = cart.newest - LINES_AGE_MS - 1
    all_ended = max([cart.bought, forgotten, *(end.time for end in readable if not end.cart)])
    ended = {UNNAMED_CART: max([all_ended, *(end.time for end in readable)])}
    for named in cart.named:
        ended[named] = max([all_ended, *(end.time for end in readable if end.cart == named)])
    # Everything up to the newest order that ended all carts is void.
    start = bisect_right(cart.lines, all_ended, key=lambda line: line.time)
    quantities = _Fold(cart).of(cart.lines[start:], [end for end in readable if end.time > all_ended])
    opened = {of for of, _ in quantities} or {UNNAMED_CART, *cart.named}
    # An event that names no cart is one of each open cart, until an order ends what belongs to no cart.
    unnamed = ended[UNNAMED_CART]
    touched = max(_since(unnamed, cart.touched), *(_since(ended[of], cart.named.get(of, _NEVER)[0]) for of in opened))
    checkout = max(_since(unnamed, cart.checkout), *(_since(ended[of], cart.named.get(of, _NEVER)[1]) for of in opened))
    value, is_unvalued = _worth(cart, quantities, ended)
    return OpenCart(quantities, touched, checkout > 0, value, is_unvalued)


_NEVER = (0, 0, 0)


def _named_then(cart: Cart, end: CartEnd) -> int:
    """The cart that an order names, if a cart event told of it up to then; else none."""
    times = cart.named.get(end.cart)
    return end.cart if times is not None and times[2] <= end.time else UNNAMED_CART


def _since(ended: int, time: int) -> int:
    """The time of an event after its cart was ended; 0: it was before."""
    return time if time > ended else 0


class _Fold:
    """The lines of all carts on the way through the item events."""

    def __init__(self, cart: Cart) -> None:
        self._named = cart.named
        self._quantities: dict[_LineKey, int] = {}  # in the order in which the lines were last added to
        self._newest: dict[int, int] = {}  # by cart, the index of its newest item event

    def of(self, lines: Sequence[Line], ends: Sequence[CartEnd]) -> dict[_LineKey, int]:
        """The quantities after these events and ends, above 0."""
        waiting = list(reversed(ends))
        for index, line in enumerate(lines):
            while waiting and waiting[-1].time < line.time:
                self._end(waiting.pop().cart)
            self._take_in(index, line)
        for end in reversed(waiting):
            self._end(end.cart)
        return {key: quantity for key, quantity in self._quantities.items() if quantity}

    def _end(self, cart: int) -> None:
        self._quantities = _without(self._quantities, cart) if cart else {}

    def _take_in(self, index: int, line: Line) -> None:
        named = line.cart if line.cart in self._named else UNNAMED_CART
        if line.kind == REPLACED:
            self._quantities = _without(self._quantities, named)
        for product, quantity in line.items:
            if line.kind == REMOVED:
                self._remove(named, product, quantity)
            else:
                assert line.kind in (ADDED, REPLACED)
                # Taken out first, so that the lines stand in the order in which they were last added to.
                before = self._quantities.pop((named, product), 0)
                self._quantities[named, product] = before + (MICRO if quantity is None else quantity)
        self._newest[named] = index

    def _remove(self, cart: int, product: str, quantity: int | None) -> None:
        """Take a quantity of a product out, ``None``: all of it; never below 0."""
        quantities = self._quantities
        chosen = [key for key in reversed(quantities) if is_same(key[1], product) and cart in (key[0], UNNAMED_CART)]
        for key in sorted(chosen, key=lambda key: -self._newest[key[0]]):
            taken = quantities[key] if quantity is None else min(quantity, quantities[key])
            quantities[key] -= taken
            quantity = None if quantity is None else quantity - taken


def _without(quantities: Mapping[_LineKey, int], cart: int) -> dict[_LineKey, int]:
    """The items but those of a cart and those without one."""
    return {key: quantity for key, quantity in quantities.items() if key[0] not in (cart, UNNAMED_CART)}


def _worth(cart: Cart, quantities: Mapping[_LineKey, int], ended: Mapping[int, int]) -> tuple[int, bool]:
    """The value of these items, in 10⁻¹², at their newest known prices; whether one has a price that cannot be read."""
    value, is_unvalued = 0, False
    for (named, product), quantity in quantities.items():
        key = line_key(product, named)
        time, _, price = cart.prices.get(key, (0, "", 0))
        if time > ended[named]:
            value += quantity * price
        elif cart.unpriced.get(key, 0) > ended[named]:
            is_unvalued = True
    return value, is_unvalued
