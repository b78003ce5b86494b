"""The kinds of fact that definitions ask for, each bound to its place in the profile.

The one rule: a fact knows the event names that change it and says whether an event changed
anything that decides, so that an event costs only what depends on it.
"""

from __future__ import annotations

import msgspec

from rules import cart, extremes, occurrences, orders, sessions, steps, sums, touches
from rules.cart import Cart, Line
from rules.events import (
    ACTIVITY_NAMES,
    CART_NAMES,
    CART_VIEWED,
    CHECKOUT_NAMES,
    CHECKOUT_STARTED,
    IDENTIFY,
    ORDER_CANCELLED,
    ORDER_COMPLETED,
    ORDER_NAMES,
    ORDER_REFUNDED,
    PRODUCT_ADDED,
    PRODUCT_REMOVED,
    WISHLIST_ADDED,
    Event,
)
from rules.orders import OrderMessage, Orders
from rules.predicates import ANYWHERE, ValueTest, Where
from rules.profile import Profile, hashed_id, short_id
from rules.times import parse_date
from rules.touches import Touch
from rules.values import Json, Path, keys, number, reach, text

DISTINCT_MAX = 256

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


class Picked(msgspec.Struct, frozen=True):
    """Which of the events under some names: those that meet ``where``, in ``currency`` or without one."""

    where: Where = ANYWHERE
    currency: str | None = None

    def meets(self, event: Event) -> bool:
        """Whether the event is one of them."""
        if not self.where.tests and self.currency is None:
            return True
        fields = event.properties.fields
        if self.currency is not None and fields.get("currency") not in (None, "", self.currency):
            return False
        return self.where.meets(fields)


class Reading(msgspec.Struct, frozen=True):
    """What is read of an event: a property as a number, or as the values that tell events apart."""

    path: Path
    distinct: bool

    def of(self, fields: Json) -> tuple[int, ...]:
        """A number in 10⁻⁶, or hashes of values; nothing when there is none."""
        value = reach(fields, self.path)
        if self.distinct:
            return tuple(hashed_id(key) for key in keys(value))
        micro = number(value)
        return () if micro is None else (micro,)


class OrderFact(msgspec.Struct, frozen=True):
    """Order messages; ``window`` is the longest that looks at them (ms), ``None``: for ever.

    ``views``: which orders the definitions look at; ``readings``: which of their properties.
    """

    window: int | None
    views: tuple[Picked, ...]
    readings: tuple[Reading, ...]

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
        if profile.orders is None or other.orders is None:
            profile.orders = profile.orders or other.orders
        else:
            profile.orders = orders.merge(profile.orders, other.orders, self.window)


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
        items = tuple((item.product, item.quantity) for item in event.items)
        changed = cart.change(held, Line(event.time, message_id, _LINE_KINDS[event.name], items))
        if self.prices:
            for item in event.items:
                if item.price is not None:
                    cart.price(held, item.product, (event.time, message_id, item.price))
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


class OccurrenceFact(msgspec.Struct, frozen=True):
    """The newest ``keep`` of these events as (time, hashed message id).

    What is older than the newest by ``window`` (ms; ``None``: for ever) or beyond ``keep`` is
    dropped: no test of these definitions can tell it from more of the same.
    """

    slot: int
    names: frozenset[str]
    picked: Picked
    window: int | None
    keep: int

    def apply(self, profile: Profile, event: Event) -> bool:
        if not self.picked.meets(event):
            return False
        kept = profile.occurrences[self.slot]
        return occurrences.add(kept, event.time, hashed_id(event.id), self.window, self.keep)

    def merge(self, profile: Profile, other: Profile) -> None:
        ours, theirs = profile.occurrences[self.slot], other.occurrences[self.slot]
        profile.occurrences[self.slot] = occurrences.merge(ours, theirs, self.window, self.keep)


class FirstFact(msgspec.Struct, frozen=True):
    """When the earliest of these events was; 0: none yet."""

    slot: int
    names: frozenset[str]
    picked: Picked

    def apply(self, profile: Profile, event: Event) -> bool:
        known = profile.firsts[self.slot]
        if (known and known <= event.time) or not self.picked.meets(event):
            return False
        profile.firsts[self.slot] = event.time
        return True

    def merge(self, profile: Profile, other: Profile) -> None:
        known = (profile.firsts[self.slot], other.firsts[self.slot])
        profile.firsts[self.slot] = min(filter(None, known), default=0)


class SumFact(msgspec.Struct, frozen=True):
    """What these events contribute to sums and averages over up to ``window`` (ms; ``None``: ever)."""

    slot: int
    names: frozenset[str]
    picked: Picked
    reading: Reading
    window: int | None

    def apply(self, profile: Profile, event: Event) -> bool:
        if not self.picked.meets(event):
            return False
        found = self.reading.of(event.properties.fields)
        kept = profile.sums[self.slot]
        return bool(found) and sums.add(kept, (event.time, hashed_id(event.id), found[0]), self.window)

    def merge(self, profile: Profile, other: Profile) -> None:
        profile.sums[self.slot] = sums.merge(profile.sums[self.slot], other.sums[self.slot], self.window)


class ExtremeFact(msgspec.Struct, frozen=True):
    """What can be the greatest, or the least, of these events over ``window`` (ms; ``None``: ever)."""

    slot: int
    names: frozenset[str]
    picked: Picked
    reading: Reading
    window: int | None
    greatest: bool

    def apply(self, profile: Profile, event: Event) -> bool:
        if not self.picked.meets(event):
            return False
        found = self.reading.of(event.properties.fields)
        kept = profile.extremes[self.slot]
        return bool(found) and extremes.add(kept, (event.time, found[0]), self.window, greatest=self.greatest)

    def merge(self, profile: Profile, other: Profile) -> None:
        ours, theirs = profile.extremes[self.slot], other.extremes[self.slot]
        profile.extremes[self.slot] = extremes.merge(ours, theirs, self.window, greatest=self.greatest)


class DistinctFact(msgspec.Struct, frozen=True):
    """Values (hashed) of these events and when each was last told; the newest 256 of them."""

    slot: int
    names: frozenset[str]
    picked: Picked
    reading: Reading
    window: int | None

    def apply(self, profile: Profile, event: Event) -> bool:
        if not self.picked.meets(event):
            return False
        known = profile.distincts[self.slot]
        found = [value for value in self.reading.of(event.properties.fields) if event.time > known.get(value, 0)]
        if not found:
            return False
        if len(found) == 1 and event.time > (next(reversed(known.values())) if known else 0):
            known.pop(found[0], None)  # the newest, so that it comes last
            known[found[0]] = event.time
            self._drop_oldest(known)
        else:
            profile.distincts[self.slot] = self._bounded(known | dict.fromkeys(found, event.time))
        return True

    def _drop_oldest(self, known: dict[int, int]) -> None:
        frontier = 0 if self.window is None else next(reversed(known.values())) - self.window
        while len(known) > DISTINCT_MAX or next(iter(known.values())) <= frontier:
            del known[next(iter(known))]

    def merge(self, profile: Profile, other: Profile) -> None:
        ours, theirs = profile.distincts[self.slot], other.distincts[self.slot]
        merged = {value: max(ours.get(value, 0), theirs.get(value, 0)) for value in ours.keys() | theirs.keys()}
        profile.distincts[self.slot] = self._bounded(merged)

    def _bounded(self, known: dict[int, int]) -> dict[int, int]:
        """Ascending by (time, value), so that equal sets of events are stored alike."""
        newest = sorted(known.items(), key=lambda told: (told[1], told[0]))[-DISTINCT_MAX:]
        frontier = 0 if self.window is None or not newest else newest[-1][1] - self.window
        return {value: time for value, time in newest if time > frontier}


class StepFact(msgspec.Struct, frozen=True):
    """The events that may be steps of a sequence over ``window`` (ms; ``None``: ever).

    ``masks``: per event name the steps that ask for it, as (step, which of these events). With
    ``same``, an entry per value of that property; an event without one is no step.
    """

    slot: int
    masks: dict[str, tuple[tuple[int, Picked], ...]]
    same: Path | None
    window: int | None

    @property
    def names(self) -> frozenset[str]:
        return frozenset(self.masks)

    def apply(self, profile: Profile, event: Event) -> bool:
        mask = sum(1 << step for step, picked in self.masks[event.name] if picked.meets(event))
        if not mask:
            return False
        values = (0,) if self.same is None else Reading(self.same, distinct=True).of(event.properties.fields)
        entries = [(event.time, short_id(event.id), mask, value) for value in values]
        return steps.add(profile.steps[self.slot], entries, self.window)

    def merge(self, profile: Profile, other: Profile) -> None:
        profile.steps[self.slot] = steps.merge(profile.steps[self.slot], other.steps[self.slot], self.window)


class TraitFact(msgspec.Struct, frozen=True):
    """The newest identify that has a trait, or takes it back with null.

    ``tests``: what the definitions ask of it; ``dates``: where in it they look for dates.
    """

    slot: int
    name: str
    tests: tuple[tuple[Path, ValueTest], ...]
    dates: tuple[Path, ...]

    @property
    def names(self) -> frozenset[str]:
        return frozenset({IDENTIFY})

    def apply(self, profile: Profile, event: Event) -> bool:
        traits = event.traits.fields
        known = profile.traits[self.slot]
        message_id = short_id(event.id)
        if self.name not in traits or not touches.stands(known, event.time, message_id, first=False):
            return False
        value = traits[self.name]
        met = sum(1 << at for at, (path, test) in enumerate(self.tests) if test.meets(reach(value, path)))
        dates = tuple(parse_date(text(reach(value, path))) for path in self.dates)
        shown = None if isinstance(value, dict) else ", ".join(keys(value))
        touch = Touch(event.time, message_id, met, touches.shortened(shown) if shown else None, dates)
        profile.traits[self.slot] = touch
        return not touch.answers(known)

    def merge(self, profile: Profile, other: Profile) -> None:
        profile.traits[self.slot] = touches.merge(profile.traits[self.slot], other.traits[self.slot], first=False)


class TouchFact(msgspec.Struct, frozen=True):
    """The first or last event whose context carries an attribute."""

    slot: int
    attribute: str
    first: bool
    tests: tuple[ValueTest, ...]

    @property
    def names(self) -> None:
        return None

    def apply(self, profile: Profile, event: Event) -> bool:
        known = profile.touches[self.slot]
        if self.first and known is not None and event.time > known.time:
            return False
        value = event.context.get(self.attribute)
        if value is None:
            return False
        message_id = short_id(event.id)
        if not touches.stands(known, event.time, message_id, first=self.first):
            return False
        if known is not None and value == known.shown and len(value) < touches.SHOWN_MAX_CHARS:
            profile.touches[self.slot] = Touch(event.time, message_id, known.met, value)
            return False  # told again, as it mostly is
        met = sum(1 << at for at, test in enumerate(self.tests) if test.meets(value))
        touch = Touch(event.time, message_id, met, touches.shortened(value))
        profile.touches[self.slot] = touch
        return not touch.answers(known)

    def merge(self, profile: Profile, other: Profile) -> None:
        ours, theirs = profile.touches[self.slot], other.touches[self.slot]
        profile.touches[self.slot] = touches.merge(ours, theirs, first=self.first)
