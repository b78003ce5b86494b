"""From a change to its final decision: what is decided when, on the real steps and the memory store."""

from __future__ import annotations

import asyncio

import pytest

from rules.events import ERASE, Event
from rules.times import DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS
from streams.triggers import customer_state
from streams.triggers.customer_state import Person
from streams.triggers.messages import AttemptResult, Message, Outcome
from streams.wire.changes import Cause
from tests.support.in_memory_triggers import (
    START,
    cart,
    change,
    come,
    enters,
    file_of,
    identify,
    kinds,
    world,
)


async def test_a_change_starts_its_message_once_it_is_decided() -> None:
    """Not before the segmenter has reached the send time, and with one final decision."""
    one = await world(cart())
    await enters(one)
    await one.until(START + SECOND_MS, decided=False)
    assert one.told() == []
    assert one.decisions() == []
    await one.until(START + SECOND_MS)
    assert [message.trigger for _, message, _ in one.told()] == ["cart"]
    (decision,) = one.decisions()
    assert (decision.decision, decision.change_id, decision.attempts) == ("sent", "u1-1", 1)
    assert one.waiting() == 0


async def test_a_repeat_of_a_change_does_nothing() -> None:
    """Its sequence was read before."""
    one = await world(cart())
    again = come(one.shop.change("u1", "abandoned_cart", START), START)
    await one.read(again, again)
    await one.until(START + SECOND_MS)
    await one.read(again)
    await one.until(START + MINUTE_MS)
    assert len(one.told()) == 1
    assert kinds(one) == ["sent"]


async def test_who_leaves_within_the_delay_gets_nothing() -> None:
    """The look-up at the send time decides, whether or not the exit was read."""
    one = await world(cart(delay="1h"))
    await enters(one)
    one.now += 59 * MINUTE_MS
    one.shop.change("u1", "abandoned_cart", one.now)  # decided, not yet read by triggers
    await one.until(START + HOUR_MS)
    assert one.told() == []
    assert [(one.decision, one.reason) for one in one.decisions()] == [("skipped", "left meanwhile")]


async def test_a_new_stay_is_a_change_of_its_own() -> None:
    """Who left and came back is not sent the message of the first stay."""
    one = await world(cart(delay="1h"))
    await enters(one)
    one.now = START + 10 * MINUTE_MS
    await one.read(come(one.shop.change("u1", "abandoned_cart", one.now), one.now))
    one.now = START + 20 * MINUTE_MS
    await enters(one)
    await one.until(START + HOUR_MS)
    assert one.told() == []
    await one.until(START + 80 * MINUTE_MS)
    assert [message.change["sequence"] for _, message, _ in one.told()] == [3]
    assert kinds(one) == ["skipped", "sent"]


async def test_what_is_due_and_undecided_is_waited_for() -> None:
    """A due time at or before the clock that has not fired yet, or a customer who is ahead."""
    one = await world(cart())
    one.shop.undecided.add("u1")
    await enters(one)
    await one.until(START + MINUTE_MS)
    assert one.told() == []
    assert one.waiting()
    one.shop.undecided.clear()
    await one.until(START + 2 * MINUTE_MS)
    assert [(decision.decision, decision.reason) for decision in one.decisions()] == [
        ("deferred", "a due time of the customer has passed and is not decided yet"),
        ("sent", None),
    ]
    assert one.acting.counts.waits["due_time",] == 1


async def test_an_exit_may_start_a_message_too() -> None:
    """And is dropped for who came back."""
    one = await world(cart(on="exited", delay="1h"))
    await enters(one)
    await enters(one)  # leaves
    await enters(one, "u2")
    await enters(one, "u2")
    one.now = START + MINUTE_MS
    await enters(one, "u2")
    await one.until(START + HOUR_MS)
    assert [message.customer for _, message, _ in one.told()] == ["u1"]
    assert sorted((one.customer_id, one.decision, one.reason) for one in one.decisions()) == [
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
    """Told at once, with the reason."""
    one = await world(cart(**where))
    await enters(one, **more)
    assert [(one.decision, one.reason) for one in one.decisions()] == [("skipped", reason)]
    await one.until(START + DAY_MS)
    assert one.told() == []


async def test_a_failed_attempt_is_made_again_with_the_same_key() -> None:
    """Later each time, until it works."""

    def third(_: Message, attempt: int) -> AttemptResult:
        return AttemptResult(Outcome.SENT if attempt == 3 else Outcome.FAILED, "busy")

    one = await world(cart(), third)
    await enters(one)
    for second in range(120):
        await one.until(START + second * SECOND_MS)
    assert kinds(one) == ["retried", "retried", "sent"]
    assert len({message.key for _, message, _ in one.told()}) == 1
    first, second, third_at = (at for at, _, _ in one.told())
    assert 2_000 <= second - first <= 7_000
    assert 5_000 <= third_at - second <= 12_000


async def test_retry_after_is_kept() -> None:
    """Not before the other side said."""

    def later(_: Message, attempt: int) -> AttemptResult:
        return AttemptResult(Outcome.SENT) if attempt > 1 else AttemptResult(Outcome.FAILED, "429", 10 * MINUTE_MS)

    one = await world(cart(), later)
    await enters(one)
    for minute in range(15):
        await one.until(START + minute * MINUTE_MS)
    assert [at - START for at, _, _ in one.told()] == [0, 10 * MINUTE_MS]


async def test_each_retry_looks_again() -> None:
    """Who has bought meanwhile is not sent the second attempt."""
    one = await world(cart(), lambda *_: AttemptResult(Outcome.FAILED, "down"))
    await enters(one)
    await one.until(START)
    one.shop.change("u1", "abandoned_cart", START + SECOND_MS)
    await one.until(START + MINUTE_MS)
    assert len(one.told()) == 1
    assert kinds(one) == ["retried", "skipped"]


async def test_what_fails_for_good_leaves_a_dead_letter() -> None:
    """Refused, or out of attempts; with the change, so that it can be replayed."""
    refused = await world(cart(), lambda *_: AttemptResult(Outcome.REFUSED, "no address"))
    await enters(refused)
    await refused.until(START)
    assert [(one.decision, one.reason) for one in refused.decisions()] == [("failed", "refused: no address")]
    (letter,) = refused.letters()
    assert b'"change_id":"u1-1"' in (letter.value or b"")
    assert ("trigger", b"cart") in letter.headers
    tired = await world(cart(), lambda *_: AttemptResult(Outcome.FAILED, "down"))
    await enters(tired)
    for hour in range(48):
        await tired.until(START + hour * HOUR_MS)
    assert kinds(tired)[-1] == "failed"
    assert len(tired.letters()) == 1
    assert kinds(tired).count("retried") == len(tired.told()) - 1


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
        one = await world(file)
        await enters(one)
        one.shop.reached_ms = one.now
        await one.acting.fire(one.now, 100)
        await one.acting.landed()  # made, and the outcome not saved
        assert one.decisions() == []
        await one.claim()
        for second in range(60):
            await one.until(START + second * SECOND_MS)
        assert kinds(one) == expected
        assert len(one.told()) == attempts
        assert len({message.key for _, message, _ in one.told()}) == 1


async def test_an_unknown_outcome_that_then_leaves_is_not_called_skipped() -> None:
    """It may have reached them."""
    one = await world(cart(), lambda *_: AttemptResult(Outcome.UNKNOWN, "cut"))
    await enters(one)
    await one.until(START)
    one.shop.change("u1", "abandoned_cart", START)
    await one.until(START + HOUR_MS)
    assert kinds(one) == ["unknown, sent again", "unknown, not sent"]


async def test_an_endpoint_that_is_gone_is_sent_nothing_more() -> None:
    """All that follows fails, with dead letters."""
    one = await world(cart(), lambda *_: AttemptResult(Outcome.GONE))
    await enters(one)
    await one.until(START)
    await enters(one, "u2")
    await one.until(START + SECOND_MS)
    assert len(one.told()) == 1
    assert kinds(one) == ["failed", "failed"]
    assert len(one.letters()) == 2


async def test_quiet_hours_are_those_of_the_customer() -> None:
    """Deferred to their end, in the time zone that they told; then looked at again."""
    quiet = {"from": "22:00", "to": "08:00"}
    one = await world(
        file_of(
            contact={"timezone": "timezone"},
            triggers={"cart": {"segment": "abandoned_cart", "channel": "screen", "quiet": quiet}},
        )
    )
    # 10:00 UTC is 23:00 in Auckland (+13) and 11:00 in Berlin.
    await one.read(
        identify("u1", START - 1, timezone="Pacific/Auckland"), identify("u2", START - 1, timezone="Europe/Berlin")
    )
    await enters(one)
    await enters(one, "u2")
    await one.until(START)
    assert [message.customer for _, message, _ in one.told()] == ["u2"]
    deferred = next(decision for decision in one.decisions() if decision.decision == "deferred")
    assert deferred.until == "2026-03-01T19:00:00.000Z"  # 08:00 in Auckland
    await one.until(START + 9 * HOUR_MS - 1)
    assert len(one.told()) == 1
    await one.until(START + 9 * HOUR_MS)
    assert [at - START for at, message, _ in one.told() if message.customer == "u1"] == [9 * HOUR_MS]


async def test_caps_cool_downs_and_consent() -> None:
    """Each with its reason."""
    one = await world(
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
    await one.read(
        identify("u1", START - 1, marketing=True), identify("u3", START - 1, marketing=True, unsubscribed=True)
    )
    for who in ("u1", "u2", "u3"):
        await enters(one, who)
    await one.until(START)
    for minute in (10, 20):  # leaves, and is back within the cool-down
        one.now = START + minute * MINUTE_MS
        await enters(one)
    await one.until(START + 20 * MINUTE_MS)
    await enters(one, segment="returning_visitor")
    await one.until(START + 21 * MINUTE_MS)
    await enters(one, segment="returning_visitor")
    await enters(one, segment="returning_visitor")
    await one.until(START + 22 * MINUTE_MS)
    assert sorted((one.customer_id, one.trigger, one.decision, one.reason or "") for one in one.decisions()) == [
        ("u1", "cart", "sent", ""),
        ("u1", "cart", "skipped", "cool-down until 2026-03-01T11:00:00.000Z"),
        ("u1", "greet", "sent", ""),
        ("u1", "greet", "skipped", "at most 2 a day to one customer"),
        ("u2", "cart", "skipped", "no consent: marketing"),
        ("u3", "cart", "skipped", "suppressed by unsubscribed"),
    ]


async def test_the_higher_priority_goes_first() -> None:
    """Of two that are due within the window over one channel, the lower is skipped."""
    one = await world(
        file_of(
            window="10m",
            triggers={
                "cart": {"segment": "abandoned_cart", "channel": "screen", "priority": 5, "delay": "5m"},
                "greet": {"segment": "returning_visitor", "channel": "screen"},
            },
        )
    )
    await enters(one)
    await enters(one, segment="returning_visitor")
    await one.until(START + 5 * MINUTE_MS)
    await one.until(START + 6 * MINUTE_MS)
    assert [(one.trigger, one.decision, one.reason) for one in one.decisions()] == [
        ("greet", "deferred", "waits for cart, which goes before it"),
        ("cart", "sent", None),
        ("greet", "skipped", "cart goes before it"),
    ]


async def test_once_is_once() -> None:
    """Re-entry, by policy."""
    one = await world(cart(reentry="once"))
    for _ in range(3):
        await enters(one)
        await one.until(one.now + SECOND_MS)
    assert [(one.decision, one.reason) for one in one.decisions()] == [
        ("sent", None),
        ("skipped", "sent before, and once is all"),
    ]


async def test_old_changes_expire() -> None:
    """Who starts triggers on an old topic does not write to everybody."""
    one = await world(cart())
    await enters(one)
    await one.until(START + DAY_MS + 1)
    assert [(one.decision, one.reason) for one in one.decisions()] == [("skipped", "expired 1d after its time")]


async def test_what_the_topic_knows_and_the_store_has_lost_is_not_done_again() -> None:
    """A final decision that was read back, before its change is read again, or while its action waits."""
    one = await world(cart())
    await enters(one)
    await one.until(START)
    (decision,) = one.decisions()
    for read_before in (False, True):
        other = await world(cart())
        first = come(change("u1", "abandoned_cart", "entered", START, 1, ["abandoned_cart"]), START)
        other.shop.since["u1"] = {"abandoned_cart": START}
        if read_before:
            await other.read(first)
        await other.acting.note({"u1": [decision]})
        await other.claim()
        if not read_before:
            await other.read(first)
        await other.until(START + HOUR_MS)
        assert (other.told(), other.decisions()) == ([], []), read_before


async def test_many_changes_of_one_customer_crowd_out_the_oldest() -> None:
    """Bounded, and each still has a final decision."""
    one = await world(cart(delay="7d"))
    for sequence in range(1, 71):
        await one.read(come(change("u1", "abandoned_cart", "entered", START, sequence), START))
    assert kinds(one) == ["skipped"] * 6
    assert {decision.reason for decision in one.decisions()} == {"crowded out by newer changes"}
    assert [decision.sequence for decision in one.decisions()] == [1, 2, 3, 4, 5, 6]


async def test_a_slow_endpoint_slows_no_other() -> None:
    """With no place left at one, what goes over the other is sent at once; who waits is sent when a place is free."""
    file = file_of(
        channels={"slow": {"kind": "console", "concurrency": 1}, "fast": {"kind": "console"}},
        triggers={
            "crawl": {"segment": "abandoned_cart", "channel": "slow"},
            "dash": {"segment": "returning_visitor", "channel": "fast"},
        },
    )
    one, over = await world(file), asyncio.Event()

    async def never(_: Message) -> AttemptResult:
        await over.wait()
        return AttemptResult(Outcome.SENT)

    one.channels["slow"].send = never  # type: ignore[method-assign, assignment]
    for who in range(5):
        await enters(one, f"s{who}")
        await enters(one, f"f{who}", "returning_visitor")
    one.shop.reached_ms = one.now
    for _ in range(3):
        await one.acting.fire(one.now, 100)
        await asyncio.sleep(0)
        await one.acting.settle()
    assert sorted(message.customer for _, message, _ in one.told()) == [f"f{who}" for who in range(5)]
    await enters(one, "s0", "returning_visitor")  # of whom an attempt is under way at the slow one
    await one.acting.fire(one.now, 100)
    await asyncio.sleep(0)
    await one.acting.settle()
    assert one.told()[-1][1].customer == "s0"
    over.set()
    for minute in range(1, 10):
        await one.until(START + minute * MINUTE_MS)
    assert kinds(one).count("sent") == 11


async def test_an_endpoint_that_keeps_failing_is_left_alone() -> None:
    """After five failures in a row, for longer with each that follows; then one attempt at a time until it works."""
    one = await world(cart(), lambda *_: AttemptResult(Outcome.FAILED, "down"))
    for who in range(20):
        await enters(one, f"u{who}")
    await one.until(START)
    assert len(one.told()) == 8  # as many as are made at one time: three more than open the breaker
    await one.until(START + 7_900)
    assert len(one.told()) == 8
    await one.until(START + 8_100)
    assert len(one.told()) == 9


# --- the right to be forgotten -----------------------------------------------------------------


def erase(who: str, at: int) -> Event:
    return Event(who, ERASE, at, f"erase-{who}-{at}")


async def test_who_is_erased_is_sent_nothing() -> None:
    """What waited for its time is skipped, and says so once; nothing is kept but when, and the last change's number."""
    one = await world(cart(delay="1h"))
    await one.read(identify("u1", one.now, email="u1@example.com"))
    await enters(one)
    await enters(one, "u2")
    await one.until(START + SECOND_MS)
    await one.read(erase("u1", one.now))
    await one.until(START + 2 * HOUR_MS)
    assert [message.customer for _, message, _ in one.told()] == ["u2"]
    skipped = [decision for decision in one.decisions() if decision.customer_id == "u1"]
    assert [(decision.decision, decision.reason) for decision in skipped] == [("skipped", "erased")]
    held = one.store._partitions[0]
    assert list(held.customers) == ["u2"]
    (stays,) = held.erased.values()
    assert customer_state.decode(stays) == Person(sequence=1, erased=START + SECOND_MS)


async def test_a_change_from_before_an_erasure_starts_nothing() -> None:
    """Read after it, of whatever kind; and the exits that the erasure itself makes; a change after it does."""
    leaving = file_of(triggers={"bye": {"segment": "abandoned_cart", "on": "exited", "channel": "screen"}})
    one = await world(leaving)
    await enters(one)
    old = come(one.shop.change("u1", "abandoned_cart", START), START)
    await one.read(erase("u1", START + SECOND_MS), old)
    await enters(one)
    by_erasure = one.shop.change("u1", "abandoned_cart", one.now + 2 * SECOND_MS, cause=Cause("erasure", "e2"))
    await one.read(come(by_erasure, one.now))
    await one.until(START + MINUTE_MS)
    assert [(decision.decision, decision.reason) for decision in one.decisions()] == [("skipped", "erased")] * 2
    await one.read(come(one.shop.change("u1", "abandoned_cart", one.now), one.now))
    await one.read(come(one.shop.change("u1", "abandoned_cart", one.now), one.now))
    await one.until(START + 2 * MINUTE_MS)
    assert [message.trigger for _, message, _ in one.told()] == ["bye"]


async def test_an_attempt_under_way_ends_and_is_forgotten() -> None:
    """It cannot be called back: what came of it is told, and then nothing of it is kept."""
    one = await world(cart())
    await enters(one)
    one.shop.reached_ms = one.now
    await one.acting.fire(one.now, 100)
    await one.read(erase("u1", one.now), erase("u1", one.now))
    assert list(one.store._partitions[0].customers) == ["u1"]
    await one.turn()
    assert kinds(one) == ["sent"]
    assert one.store._partitions[0].customers == {}


async def test_a_failed_attempt_is_not_made_again_for_who_was_erased() -> None:
    """Whether it fails before the erasure is read or after it."""
    for early in (False, True):
        one = await world(cart(), lambda *_: AttemptResult(Outcome.FAILED, "down"))
        await enters(one)
        one.shop.reached_ms = one.now
        await one.acting.fire(one.now, 100)
        if early:
            await one.turn()
        await one.read(erase("u1", one.now))
        await one.turn()
        await one.until(START + DAY_MS)
        assert kinds(one) == ["retried", "skipped"]
        assert len(one.told()) == 1
        assert one.store._partitions[0].customers == {}


async def test_what_was_sent_before_does_not_count_after() -> None:
    """Who comes back is new: once is once more, and a trait from before is not told."""
    one = await world(cart(reentry="once"))
    await one.read(identify("u1", one.now, email="old@example.com"))
    await enters(one)
    await one.until(START + SECOND_MS)
    await one.read(erase("u1", one.now), identify("u1", START, email="older@example.com"))
    one.shop.since["u1"] = {}
    one.now += SECOND_MS
    await enters(one)
    await one.until(START + MINUTE_MS)
    assert kinds(one) == ["sent", "sent"]
    assert [message.contact for _, message, _ in one.told()] == [{}, {}]
