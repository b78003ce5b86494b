"""The choice of events, which several kinds of condition share: their names, and orders among them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypedDict

from rules.event_names import ORDER_COMPLETED, WITHOUT_EFFECT
from rules.forms.problems import WrongCondition
from rules.profile.orders import MESSAGES_MAX
from rules.value_tests import PropertyTests, Shown

# An order takes up to four messages (completed, two refunds, cancelled) of those that are remembered.
ORDERS_MAX = MESSAGES_MAX // 4


def orders_and_others(path: str, events: tuple[str, ...], key: str = "event") -> tuple[bool, frozenset[str]]:
    """Whether the names include orders (Order Completed), and the other names; ``key``: under which they stand."""
    idle = [name for name in events if name in WITHOUT_EFFECT]
    if idle:
        raise WrongCondition(f"{path}.{key}", f"{idle[0]} is accepted without effect", "nothing can be asked of it")
    return ORDER_COMPLETED in events, frozenset(events) - {ORDER_COMPLETED}


def canonical_where(where: PropertyTests) -> dict[str, object]:
    """The tests of properties and of times in a canonical form; an empty mapping if there are none."""
    tests: dict[str, object] = {"where": where.test} if where else {}
    return tests if where.times is None else tests | where.times.test


class ShownChoice(TypedDict):
    """The choice of events as a reason has it: the field names are those of the structs of `rules.reasons`."""

    event: str | tuple[str, ...]
    where: Mapping[str, Shown] | None
    times: Mapping[str, Shown] | None


def shown_choice(events: tuple[str, ...], where: PropertyTests) -> ShownChoice:
    """The choice as a definition has it: one name or several, and the tests that there are."""
    return {
        "event": events[0] if len(events) == 1 else events,
        "where": where.test or None,
        "times": None if where.times is None else where.times.test,
    }
