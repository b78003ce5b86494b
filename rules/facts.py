"""The kinds of fact that definitions ask for, each bound to its place in the profile.

The one rule: a fact knows the event names that change it, so that an event runs only the facts
that depend on it.
"""

from __future__ import annotations

from bisect import bisect_left

import msgspec

from rules import cart, orders, sessions
from rules.cart import Cart, Line
from rules.events import (
    ACTIVITY_NAMES,
    CART_NAMES,
    CART_VIEWED,
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
from rules.orders import OrderMessage
from rules.profile import Fact, Profile, hashed_id, short_id

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
    """Order messages; ``window`` is the longest that looks at them (ms), ``None``: for ever."""

    window: int | None

    @property
    def names(self) -> frozenset[str]:
        return ORDER_NAMES

    def apply(self, profile: Profile, event: Event) -> None:
        kind = _ORDER_KINDS[event.name]
        if event.order is None and kind != orders.COMPLETED:
            return  # a refund or cancel without an order id touches no order
        order = None if event.order is None else short_id(event.order)
        message = OrderMessage(event.time, short_id(event.id), kind, order, event.amount)
        orders.remember(profile.orders, message, self.window)

    def merge(self, profile: Profile, other: Profile) -> None:
        profile.orders = orders.merge(profile.orders, other.orders, self.window)


class CartFact(msgspec.Struct, frozen=True):
    """The cart and the purchase that ended the one before."""

    @property
    def names(self) -> frozenset[str]:
        return CART_NAMES | {ORDER_COMPLETED}

    def apply(self, profile: Profile, event: Event) -> None:
        held = profile.cart
        if held is None:
            held = profile.cart = Cart()
        if event.name == ORDER_COMPLETED:
            cart.buy(held, event.time)
        elif event.items is None:
            cart.touch(held, event.time)
        else:
            line = Line(event.time, short_id(event.id), _LINE_KINDS[event.name], event.items)
            cart.change(held, line)

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

    def apply(self, profile: Profile, event: Event) -> None:
        sessions.extend(profile.sessions[self.slot], event.time, self.gap, self.window)

    def merge(self, profile: Profile, other: Profile) -> None:
        ours, theirs = profile.sessions[self.slot], other.sessions[self.slot]
        profile.sessions[self.slot] = sessions.merge(ours, theirs, self.gap, self.window)


class OccurrenceFact(msgspec.Struct, frozen=True):
    """The newest ``keep`` events of these names as (time, hashed message id).

    What is older than the newest by ``window`` (ms; ``None``: for ever) or beyond ``keep`` is
    dropped: no test of these definitions can tell it from more of the same.
    """

    slot: int
    events: frozenset[str]
    window: int | None
    keep: int

    @property
    def names(self) -> frozenset[str]:
        return self.events

    def apply(self, profile: Profile, event: Event) -> None:
        known = profile.occurrences[self.slot]
        fact = (event.time, hashed_id(event.id))
        at = len(known) if not known or fact > known[-1] else bisect_left(known, fact)
        if at < len(known) and known[at] == fact:
            return
        known.insert(at, fact)
        self._bound(known)

    def merge(self, profile: Profile, other: Profile) -> None:
        merged = sorted({*profile.occurrences[self.slot], *other.occurrences[self.slot]})
        self._bound(merged)
        profile.occurrences[self.slot] = merged

    def _bound(self, known: list[tuple[int, int]]) -> None:
        if len(known) > self.keep:
            del known[: len(known) - self.keep]
        if self.window is not None and known and known[0][0] <= (frontier := known[-1][0] - self.window):
            del known[: bisect_left(known, (frontier + 1, 0))]


class Facts:
    """What a set of definitions asks to be kept; equal wishes share one fact."""

    def __init__(self) -> None:
        self._order_windows: list[int | None] = []
        self._cart = False
        self._session_windows: dict[int, int] = {}
        self._occurrences: dict[frozenset[str], tuple[int, int | None, int]] = {}

    def want_orders(self, window: int | None) -> None:
        """Orders that a window of this length, or none, looks at."""
        self._order_windows.append(window)

    def want_cart(self) -> None:
        """The cart."""
        self._cart = True

    def want_sessions(self, gap: int, window: int) -> int:
        """Sessions with this gap; their slot."""
        self._session_windows[gap] = max(window, self._session_windows.get(gap, 0))
        return list(self._session_windows).index(gap)

    def want_occurrences(self, names: frozenset[str], window: int | None, keep: int) -> int:
        """The newest ``keep`` events of these names; their slot."""
        slot, known_window, known_keep = self._occurrences.get(names, (len(self._occurrences), window, keep))
        widest = None if window is None or known_window is None else max(window, known_window)
        self._occurrences[names] = (slot, widest, max(keep, known_keep))
        return slot

    def kept(self) -> tuple[Fact, ...]:
        """The facts, once every condition has said what it wants."""
        facts: list[Fact] = []
        if self._order_windows:
            windows = [window for window in self._order_windows if window is not None]
            ever = len(windows) < len(self._order_windows)
            facts.append(OrderFact(None if ever else max(windows)))
        if self._cart:
            facts.append(CartFact())
        for slot, (gap, window) in enumerate(self._session_windows.items()):
            facts.append(SessionFact(slot, gap, window))
        for names, (slot, widest, keep) in self._occurrences.items():
            facts.append(OccurrenceFact(slot, names, widest, keep))
        return tuple(facts)

    def empty(self) -> Profile:
        """A profile without events, with a place for every fact."""
        return Profile(sessions=[[] for _ in self._session_windows], occurrences=[[] for _ in self._occurrences])
