"""The open cart: cart events and the orders that end carts, folded in the order of their times.

An order that names a cart of the customer ends the items of that cart and those without a cart; any other order ends
all. At one instant the items come first: an order at T ends every cart up to T.

A removal takes the lines of its product that differ in nothing that both tell, of the cart that it names, else the
newest first. An emptied cart is not open.

See also: `rules.profile.cart` (the events), and `rules.profile.order_fold` (which orders end carts, and when).
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence

import msgspec

from rules.number_text import MICRO
from rules.products import is_same
from rules.profile.cart import ADDED, REMOVED, REPLACED, UNNAMED_CART, Cart, Line
from rules.profile.order_fold import CartEnd

_Key = tuple[int, str]  # the cart, and the product


class OpenCart(msgspec.Struct, gc=False):
    """What all open carts of a customer hold.

    ``quantities``: by cart and product, in 10⁻⁶, above 0. ``touched`` (ms): the newest event of the open carts; where
    nothing is in them, of any cart since it was ended, 0: none. ``in_checkout``: whether an open cart reached checkout.
    ``value``: in 10⁻¹², of the products whose price is known. ``is_unvalued``: the price of another one cannot be read.
    """

    quantities: Mapping[_Key, int]
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
    all_ended = max([cart.bought, *(end.time for end in ends if end.cart not in cart.named)])
    ended = {UNNAMED_CART: max([all_ended, *(end.time for end in ends)])}
    for named in cart.named:
        ended[named] = max([all_ended, *(end.time for end in ends if end.cart == named)])
    # Everything up to the newest order that ended all carts is void.
    start = bisect_right(cart.lines, all_ended, key=lambda line: line.time)
    later = [end for end in ends if end.time > all_ended]
    quantities = _folded(cart, cart.lines[start:], later)
    opened = {of for of, _ in quantities} or {UNNAMED_CART, *cart.named}
    touched = max(_since(ended[of], cart.touched, cart.named.get(of, (0, 0))[0]) for of in opened)
    checkout = max(_since(ended[of], cart.checkout, cart.named.get(of, (0, 0))[1]) for of in opened)
    value, is_unvalued = _worth(cart, quantities, ended)
    return OpenCart(quantities, touched, checkout > 0, value, is_unvalued)


def _since(ended: int, *times: int) -> int:
    """The newest of these times after a cart was ended; 0: none."""
    return max((time for time in times if time > ended), default=0)


def _folded(cart: Cart, lines: Sequence[Line], ends: Sequence[CartEnd]) -> dict[_Key, int]:
    quantities: dict[_Key, int] = {}
    waiting = list(reversed(ends))
    for line in lines:
        while waiting and waiting[-1].time < line.time:
            quantities = _without(quantities, waiting.pop().cart)
        named = line.cart if line.cart in cart.named else UNNAMED_CART
        if line.kind == REPLACED:
            quantities = _without(quantities, named)
        for product, quantity in line.items:
            if line.kind == REMOVED:
                _remove(quantities, named, product, quantity)
            else:
                assert line.kind in (ADDED, REPLACED)
                # Taken out first, so that the lines stand in the order in which they were last added to.
                before = quantities.pop((named, product), 0)
                quantities[named, product] = before + (MICRO if quantity is None else quantity)
    for end in reversed(waiting):
        quantities = _without(quantities, end.cart)
    return {key: quantity for key, quantity in quantities.items() if quantity}


def _without(quantities: Mapping[_Key, int], cart: int) -> dict[_Key, int]:
    """The items but those of a cart and those without one."""
    return {key: quantity for key, quantity in quantities.items() if key[0] not in (cart, UNNAMED_CART)}


def _remove(quantities: dict[_Key, int], cart: int, product: str, quantity: int | None) -> None:
    """Take a quantity of a product out, ``None``: all of it; never below 0."""
    for key in reversed(list(quantities)):
        if (cart != UNNAMED_CART and key[0] != cart) or not is_same(key[1], product):
            continue
        if quantity is None:
            del quantities[key]
            continue
        taken = min(quantity, quantities[key])
        quantities[key] -= taken
        quantity -= taken
        if not quantity:
            return


def _worth(cart: Cart, quantities: Mapping[_Key, int], ended: Mapping[int, int]) -> tuple[int, bool]:
    """The value of these items, in 10⁻¹², at their newest known prices; whether one has a price that cannot be read."""
    value, is_unvalued = 0, False
    for (named, product), quantity in quantities.items():
        time, _, price = cart.prices.get(product, (0, "", 0))
        if time > ended[named]:
            value += quantity * price
        elif cart.unpriced.get(product, 0) > ended[named]:
            is_unvalued = True
    return value, is_unvalued
