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


MINOR = {"age": {"below": 18}}
# The trait; whether `suppress: {flag: {age: {below: 18}}}` stops the message; whether consent from 18 on allows it.
BIRTHDAYS = [
    ("2010-05-01", True, False),
    ("1990-05-01", False, True),
    ("2008-03-01", False, True),  # eighteen on the day of the message
    ("2008-03-02", True, False),
    ("2010-05-01T00:00:00Z", True, False),
    ("01.05.2010", True, False),
    ("unknown", True, False),
    ("0000-00-00", True, False),
    (2010, True, False),
    (["1990-05-01"], True, False),
    ({"year": 1990}, True, False),
    ("2051-03-01", True, False),  # lies ahead, so it is a mistake
    ("9990-01-01", True, False),
    (None, False, False),
    ("", False, False),
]


@pytest.mark.parametrize(("value", "suppresses", "consents"), BIRTHDAYS, ids=str)
async def test_a_date_of_birth_that_cannot_be_read_is_that_of_a_child(
    value: Any, suppresses: bool, consents: bool
) -> None:
    """Who stated no date is not suppressed, and is asked for by `consent`."""
    assert await reason_with(value, suppress={"flag": MINOR}) == ("suppressed by flag" if suppresses else None)
    reason = await reason_with(value, consent={"screen": {"flag": {"age": {"at_least": 18}}}})
    assert reason == (None if consents else "no consent: flag")


NUMBERS = [(0, False), ("0", False), (3, True), ("3.5", True), ("many", True), (True, True), ([0, "many"], True),
           ([0, 0], False), ({}, True), (None, False)]  # fmt: skip


@pytest.mark.parametrize(("value", "suppresses"), NUMBERS, ids=str)
async def test_what_is_no_number_suppresses_where_one_is_asked(value: Any, suppresses: bool) -> None:
    """A shop that stops after three complaints stops after "many", too."""
    reason = await reason_with(value, suppress={"flag": {"at_least": 1}})
    assert reason == ("suppressed by flag" if suppresses else None)


LOOKED_FOR = [
    ({"in": [True]}, "on", True), ({"in": [True]}, "no", False), ({"in": [True]}, None, False),
    (3, "three", True), (3, 3, True), (3, 4, False), (3, {"count": 3}, True), ({"in": [3, 4]}, "three", True),
    ({"in": [3, "vip"]}, "gold", False), ({"contains": "stop"}, "going on", False), ("stop", "going on", False),
]  # fmt: skip


@pytest.mark.parametrize(("test", "value", "suppresses"), LOOKED_FOR, ids=str)
async def test_each_form_of_a_test_fails_closed(test: Any, value: Any, suppresses: bool) -> None:
    """A test that looks for numbers or for true alone cannot be answered by another word."""
    assert await reason_with(value, suppress={"flag": test}) == ("suppressed by flag" if suppresses else None)


LARGE = [f"tag-{number}" for number in range(65)]
CUT = [
    (LARGE, {"flag": {"contains": "stop"}}),
    ([*LARGE[:64]], None),
    ({"tags": LARGE}, {"flag.tags": {"contains": "stop"}}),
    (dict.fromkeys(LARGE, 1), {"flag.stop": True}),
    ({"stop": False, **dict.fromkeys(LARGE, 1)}, None),
    ("x" * 1_025, {"flag": {"contains": "stop"}}),
    ("x" * 1_024, None),
    ({"note": "x" * 20_000, "stop": False}, None),
]


@pytest.mark.parametrize(("value", "test"), CUT, ids=lambda given: str(given)[:40])
async def test_what_was_left_out_for_its_size_may_have_suppressed(value: Any, test: dict[str, Any] | None) -> None:
    """Of a list only the first 64 members are stored: the next may be the one that objects."""
    tests = test or ({"flag.stop": True} if isinstance(value, dict) else {"flag": {"contains": "stop"}})
    reason = await reason_with(value, suppress=tests)
    assert reason == (None if test is None else f"suppressed by {next(iter(tests))}")
    if test is not None:
        assert await reason_with(value, consent={"screen": {"flag": {"not_contains": "stop"}}}) == "no consent: flag"


async def test_of_traits_that_are_too_large_together_the_largest_suppress() -> None:
    """The largest value is left out of the 128 KiB of a customer, and what it said is unknown from then on."""
    names = [f"large_{number}" for number in range(12)]
    made = await started_world(
        file_of(
            suppress={names[0]: {"contains": "stop"}},
            contact={name: name for name in names},
            triggers={"cart": {"segment": "abandoned_cart", "channel": "screen"}},
        )
    )
    for name in names:
        size = 1_000 if name == names[0] else 900
        await made.read(identify("u1", START, name, **{name: ["y" * size] * 15}))
    await enters(made)
    await made.until(START + 1)
    assert made.decisions()[0].reason == f"suppressed by {names[0]}"
