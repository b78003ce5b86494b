"""Orders: the messages about a customer's orders, and the orders that are formed of them.

The newest messages are stored as they came, and orders are formed of them at each decision
(`rules.profile.order_fold`). So a cancellation before its order, a refund in two parts or an older completion that
comes late needs no special case.

A refund, update or cancellation without an order id concerns no known order and is not stored.

Bounds: the newest 256 messages; and where every window that looks at orders is finite, those not
older than the newest message by more than the longest window and 90 days. Beyond it a message
does not count: an order whose repeated confirmation comes more than 90 days after it left the
longest window would count again. An order that no longer fits the 256 is settled: it stays in
sums and averages until the end of its UTC day has left their window, and remains the first order
if it was; later messages about it change nothing. Of a property that is a list in many orders,
the newest 1,024 values count. Of the products of a message the first 16 count; those of an order for refunds
within 180 days.

See also: `rules.facts.order_messages` (the fact that needs it).
"""

from __future__ import annotations

from bisect import bisect_left
from functools import cached_property

import msgspec

from rules.profile import days, deduplication
from rules.profile.days import Days
from rules.profile.order_fold import (
    COMPLETED,
    CartEnd,
    Order,
    OrderMessage,
    cart_ends,
    standing,
    value_of,
)
from rules.times import DAY_MS

MESSAGES_MAX = 256
SLACK_MS = 90 * DAY_MS
VALUES_MAX = 1_024


class Settled(msgspec.Struct, array_like=True, gc=False):
    """The stored remainder of orders beyond the bound.

    ``first``: when the earliest was completed, by view. ``days``: their sums,
    per view and property as written by `slot_of`.
    """

    first: dict[int, int] = {}
    days: dict[int, Days] = {}


class Orders(msgspec.Struct, array_like=True, dict=True):
    """A customer's order messages, ascending, and the settled orders.

    Orders that are formed of them are cached beside the fields until they change (``dict=True``; not stored).
    """

    messages: list[OrderMessage] = []
    settled: Settled | None = None

    @cached_property
    def standing(self) -> list[Order]:
        """The orders that are neither cancelled nor fully refunded, by completion."""
        return standing(self.messages)

    @cached_property
    def _completions(self) -> dict[int, list[int]]:
        return {}

    @cached_property
    def _values(self) -> dict[tuple[int, str | None], list[tuple[int, int]]]:
        return {}

    @cached_property
    def cart_ends(self) -> list[CartEnd]:
        """When orders ended carts, ascending. Messages beyond the bound are as an order that ended all carts."""
        lost = [CartEnd(self.messages[0].time, 0)] if len(self.messages) >= MESSAGES_MAX else []
        return lost + cart_ends(self.messages)

    def completions(self, view: int) -> list[int]:
        """When each order of a view that stands began to stand, ascending."""
        by_view = self._completions
        if view not in by_view:
            by_view[view] = [order.time for order in self.standing if order.views >> view & 1]
        return by_view[view]

    def values(self, view: int, place: int, currency: str | None) -> list[tuple[int, int]]:
        """The pairs (time, value of a property) of each order of a view that stands, ascending.

        ``currency``: that of the file, in which values of orders count.
        """
        by_slot, slot = self._values, (slot_of(view, place), currency)
        if slot not in by_slot:
            by_slot[slot] = [
                (order.time, value)
                for order in self.standing
                if order.views >> view & 1
                for value in value_of(order, place, currency)
            ]
        return by_slot[slot]

    def has_completion(self, order: str | None, message_id: str) -> bool:
        """Whether a completion of an order is among the messages; without an order id, whether this message is."""
        completions = [message for message in self.messages if message.kind == COMPLETED]
        if order is None:
            return any(completion.id == message_id for completion in completions)
        return any(completion.order == order for completion in completions)

    def changed(self) -> None:
        """Drop the orders that were formed of the messages."""
        self.__dict__.clear()


_PLACES = 64


def slot_of(view: int, place: int) -> int:
    """The key under `Settled.days` of a view's property (`TOTAL`, or 1 + its place in ``values``)."""
    return view * _PLACES + place


def view_and_place(slot: int) -> tuple[int, int]:
    """The view and the place that a key of `slot_of` stands for."""
    return divmod(slot, _PLACES)


def remember(orders: Orders, message: OrderMessage, window: int | None, currency: str | None) -> bool:
    """Add a message in place, unless it is known; whether it was new. ``currency``: that of the file."""
    if len(orders.messages) >= MESSAGES_MAX and _key(message) < _key(orders.messages[0]):
        return False  # not newer than the settled orders, so it counts as counted already
    if not deduplication.insert(orders.messages, message, _key):
        return False
    _bound(orders, window, currency)
    orders.changed()
    return True


def merge(mine: Orders, theirs: Orders, window: int | None, currency: str | None) -> Orders:
    """Merge the orders of two profiles: the result is that of all events of both."""
    messages = deduplication.merged((*mine.messages, *theirs.messages), _key)
    merged = Orders(messages, _merge_settled(mine.settled, theirs.settled))
    _bound(merged, window, currency)
    return merged


def _merge_settled(mine: Settled | None, theirs: Settled | None) -> Settled | None:
    if mine is None and theirs is None:
        return None
    mine, theirs = mine or Settled(), theirs or Settled()
    merged = Settled(dict(mine.first))
    for view, time in theirs.first.items():
        merged.first[view] = min(time, merged.first.get(view, time))
    for slot in sorted(mine.days.keys() | theirs.days.keys()):
        merged.days[slot] = days.merge(mine.days.get(slot, {}), theirs.days.get(slot, {}))
    return merged


def _key(message: OrderMessage) -> tuple[int, str]:
    return message.time, message.id


def _bound(orders: Orders, window: int | None, currency: str | None) -> None:
    messages = orders.messages
    if window is not None and messages and messages[0].time < (frontier := messages[-1].time - window - SLACK_MS):
        del messages[: bisect_left(messages, frontier, key=lambda message: message.time)]
    while len(messages) > MESSAGES_MAX:
        _settle(orders, messages[0], currency)
        del messages[0]
    for place in range(max((len(message.values) for message in messages), default=0)):
        _bound_values(messages, place)


def _bound_values(messages: list[OrderMessage], place: int) -> None:
    """Bound the values of messages: the newest keep all of theirs, the one at the bound its first, older ones none."""
    left = VALUES_MAX
    for index in range(len(messages) - 1, -1, -1):
        values = messages[index].values
        if not values:
            continue
        if len(values[place]) > left:
            shortened = (*values[:place], values[place][:left], *values[place + 1 :])
            messages[index] = msgspec.structs.replace(messages[index], values=shortened)
        left -= len(messages[index].values[place])


def _settle(orders: Orders, oldest: OrderMessage, currency: str | None) -> None:
    """Settle an order whose only completion is about to be dropped."""
    if oldest.kind != COMPLETED or _is_repeated(orders.messages, oldest):
        return
    order = next((order for order in standing(orders.messages) if order.start is oldest), None)
    if order is None:
        return
    settled = orders.settled = orders.settled or Settled()
    for view in range(order.views.bit_length()):
        if not order.views >> view & 1:
            continue
        settled.first[view] = min(oldest.time, settled.first.get(view, oldest.time))
        for place in range(len(order.content.values) + 1):
            for value in value_of(order, place, currency):
                days.add(settled.days.setdefault(slot_of(view, place), {}), oldest.time // DAY_MS, value, 1)


def _is_repeated(messages: list[OrderMessage], oldest: OrderMessage) -> bool:
    others = (message for message in messages if message is not oldest and message.kind == COMPLETED)
    return oldest.order is not None and any(message.order == oldest.order for message in others)
