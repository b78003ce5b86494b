"""Minimum stays: which orders end one before its time, in every order of reading."""

from __future__ import annotations

from typing import Any

import pytest

from rules.definitions.segments_file import build
from rules.engine import Engine
from streams.offline.replay import Replay
from tests.strategies import histories, worlds

# In for a minute by the rule alone, for ten by the stay.
ENGINE = Engine(
    build(
        {
            "version": 1,
            "segments": {
                "tea_lover": {
                    "title": "Tea lover",
                    "hold": "10m",
                    "when": {"performed": {"event": "Product Viewed", "where": {"category": "tea"}, "within": "1m"}},
                }
            },
        },
        "stay.yaml",
    )
)
STAYED = [("entered", "05"), ("exited", "15")]


def event(minute: int, message: str, name: str, **properties: Any) -> histories.Event:
    return {
        "type": "track",
        "event": name,
        "userId": "u1",
        "messageId": message,
        "timestamp": f"2026-01-01T10:{minute:02d}:00Z",
        "properties": properties,
    }


ORDER = event(0, "m1", "Order Completed", order_id="o1")
VIEW = event(5, "m2", "Product Viewed", category="tea")
PAGE = event(7, "m3", "Product Viewed", category="coffee")


def changes(*events: histories.Event) -> list[tuple[str, str]]:
    """The entries and exits, each with its minute."""
    replay = Replay(ENGINE)
    until = worlds.decoded([event(30, "end", "Order Refunded", order_id="none")])[0].time
    return [
        (change.kind, f"{change.occurred_at // 60_000 % 60:02d}")
        for change in replay.run(worlds.decoded(list(events)), until)
    ]


@pytest.mark.parametrize("events", [(ORDER, VIEW, PAGE), (VIEW, ORDER, PAGE), (VIEW, PAGE, ORDER)])
def test_an_order_that_is_older_than_the_entry_ends_no_stay(events: tuple[histories.Event, ...]) -> None:
    """An order that is older than the entry ends no stay, however late it is read."""
    assert changes(*events) == STAYED


@pytest.mark.parametrize(
    "again",
    [
        ORDER,
        event(6, "m9", "Order Completed", order_id="o1"),
        event(6, "m9", "Completed Order", order_id="o1"),
        event(6, "m9", "Order Refunded", order_id="o1", total=1),
        event(6, "m9", "Order Cancelled", order_id="o1"),
    ],
    ids=["redelivered", "confirmed again", "under its older name", "refunded", "cancelled"],
)
def test_what_comes_again_of_an_order_ends_no_stay(again: histories.Event) -> None:
    """Shops send confirmations again, and brokers send records again."""
    assert changes(ORDER, VIEW, again, PAGE) == STAYED


def test_a_redelivered_order_without_an_id_ends_no_stay() -> None:
    """A redelivered order without an id is known by its message, and ends no stay."""
    order = event(0, "m1", "Order Completed")
    assert changes(order, VIEW, order, PAGE) == STAYED


def test_a_new_order_ends_a_stay() -> None:
    """A new order ends a stay, with an id or without one."""
    for order in (
        event(6, "m9", "Order Completed", order_id="o2"),
        event(6, "m9", "Order Completed"),
    ):
        assert changes(ORDER, VIEW, order, PAGE) == [("entered", "05"), ("exited", "06")]
