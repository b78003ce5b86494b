"""What triggers wait for, and what a last look stops: a slow or lost store, undecided customers, other messages."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from rules.event_names import ERASE
from rules.events import Event
from rules.times import DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS
from streams.errors import StoreFailed
from streams.triggers import customer_state
from streams.triggers.action_decisions import FRESH_MS
from streams.triggers.customer_state import Action, Person, SentMessage
from streams.triggers.membership_lookup import Waiting
from streams.triggers.messages import AttemptResult, Message, Outcome
from tests.support.in_memory_triggers import (
    START,
    World,
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

LOST = "Redis has lost a change of the customer that was published"


def reasons(world: World) -> list[tuple[str, str | None]]:
    return [(decision.decision, decision.reason) for decision in world.decisions()]


def stored(world: World, customer_id: str = "u1") -> Person:
    return customer_state.decode(world.store._of(0).customers.get(customer_id))


def after(world: World, method: str, then: Callable[[], Any]) -> None:
    """Make something happen once a call of the store has been answered."""
    call = getattr(world.store, method)

    async def called(*arguments: Any) -> Any:
        answer = await call(*arguments)
        then()
        return answer

    setattr(world.store, method, called)


# --- the last look -----------------------------------------------------------------------------


@pytest.mark.parametrize("delay_ms", [5, 34, 200])
async def test_a_store_that_answers_slowly_keeps_nothing_from_being_sent(delay_ms: int) -> None:
    """The intent takes one save and the decision one, however long each call takes."""
    world = await started_world(cart())

    def slow(call: Any) -> Any:
        async def called(*arguments: Any) -> Any:
            await asyncio.sleep(delay_ms / 1000)
            return await call(*arguments)

        return called

    for part, names in ((world.store, ("load", "save", "due", "next_due")), (world.shop, ("look", "reached"))):
        for name in names:
            setattr(part, name, slow(getattr(part, name)))
    await enters(world)
    saves = world.acting.checkpointer.save_number
    await world.until(START + SECOND_MS)
    assert kinds(world) == ["sent"]
    assert world.acting.checkpointer.save_number == saves + 2


async def test_who_pays_while_the_intent_is_saved_is_not_written_to() -> None:
    """The attempt is given back, which is counted and published; it counts for no cap and no budget of retries."""
    world = await started_world(cart())
    await enters(world)
    after(world, "save", world.shop.since["u1"].clear)
    await world.until(START + SECOND_MS)
    assert world.attempts() == []
    assert reasons(world) == [("deferred", "given back: left meanwhile"), ("skipped", "left meanwhile")]
    assert world.acting.counts.given_back == {("cart",): 1}
    assert [decision.attempts for decision in world.decisions()] == [0, 0]
    assert stored(world).sent == []
    assert [endpoint.free for endpoint in world.acting._deciding._endpoints.values()] == [8]


async def test_a_retry_that_is_given_back_leaves_what_was_sent_before() -> None:
    """A message whose first attempt may have arrived goes on to count from then."""
    world = await started_world(cart(), lambda *_: AttemptResult(Outcome.UNKNOWN, "cut"))
    await enters(world)
    await world.until(START)
    (sent,) = stored(world).sent
    after(world, "save", lambda: world.shop.undecided.add("u1"))
    await world.until(START + MINUTE_MS)
    assert len(world.attempts()) == 1
    assert stored(world).sent == [sent]
    (action,) = stored(world).actions
    assert (action.attempts, action.first_at, action.attempting) == (1, START, False)


async def test_a_last_look_that_fails_gives_back() -> None:
    """What failed is met again by the next step; the message is not called unknown, as it was not made."""
    world = await started_world(cart())
    await enters(world)
    look, looks = world.shop.look, []

    async def fails_once(*arguments: Any) -> Any:
        looks.append(arguments)
        if len(looks) == 2:
            raise StoreFailed("no answer")
        return await look(*arguments)

    world.shop.look = fails_once  # type: ignore[method-assign, assignment]
    await world.until(START + SECOND_MS)
    assert reasons(world) == [("deferred", "given back: the last look failed"), ("sent", None)]


async def test_a_channel_may_look_once_more() -> None:
    """The look comes right before the point of no return: a customer that left or objects is spared."""
    file = file_of(
        suppress={"unsubscribed": True}, triggers={"cart": {"segment": "abandoned_cart", "channel": "screen"}}
    )

    async def pays(world: World) -> None:
        world.shop.since["u1"].clear()

    async def unsubscribes(world: World) -> None:
        await world.read(identify("u1", START, unsubscribed=True))

    for happens, reason in ((pays, "left meanwhile"), (unsubscribes, "suppressed by unsubscribed")):
        world = await started_world(file)

        async def connects(message: Message, world: World = world, happens: Any = happens) -> AttemptResult:
            assert await message.against() is None
            await happens(world)
            against = await message.against()
            return AttemptResult(Outcome.SENT) if against is None else AttemptResult(Outcome.GIVEN_BACK, against)

        world.channels["screen"].send = connects  # type: ignore[method-assign]
        await enters(world)
        await world.until(START + SECOND_MS)
        assert reasons(world) == [("deferred", f"given back: {reason}"), ("skipped", reason)]


async def test_a_partition_that_was_let_go_of_sends_nothing_more() -> None:
    """A newer owner may have read that the customer was erased, which the attempt's last look cannot know."""
    world = await started_world(file_of(triggers={"cart": {"segment": "abandoned_cart", "channel": "screen"}}))
    objections: list[str | None] = []

    async def connects(message: Message) -> AttemptResult:
        world.acting.is_released = not objections
        against = await message.against()
        objections.append(against)
        return AttemptResult(Outcome.SENT) if against is None else AttemptResult(Outcome.GIVEN_BACK, against)

    world.channels["screen"].send = connects  # type: ignore[method-assign]
    await enters(world)
    await world.until(START + SECOND_MS)
    assert objections == ["the partition was released", None]


# --- what is not decided -----------------------------------------------------------------------


async def test_a_change_that_redis_lost_is_no_exit() -> None:
    """A message waits while a lower sequence is stored than was read; a record says so, then it is sent."""
    world = await started_world(cart())
    await enters(world)
    stays = world.shop.since.pop("u1")
    world.shop.stored["u1"] = 0
    await world.until(START + SECOND_MS)
    assert (world.attempts(), world.decisions()) == ([], [])
    await world.until(START + 20 * SECOND_MS)
    await world.until(START + MINUTE_MS)
    assert reasons(world) == [("deferred", LOST)], "once"
    world.shop.since["u1"], world.shop.stored["u1"] = stays, 1
    await world.until(START + 2 * MINUTE_MS)
    assert reasons(world) == [("deferred", LOST), ("sent", None)]


async def test_an_exit_that_redis_lost_keeps_the_message_back() -> None:
    """Redis still shows the customer in the segment, but the exit was published and read."""
    world = await started_world(cart(delay="1m"))
    await enters(world)
    await enters(world)  # pays
    world.shop.since["u1"], world.shop.stored["u1"] = {"abandoned_cart": START}, 1
    for second in range(60, 300):
        await world.until(START + second * SECOND_MS)
    assert world.attempts() == []
    world.shop.since["u1"], world.shop.stored["u1"] = {}, 2
    await world.until(START + 10 * MINUTE_MS)
    assert reasons(world) == [("deferred", LOST), ("skipped", "left meanwhile")]


async def test_what_is_never_decided_expires() -> None:
    """Each change ends in a final decision, also where Redis never knows of it again."""
    world = await started_world(cart(expires="1h"))
    await enters(world)
    world.shop.stored["u1"] = 0
    await world.until(START + MINUTE_MS)
    await world.until(START + DAY_MS)
    assert reasons(world) == [("deferred", LOST), ("skipped", "expired 1h after its time")]


@pytest.mark.parametrize("count", [8, 500, 1_200])
async def test_undecided_customers_hide_nobody(count: int) -> None:
    """A customer behind many undecided ones gets its message; these are looked at less and less often."""
    world = await started_world(cart())
    for number in range(count):
        world.shop.undecided.add(f"w{number}")
        await enters(world, f"w{number}")
    world.now += SECOND_MS
    await enters(world)
    for _ in range(count // 100 + 10):
        world.shop.reached_ms = world.now
        await world.acting.fire(world.now, 100)
        await world.acting.landed()
        await world.acting.settle()
    assert [message.customer for _, message, _ in world.attempts()] == ["u1"]
    world.shop.undecided.clear()
    for minute in range(1, 30):
        await world.until(START + minute * MINUTE_MS)
    assert kinds(world).count("sent") == count + 1


async def test_nothing_is_sent_by_a_segmenter_that_stands_still() -> None:
    """No message is sent while the segmenter stands still, as it may not have read a later purchase."""
    world = await started_world(cart())
    await enters(world)
    world.shop.reached_ms = START + SECOND_MS
    world.now = world.shop.reached_ms + FRESH_MS + 1
    await world.turn()
    assert (world.attempts(), reasons(world)) == ([], [("deferred", Waiting.SEGMENTER.value)])
    assert world.acting.counts.waits == {("segmenter",): 1}
    await world.until(world.now + 10 * SECOND_MS)
    assert kinds(world) == ["deferred", "sent"]


async def test_what_waits_for_a_segmenter_that_stands_still_expires() -> None:
    """After an outage of days no message goes out about a cart of last week."""
    world = await started_world(cart())
    await enters(world)
    world.shop.reached_ms = START
    for hour in range(1, 30):
        await world.until(START + hour * HOUR_MS, decided=False)
    assert world.attempts() == []
    assert reasons(world) == [("deferred", Waiting.SEGMENTER.value), ("skipped", "expired 1d after its time")]


async def test_a_segmenter_with_a_longer_grace_than_triggers_is_waited_for_with_a_reason() -> None:
    """A segmenter with a longer grace is always behind for triggers, so messages wait, with a reason."""
    world = await started_world(cart())
    await enters(world)
    for second in range(1, 60):
        world.shop.reached_ms = world.now - FRESH_MS - SECOND_MS
        await world.until(START + second * SECOND_MS, decided=False)
    assert reasons(world) == [("deferred", Waiting.SEGMENTER.value)]


async def test_a_segmenter_that_went_back_decides_nothing() -> None:
    """Redis lost its last writes, perhaps an exit: nothing is sent until the segmenter is as far again."""
    world = await started_world(cart(delay="1s"))
    await enters(world)
    await enters(world, "u2")
    world.now = START + 3 * SECOND_MS
    world.shop.reached_ms = START
    world.acting.checkpointer.next_due = START + SECOND_MS
    await world.acting._look([])
    world.shop.reached_ms = START + 2 * SECOND_MS
    await world.acting._look([])
    world.shop.reached_ms -= 1
    await world.turn()
    assert world.attempts() == []
    world.shop.reached_ms += 1
    await world.turn()
    assert kinds(world) == ["sent", "sent"]


async def test_an_attempt_is_given_back_where_the_segmenter_goes_back() -> None:
    """An attempt is given back if the segmenter goes back between the first look and the last."""
    world = await started_world(cart())
    await enters(world)
    moved: list[int] = []

    def back() -> None:
        if not moved:
            moved.append(1)
            world.shop.reached_ms -= 1

    after(world, "save", back)
    world.shop.reached_ms = world.now = START + SECOND_MS
    await world.acting.fire(world.now, 100)
    await world.acting.landed()
    await world.acting.settle()
    assert world.attempts() == []
    assert kinds(world) == ["deferred"]


# --- bounds ------------------------------------------------------------------------------------


async def test_attempts_under_way_take_no_place_of_what_waits() -> None:
    """One more change comes while a customer has 64 attempts, or after a crash in them."""
    segments = [f"segment_{number}" for number in range(70)]
    file = file_of(
        channels={"screen": {"kind": "console", "concurrency": 256}},
        triggers={f"t{number}": {"segment": key, "channel": "screen"} for number, key in enumerate(segments)},
    )
    world = await started_world(file)
    over = asyncio.Event()

    async def hangs(_: Message) -> AttemptResult:
        await over.wait()
        return AttemptResult(Outcome.SENT)

    world.channels["screen"].send = hangs  # type: ignore[method-assign, assignment]
    for key in segments[:64]:
        await enters(world, segment=key)
    world.shop.reached_ms = world.now
    await world.acting.fire(world.now, 100)
    await enters(world, segment=segments[64])
    await world.claim()
    await enters(world, segment=segments[65])
    over.set()
    for minute in range(1, 10):
        await world.until(START + minute * MINUTE_MS)
    assert kinds(world).count("sent") == 66
    assert len(stored(world).actions) == 0


def test_bytes_of_the_version_before_are_read() -> None:
    """Actions as they were stored before they could wait for something."""
    former = msgspec.msgpack.encode(
        [2, {}, [["cart", "c-2", 2, 5, b"{}", 10, 12, 1, 7, False, True]], [[8, "cart", "mail", "k"]], ["cart"], [], 0]
    )
    (action,) = customer_state.decode(former).actions
    assert action == Action("cart", "c-2", 2, 5, b"{}", 10, 12, 1, 7, False, True)
    assert (action.due, action.look_at, action.waits_for, action.behind) == (12, 0, "", "")
    assert customer_state.decode(former).sent == [SentMessage(8, "cart", "mail", "k")]


# --- other messages ----------------------------------------------------------------------------


RANKED = {
    "window": "10m",
    "triggers": {
        "cart": {"segment": "abandoned_cart", "channel": "screen", "priority": 10, "cool_down": "7d", "delay": "5m"},
        "greet": {"segment": "returning_visitor", "channel": "screen"},
    },
}


async def test_a_lower_priority_is_not_dropped_for_a_message_that_is_not_sent() -> None:
    """The higher one is in its cool-down, or fails for good; the lower one waits for that, and then goes out."""
    world = await started_world(file_of(**RANKED))
    await enters(world)
    await world.until(START + 10 * MINUTE_MS)
    await enters(world)
    world.now += DAY_MS
    await enters(world)
    await enters(world, segment="returning_visitor")
    for minute in range(1, 10):
        await world.until(START + DAY_MS + (10 + minute) * MINUTE_MS)
    assert [(decision.trigger, decision.decision) for decision in world.decisions()] == [
        ("cart", "sent"),
        ("greet", "deferred"),
        ("cart", "skipped"),
        ("greet", "sent"),
    ]

    def refused(message: Message, _: int) -> AttemptResult:
        return AttemptResult(Outcome.REFUSED if message.trigger == "cart" else Outcome.SENT)

    other = await started_world(file_of(**RANKED), refused)
    await enters(other)
    await enters(other, segment="returning_visitor")
    for minute in range(10):
        await other.until(START + minute * MINUTE_MS)
    assert [(decision.trigger, decision.decision) for decision in other.decisions()] == [
        ("greet", "deferred"),
        ("cart", "failed"),
        ("greet", "sent"),
    ]


async def test_a_lower_priority_is_dropped_where_the_higher_one_may_have_arrived() -> None:
    """The higher one was sent after retries longer than the window, or its outcome is unknown."""

    def third(message: Message, attempt: int) -> AttemptResult:
        return AttemptResult(Outcome.SENT if attempt == 3 or message.trigger != "cart" else Outcome.FAILED, "busy")

    def unknown(message: Message, _: int) -> AttemptResult:
        return AttemptResult(Outcome.UNKNOWN, "cut")

    channels = {"screen": {"kind": "console", "after_crash": "drop", "retry": {"first": "20m"}}}
    for script, ended in ((third, "sent"), (unknown, "unknown, not sent")):
        world = await started_world(file_of(channels=channels, **RANKED), script)
        await enters(world)
        await enters(world, segment="returning_visitor")
        for minute in range(180):
            await world.until(START + minute * MINUTE_MS)
        finals = [(decision.trigger, decision.decision) for decision in world.decisions() if decision.is_final]
        assert finals == [("cart", ended), ("greet", "skipped")]


ONE_OF_TWO: list[dict[str, Any]] = [
    {"caps": {"per_day": 1}},
    {"channels": {"screen": {"kind": "console", "caps": {"per_week": 1}}}},
    {"triggers": {"cart": {"segment": "abandoned_cart", "channel": "screen", "cool_down": "1d"}}},
    {"triggers": {"cart": {"segment": "abandoned_cart", "channel": "screen", "reentry": "once"}}},
]


@pytest.mark.parametrize("rule", ONE_OF_TWO, ids=["cap", "cap of a channel", "cool-down", "re-entry"])
@pytest.mark.parametrize("first", [Outcome.GIVEN_BACK, Outcome.REFUSED, Outcome.SENT, Outcome.FAILED])
async def test_nothing_is_dropped_for_a_message_that_is_not_sent(rule: dict[str, Any], first: Outcome) -> None:
    """One message is allowed, and an attempt of another is under way: its end is waited for."""
    world = await started_world(file_of(**(_carts() | rule)))
    over = asyncio.Event()
    keys: list[str] = []

    async def hangs(message: Message) -> AttemptResult:
        keys.append(message.key)
        if len(keys) > 1:
            return AttemptResult(Outcome.SENT)
        await over.wait()
        return AttemptResult(first, "drawn")

    world.channels["screen"].send = hangs  # type: ignore[method-assign]
    await enters(world)
    world.shop.reached_ms = world.now
    await world.acting.fire(world.now, 100)
    await asyncio.sleep(0)
    if "triggers" in rule:
        await enters(world)  # leaves
        world.now += 1
        await enters(world)
    else:
        await enters(world, segment="returning_visitor")
    world.shop.reached_ms = world.now
    await world.acting.fire(world.now, 100)
    assert (len(keys), kinds(world)) == (1, [])
    assert world.acting.counts.waits == {("attempt",): 1}
    over.set()
    await world.turn()
    for minute in range(1, 5):
        await world.until(START + minute * MINUTE_MS)
    finals = [decision.decision for decision in world.decisions() if decision.is_final]
    assert finals.count("sent") == 1
    if first in (Outcome.REFUSED, Outcome.FAILED):
        assert len(set(keys)) == 2, "the other one was sent"


async def test_a_message_that_failed_for_certain_holds_up_no_other() -> None:
    """A certain failure delays no other message: its retry, in 20 minutes, comes after the other one."""

    def script(message: Message, _: int) -> AttemptResult:
        return AttemptResult(Outcome.FAILED if message.trigger == "cart" else Outcome.SENT, "busy")

    channels = {"screen": {"kind": "console", "retry": {"first": "20m"}}}
    world = await started_world(file_of(channels=channels, caps={"per_day": 1}, **_carts()), script)
    await enters(world)
    await world.until(START + SECOND_MS)
    await enters(world, segment="returning_visitor")
    for minute in range(1, 30):
        await world.until(START + minute * MINUTE_MS)
    assert [(decision.trigger, decision.decision, decision.reason) for decision in world.decisions()] == [
        ("cart", "retried", "busy"),
        ("greet", "sent", "busy"),
        ("cart", "skipped", "at most 1 a day to one customer"),
    ]


async def test_who_is_erased_may_have_been_written_to() -> None:
    """The message waits for another attempt after one whose outcome is unknown."""

    def cut(_: Message, __: int) -> AttemptResult:
        return AttemptResult(Outcome.UNKNOWN, "cut")

    channels = {"screen": {"kind": "console", "after_crash": "send", "retry": {"first": "20m"}}}
    world = await started_world(file_of(channels=channels, **_carts()), cut)
    await enters(world)
    await world.until(START + SECOND_MS)
    await world.read(Event("u1", ERASE, world.now, "erase"))
    assert reasons(world) == [("unknown, sent again", "cut"), ("unknown, not sent", "erased")]


async def test_a_full_endpoint_says_so() -> None:
    """What waits for a place is counted; beyond what is parked in memory it is put off, with a record."""
    world = await started_world(file_of(channels={"screen": {"kind": "console", "concurrency": 1}}, **_carts()))
    over = asyncio.Event()

    async def hangs(_: Message) -> AttemptResult:
        await over.wait()
        return AttemptResult(Outcome.SENT)

    world.channels["screen"].send = hangs  # type: ignore[method-assign, assignment]
    for customer_id in ("u1", "u2"):
        await enters(world, customer_id, "abandoned_cart")
        await enters(world, customer_id, "returning_visitor")
    world.shop.reached_ms = world.now
    await world.acting.fire(world.now, 100)
    assert world.acting.counts.waits == {("endpoint",): 1}
    over.set()
    for minute in range(5):
        await world.until(START + minute * MINUTE_MS)
    assert kinds(world) == ["sent"] * 4


def _carts() -> dict[str, Any]:
    return {
        "triggers": {
            "cart": {"segment": "abandoned_cart", "channel": "screen"},
            "greet": {"segment": "returning_visitor", "channel": "screen"},
        }
    }


async def test_a_message_that_is_read_back_counts_once() -> None:
    """A message counts once if its attempt was saved, its decision published, and that save lost."""
    world = await started_world(cart())
    await enters(world)
    await world.until(START)
    (decision,) = world.decisions()
    other = await started_world(cart())
    await other.read(change_input(change("u1", "abandoned_cart", "entered", START, 1, ["abandoned_cart"]), START))
    other.shop.since["u1"] = {"abandoned_cart": START}
    other.shop.reached_ms = START
    await other.acting.fire(START, 100)
    await other.acting.note({"u1": [decision]})
    assert len(stored(other).sent) == 1


async def broken_mail() -> World:
    """The mail server's breaker is open until a second after the start, and u1's mail waits for that."""
    file = file_of(
        channels={"mail": {"kind": "console"}, "bot": {"kind": "console"}},
        triggers={
            "mail": {"segment": "abandoned_cart", "channel": "mail"},
            "call": {"segment": "abandoned_cart", "channel": "bot", "delay": "500ms"},
            "thanks": {"segment": "abandoned_cart", "on": "exited", "channel": "bot"},
        },
    )
    world = await started_world(
        file, lambda message, _: AttemptResult(Outcome.FAILED if message.trigger == "mail" else Outcome.SENT)
    )
    for number in range(5):
        await enters(world, f"other{number}")
    await world.until(START)
    await enters(world, "u1")
    await world.until(START + 100)
    assert [message.customer for _, message, _ in world.attempts() if message.customer == "u1"] == []
    return world


async def test_what_waits_for_an_endpoint_holds_nothing_over_another_channel() -> None:
    """A message over another channel that is due meanwhile is sent at its time."""
    world = await broken_mail()
    await world.until(START + 500)
    assert [message.trigger for _, message, _ in world.attempts() if message.customer == "u1"] == ["call"]


async def test_what_waits_for_an_endpoint_holds_no_message_of_a_new_change() -> None:
    """A new change comes while a message waits."""
    world = await broken_mail()
    await world.read(change_input(world.shop.change("u1", "abandoned_cart", START + 300), START + 300))
    await world.until(START + 300)
    assert "thanks" in [message.trigger for _, message, _ in world.attempts() if message.customer == "u1"]
