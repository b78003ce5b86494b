"""The longest stay in a segment, against the engine: no customer stays on alone for longer than it says."""

from __future__ import annotations

import json
from typing import Any

import pytest

from rules.definitions.longest_stay import LongestStay, longest_stay
from rules.definitions.segments_file import Definitions, parse
from rules.engine import Engine
from rules.events import Event, Origin
from rules.times import DAY_MS, HOUR_MS, MINUTE_MS, format_instant
from streams.wire.event_decoder import decode_line
from tests.support.in_memory_triggers import START

DAY, HOUR = DAY_MS, HOUR_MS
BOUGHT = {"event": "Order Completed"}
CASES: list[tuple[dict[str, Any], LongestStay]] = [
    ({"performed": {**BOUGHT, "within": "30d"}}, LongestStay(30 * DAY, None)),
    ({"performed": BOUGHT}, LongestStay(None, None)),
    ({"performed": {**BOUGHT, "count": {"at_most": 2}, "within": "7d"}}, LongestStay(None, None)),
    ({"sessions": {"count": {"at_least": 1}, "within": "2d"}}, LongestStay(2 * DAY, None)),
    ({"total": {"agg": "sum", "of": "total", **BOUGHT, "within": "9d", "at_least": 5}}, LongestStay(9 * DAY, None)),
    ({"total": {"agg": "sum", "of": "total", **BOUGHT, "within": "9d", "at_most": 5}}, LongestStay(None, None)),
    ({"cart": {"idle_for": "30m", "until": "1d"}}, LongestStay(DAY - 30 * MINUTE_MS, DAY - 30 * MINUTE_MS)),
    ({"cart": {"until": "1d"}}, LongestStay(DAY, None)),
    ({"cart": {"idle_for": "30m"}}, LongestStay(None, None)),
    ({"last": {**BOUGHT, "ago": {"at_least": "2d", "at_most": "5d"}}}, LongestStay(3 * DAY, 3 * DAY)),
    ({"first": {**BOUGHT, "ago": {"at_most": "5d"}}}, LongestStay(5 * DAY, 5 * DAY)),
    ({"not": {"performed": {**BOUGHT, "within": "1d"}}}, LongestStay(None, None)),
    (
        {"all": [{"performed": {**BOUGHT, "within": "7d"}}, {"first": {**BOUGHT, "ago": {"at_most": "30d"}}}]},
        LongestStay(7 * DAY, 30 * DAY),
    ),
    (  # one begins when the other ends
        {"any": [{"last": {**BOUGHT, "ago": {"at_least": "1d", "at_most": "2d"}}},
                 {"last": {**BOUGHT, "ago": {"at_least": "2d", "at_most": "4d"}}}]},
        LongestStay(3 * DAY, None),
    ),
    ({"any": [{"performed": {**BOUGHT, "within": "7d"}}, {"trait": {"vip": True}}]}, LongestStay(None, None)),
]  # fmt: skip


def definitions_of(when: dict[str, Any], **more: Any) -> Definitions:
    segments = {"s": {"title": "S", "when": when, **more}}
    return parse(json.dumps({"version": 1, "currency": "EUR", "segments": segments}), "segments")


@pytest.mark.parametrize(("when", "stay"), CASES, ids=lambda given: str(given)[:60])
def test_the_longest_stay_of_a_condition(when: dict[str, Any], stay: LongestStay) -> None:
    """The cases were computed by hand."""
    assert longest_stay(definitions_of(when), "s") == stay


def test_a_minimum_stay_and_another_segment_count() -> None:
    """A segment that asks for another one ends with it."""
    short = {"first": {**BOUGHT, "ago": {"at_most": "1h"}}}
    assert longest_stay(definitions_of(short, hold="2h"), "s").ever == 2 * HOUR
    text = {"a": {"title": "A", "when": short},
            "s": {"title": "S", "when": {"in_segment": "a"}}}  # fmt: skip
    assert longest_stay(parse(json.dumps({"version": 1, "segments": text}), "segments"), "s").alone == HOUR


def events() -> list[Event]:
    """A cart, an order and a visit on each of some days."""
    made: list[Event] = []
    for day in (0, 1, 1, 3, 8):
        for number, (name, properties) in enumerate((
            ("Product Viewed", {"product_id": "p"}),
            ("Order Completed", {"order_id": f"o{len(made)}", "total": 9}),
            ("Product Added", {"product_id": "p"}),
        )):  # fmt: skip
            line = {
                "type": "track", "event": name, "messageId": f"m{len(made)}", "userId": "u1", "properties": properties,
                "timestamp": format_instant(START + day * DAY + number * HOUR),
            }  # fmt: skip
            made.append(decode_line(json.dumps(line).encode(), START + 30 * DAY, Origin("carts", 0, len(made))))
    return made


@pytest.mark.parametrize("when", [when for when, stay in CASES if stay.alone], ids=lambda given: str(given)[:60])
def test_no_customer_stays_on_alone_for_longer(when: dict[str, Any]) -> None:
    """After each number of events time goes on alone; the stays that begin then are no longer than the bound."""
    definitions = definitions_of(when)
    bound = longest_stay(definitions, "s").alone
    assert bound is not None
    stays = 0
    for count in range(1, len(events()) + 1):
        engine = Engine(definitions)
        customer = engine.new()
        for event in events()[:count]:
            engine.apply("u1", customer, event)
        last = customer.instant
        while customer.due:
            before, due = dict(customer.since), customer.due
            engine.fire("u1", customer, due)
            if before and not customer.since and before[0] >= last:
                stays += 1
                assert due - before[0] <= bound
            assert customer.due != due
    assert stays
