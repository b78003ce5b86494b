"""Orders: the messages about a customer's orders, and the orders that they make.

The one rule: what is kept is the newest messages as they came, orders are formed from them at
each look. So a cancel before its order, a refund in two parts or an older completion that comes
late need no special case.

A refund or cancel without an order id touches no order and is not kept.

Bounds: the newest 256 messages; and where every window that looks at orders is finite, those not
older than the newest message by more than the longest window and 90 days. Beyond it a message
does not count: an order whose repeated confirmation comes more than 90 days after it left the
longest window would count anew.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable

import msgspec

from rules.times import DAY_MS

MESSAGES_MAX = 256
SLACK_MS = 90 * DAY_MS

COMPLETED, REFUNDED, CANCELLED = 0, 1, 2


class OrderMessage(msgspec.Struct, frozen=True, array_like=True, order=True, gc=False):
    """One message about an order; ordered by (time, message id).

    ``order`` is the order id, ``None`` when the message has none and so stands for itself.
    ``amount`` is in 10⁻⁶; ``None``: an order of unknown value, or a refund of all of it.
    """

    time: int
    id: str
    kind: int
    order: str | None = None
    amount: int | None = None


def remember(messages: list[OrderMessage], message: OrderMessage, window: int | None) -> None:
    """Add a message in place, unless it is known or out of bounds."""
    if not messages or _key(message) > _key(messages[-1]):
        messages.append(message)
    else:
        at = bisect_left(messages, _key(message), key=_key)
        if _key(messages[at]) == _key(message):
            return
        messages.insert(at, message)
    _bound(messages, window)


def merge(ours: Iterable[OrderMessage], theirs: Iterable[OrderMessage], window: int | None) -> list[OrderMessage]:
    """The messages that all events of both would have left."""
    merged = sorted({_key(message): message for message in (*ours, *theirs)}.values(), key=_key)
    _bound(merged, window)
    return merged


def _key(message: OrderMessage) -> tuple[int, str]:
    return message.time, message.id


def _bound(messages: list[OrderMessage], window: int | None) -> None:
    if len(messages) > MESSAGES_MAX:
        del messages[: len(messages) - MESSAGES_MAX]
    if window is not None and messages and messages[0].time < (frontier := messages[-1].time - window - SLACK_MS):
        del messages[: bisect_left(messages, frontier, key=lambda message: message.time)]


def completions(messages: list[OrderMessage]) -> list[int]:
    """When each order that stands was completed, ascending.

    An order stands while it is neither cancelled nor fully refunded.
    """
    first: dict[tuple[bool, str], OrderMessage] = {}
    undone: dict[tuple[bool, str], list[OrderMessage]] = {}
    for message in messages:
        # An order id and a message id that happen to be the same text are two orders.
        key = (message.order is None, message.id if message.order is None else message.order)
        if message.kind == COMPLETED:
            first.setdefault(key, message)
        else:
            undone.setdefault(key, []).append(message)
    if not undone:
        return [message.time for message in first.values()]
    return [message.time for key, message in first.items() if not _is_undone(message.amount, undone.get(key, []))]


def _is_undone(value: int | None, messages: list[OrderMessage]) -> bool:
    refunded, refunds = 0, 0
    for message in messages:
        if message.kind == CANCELLED or message.amount is None:
            return True
        refunded += message.amount
        refunds += 1
    return refunds > 0 and value is not None and refunded >= value
