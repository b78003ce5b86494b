"""The open cart: cart events and the orders that end carts, folded in the order of their times.

An order that names a cart of which a cart event told before ends the items of that cart and those without a cart; any
other order ends all. At one instant the items come first: an order at T ends every cart up to T.

A removal takes the lines of its product that differ in nothing that both tell, of the cart that it names, else of the
cart with the newest item event first. An emptied cart is not open.

See also: `rules.profile.cart` (the events), and `rules.profile.order_fold` (which orders end carts, and when).
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Container, Mapping, Sequence
from typing import NamedTuple

import msgspec

from rules.number_text import MICRO
from rules.profile.cart import LINES_AGE_MS, REMOVED, REPLACED, UNNAMED_CART, Cart, Line, Price, line_key
from rules.profile.order_fold import UNREAD, CartEnd
from rules.profile.products import is_same

LineKey = tuple[int, str]  # the cart, and the product
_NEVER: Price = 0, "", 0


class OpenCart(msgspec.Struct, gc=False):
    """What all open carts of a customer hold.

    ``quantities``: by cart and product, in 10⁻⁶, above 0. ``touched`` (ms): the newest event of the open carts; where
    nothing is in them, of any cart since it was ended, 0: none. ``in_checkout``: whether an open cart reached checkout.
    ``ended`` (ms): by cart, when the last order ended it; ``all_ended``: when one ended all.
    """

    quantities: Mapping[LineKey, int]
    touched: int = 0
    in_checkout: bool = False
    ended: Mapping[int, int] = {}
    all_ended: int = 0

    def since(self, cart: int) -> int:
        """When (ms) a cart was ended last; 0: never."""
        return self.ended.get(cart, self.all_ended)

    @property
    def items(self) -> int:
        """The sum of all quantities, in 10⁻⁶."""
        return sum(self.quantities.values())


NO_CART = OpenCart({})


class CartWorth(NamedTuple):
    """The ``value`` (10⁻¹²) of the products whose price is known.

    ``is_unvalued``: the price of another one cannot be read.
    """

    value: int
    is_unvalued: bool


def open_cart(cart: Cart, ends: Sequence[CartEnd]) -> OpenCart:
    """Fold the cart events of a customer; ``ends``: when orders ended carts, ascending."""
    newest = cart.newest
    # Cart events of so long ago count no longer, whatever they were.
    all_ended = max(cart.bought, newest - LINES_AGE_MS - 1)
    own_ends: list[CartEnd] = []  # those of one cart
    for end in ends:
        if _is_named_then(cart, end):
            own_ends.append(end)
        elif end.time > all_ended:
            all_ended = end.time
    if newest <= all_ended:
        return NO_CART
    ended: dict[int, int] = {}  # by cart, of those that an order named after that
    if own_ends:
        own_ends = [end for end in own_ends if end.time > all_ended]
        ended = {end.cart: end.time for end in own_ends}
        # An order ends what belongs to no cart, whatever it names.
        ended[UNNAMED_CART] = max(ended.values(), default=all_ended)
    # Everything up to the newest order that ended all carts is void.
    lines = cart.lines
    if lines and lines[0].time <= all_ended:
        lines = lines[bisect_right(lines, all_ended, key=_time) :]
    quantities = _folded(lines, cart.named, own_ends) if lines else {}
    touched, checkout = _activity(cart, {of for of, _ in quantities}, ended, all_ended)
    return OpenCart(quantities, touched, checkout > 0, ended, all_ended)


def _time(line: Line) -> int:
    return line.time


def _is_named_then(cart: Cart, end: CartEnd) -> bool:
    """Whether an order names a cart of which a cart event told up to then."""
    times = cart.named.get(end.cart)
    return times is not None and times[2] <= end.time


def _activity(cart: Cart, opened: Collection[int], ended: Mapping[int, int], all_ended: int) -> tuple[int, int]:
    """The newest event of the open carts, and the newest of a checkout; 0: none since they were ended.

    An event that names no cart is one of each open cart, until an order ends what belongs to no cart.
    """
    since = ended.get(UNNAMED_CART, all_ended)
    touched = cart.touched if cart.touched > since else 0
    checkout = cart.checkout if cart.checkout > since else 0
    for named, (newest, newest_checkout, _) in cart.named.items():
        if opened and named not in opened:
            continue
        since = ended.get(named, all_ended)
        if newest > since and newest > touched:
            touched = newest
        if newest_checkout > since and newest_checkout > checkout:
            checkout = newest_checkout
    return touched, checkout


def _folded(lines: Sequence[Line], carts: Container[int], ends: Sequence[CartEnd]) -> dict[LineKey, int]:
    """The quantities after these item events and ends, above 0, in the order in which the lines were last added to."""
    quantities: dict[LineKey, int] = {}
    newest: dict[int, int] = {}  # by cart, the index of its newest item event
    place = 0
    for index, line in enumerate(lines):
        while place < len(ends) and ends[place].time < line.time:
            quantities = _without(quantities, ends[place].cart)
            place += 1
        kind, cart = line.kind, line.cart if line.cart in carts else UNNAMED_CART
        if kind == REPLACED:
            quantities = _without(quantities, cart)
        for product, quantity in line.items:
            if kind == REMOVED:
                _remove(quantities, newest, cart, product, quantity)
                continue
            key = cart, product
            before = quantities.pop(key, 0)  # taken out first, so that the line goes to the end
            quantities[key] = before + (MICRO if quantity is None else quantity)
        newest[cart] = index
    for end in ends[place:]:
        quantities = _without(quantities, end.cart)
    return {key: quantity for key, quantity in quantities.items() if quantity}


def _remove(
    quantities: dict[LineKey, int], newest: Mapping[int, int], cart: int, product: str, quantity: int | None
) -> None:
    """Take a quantity of a product out, ``None``: all of it; never below 0.

    A removal of 0 is one of all: senders that state what is left say 0 when nothing is.
    """
    quantity = quantity or None
    chosen = [key for key in reversed(quantities) if is_same(key[1], product) and cart in (key[0], UNNAMED_CART)]
    for key in sorted(chosen, key=lambda key: -newest[key[0]]):
        taken = quantities[key] if quantity is None else min(quantity, quantities[key])
        quantities[key] -= taken
        quantity = None if quantity is None else quantity - taken


def _without(quantities: Mapping[LineKey, int], cart: int) -> dict[LineKey, int]:
    """The items but those of a cart and those without one."""
    return {key: quantity for key, quantity in quantities.items() if key[0] not in (cart, UNNAMED_CART)}


def line_prices(cart: Cart, opened: OpenCart) -> dict[LineKey, int]:
    """The newest known price (10⁻⁶) of each line since its cart was ended.

    It is `UNREAD` where none that was stated can be read; a line of which no price was stated is left out.
    """
    stated, unread = _stated_prices(cart.lines)
    prices: dict[LineKey, int] = {}
    for key in opened.quantities:
        since, dropped_key = opened.since(key[0]), line_key(key[1], key[0])
        newest, dropped = stated.get(key, _NEVER), cart.prices.get(dropped_key, _NEVER)
        time, _, price = dropped if dropped[:2] >= newest[:2] else newest
        if time > since:
            prices[key] = price
        elif max(unread.get(key, 0), cart.unpriced.get(dropped_key, 0)) > since:
            prices[key] = UNREAD
    return prices


def _stated_prices(lines: Sequence[Line]) -> tuple[dict[LineKey, Price], dict[LineKey, int]]:
    """The newest price that item events state, and the time of the newest that cannot be read."""
    stated: dict[LineKey, Price] = {}
    unread: dict[LineKey, int] = {}
    for line in lines:
        for (product, _), price in zip(line.items, line.prices, strict=False):
            if price == UNREAD:
                unread[line.cart, product] = line.time
            elif price is not None:
                stated[line.cart, product] = line.time, line.id, price
    return stated, unread


def worth(cart: Cart, opened: OpenCart) -> CartWorth:
    """The worth of what the open carts of a customer hold, at the newest known prices."""
    prices = line_prices(cart, opened)
    value = sum([opened.quantities[key] * price for key, price in prices.items() if price != UNREAD])
    return CartWorth(value, UNREAD in prices.values())
