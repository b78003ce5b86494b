"""Random lives of customers under random policies: no cap, quiet hour, cool-down or hold-out is ever broken.

The rules are checked on the channel's attempts and on the decisions, with arithmetic of the test's own: nothing here
calls the policy.
"""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any
from zoneinfo import ZoneInfo

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, given, settings

from rules.times import DAY_MS, HOUR_MS, MINUTE_MS, parse_instant
from streams.triggers.config import TriggersFile
from streams.triggers.decision_log import FINAL
from streams.triggers.messages import AttemptResult, Message, Outcome
from tests.support.in_memory_triggers import World, change_input, identify

CUSTOMERS = ("ann", "بهار", "carl")
SEGMENTS = ("abandoned_cart", "returning_visitor")
ZONES = ("UTC", "Asia/Tehran", "Pacific/Auckland", "America/New_York", "nowhere")
OUTCOMES = [Outcome.SENT] * 5 + [Outcome.FAILED] * 3 + [Outcome.UNKNOWN, Outcome.REFUSED]

caps = st.fixed_dictionaries({}, optional={
    "per_hour": st.integers(1, 2), "per_day": st.integers(1, 3), "per_week": st.integers(1, 5),
    "per_month": st.integers(1, 8),
})  # fmt: skip
quiet = st.fixed_dictionaries({
    "from": st.sampled_from(["20:00", "22:30", "01:00"]), "to": st.sampled_from(["06:00", "08:15", "12:00"]),
    "then": st.sampled_from(["defer", "drop"]),
})  # fmt: skip
workdays = st.fixed_dictionaries({
    "weekdays": st.lists(st.sampled_from(["mon", "wed", "sat", "sun"]), min_size=1, unique=True),
    "then": st.sampled_from(["defer", "drop"]),
})  # fmt: skip
office = st.fixed_dictionaries(
    {"from": st.sampled_from(["09:00", "13:30"]), "to": st.sampled_from(["18:00", "19:45"])},
    optional={"weekdays": st.just(["mon", "tue", "fri"]), "then": st.sampled_from(["defer", "drop"])},
)
send = workdays | office | st.fixed_dictionaries({"at": st.sampled_from(["09:00", "12:30", "15:00"])})
memberships = st.sampled_from(["in vip", "in returning_visitor", "not in returning_visitor"])
variants = st.dictionaries(
    st.sampled_from(["a", "b", "c"]), st.fixed_dictionaries({"weight": st.integers(1, 5)}), min_size=1
)
second = st.fixed_dictionaries(
    {"after": st.sampled_from(["20m", "1d", "2d"])},
    optional={
        "unless": memberships,
        "if_ended": st.sampled_from(["skip", "send"]),
        "channel": st.sampled_from(["mail", "hook"]),
        "variants": variants,
    },
)
triggers = st.fixed_dictionaries(
    {
        "segment": st.sampled_from(SEGMENTS),
        "on": st.sampled_from(["entered", "exited"]),
        "channel": st.sampled_from(["mail", "hook"]),
        "delay": st.sampled_from(["1m", "1h", "9h"]),
    },
    optional={
        "cool_down": st.sampled_from(["1h", "1d", "3d"]),
        "priority": st.integers(0, 2),
        "quiet": quiet,
        "reentry": st.sampled_from(["always", "once", {"after": "2d"}]),
        "where": st.just({"late": False}),
        "unless": memberships,
        "send": send,
        "variants": variants,
        "then": second,
    },
)
ways = st.fixed_dictionaries(
    {"kind": st.just("console"), "after_crash": st.sampled_from(["send", "drop"])},
    optional={"caps": caps, "quiet": quiet, "send": send},
)
files = st.fixed_dictionaries(
    {
        "version": st.just(1),
        "contact": st.just({"timezone": "timezone"}),
        "channels": st.fixed_dictionaries({"mail": ways, "hook": ways}),
        "triggers": st.dictionaries(st.sampled_from(["one", "two", "three", "four"]), triggers, min_size=1),
    },
    optional={
        "caps": caps,
        "hold_out": st.fixed_dictionaries({"percent": st.sampled_from([10, 30]), "salt": st.text("ab", min_size=1)}),
        "window": st.sampled_from(["5m", "2h"]),
        "suppress": st.just({"unsubscribed": True}),
    },
)


def is_right(parts: dict[str, Any]) -> bool:
    """Whether `segmenter check` takes a file: of one whose send times are all quiet nothing would ever be sent."""
    for step in TriggersFile.model_validate(parts).steps.values():
        channel = TriggersFile.model_validate(parts).channels[step.channel]
        quiet_hours, times = step.quiet or channel.quiet, step.send or channel.send
        if quiet_hours and times and times.minutes <= quiet_hours.minutes:
            return False
    return True


right_files = files.filter(is_right)
steps = st.lists(
    st.tuples(
        st.sampled_from([*["change"] * 7, "identify", "crash", "crash in flight", "wait"]),
        st.sampled_from(CUSTOMERS),
        st.sampled_from(SEGMENTS),
        st.sampled_from([0, 1, MINUTE_MS, HOUR_MS, 3 * HOUR_MS, 9 * HOUR_MS, DAY_MS]),
        st.booleans(),
        st.sampled_from(ZONES),
    ),
    min_size=30,
    max_size=90,
)


def outcome(message: Message, attempt: int) -> AttemptResult:
    """The outcome that the key and the attempt give."""
    drawn = sha256(f"{message.key} {attempt}".encode()).digest()[0]
    return AttemptResult(OUTCOMES[drawn % len(OUTCOMES)], "drawn")


async def live(file: TriggersFile, life: list[tuple]) -> tuple[World, list[tuple[str, str, str, int]], dict[str, list]]:
    """The world at its end, each change that was read (id, segment, kind, time), and each customer's time zones."""
    world = World(file, outcome)
    await world.claim()
    read: list[tuple[str, str, str, int]] = []
    zones: dict[str, list] = {}
    for what, customer, segment, wait, flag, zone in life:
        await world.until(world.now + wait)
        if what == "change":
            made = world.shop.change(customer, segment, world.now, late=flag and wait == 0)
            read.append((made.change_id, made.segment, made.change, world.now))
            event = change_input(made, world.now)
            await world.read(*([event, event] if flag else [event]))  # now and then it comes twice
        elif what == "identify":
            world.now += 1  # what was sent up to now did not know it
            traits: dict[str, Any] = {"timezone": zone, "unsubscribed": flag and wait == DAY_MS}
            zones.setdefault(customer, []).append((world.now, zone))
            await world.read(identify(customer, world.now, f"i-{len(zones[customer])}", **traits))
        elif what == "crash in flight":
            world.shop.reached_ms = world.now
            await world.acting.fire(world.now, 100)
            await world.acting.landed()
            await world.claim()
        elif what == "crash":
            await world.claim()
    for _ in range(2_000):
        due = world.waiting()
        if not due:
            return world, read, zones
        await world.until(due if due > world.now else world.now + 1_000)  # else it waits for its endpoint
    raise AssertionError("something waits for ever")


def within(times: list[int], window: int) -> int:
    """The largest number of these times that lie in one window."""
    return max((sum(at - window < time <= at for time in times) for at in times), default=0)


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(right_files, steps)
async def test_no_policy_is_ever_broken(parts: dict, life: list[tuple]) -> None:
    """No policy is broken, whatever fails, crashes or comes twice on the way."""
    await check_life(parts, life)


@pytest.mark.nightly
@settings(max_examples=5_000, deadline=None, suppress_health_check=list(HealthCheck))
@given(right_files, steps)
async def test_no_policy_is_ever_broken_in_many_lives(parts: dict, life: list[tuple]) -> None:
    """No policy is broken in 5,000 lives, each under a file of its own."""
    await check_life(parts, life)


async def check_life(parts: dict, life: list[tuple]) -> None:
    """Live a life under a file, and compare what was sent and decided with what the file says."""
    file = TriggersFile.model_validate(parts)
    world, read, zones = await live(file, life)
    attempts = world.attempts()
    messages: dict[str, tuple[int, Message]] = {}
    for at, message, result in attempts:
        if result.outcome in (Outcome.SENT, Outcome.UNKNOWN):
            messages[message.key] = (at, message)  # the newest: a repeat of one message is one message

    # One final decision for each change and trigger that goes with it.
    expected = Counter(
        f"{change_id}-{key}"
        for change_id, segment, kind, _ in read
        for key, step in file.steps.items()  # each message of a series
        if (step.segment, step.on) == (segment, kind)
    )
    assert Counter(decision.key for decision in world.decisions() if decision.decision in FINAL) == expected
    assert {message.key for _, message, _ in attempts} <= set(expected)

    # No message that reached a customer is called skipped or failed... and what is called sent was sent.
    finals = {decision.key: decision.decision for decision in world.decisions() if decision.decision in FINAL}
    reached = {message.key for _, message, result in attempts if result.outcome is Outcome.SENT}
    assert {key for key, final in finals.items() if final == "sent"} <= reached
    assert all(finals[key] != "skipped" for key in reached)

    for customer in CUSTOMERS:
        own = [(at, message) for at, message in messages.values() if message.customer == customer]
        _check_caps(file, own)
        _check_cool_downs(file, own)
        if file.hold_out is not None:
            digest = sha256(f"{file.hold_out.salt}\0{customer}".encode()).digest()
            if int.from_bytes(digest[:8], "big") / 2**64 < file.hold_out.percent / 100:
                assert own == []
    for (at, message, _), segments in zip(attempts, world.segments_at_attempts(), strict=True):
        _check_hours(file, at, message, zones.get(message.customer, []))
        _check_memberships(file, message, segments)
    _check_variants(file, [message for _, message, _ in attempts])
    _check_series(file, world)


def _check_caps(file: TriggersFile, own: list[tuple[int, Message]]) -> None:
    for caps_, times in [
        (file.caps, [at for at, _ in own]),
        *((way.caps, [at for at, message in own if file.steps[message.trigger].channel == name])
          for name, way in file.channels.items()),
    ]:  # fmt: skip
        assert caps_.per_hour is None or within(times, HOUR_MS) <= caps_.per_hour
        assert caps_.per_month is None or within(times, 30 * DAY_MS) <= caps_.per_month
        assert caps_.per_day is None or within(times, DAY_MS) <= caps_.per_day
        assert caps_.per_week is None or within(times, 7 * DAY_MS) <= caps_.per_week


def _check_cool_downs(file: TriggersFile, own: list[tuple[int, Message]]) -> None:
    for key, trigger in file.steps.items():
        times = [at for at, message in own if message.trigger == key]
        if trigger.cool_down is not None:
            assert within(times, trigger.cool_down) <= 1
        if trigger.reentry == "once":
            assert len(times) <= 1


def _check_hours(file: TriggersFile, at: int, message: Message, zones: list) -> None:
    step = file.steps[message.trigger]
    channel = file.channels[step.channel]
    hours, times = step.quiet or channel.quiet, step.send or channel.send
    if hours is None and times is None:
        return
    zone = next((zone for changed_at, zone in reversed(zones) if changed_at <= at), "UTC")
    assert zone != "nowhere", "a message to a customer whose time of day is unknown"
    minute = datetime.fromtimestamp(at / 1000, UTC).astimezone(ZoneInfo(zone))
    if times is not None and times.at is None:
        assert f"{minute:%a}".lower() in times.weekdays
        assert times.from_ is None or times.to is None or times.from_ <= minute.time() < times.to
    if hours is None:
        return
    now, first, last = ((moment.hour, moment.minute) for moment in (minute, hours.from_, hours.to))
    is_quiet = first <= now < last if first < last else now >= first or now < last
    assert not is_quiet, f"{minute} lies between {first} and {last}"


def _check_memberships(file: TriggersFile, message: Message, segments: frozenset[str]) -> None:
    """The last look and the attempt are of one instant here, so what it said still holds at the attempt."""
    step = file.steps[message.trigger]
    if step.if_ended != "send":
        assert (step.segment in segments) == (step.on == "entered")
    assert not any((test.segment in segments) == test.is_in for test in step.unless)


def _check_variants(file: TriggersFile, messages: list[Message]) -> None:
    """A customer gets one variant of a message, whatever is repeated."""
    drawn: dict[tuple[str, str], set[str]] = {}
    for message in messages:
        drawn.setdefault((message.trigger, message.customer), set()).add(message.variant)
    for (key, _), names in drawn.items():
        assert len(names) == 1
        assert names <= (set(file.steps[key].variants) or {""})


def _check_series(file: TriggersFile, world: World) -> None:
    """A second message comes only after a first that was sent or may have been, and as long after it as is asked."""
    ends = {decision.key: decision for decision in world.decisions() if decision.is_final}
    for at, message, _ in world.attempts():
        step = file.steps[message.trigger]
        if step.is_second:
            first = ends[message.key.removesuffix("-2")]
            assert first.decision in ("sent", "unknown, not sent")
            first_at = parse_instant(first.at)
            assert first_at is not None
            assert at >= first_at + step.delay
