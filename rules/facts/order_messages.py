"""The fact about messages on orders: completions, updates, refunds and cancellations.

See also: `rules.profile.orders` (the data and its bounds), and `rules.profile.order_fold` (how orders are formed).
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from rules.currencies import resolved
from rules.event_names import ORDER_CANCELLED, ORDER_COMPLETED, ORDER_NAMES, ORDER_REFUNDED, ORDER_UPDATED
from rules.events import Event, Item
from rules.facts.base import Carry, Former, Key, Names, Window, covers, including, longer
from rules.facts.registry import BITS_MAX, FactRegistry, TooMany
from rules.facts.selection import EventFilter, PropertyReader
from rules.number_text import MICRO
from rules.profile import order_fold, orders
from rules.profile.days import Days
from rules.profile.order_fold import TOTAL, OrderLine, OrderMessage
from rules.profile.orders import Orders, Settled, slot_of, view_and_place
from rules.profile.profile import Profile
from rules.profile.short_ids import hashed_id, short_id

_MESSAGE_KINDS = {
    ORDER_COMPLETED: order_fold.COMPLETED,
    ORDER_REFUNDED: order_fold.REFUNDED,
    ORDER_CANCELLED: order_fold.CANCELLED,
    ORDER_UPDATED: order_fold.UPDATED,
}
_WITH_CONTENT = (order_fold.COMPLETED, order_fold.UPDATED)
# Of an order with a currency and two products.
_MESSAGE_BYTES = 110


class OrderFact(msgspec.Struct, frozen=True):
    """The order messages of a customer; ``window``: the longest of the conditions on orders.

    ``views``: the selections of orders in the definitions; ``readings``: the properties that they read. ``currency``:
    that of the file.
    """

    window: Window
    views: tuple[EventFilter, ...] = ()
    readings: tuple[PropertyReader, ...] = ()
    currency: str | None = None

    @staticmethod
    def require_view(facts: FactRegistry, picked: EventFilter, window: Window) -> int:
        """Require a selection of orders. Returns the index of its view. Raises `TooMany`."""
        return facts.require(OrderFact(window, views=(picked,), currency=facts.currency)).views.index(picked)

    @staticmethod
    def require_property(facts: FactRegistry, reading: PropertyReader) -> int:
        """Require a property of orders. Returns its place, as `rules.profile.order_fold.value_of` takes it."""
        return (
            TOTAL
            + 1
            + facts.require(OrderFact(0, readings=(reading,), currency=facts.currency)).readings.index(reading)
        )

    @property
    def key(self) -> Key:
        return (OrderFact,)

    @property
    def names(self) -> Names:
        return ORDER_NAMES

    @property
    def bytes_most(self) -> int:
        return orders.MESSAGES_MAX * _MESSAGE_BYTES

    def placed(self, slot: int) -> OrderFact:  # noqa: ARG002 (a profile has one list of order messages)
        return self

    def widened(self, wish: OrderFact) -> OrderFact:
        views, readings = including(self.views, wish.views), including(self.readings, wish.readings)
        if len(views) > BITS_MAX:
            raise TooMany(f"a file asks for orders in at most {BITS_MAX} different ways (where, currency)")
        if len(readings) > BITS_MAX:
            raise TooMany(f"a file reads at most {BITS_MAX} different properties of orders")
        return OrderFact(longer(self.window, wish.window), views, readings, self.currency)

    def make_room(self, profile: Profile) -> None:
        """Do nothing: the orders' place is empty until the first message."""

    def apply(self, profile: Profile, event: Event) -> bool:
        kind = _MESSAGE_KINDS[event.name]
        if event.order is None and kind != order_fold.COMPLETED:
            return False  # a refund, update or cancellation without an order id concerns no known order
        if profile.orders is None:
            profile.orders = Orders()
        return orders.remember(profile.orders, self._message(event, kind), self.window, self.currency)

    def _message(self, event: Event, kind: int) -> OrderMessage:
        views, total_views, time_views = 0, -1, -1
        values: tuple[tuple[int, ...], ...] = ()
        currency = event.currency
        if kind in _WITH_CONTENT:
            views = sum([1 << index for index, view in enumerate(self.views) if view.meets_but_total(event)])
            others = sum([1 << index for index, view in enumerate(self.views) if not view.meets_total(event)])
            total_views = ~others
            time_views = ~sum([1 << index for index, view in enumerate(self.views) if not view.meets_times(event.time)])
            if self.readings:
                values = tuple([reading.of(event.properties.fields) for reading in self.readings])
            currency = resolved(currency, self.currency)
        elif currency:
            currency = resolved(currency, self.currency)
        elif event.items and event.amount is None:
            currency = self._currency_of(event.items)
        return OrderMessage(
            event.time,
            short_id(event.id),
            kind,
            None if event.order is None else short_id(event.order),
            order_fold.UNREAD if event.is_unvalued else event.amount,
            views,
            values,
            currency,
            self._lines(event, currency) if event.items else (),
            0 if event.cart is None else hashed_id(event.cart),
            total_views,
            time_views,
        )

    def _currency_of(self, items: tuple[Item, ...]) -> str:
        """The currency of a refund which its products alone name: ``""`` if none of them does, or they name several."""
        named = {resolved(item.currency, self.currency) for item in items if item.currency and item.price is not None}
        return named.pop() if len(named) == 1 else ""

    def _lines(self, event: Event, currency: str) -> tuple[OrderLine, ...]:
        """The products of an order or a refund, with prices in its currency, else in that of the file."""
        assert event.items is not None
        lines = []
        for item in event.items[: order_fold.LINES_MAX]:
            own = currency or self.currency or ""
            is_other = item.currency and own and resolved(item.currency, self.currency) != own
            price = order_fold.UNREAD if is_other or item.is_unpriced else item.price
            lines.append((item.product, price, MICRO if item.quantity is None else item.quantity))
        return tuple(lines)

    def merge(self, profile: Profile, other: Profile) -> None:
        if profile.orders is not None or other.orders is not None:
            profile.orders = orders.merge(
                profile.orders or Orders(), other.orders or Orders(), self.window, self.currency
            )

    def carrying(self, former: Former) -> Carry | None:
        was = former.get(self.key)
        return _OrderTranslation(was, self).carry if isinstance(was, OrderFact) else None

    def missing_history(self, former: Former) -> Window | bool:
        was = former.get(self.key)
        is_covered = (
            isinstance(was, OrderFact)
            and set(was.views) >= set(self.views)
            and set(was.readings) >= set(self.readings)
            and covers(was.window, self.window)
        )
        return False if is_covered else self.window


class _OrderTranslation:
    """Translates order messages from the views and properties of a former file to those of the next."""

    def __init__(self, was: OrderFact, fact: OrderFact) -> None:
        # (index in the next file, index in the former) of each view that both have.
        self._views = [(index, was.views.index(view)) for index, view in enumerate(fact.views) if view in was.views]
        # By index in the next file: the index of each property in the former one, or None.
        self._sources = [_index(was.readings, reading) for reading in fact.readings]
        self._view_now = {source: index for index, source in self._views}
        self._place_now = {TOTAL: TOTAL} | {
            source + 1: index + 1 for index, source in enumerate(self._sources) if source is not None
        }

    def carry(self, old: Profile, new: Profile) -> None:
        if old.orders is not None:
            settled = old.orders.settled
            messages = [self._message(message) for message in old.orders.messages]
            new.orders = Orders(messages, None if settled is None else self._settled(settled))

    def _message(self, message: OrderMessage) -> OrderMessage:
        views = sum([1 << index for index, source in self._views if message.views >> source & 1])
        total_views, time_views = self._carried(message.total_views), self._carried(message.time_views)
        if message.kind not in _WITH_CONTENT:
            return msgspec.structs.replace(message, views=views, values=(), total_views=total_views)
        values = tuple(
            () if source is None or not message.values else message.values[source] for source in self._sources
        )
        return msgspec.structs.replace(
            message, views=views, values=values, total_views=total_views, time_views=time_views
        )

    def _carried(self, meeting: int) -> int:
        """The bits of views, of which those that are not set count."""
        return ~sum([1 << index for index, source in self._views if not meeting >> source & 1])

    def _settled(self, settled: Settled) -> Settled:
        days: dict[int, Days] = {}
        for slot, sums in settled.days.items():
            view, place = view_and_place(slot)
            if view in self._view_now and place in self._place_now:
                days[slot_of(self._view_now[view], self._place_now[place])] = sums
        first = {self._view_now[view]: time for view, time in settled.first.items() if view in self._view_now}
        return Settled(first, days)


def _index(readings: Sequence[PropertyReader], reading: PropertyReader) -> int | None:
    return readings.index(reading) if reading in readings else None
