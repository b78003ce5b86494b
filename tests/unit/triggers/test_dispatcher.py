"""From a change to its final decision: what is decided when, on the real steps and the memory store."""

from __future__ import annotations

import asyncio

import pytest

from rules.event_names import ERASE
from rules.events import Event
from rules.times import DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS
from streams.triggers import customer_state
from streams.triggers.customer_state import Person
from streams.triggers.messages import AttemptResult, Message, Outcome
from streams.wire.changes import Cause
from tests.support.in_memory_triggers import (
    START,
    cart,
    change,
    change_input,
    enters,
    file_of,
    identify,
    kinds,
)
from tests.support.in_memory_triggers import (
    world as started_world,
)


async def test_a_change_starts_its_message_once_it_is_decided() -> None:
    """A message waits until the segmenter has reached the send time, and has one final decision."""
    world = await started_world(cart())
    await enters(world)
    await world.until(START + SECOND_MS, decided=False)
    assert world.attempts() == []
    assert world.decisions() == []
    await world.until(START + SECOND_MS)
    assert [message.trigger for _, message, _ in world.attempts()] == ["cart"]
    (decision,) = world.decisions()
    assert (decision.decision, decision.change_id, decision.attempts) == ("sent", "u1-1", 1)
    assert world.waiting() == 0


async def test_a_repeat_of_a_change_does_nothing() -> None:
    """A repeated change does nothing, as its sequence was read before."""
    world = await started_world(cart())
    again = change_input(world.shop.change("u1", "abandoned_cart", START), START)
    await world.read(again, again)
    await world.until(START + SECOND_MS)
    await world.read(again)
    await world.until(START + MINUTE_MS)
    assert len(world.attempts()) == 1
    assert kinds(world) == ["sent"]


async def test_who_leaves_within_the_delay_gets_nothing() -> None:
    """The look-up at the send time decides, whether or not the exit was read."""
    world = await started_world(cart(delay="1h"))
    await enters(world)
    world.now += 59 * MINUTE_MS
    world.shop.change("u1", "abandoned_cart", world.now)  # decided, not yet read by triggers
    await world.until(START + HOUR_MS)
    assert world.attempts() == []
    assert [(decision.decision, decision.reason) for decision in world.decisions()] == [("skipped", "left meanwhile")]


async def test_a_new_stay_is_a_change_of_its_own() -> None:
    """A customer that left and came back does not get the message of the first stay."""
    world = await started_world(cart(delay="1h"))
    await enters(world)
    world.now = START + 10 * MINUTE_MS
    await world.read(change_input(world.shop.change("u1", "abandoned_cart", world.now), world.now))
    world.now = START + 20 * MINUTE_MS
    await enters(world)
    await world.until(START + HOUR_MS)
    assert world.attempts() == []
    await world.until(START + 80 * MINUTE_MS)
    assert [message.change["sequence"] for _, message, _ in world.attempts()] == [3]
    assert kinds(world) == ["skipped", "sent"]


async def test_what_is_due_and_undecided_is_waited_for() -> None:
    """A due time at or before the clock has not fired yet, or the customer is published ahead."""
    world = await started_world(cart())
    world.shop.undecided.add("u1")
    await enters(world)
    await world.until(START + MINUTE_MS)
    assert world.attempts() == []
    assert world.waiting()
    world.shop.undecided.clear()
    await world.until(START + 2 * MINUTE_MS)
    assert [(decision.decision, decision.reason) for decision in world.decisions()] == [
        ("deferred", "a due time of the customer has passed and is not decided yet"),
        ("sent", None),
    ]
    assert world.acting.counts.waits["due_time",] == 1


async def test_an_exit_may_start_a_message_too() -> None:
    """A message on an exit is sent, and dropped if the customer came back."""
    world = await started_world(cart(on="exited", delay="1h"))
    await enters(world)
    await enters(world)  # leaves
    await enters(world, "u2")
    await enters(world, "u2")
    world.now = START + MINUTE_MS
    await enters(world, "u2")
    await world.until(START + HOUR_MS)
    assert [message.customer for _, message, _ in world.attempts()] == ["u1"]
    assert sorted((decision.customer_id, decision.decision, decision.reason) for decision in world.decisions()) == [
        ("u1", "sent", None),
        ("u2", "skipped", "came back meanwhile"),
    ]


@pytest.mark.parametrize(
    ("where", "more", "reason"),
    [
        ({}, {"backfill": True}, "backfill"),
        ({"where": {"late": False}}, {"late": True}, "late"),
        ({"where": {"cause": ["time"]}}, {}, "caused by event"),
        ({"where": {"not_in": ["abandoned_cart"]}}, {}, "in abandoned_cart"),
        ({"where": {"also_in": ["vip"]}}, {}, "not in vip"),
    ],
)
async def test_what_else_must_be_so_of_a_change(where: dict, more: dict, reason: str) -> None:
    """A change that does not match is skipped at once, with the reason."""
    world = await started_world(cart(**where))
    await enters(world, **more)
    assert [(decision.decision, decision.reason) for decision in world.decisions()] == [("skipped", reason)]
    await world.until(START + DAY_MS)
    assert world.attempts() == []


async def test_a_failed_attempt_is_made_again_with_the_same_key() -> None:
    """Each retry comes later than the one before, until one works."""

    def third(_: Message, attempt: int) -> AttemptResult:
        return AttemptResult(Outcome.SENT if attempt == 3 else Outcome.FAILED, "busy")

    world = await started_world(cart(), third)
    await enters(world)
    for second in range(120):
        await world.until(START + second * SECOND_MS)
    assert kinds(world) == ["retried", "retried", "sent"]
    assert len({message.key for _, message, _ in world.attempts()}) == 1
    first, second, third_at = (at for at, _, _ in world.attempts())
    assert 2_000 <= second - first <= 7_000
    assert 5_000 <= third_at - second <= 12_000


async def test_retry_after_is_kept() -> None:
    """The retry does not come before the time that the other side named."""

    def later(_: Message, attempt: int) -> AttemptResult:
        return AttemptResult(Outcome.SENT) if attempt > 1 else AttemptResult(Outcome.FAILED, "429", 10 * MINUTE_MS)

    world = await started_world(cart(), later)
    await enters(world)
    for minute in range(15):
        await world.until(START + minute * MINUTE_MS)
    assert [at - START for at, _, _ in world.attempts()] == [0, 10 * MINUTE_MS]


async def test_each_retry_looks_again() -> None:
    """A customer that has bought meanwhile does not get the second attempt."""
    world = await started_world(cart(), lambda *_: AttemptResult(Outcome.FAILED, "down"))
    await enters(world)
    await world.until(START)
    world.shop.change("u1", "abandoned_cart", START + SECOND_MS)
    await world.until(START + MINUTE_MS)
    assert len(world.attempts()) == 1
    assert kinds(world) == ["retried", "skipped"]


async def test_what_fails_for_good_leaves_a_dead_letter() -> None:
    """A refused message, or one out of attempts, leaves a dead letter with its change, to be redelivered."""
    refused = await started_world(cart(), lambda *_: AttemptResult(Outcome.REFUSED, "no address"))
    await enters(refused)
    await refused.until(START)
    assert [(decision.decision, decision.reason) for decision in refused.decisions()] == [
        ("failed", "refused: no address")
    ]
    (letter,) = refused.letters()
    assert b'"change_id":"u1-1"' in (letter.value or b"")
    assert ("trigger", b"cart") in letter.headers
    tired = await started_world(cart(), lambda *_: AttemptResult(Outcome.FAILED, "down"))
    await enters(tired)
    for hour in range(48):
        await tired.until(START + hour * HOUR_MS)
    assert kinds(tired)[-1] == "failed"
    assert len(tired.letters()) == 1
    assert kinds(tired).count("retried") == len(tired.attempts()) - 1


async def test_a_crash_during_an_attempt_is_told_as_such() -> None:
    """A webhook is sent again under its key; an e-mail is not, and is never called skipped."""
    for after_crash, expected, attempts in (
        ("send", ["unknown, sent again", "sent"], 2),
        ("drop", ["unknown, not sent"], 1),
    ):
        file = file_of(
            channels={"screen": {"kind": "console", "after_crash": after_crash}},
            triggers={"cart": {"segment": "abandoned_cart", "channel": "screen"}},
        )
        world = await started_world(file)
        await enters(world)
        world.shop.reached_ms = world.now
        await world.acting.fire(world.now, 100)
        await world.acting.landed()  # made, and the outcome not saved
        assert world.decisions() == []
        await world.claim()
        for second in range(60):
            await world.until(START + second * SECOND_MS)
        assert kinds(world) == expected
        assert len(world.attempts()) == attempts
        assert len({message.key for _, message, _ in world.attempts()}) == 1


async def test_an_unknown_outcome_that_then_leaves_is_not_called_skipped() -> None:
    """The message may have reached the customer."""
    world = await started_world(cart(), lambda *_: AttemptResult(Outcome.UNKNOWN, "cut"))
    await enters(world)
    await world.until(START)
    world.shop.change("u1", "abandoned_cart", START)
    await world.until(START + HOUR_MS)
    assert kinds(world) == ["unknown, sent again", "unknown, not sent"]


async def test_an_endpoint_that_is_gone_is_sent_nothing_more() -> None:
    """All messages that follow fail, with dead letters."""
    world = await started_world(cart(), lambda *_: AttemptResult(Outcome.GONE))
    await enters(world)
    await world.until(START)
    await enters(world, "u2")
    await world.until(START + SECOND_MS)
    assert len(world.attempts()) == 1
    assert kinds(world) == ["failed", "failed"]
    assert len(world.letters()) == 2


async def test_quiet_hours_are_those_of_the_customer() -> None:
    """A message is deferred to their end in the customer's time zone, then checked again."""
    quiet = {"from": "22:00", "to": "08:00"}
    world = await started_world(
        file_of(
            contact={"timezone": "timezone"},
            triggers={"cart": {"segment": "abandoned_cart", "channel": "screen", "quiet": quiet}},
        )
    )
    # 10:00 UTC is 23:00 in Auckland (+13) and 11:00 in Berlin.
    await world.read(
        identify("u1", START - 1, timezone="Pacific/Auckland"), identify("u2", START - 1, timezone="Europe/Berlin")
    )
    await enters(world)
    await enters(world, "u2")
    await world.until(START)
    assert [message.customer for _, message, _ in world.attempts()] == ["u2"]
    deferred = next(decision for decision in world.decisions() if decision.decision == "deferred")
    assert deferred.until == "2026-03-01T19:00:00.000Z"  # 08:00 in Auckland
    await world.until(START + 9 * HOUR_MS - 1)
    assert len(world.attempts()) == 1
    await world.until(START + 9 * HOUR_MS)
    assert [at - START for at, message, _ in world.attempts() if message.customer == "u1"] == [9 * HOUR_MS]


async def test_caps_cool_downs_and_consent() -> None:
    """Each of them skips with its reason."""
    world = await started_world(
        file_of(
            caps={"per_day": 2},
            suppress={"unsubscribed": True},
            consent={"screen": {"marketing": True}},
            triggers={
                "cart": {"segment": "abandoned_cart", "channel": "screen", "cool_down": "1h"},
                "greet": {"segment": "returning_visitor", "channel": "screen"},
            },
        )
    )
    await world.read(
        identify("u1", START - 1, marketing=True), identify("u3", START - 1, marketing=True, unsubscribed=True)
    )
    for customer_id in ("u1", "u2", "u3"):
        await enters(world, customer_id)
    await world.until(START)
    for minute in (10, 20):  # leaves, and is back within the cool-down
        world.now = START + minute * MINUTE_MS
        await enters(world)
    await world.until(START + 20 * MINUTE_MS)
    await enters(world, segment="returning_visitor")
    await world.until(START + 21 * MINUTE_MS)
    await enters(world, segment="returning_visitor")
    await enters(world, segment="returning_visitor")
    await world.until(START + 22 * MINUTE_MS)
    assert sorted(
        (decision.customer_id, decision.trigger, decision.decision, decision.reason or "")
        for decision in world.decisions()
    ) == [
        ("u1", "cart", "sent", ""),
        ("u1", "cart", "skipped", "cool-down until 2026-03-01T11:00:00.000Z"),
        ("u1", "greet", "sent", ""),
        ("u1", "greet", "skipped", "at most 2 a day to one customer"),
        ("u2", "cart", "skipped", "no consent: marketing"),
        ("u3", "cart", "skipped", "suppressed by unsubscribed"),
    ]


async def test_the_higher_priority_goes_first() -> None:
    """The lower of two that are due within the window over one channel is skipped."""
    world = await started_world(
        file_of(
            window="10m",
            triggers={
                "cart": {"segment": "abandoned_cart", "channel": "screen", "priority": 5, "delay": "5m"},
                "greet": {"segment": "returning_visitor", "channel": "screen"},
            },
        )
    )
    await enters(world)
    await enters(world, segment="returning_visitor")
    await world.until(START + 5 * MINUTE_MS)
    await world.until(START + 6 * MINUTE_MS)
    assert [(decision.trigger, decision.decision, decision.reason) for decision in world.decisions()] == [
        ("greet", "deferred", "waits for cart, which goes before it"),
        ("cart", "sent", None),
        ("greet", "skipped", "cart goes before it"),
    ]


async def test_once_is_once() -> None:
    """The policy allows no re-entry."""
    world = await started_world(cart(reentry="once"))
    for _ in range(3):
        await enters(world)
        await world.until(world.now + SECOND_MS)
    assert [(decision.decision, decision.reason) for decision in world.decisions()] == [
        ("sent", None),
        ("skipped", "sent before, and once is all"),
    ]


async def test_old_changes_expire() -> None:
    """Triggers that start on an old topic do not write to all its customers."""
    world = await started_world(cart())
    await enters(world)
    await world.until(START + DAY_MS + 1)
    assert [(decision.decision, decision.reason) for decision in world.decisions()] == [
        ("skipped", "expired 1d after its time")
    ]


async def test_what_the_topic_knows_and_the_store_has_lost_is_not_done_again() -> None:
    """A final decision is read back before its change is read again, or while its action waits."""
    world = await started_world(cart())
    await enters(world)
    await world.until(START)
    (decision,) = world.decisions()
    for read_before in (False, True):
        other = await started_world(cart())
        first = change_input(change("u1", "abandoned_cart", "entered", START, 1, ["abandoned_cart"]), START)
        other.shop.since["u1"] = {"abandoned_cart": START}
        if read_before:
            await other.read(first)
        await other.acting.note({"u1": [decision]})
        await other.claim()
        if not read_before:
            await other.read(first)
        await other.until(START + HOUR_MS)
        assert (other.attempts(), other.decisions()) == ([], []), read_before


async def test_many_changes_of_one_customer_crowd_out_the_oldest() -> None:
    """Their number is bounded, and each still has a final decision."""
    world = await started_world(cart(delay="7d"))
    for sequence in range(1, 71):
        await world.read(change_input(change("u1", "abandoned_cart", "entered", START, sequence), START))
    assert kinds(world) == ["skipped"] * 6
    assert {decision.reason for decision in world.decisions()} == {"crowded out by newer changes"}
    assert [decision.sequence for decision in world.decisions()] == [1, 2, 3, 4, 5, 6]


async def test_a_slow_endpoint_slows_no_other() -> None:
    """While one has no place, messages over the other go out at once; the rest follows when a place is free."""
    file = file_of(
        channels={"slow": {"kind": "console", "concurrency": 1}, "fast": {"kind": "console"}},
        triggers={
            "crawl": {"segment": "abandoned_cart", "channel": "slow"},
            "dash": {"segment": "returning_visitor", "channel": "fast"},
        },
    )
    world, over = await started_world(file), asyncio.Event()

    async def never(_: Message) -> AttemptResult:
        await over.wait()
        return AttemptResult(Outcome.SENT)

    world.channels["slow"].send = never  # type: ignore[method-assign, assignment]
    for number in range(5):
        await enters(world, f"s{number}")
        await enters(world, f"f{number}", "returning_visitor")
    world.shop.reached_ms = world.now
    for _ in range(3):
        await world.acting.fire(world.now, 100)
        await asyncio.sleep(0)
        await world.acting.settle()
    assert sorted(message.customer for _, message, _ in world.attempts()) == [f"f{number}" for number in range(5)]
    await enters(world, "s0", "returning_visitor")  # an attempt for it is under way at the slow endpoint
    await world.acting.fire(world.now, 100)
    await asyncio.sleep(0)
    await world.acting.settle()
    assert world.attempts()[-1][1].customer == "s0"
    over.set()
    for minute in range(1, 10):
        await world.until(START + minute * MINUTE_MS)
    assert kinds(world).count("sent") == 11


async def test_an_endpoint_that_keeps_failing_is_left_alone() -> None:
    """Five failures in a row open the breaker, each further one for longer; then attempts go one at a time."""
    world = await started_world(cart(), lambda *_: AttemptResult(Outcome.FAILED, "down"))
    for number in range(20):
        await enters(world, f"u{number}")
    await world.until(START)
    assert len(world.attempts()) == 8  # as many as are made at one time: three more than open the breaker
    await world.until(START + 7_900)
    assert len(world.attempts()) == 8
    await world.until(START + 8_100)
    assert len(world.attempts()) == 9


# --- the right to be forgotten -----------------------------------------------------------------


def erase(customer_id: str, at: int) -> Event:
    return Event(customer_id, ERASE, at, f"erase-{customer_id}-{at}")


async def test_who_is_erased_is_sent_nothing() -> None:
    """What waited is skipped, with one decision; only the erasure's time and the last sequence are kept."""
    world = await started_world(cart(delay="1h"))
    await world.read(identify("u1", world.now, email="u1@example.com"))
    await enters(world)
    await enters(world, "u2")
    await world.until(START + SECOND_MS)
    await world.read(erase("u1", world.now))
    await world.until(START + 2 * HOUR_MS)
    assert [message.customer for _, message, _ in world.attempts()] == ["u2"]
    skipped = [decision for decision in world.decisions() if decision.customer_id == "u1"]
    assert [(decision.decision, decision.reason) for decision in skipped] == [("skipped", "erased")]
    partition = world.store._partitions[0]
    assert list(partition.customers) == ["u2"]
    (stays,) = partition.erased.values()
    assert customer_state.decode(stays) == Person(sequence=1, erased=START + SECOND_MS)


async def test_a_change_from_before_an_erasure_starts_nothing() -> None:
    """A change from before an erasure starts nothing, nor does an exit by it; a later change starts one."""
    leaving = file_of(triggers={"bye": {"segment": "abandoned_cart", "on": "exited", "channel": "screen"}})
    world = await started_world(leaving)
    await enters(world)
    old = change_input(world.shop.change("u1", "abandoned_cart", START), START)
    await world.read(erase("u1", START + SECOND_MS), old)
    await enters(world)
    by_erasure = world.shop.change("u1", "abandoned_cart", world.now + 2 * SECOND_MS, cause=Cause("erasure", "e2"))
    await world.read(change_input(by_erasure, world.now))
    await world.until(START + MINUTE_MS)
    assert [(decision.decision, decision.reason) for decision in world.decisions()] == [("skipped", "erased")] * 2
    await world.read(change_input(world.shop.change("u1", "abandoned_cart", world.now), world.now))
    await world.read(change_input(world.shop.change("u1", "abandoned_cart", world.now), world.now))
    await world.until(START + 2 * MINUTE_MS)
    assert [message.trigger for _, message, _ in world.attempts()] == ["bye"]


async def test_an_attempt_under_way_ends_and_is_forgotten() -> None:
    """The attempt cannot be called back: its outcome is published, and then nothing of it is kept."""
    world = await started_world(cart())
    await enters(world)
    world.shop.reached_ms = world.now
    await world.acting.fire(world.now, 100)
    await world.read(erase("u1", world.now), erase("u1", world.now))
    assert list(world.store._partitions[0].customers) == ["u1"]
    await world.turn()
    assert kinds(world) == ["sent"]
    assert world.store._partitions[0].customers == {}


async def test_a_failed_attempt_is_not_made_again_for_who_was_erased() -> None:
    """The attempt fails before the erasure is read, or after it."""
    for early in (False, True):
        world = await started_world(cart(), lambda *_: AttemptResult(Outcome.FAILED, "down"))
        await enters(world)
        world.shop.reached_ms = world.now
        await world.acting.fire(world.now, 100)
        if early:
            await world.turn()
        await world.read(erase("u1", world.now))
        await world.turn()
        await world.until(START + DAY_MS)
        assert kinds(world) == ["retried", "skipped"]
        assert len(world.attempts()) == 1
        assert world.store._partitions[0].customers == {}


async def test_what_was_sent_before_does_not_count_after() -> None:
    """A customer that comes back is new: `once` is once more, and former traits are gone."""
    world = await started_world(cart(reentry="once"))
    await world.read(identify("u1", world.now, email="old@example.com"))
    await enters(world)
    await world.until(START + SECOND_MS)
    await world.read(erase("u1", world.now), identify("u1", START, email="older@example.com"))
    world.shop.since["u1"] = {}
    world.now += SECOND_MS
    await enters(world)
    await world.until(START + MINUTE_MS)
    assert kinds(world) == ["sent", "sent"]
    assert [message.contact for _, message, _ in world.attempts()] == [{}, {}]
