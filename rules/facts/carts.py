"""The fact about the cart events of a customer; orders that end carts are a fact of their own, which comes along.

See also: `rules.conditions.cart` (the condition), and `rules.profile.cart` (the data and its bounds).
"""

from __future__ import annotations

import msgspec

from rules.currencies import counts_in
from rules.event_names import (
    CART_NAMES,
    CART_VIEWED,
    CHECKOUT_NAMES,
    CHECKOUT_STARTED,
    PRODUCT_ADDED,
    PRODUCT_REMOVED,
    WISHLIST_ADDED,
)
from rules.events import Event, Item
from rules.facts.base import Carry, Former, Key, Names, Window
from rules.facts.order_messages import OrderFact
from rules.facts.registry import FactRegistry
from rules.profile import cart
from rules.profile.cart import Cart, Line
from rules.profile.order_fold import UNREAD
from rules.profile.profile import Profile
from rules.profile.short_ids import hashed_id, short_id

_LINE_KINDS = {
    PRODUCT_ADDED: cart.ADDED,
    WISHLIST_ADDED: cart.ADDED,
    PRODUCT_REMOVED: cart.REMOVED,
    CART_VIEWED: cart.REPLACED,
    CHECKOUT_STARTED: cart.REPLACED,
}
_LINE_BYTES = 67
_LINE_PRICE_BYTES = 9
_FORMER_PRICE_BYTES = 64


class CartFact(msgspec.Struct, frozen=True):
    """The cart events; ``prices``: the products' prices are stored, too, in the ``currency`` of the file."""

    prices: bool
    currency: str | None = None

    @staticmethod
    def require(facts: FactRegistry, *, prices: bool) -> None:
        """Require the cart, and the orders that end carts."""
        facts.require(OrderFact(cart.LINES_AGE_MS, currency=facts.currency))
        facts.require(CartFact(prices, facts.currency))

    @property
    def key(self) -> Key:
        return (CartFact,)

    @property
    def names(self) -> Names:
        return CART_NAMES

    @property
    def bytes_most(self) -> int:
        prices = cart.ITEMS_MAX * _LINE_PRICE_BYTES + cart.PRICES_MAX * _FORMER_PRICE_BYTES if self.prices else 0
        return cart.ITEMS_MAX * _LINE_BYTES + prices

    def placed(self, slot: int) -> CartFact:  # noqa: ARG002 (a profile has one cart)
        return self

    def widened(self, wish: CartFact) -> CartFact:
        return CartFact(self.prices or wish.prices, self.currency)

    def make_room(self, profile: Profile) -> None:
        """Do nothing: the cart's place is empty until the first event."""

    def apply(self, profile: Profile, event: Event) -> bool:
        """Take in a cart event. An event without items still touches the cart, and may reach checkout."""
        current = profile.cart
        if current is None:
            current = profile.cart = Cart()
        named = cart.UNNAMED_CART if event.cart is None else hashed_id(event.cart)
        touched = cart.touch(current, event.time, named, in_checkout=event.name in CHECKOUT_NAMES)
        if event.items is None:
            if touched:
                cart.bound(current)
            return touched
        listed = event.items[: cart.ITEMS_MAX]
        items = tuple([(item.product, item.quantity) for item in listed])
        prices = self._prices(listed) if self.prices else ()
        changed = cart.change(
            current, Line(event.time, short_id(event.id), _LINE_KINDS[event.name], items, named, prices)
        )
        cart.bound(current)
        return changed or touched

    def _prices(self, items: tuple[Item, ...]) -> tuple[int | None, ...]:
        """The prices as a line has them."""
        prices = tuple([self._price(item) for item in items])
        return () if prices.count(None) == len(prices) else prices

    def _price(self, item: Item) -> int | None:
        if item.price is None:
            return UNREAD if item.is_unpriced else None
        return item.price if counts_in(item.currency, self.currency) else UNREAD

    def merge(self, profile: Profile, other: Profile) -> None:
        profile.cart = cart.merge(profile.cart, other.cart)

    def carrying(self, former: Former) -> Carry | None:
        return _carry if self.key in former else None

    def missing_history(self, former: Former) -> Window | bool:
        was = former.get(self.key)
        return False if isinstance(was, CartFact) and was.prices >= self.prices else cart.LINES_AGE_MS


def _carry(old: Profile, new: Profile) -> None:
    new.cart = old.cart
