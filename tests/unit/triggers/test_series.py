"""The second message of a series: it follows the first, at its own time, and is decided as the first is."""

from __future__ import annotations

from typing import Any

import msgspec

from rules.event_names import ERASE
from rules.events import Event
from rules.times import DAY_MS, HOUR_MS, MINUTE_MS
from streams.kafka.fetch import FetchedRecord
from streams.triggers.channel_config import Caps
from streams.triggers.config import TriggersFile
from streams.triggers.inputs import ChangeInput, reading, replayed
from streams.triggers.messages import AttemptResult, Message, Outcome
from tests.support.in_memory_triggers import START, World, cart, change, enters, world

THEN = {"after": "2d", "unless": "in recently_purchased"}


def series(**more: Any) -> TriggersFile:
    then = {**THEN, **more.pop("then", {})}
    return cart(delay="1h", then=then, expires="1d", **more)


def finals(made: World) -> list[tuple[str, str, str | None]]:
    return [
        (decision.trigger, decision.decision, decision.reason) for decision in made.decisions() if decision.is_final
    ]


def attempts(made: World) -> list[tuple[str, int]]:
    return [(message.trigger, at - START) for at, message, _ in made.attempts()]


async def test_the_second_message_follows_the_first_by_its_time() -> None:
    """The two have keys and decisions of their own, and the second is due two days after the first was sent."""
    made = await world(series())
    await enters(made)
    for hours in (1, 48, 49, 60):
        await made.until(START + hours * HOUR_MS)
    assert attempts(made) == [("cart", HOUR_MS), ("cart-2", 49 * HOUR_MS)]
    assert finals(made) == [("cart", "sent", None), ("cart-2", "sent", None)]
    assert len({decision.decision_id for decision in made.decisions()}) == 2
    assert not made.waiting()


async def test_the_second_message_counts_from_the_attempt_and_not_from_the_plan() -> None:
    """Where the first was late, or was tried three times, the second is as much later."""

    def third(_: Message, attempt: int) -> AttemptResult:
        return AttemptResult(Outcome.SENT if attempt == 3 else Outcome.FAILED, "drawn")

    made = await world(series(), third)
    await enters(made)
    await made.until(START + 2 * HOUR_MS)
    for _ in range(5):
        await made.until(made.waiting())
    times = [at for _, at in attempts(made)]
    assert len(times) == 6
    assert times[3] == times[2] + 2 * DAY_MS


async def test_who_left_gets_neither() -> None:
    """A customer who bought before the first message has one decision for each of the two."""
    made = await world(series())
    await enters(made)
    await enters(made)  # that is: leaves
    await made.until(START + HOUR_MS)
    assert attempts(made) == []
    assert finals(made) == [
        ("cart", "skipped", "left meanwhile"), ("cart-2", "skipped", "the message before it was not sent"),
    ]  # fmt: skip


async def test_who_left_after_the_first_gets_no_second() -> None:
    """The last look is taken for each message."""
    made = await world(series())
    await enters(made)
    await made.until(START + HOUR_MS)
    await enters(made)
    await made.until(START + 49 * HOUR_MS)
    assert finals(made) == [("cart", "sent", None), ("cart-2", "skipped", "left meanwhile")]


async def test_the_second_message_goes_to_who_left_where_the_file_says_so() -> None:
    """With `if_ended: send` only `unless` decides."""
    for also, reason in (((), None), (("recently_purchased",), "in recently_purchased")):
        made = await world(series(then={"if_ended": "send"}))
        await enters(made)
        await made.until(START + HOUR_MS)
        await enters(made)
        for segment in also:
            await enters(made, segment=segment)
        await made.until(START + 49 * HOUR_MS)
        assert finals(made)[1] == ("cart-2", "skipped" if reason else "sent", reason)


async def test_unless_is_asked_at_the_last_look_of_the_first_message_too() -> None:
    """`not in` asks for a membership, `in` excludes it."""
    made = await world(cart(unless=["in guest", "not in vip"]))
    await enters(made, "a", segment="vip")
    await enters(made, "a")
    await enters(made, "b")
    await enters(made, "c", segment="vip")
    await enters(made, "c", segment="guest")
    await enters(made, "c")
    await made.until(START + MINUTE_MS)
    by_customer = {decision.customer_id: decision.reason or decision.decision for decision in made.decisions()}
    assert by_customer == {"a": "sent", "b": "not in vip", "c": "in guest"}


async def test_unless_of_the_file_holds_for_every_message() -> None:
    """First and second messages are tested by it, beside their own tests, and such a customer is in no arm."""
    made = await world(series(unless="in guest", hold_out={"percent": 50, "salt": "s"}))
    await enters(made, "a", segment="guest")
    await enters(made, "a")
    await enters(made, "b")
    await made.until(START + HOUR_MS)
    await enters(made, "b", segment="guest")
    await made.until(START + 49 * HOUR_MS)
    reasons = [(decision.customer_id, decision.trigger, decision.reason) for decision in made.decisions()]
    assert ("a", "cart", "in guest") in reasons
    assert ("b", "cart-2", "in guest") in reasons or ("b", "cart", "hold-out") in reasons
    assert all(decision.arm is None for decision in made.decisions() if decision.customer_id == "a")


async def test_a_first_message_that_may_have_arrived_is_followed() -> None:
    """`unknown, not sent` counts as sent, as it does for caps; a failed one does not."""
    for outcome, kinds in (
        (Outcome.UNKNOWN, ["unknown, not sent", "sent"]),
        (Outcome.REFUSED, ["failed", "skipped"]),
    ):

        def first(message: Message, _: int, outcome: Outcome = outcome) -> AttemptResult:
            return AttemptResult(outcome if message.trigger == "cart" else Outcome.SENT, "drawn")

        file = series()
        way = file.channels["screen"].model_copy(update={"after_crash": "drop"})
        made = await world(file.model_copy(update={"channels": {"screen": way}}), first)
        await enters(made)
        await made.until(START + HOUR_MS)
        await made.until(START + 49 * HOUR_MS)
        assert [kind for _, kind, _ in finals(made)] == kinds


async def test_a_change_that_starts_nothing_is_decided_for_both() -> None:
    """A backfill, and a change that `where` excludes."""
    made = await world(series(where={"late": False}))
    await enters(made, "a", backfill=True)
    await enters(made, "b", late=True)
    skipped = "the message before it was not sent"
    assert finals(made) == [
        ("cart", "skipped", "backfill"), ("cart-2", "skipped", skipped),
        ("cart", "skipped", "late"), ("cart-2", "skipped", skipped),
    ]  # fmt: skip


async def test_an_erasure_ends_both() -> None:
    """Before the first message both are decided, between the two the second."""
    for until, expected in ((START, ["cart", "cart-2"]), (START + HOUR_MS, ["cart-2"])):
        made = await world(series())
        await enters(made)
        await made.until(until)
        made.now += 1
        await made.read(Event("u1", ERASE, made.now, "e"))
        await made.until(START + 90 * HOUR_MS)
        assert [decision.trigger for decision in made.decisions() if decision.reason == "erased"] == expected
        assert len(finals(made)) == 2


async def test_a_crash_between_the_two_loses_and_repeats_nothing() -> None:
    """The second message is saved in the step that decides the first."""
    made = await world(series())
    await enters(made)
    await made.claim()
    await made.until(START + HOUR_MS)
    await made.claim()
    await made.until(START + 49 * HOUR_MS)
    await made.claim()
    await made.until(START + 60 * HOUR_MS)
    assert attempts(made) == [("cart", HOUR_MS), ("cart-2", 49 * HOUR_MS)]


def asks_again(trigger: str, offset: int, now: int) -> ChangeInput:
    """A redelivery of one message of the series of ``u1``, as triggers read it."""
    value = replayed(trigger, msgspec.json.encode(change("u1", "abandoned_cart", "entered", START, 1)))
    event = reading(FetchedRecord("trigger-replays", offset, now, b"u1", value), None)  # type: ignore[arg-type]
    assert isinstance(event, ChangeInput)
    return event


async def test_a_first_message_that_is_redelivered_is_followed_again() -> None:
    """The round of a redelivery decides both once more; one of the second message decides that alone."""
    refused = {"cart"}

    def script(message: Message, _: int) -> AttemptResult:
        return AttemptResult(Outcome.REFUSED if message.trigger in refused else Outcome.SENT, "drawn")

    made = await world(series(), script)
    await enters(made)
    await made.until(START + HOUR_MS)
    refused = {"cart-2"}
    await made.read(asks_again("cart", 0, made.now))
    await made.until(START + 2 * HOUR_MS)
    await made.until(START + 51 * HOUR_MS)
    refused = set()
    await made.read(asks_again("cart-2", 1, made.now))
    await made.until(START + 52 * HOUR_MS)
    rounds = [
        (decision.trigger, decision.decision, None if decision.redelivery is None else decision.redelivery.offset)
        for decision in made.decisions()
        if decision.is_final
    ]
    assert rounds == [
        ("cart", "failed", None), ("cart-2", "skipped", None),
        ("cart", "sent", 0), ("cart-2", "failed", 0), ("cart-2", "sent", 1),
    ]  # fmt: skip


async def test_each_message_of_a_series_has_its_own_cool_down() -> None:
    """A new stay within the cool-down starts neither; the second message is no repeat of the first."""
    made = await world(series(cool_down="7d"))
    await enters(made)
    await made.until(START + HOUR_MS)
    await made.until(START + 49 * HOUR_MS)
    await enters(made)
    await enters(made)
    await made.until(START + 51 * HOUR_MS)
    assert [trigger for trigger, _ in attempts(made)] == ["cart", "cart-2"]
    assert [kind for _, kind, _ in finals(made)] == ["sent", "sent", "skipped", "skipped"]


async def test_caps_count_both() -> None:
    """A cap by the month counts each message of the series."""
    made = await world(series().model_copy(update={"caps": Caps(per_month=1)}))
    await enters(made)
    await made.until(START + HOUR_MS)
    await made.until(START + 49 * HOUR_MS)
    assert finals(made)[1] == ("cart-2", "skipped", "at most 1 in 30 days to one customer")
