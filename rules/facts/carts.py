"""The fact about the cart of a customer, and the purchase that ended the former cart.

See also: `rules.conditions.cart` (the condition), and `rules.profile.cart` (the data and its bounds).
"""

from __future__ import annotations

import msgspec

from rules.events import (
    CART_NAMES,
    CART_VIEWED,
    CHECKOUT_NAMES,
    CHECKOUT_STARTED,
    ORDER_COMPLETED,
    PRODUCT_ADDED,
    PRODUCT_REMOVED,
    WISHLIST_ADDED,
    Event,
)
from rules.facts.base import Carry, Former, Key, Names, Window
from rules.profile import cart
from rules.profile.cart import Cart, Line
from rules.profile.profile import Profile, short_id

_LINE_KINDS = {
    PRODUCT_ADDED: cart.ADDED,
    WISHLIST_ADDED: cart.ADDED,
    PRODUCT_REMOVED: cart.REMOVED,
    CART_VIEWED: cart.REPLACED,
    CHECKOUT_STARTED: cart.REPLACED,
}
_LINE_BYTES = 67
_PRICE_BYTES = 64


class CartFact(msgspec.Struct, frozen=True):
    """The cart, and the purchase that ended the former one; ``prices``: the products' prices are stored, too."""

    prices: bool

    @property
    def key(self) -> Key:
        return (CartFact,)

    @property
    def names(self) -> Names:
        return CART_NAMES | {ORDER_COMPLETED}

    @property
    def bytes_most(self) -> int:
        prices = cart.PRICES_MAX * _PRICE_BYTES if self.prices else 0
        return cart.LINES_MAX * _LINE_BYTES + prices

    def placed(self, slot: int) -> CartFact:  # noqa: ARG002 (a profile has one cart)
        return self

    def widened(self, wish: CartFact) -> CartFact:
        return CartFact(self.prices or wish.prices)

    def make_room(self, profile: Profile) -> None:
        """Do nothing: the cart's place is empty until the first event."""

    def apply(self, profile: Profile, event: Event) -> bool:
        """Take in a cart event or a purchase. An event without items still touches the cart, and may reach checkout."""
        current = profile.cart
        if current is None:
            current = profile.cart = Cart()
        # A purchase ends the cart up to its time, whatever its items: an order may list other products than were added.
        if event.name == ORDER_COMPLETED:
            return cart.buy(current, event.time)
        reached = event.name in CHECKOUT_NAMES and cart.reach_checkout(current, event.time)
        if event.items is None:
            return cart.touch(current, event.time) or reached
        message_id = short_id(event.id)
        listed = event.items[: cart.ITEMS_MAX]
        items = tuple((item.product, item.quantity) for item in listed)
        changed = cart.change(current, Line(event.time, message_id, _LINE_KINDS[event.name], items))
        if self.prices:
            prices = {item.product: (event.time, message_id, item.price) for item in listed if item.price is not None}
            cart.price(current, prices)
        return changed or reached

    def merge(self, profile: Profile, other: Profile) -> None:
        profile.cart = cart.merge(profile.cart, other.cart)

    def carrying(self, former: Former) -> Carry | None:
        return _carry if self.key in former else None

    def missing_history(self, former: Former) -> Window | bool:
        was = former.get(self.key)
        return False if isinstance(was, CartFact) and was.prices >= self.prices else cart.LINES_AGE_MS


def _carry(old: Profile, new: Profile) -> None:
    new.cart = old.cart
