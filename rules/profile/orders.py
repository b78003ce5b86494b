"""Orders: the messages about a customer's orders, and the orders that are formed of them.

The newest messages are stored as they came, and orders are formed of them at each decision. So a cancellation before
its order, a refund in two parts or an older completion that comes late needs no special case.

A refund or cancellation without an order id concerns no known order and is not stored.

Bounds: the newest 256 messages; and where every window that looks at orders is finite, those not
older than the newest message by more than the longest window and 90 days. Beyond it a message
does not count: an order whose repeated confirmation comes more than 90 days after it left the
longest window would count again. An order that no longer fits the 256 is settled: it stays in
sums and averages until the end of its UTC day has left their window, and remains the first order
if it was; later messages about it change nothing. Of a property that is a list in many orders,
the newest 1,024 values count.

See also: `rules.facts.order_messages` (the fact that needs it).
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from functools import cached_property

import msgspec

from rules.profile import days, deduplication
from rules.profile.days import Days
from rules.times import DAY_MS

MESSAGES_MAX = 256
SLACK_MS = 90 * DAY_MS
VALUES_MAX = 1_024

COMPLETED, REFUNDED, CANCELLED = 0, 1, 2


class OrderMessage(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One message about an order; in the order of (time, message id).

    ``order`` is the order id, ``None`` when the message has none and so stands for itself.
    ``amount`` is in 10⁻⁶; ``None``: an order of unknown value, or a refund of all of it. Of a
    completion, bit i of ``views`` says that it meets the definitions' view i of orders, and
    ``values`` has one place per property that they read.
    """

    time: int
    id: str
    kind: int
    order: str | None = None
    amount: int | None = None
    views: int = 0
    values: tuple[tuple[int, ...], ...] = ()


class Order(msgspec.Struct, frozen=True, gc=False):
    """An order that stands: its earliest completion, and what refunds took of it (10⁻⁶)."""

    completion: OrderMessage
    refunded: int


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
        return list(standing(self.messages))

    @cached_property
    def _completions(self) -> dict[int, list[int]]:
        return {}

    @cached_property
    def _values(self) -> dict[int, list[tuple[int, int]]]:
        return {}

    def completions(self, view: int) -> list[int]:
        """When each order of a view that stands was completed, ascending."""
        by_view = self._completions
        if view not in by_view:
            by_view[view] = [order.completion.time for order in self.standing if order.completion.views >> view & 1]
        return by_view[view]

    def values(self, view: int, place: int) -> list[tuple[int, int]]:
        """The pairs (time of completion, value of a property) of each order of a view that stands, ascending."""
        by_slot, slot = self._values, slot_of(view, place)
        if slot not in by_slot:
            by_slot[slot] = [
                (order.completion.time, value)
                for order in self.standing
                if order.completion.views >> view & 1
                for value in value_of(order, place)
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


TOTAL = 0  # the value that refunds lower; a property of the definitions has the place after it
_PLACES = 64


def slot_of(view: int, place: int) -> int:
    """The key under `Settled.days` of a view's property (`TOTAL`, or 1 + its place in ``values``)."""
    return view * _PLACES + place


def view_and_place(slot: int) -> tuple[int, int]:
    """The view and the place that a key of `slot_of` stands for."""
    return divmod(slot, _PLACES)


def remember(orders: Orders, message: OrderMessage, window: int | None) -> bool:
    """Add a message in place, unless it is known; whether it was new."""
    if len(orders.messages) >= MESSAGES_MAX and _key(message) < _key(orders.messages[0]):
        return False  # not newer than the settled orders, so it counts as counted already
    if not deduplication.insert(orders.messages, message, _key):
        return False
    _bound(orders, window)
    orders.changed()
    return True


def merge(mine: Orders, theirs: Orders, window: int | None) -> Orders:
    """Merge the orders of two profiles: the result is that of all events of both."""
    messages = deduplication.merged((*mine.messages, *theirs.messages), _key)
    merged = Orders(messages, _merge_settled(mine.settled, theirs.settled))
    _bound(merged, window)
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


def _bound(orders: Orders, window: int | None) -> None:
    messages = orders.messages
    if window is not None and messages and messages[0].time < (frontier := messages[-1].time - window - SLACK_MS):
        del messages[: bisect_left(messages, frontier, key=lambda message: message.time)]
    while len(messages) > MESSAGES_MAX:
        _settle(orders, messages[0])
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


def _settle(orders: Orders, oldest: OrderMessage) -> None:
    """Settle an order whose only completion is about to be dropped."""
    if oldest.kind != COMPLETED or _is_repeated(orders.messages, oldest):
        return
    order = next((order for order in standing(orders.messages) if order.completion is oldest), None)
    if order is None:
        return
    settled = orders.settled = orders.settled or Settled()
    for view in range(oldest.views.bit_length()):
        if not oldest.views >> view & 1:
            continue
        settled.first[view] = min(oldest.time, settled.first.get(view, oldest.time))
        for place in range(len(oldest.values) + 1):
            for value in value_of(order, place):
                days.add(settled.days.setdefault(slot_of(view, place), {}), oldest.time // DAY_MS, value, 1)


def _is_repeated(messages: list[OrderMessage], oldest: OrderMessage) -> bool:
    others = (message for message in messages if message is not oldest and message.kind == COMPLETED)
    return oldest.order is not None and any(message.order == oldest.order for message in others)


def value_of(order: Order, place: int) -> tuple[int, ...]:
    """The values of an order under a property; `TOTAL` is its value less its refunds."""
    if place != TOTAL:
        return order.completion.values[place - 1]
    amount = order.completion.amount
    return () if amount is None else (amount - order.refunded,)


def standing(messages: Iterable[OrderMessage]) -> Iterator[Order]:
    """The orders that are neither cancelled nor fully refunded, by completion."""
    first: dict[tuple[bool, str], OrderMessage] = {}
    undone: dict[tuple[bool, str], list[OrderMessage]] = {}
    for message in messages:
        # An order id and a message id that happen to be the same text are two orders.
        key = (message.order is None, message.id if message.order is None else message.order)
        if message.kind == COMPLETED:
            first.setdefault(key, message)
        else:
            undone.setdefault(key, []).append(message)
    for key, completion in first.items():
        refunded = _refunded(completion.amount, undone[key]) if key in undone else 0
        if refunded is not None:
            yield Order(completion, refunded)


def _refunded(value: int | None, messages: list[OrderMessage]) -> int | None:
    """The refunded part of an order (10⁻⁶); ``None`` if it is all of it."""
    refunded = 0
    for message in messages:
        if message.kind == CANCELLED or message.amount is None:
            return None
        refunded += message.amount
    return None if value is not None and refunded >= value else refunded
