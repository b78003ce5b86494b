"""Suppression and consent fail closed: whatever a trait holds, a person is written to only where it is clear."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from rules.context import Context
from rules.times import SECOND_MS
from tests.support.in_memory_triggers import START, cart, enters, file_of, identify, kinds
from tests.support.in_memory_triggers import world as started_world

CLEARLY_TRUE = [True, "true", " TRUE ", "yes", "1", 1]
CLEARLY_FALSE = [False, "false", "No", "0", 0]
UNCLEAR: list[Any] = ["unsubscribed", "2026-11-01", "on", "y", 2, -1, 0.5, [False], [True], [True, False], {"a": 1}, {}]
NOT_STATED: list[Any] = [None, "", " ", []]


async def reason_with(value: Any, **parts: Any) -> str | None:
    """Why a customer with this trait is not written to."""
    triggers = {"cart": {"segment": "abandoned_cart", "channel": "screen"}}
    world = await started_world(file_of(**parts, triggers=triggers))
    await world.read(identify("u1", START - SECOND_MS, flag=value))
    await enters(world)
    await world.until(START + SECOND_MS)
    (decision,) = world.decisions()
    assert (decision.decision == "sent") == (decision.reason is None)
    return decision.reason


@pytest.mark.parametrize("value", [*CLEARLY_TRUE, *UNCLEAR])
async def test_what_is_not_clearly_false_suppresses(value: Any) -> None:
    """A shop may write a date, a word or a list where it means that a person objects."""
    assert await reason_with(value, suppress={"flag": True}) == "suppressed by flag"


@pytest.mark.parametrize("value", [*CLEARLY_FALSE, *NOT_STATED])
async def test_what_is_clearly_false_or_not_stated_suppresses_nobody(value: Any) -> None:
    """A customer without the trait is written to, as `consent` is there to ask."""
    assert await reason_with(value, suppress={"flag": True}) is None


@pytest.mark.parametrize("value", [*CLEARLY_FALSE, *UNCLEAR])
async def test_a_flag_of_the_opposite_is_read_alike(value: Any) -> None:
    """With `suppress: {subscribed: false}` all but a clear yes suppresses."""
    assert await reason_with(value, suppress={"flag": False}) == "suppressed by flag"


@pytest.mark.parametrize("value", CLEARLY_TRUE)
async def test_a_clear_yes_is_a_consent(value: Any) -> None:
    """In each spelling of true."""
    assert await reason_with(value, consent={"screen": {"flag": True}}) is None
    assert await reason_with(value, suppress={"flag": False}) is None


@pytest.mark.parametrize("value", [*CLEARLY_FALSE, *UNCLEAR, *NOT_STATED])
async def test_all_else_is_no_consent(value: Any) -> None:
    """A list with a yes in it gives none, nor does a value that is not there."""
    assert await reason_with(value, consent={"screen": {"flag": True}}) == "no consent: flag"


@pytest.mark.parametrize(
    ("value", "expected"), [("bounced", "suppressed by flag"), ("fine", None), (["bounced"], "suppressed by flag")]
)
async def test_another_test_is_met_as_in_segments(value: Any, expected: str | None) -> None:
    """A list meets a test by any of its members."""
    assert await reason_with(value, suppress={"flag": {"in": ["bounced", "blocked"]}}) == expected


UNKNOWN = [
    ({"timezone": "nowhere"}, {}, "unknown time zone"),
    ({"timezone": 3.5}, {}, "unknown time zone"),
    ({"timezone": ["Asia/Tokyo"]}, {}, "unknown time zone"),
    ({}, {"timezone": "Mars/Olympus"}, "unknown time zone"),
    ({"timezone": "+09:00"}, {"timezone": "UTC"}, "quiet hours"),
    ({"timezone": "Asia/Tokyo"}, {}, "quiet hours"),
    ({}, {"timezone": "Asia/Tokyo"}, "quiet hours"),
    ({"timezone": "Etc/Unknown"}, {"timezone": "Asia/Tokyo"}, "quiet hours"),
    ({}, {"timezone": "Etc/Unknown"}, None),
    ({}, {"timezone": 9}, None),
    ({}, {}, None),
]


@pytest.mark.parametrize(("traits", "context", "reason"), UNKNOWN, ids=str)
async def test_a_time_of_day_is_asked_of_the_customer(
    traits: dict[str, Any], context: dict[str, Any], reason: str | None
) -> None:
    """At 10:00 UTC it is 19:00 in Tokyo. A zone that is stated and unknown stops the message, and says why."""
    file = file_of(
        contact={"timezone": "timezone"},
        channels={"screen": {"kind": "console", "quiet": {"from": "18:00", "to": "20:00", "then": "drop"}}},
        triggers={"cart": {"segment": "abandoned_cart", "channel": "screen"}},
    )
    made = await started_world(file)
    event = identify("u1", START, **traits)
    await made.read(msgspec.structs.replace(event, context=Context(json.dumps(context).encode(), of_page=False)))
    await enters(made)
    await made.until(START + 1)
    (decision,) = made.decisions()
    assert decision.reason == reason
    assert decision.decision == ("sent" if reason is None else "skipped")


async def test_an_unknown_zone_stops_nothing_that_is_sent_at_any_time() -> None:
    """Without quiet hours and send times no time of day is asked."""
    made = await started_world(cart())
    await made.read(identify("u1", START, timezone="nowhere"))
    await enters(made)
    await made.until(START + 1)
    assert kinds(made) == ["sent"]
