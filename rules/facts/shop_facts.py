"""Facts of the shop: orders, the cart, sessions."""

from __future__ import annotations

import msgspec

from rules.events import (
    ACTIVITY_NAMES,
    CART_NAMES,
    CART_VIEWED,
    CHECKOUT_NAMES,
    CHECKOUT_STARTED,
    ORDER_CANCELLED,
    ORDER_COMPLETED,
    ORDER_NAMES,
    ORDER_REFUNDED,
    PRODUCT_ADDED,
    PRODUCT_REMOVED,
    WISHLIST_ADDED,
    Event,
)
from rules.facts.selection import EventFilter, PropertyReader
from rules.profile import cart, orders, sessions
from rules.profile.cart import Cart, Line
from rules.profile.orders import OrderMessage, Orders
from rules.profile.profile import Profile, short_id

_ORDER_KINDS = {
    ORDER_COMPLETED: orders.COMPLETED,
    ORDER_REFUNDED: orders.REFUNDED,
    ORDER_CANCELLED: orders.CANCELLED,
}
_LINE_KINDS = {
    PRODUCT_ADDED: cart.ADDED,
    WISHLIST_ADDED: cart.ADDED,
    PRODUCT_REMOVED: cart.REMOVED,
    CART_VIEWED: cart.REPLACED,
    CHECKOUT_STARTED: cart.REPLACED,
}


class OrderFact(msgspec.Struct, frozen=True):
    """Order messages; ``window`` is the longest that looks at them (ms), ``None``: for ever.

    ``views``: which orders the definitions look at; ``readings``: which of their properties.
    """

    window: int | None
    views: tuple[EventFilter, ...]
    readings: tuple[PropertyReader, ...]

    @property
    def names(self) -> frozenset[str]:
        return ORDER_NAMES

    def apply(self, profile: Profile, event: Event) -> bool:
        kind = _ORDER_KINDS[event.name]
        if event.order is None and kind != orders.COMPLETED:
            return False  # a refund or cancel without an order id touches no order
        order = None if event.order is None else short_id(event.order)
        views = 0
        values: tuple[tuple[int, ...], ...] = ()
        if kind == orders.COMPLETED:
            views = sum(1 << at for at, view in enumerate(self.views) if view.meets(event))
            values = tuple(reading.of(event.properties.fields) for reading in self.readings)
        message = OrderMessage(event.time, short_id(event.id), kind, order, event.amount, views, values)
        if profile.orders is None:
            profile.orders = Orders()
        return orders.remember(profile.orders, message, self.window)

    def merge(self, profile: Profile, other: Profile) -> None:
        if profile.orders is not None or other.orders is not None:
            profile.orders = orders.merge(profile.orders or Orders(), other.orders or Orders(), self.window)


class CartFact(msgspec.Struct, frozen=True):
    """The cart and the purchase that ended the one before; ``prices``: of its products, too."""

    prices: bool

    @property
    def names(self) -> frozenset[str]:
        return CART_NAMES | {ORDER_COMPLETED}

    def apply(self, profile: Profile, event: Event) -> bool:
        held = profile.cart
        if held is None:
            held = profile.cart = Cart()
        if event.name == ORDER_COMPLETED:
            return cart.buy(held, event.time)
        reached = event.name in CHECKOUT_NAMES and cart.reach_checkout(held, event.time)
        if event.items is None:
            return cart.touch(held, event.time) or reached
        message_id = short_id(event.id)
        listed = event.items[: cart.ITEMS_MAX]
        items = tuple((item.product, item.quantity) for item in listed)
        changed = cart.change(held, Line(event.time, message_id, _LINE_KINDS[event.name], items))
        if self.prices:
            told = {item.product: (event.time, message_id, item.price) for item in listed if item.price is not None}
            cart.price(held, told)
        return changed or reached

    def merge(self, profile: Profile, other: Profile) -> None:
        profile.cart = cart.merge(profile.cart, other.cart)


class SessionFact(msgspec.Struct, frozen=True):
    """Sessions split at ``gap`` over the last ``window`` (ms), in slot ``slot``."""

    slot: int
    gap: int
    window: int

    @property
    def names(self) -> frozenset[str]:
        return ACTIVITY_NAMES

    def apply(self, profile: Profile, event: Event) -> bool:
        return sessions.extend(profile.sessions[self.slot], event.time, self.gap, self.window)

    def merge(self, profile: Profile, other: Profile) -> None:
        ours, theirs = profile.sessions[self.slot], other.sessions[self.slot]
        profile.sessions[self.slot] = sessions.merge(ours, theirs, self.gap, self.window)
