"""The choice of events, which several kinds of condition share: their names, and orders among them."""

from __future__ import annotations

from collections.abc import Mapping

from rules.event_names import ORDER_COMPLETED, WITHOUT_EFFECT
from rules.forms.problems import WrongCondition
from rules.profile.orders import MESSAGES_MAX
from rules.value_tests import PropertyTests, Shown

# An order takes up to four messages (completed, two refunds, cancelled) of those that are remembered.
ORDERS_MAX = MESSAGES_MAX // 4


def orders_and_others(path: str, events: tuple[str, ...]) -> tuple[bool, frozenset[str]]:
    """Whether the names include orders (Order Completed), and the other names."""
    idle = [name for name in events if name in WITHOUT_EFFECT]
    if idle:
        raise WrongCondition(f"{path}.event", f"{idle[0]} is accepted without effect", "nothing can be asked of it")
    return ORDER_COMPLETED in events, frozenset(events) - {ORDER_COMPLETED}


def canonical_where(where: PropertyTests) -> dict[str, object]:
    """The tests of properties and of times in a canonical form; an empty mapping if there are none."""
    tests: dict[str, object] = {"where": where.test} if where else {}
    return tests if where.times is None else tests | where.times.test


def shown_times(where: PropertyTests) -> Mapping[str, Shown] | None:
    """The tests of times as a reason has them; ``None`` if there are none."""
    return None if where.times is None else where.times.test


def shown_events(events: tuple[str, ...]) -> str | tuple[str, ...]:
    """The names of the events as a definition has them: one, or several."""
    return events[0] if len(events) == 1 else events
