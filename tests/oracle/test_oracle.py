"""The oracle agrees with every hand-computed story, and with the contract where no story tells it.

What each condition says is told in test_oracle_events and test_oracle_attributes, random worlds in test_oracle_worlds.
"""

import json
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import TypedDict, cast

import pytest

from tests.oracle.cases import Timeline
from tests.oracle.oracle import BUILT_IN, OracleChange, changes, milliseconds
from tests.strategies.histories import DAY, Event

STORIES_FILE = Path(__file__).parents[1] / "support" / "stories.json"


class Expected(TypedDict):
    customer_id: str
    segment: str
    change: str
    occurred_at: str
    late: bool


class Story(TypedDict):
    name: str
    definitions: Event | None
    events: list[Event]
    until: str | None
    expected: list[Expected]


STORIES = cast("list[Story]", json.loads(STORIES_FILE.read_text()))


def name_of(story: Story) -> str:
    return story["name"]


def per_customer(oracle_changes: Sequence[OracleChange]) -> dict[str, list[OracleChange]]:
    by_customer: dict[str, list[OracleChange]] = defaultdict(list)
    for change in oracle_changes:
        by_customer[change.customer_id].append(change)
    return by_customer


def as_change(expected: Expected) -> OracleChange:
    return OracleChange(
        expected["customer_id"],
        expected["segment"],
        expected["change"],
        milliseconds(expected["occurred_at"]),
        expected["late"],
    )


# --- the stories -------------------------------------------------------------------------------


# What the amendments of the contract have made of a story: the order stands from its completion after the cancel on.
AMENDED: dict[str, list[Expected]] = {
    "a cancel that is older than its order": [
        {
            "customer_id": "u1",
            "segment": "recently_purchased",
            "change": "entered",
            "occurred_at": "2026-03-01T10:05:00Z",
            "late": False,
        }
    ]
}


@pytest.mark.parametrize("story", STORIES, ids=name_of)
def test_story(story: Story) -> None:
    """What was computed by hand comes out, in order per customer, late or not."""
    until = milliseconds(story["until"]) if story["until"] else None
    oracle_changes = changes(story["events"], story["definitions"] or BUILT_IN, until)
    expected = AMENDED.get(story["name"], story["expected"])
    assert per_customer(oracle_changes) == per_customer(list(map(as_change, expected)))


# --- boundaries that no story tells ------------------------------------------------------------


def ordered(**form: object) -> Event:
    return {"performed": {"event": "Order Completed"} | form}


def test_an_item_counts_for_ninety_days_of_cart_events() -> None:
    """An item 90 days before the newest cart event still counts, a millisecond more and it does not."""
    timeline = Timeline()(0, "Product Added", product_id="p1")(90 * DAY, "Cart Viewed")(90 * DAY + 1, "Cart Viewed")
    assert timeline.gives({"cart": {}}) == [("entered", 0), ("exited", 90 * DAY + 1)]


def test_a_product_told_twice_in_a_cart_view_adds_up() -> None:
    """Removing one of twice one leaves one."""
    twice = [{"sku": "s1"}, {"sku": "s1"}]
    timeline = Timeline()(0, "Cart Viewed", products=twice)(1, "Product Removed", sku="s1", quantity=1)
    assert timeline.gives({"cart": {}}) == [("entered", 0)]


def test_items_of_one_millisecond_are_folded_by_message_id() -> None:
    """Added then Removed, by messageId, whatever the order in the file."""
    timeline = Timeline()(0, "Product Added")(0, "Product Removed")
    assert timeline.gives({"cart": {}}) == [("entered", 0), ("exited", 0)]
    timeline.events.reverse()
    assert timeline.gives({"cart": {}}) == []


def test_a_quantity_below_a_millionth_is_no_item() -> None:
    """Digits beyond 10⁻⁶ are cut, and a cart without items is no cart."""
    assert Timeline()(0, "Product Added", quantity="0.0000009").gives({"cart": {}}) == []
    assert Timeline()(0, "Product Added", quantity=1e-06).gives({"cart": {}}) == [("entered", 0)]


def test_one_is_the_quantity_of_an_add_that_tells_none() -> None:
    """Removing a millionth less than one leaves something, removing the rest nothing."""
    timeline = Timeline()(0, "Product Added")(1, "Product Removed", quantity=0.999999)
    timeline(2, "Product Removed", quantity="1e-6")
    assert timeline.gives({"cart": {}}) == [("entered", 0), ("exited", 2)]


def test_a_screen_is_a_page() -> None:
    """What mobile SDKs send counts under the name `page`."""
    assert Timeline()(0, "screen").gives({"performed": {"event": "page"}}) == [("entered", 0)]


def test_the_first_event_decides_whatever_it_is() -> None:
    """An identify makes a customer that has performed nothing; a group makes none."""
    nothing: Event = {"performed": {"event": "page", "count": {"exactly": 0}}}
    assert Timeline()(5, "identify").gives(nothing) == [("entered", 5)]
    assert Timeline()(5, "group").gives(nothing) == []


def test_orders_and_other_events_add_up() -> None:
    """Two messages of one order are one, and one item added makes two."""
    timeline = Timeline()(0, "Order Completed", order_id="o")(1, "Order Completed", order_id="o")(2, "Product Added")
    when: Event = {"performed": {"event": ["Order Completed", "Product Added"], "count": {"at_least": 2}}}
    assert timeline.gives(when) == [("entered", 2)]


def test_an_order_without_a_value_falls_only_to_a_refund_without_an_amount() -> None:
    """No sum reaches what has no value."""
    timeline = Timeline()(0, "Order Completed", order_id=7)(1, "Order Refunded", order_id="7", total=10**6)
    assert timeline.gives(ordered()) == [("entered", 0)]
    assert timeline(2, "Order Refunded", order_id="7").gives(ordered()) == [("entered", 0), ("exited", 2)]


def test_a_free_order_stands() -> None:
    """Nothing refunded is not fully refunded, even if the value is 0."""
    timeline = Timeline()(0, "Order Completed", order_id="o", total=0)
    assert timeline.gives(ordered()) == [("entered", 0)]


def test_the_value_is_that_of_the_newest_completion() -> None:
    """A refund is held against the later, dearer completion: half of it leaves the order standing."""
    timeline = Timeline()(0, "Order Completed", order_id="o", total=10)(1, "Order Completed", order_id="o", total=20)
    timeline(2, "Order Refunded", order_id="o", total=10)
    assert timeline.gives(ordered()) == [("entered", 0)]
    assert timeline(3, "Order Refunded", order_id="o", total=10).gives(ordered()) == [("entered", 0), ("exited", 3)]


def test_order_messages_count_for_the_longest_window_and_ninety_days() -> None:
    """At the bound a full refund still counts; a millisecond beyond it, the id is free again."""
    for gap, expected in ((91 * DAY, []), (91 * DAY + 1, [("entered", 91 * DAY + 1)])):
        timeline = Timeline()(0, "Order Refunded", order_id="o")(gap, "Order Completed", order_id="o")
        assert timeline.gives(ordered(within="1d")) == expected
        assert timeline.gives(ordered()) == []
        assert timeline.gives({"any": [ordered(within="1d"), ordered(within="2d")]}) == []
        assert timeline.gives({"any": [ordered(within="1d"), {"not": {"not": ordered()}}]}) == []


def test_a_line_after_until_is_skipped_singly() -> None:
    """What follows a skipped line is read, and both times of the end count."""
    timeline = Timeline()(0, "page")(9, "page")(5, "Signed Up")
    assert timeline.gives({"performed": {"event": "Signed Up"}}, until=5) == [("entered", 5)]
    assert timeline.gives({"performed": {"event": "page", "count": {"at_least": 2}}}, until=5) == []


def test_neighbours_of_one_millisecond_go_by_topic() -> None:
    """A purchase before a cart event in the file is read after it; with a line between them it is not."""
    first: Event = {"performed": {"event": "Product Added"}}
    when: Event = {"all": [first, {"not": ordered()}]}
    together = Timeline()(0, "Order Completed")(0, "Product Added")
    assert together.gives(when) == [("entered", 0), ("exited", 0)]
    apart = Timeline()(0, "Order Completed")(1, "page", customer="u2")(0, "Product Added")
    assert apart.gives(when) == []
