"""Messages that failed and are tried again by `segmenter redeliver`: nothing that was sent since is sent again."""

from __future__ import annotations

from types import SimpleNamespace

import msgspec
import pytest

from rules.event_names import ERASE
from rules.events import Event
from rules.times import SECOND_MS
from streams.cli.redeliver import newest
from streams.kafka.fetch import FetchedRecord
from streams.triggers import customer_state
from streams.triggers.customer_state import Person
from streams.triggers.decision_log import Decision
from streams.triggers.inputs import ChangeInput, reading, replayed
from streams.triggers.intake import SENT_SINCE
from streams.triggers.messages import AttemptResult, Message, Outcome
from streams.wire.changes import SegmentChange
from tests.support.in_memory_triggers import START, Script, World, change, change_input, file_of

CHANGE = change("u1", "abandoned_cart", "entered", START, 1, ["abandoned_cart"])
REFUSED = AttemptResult(Outcome.REFUSED, "no")
FILE = file_of(triggers={"cart": {"segment": "abandoned_cart", "channel": "screen"}})
ONCE = file_of(triggers={"cart": {"segment": "abandoned_cart", "channel": "screen", "reentry": "once"}})


def redelivery(offset: int, time: int, what: SegmentChange = CHANGE) -> ChangeInput:
    """The event that triggers read of a redelivery at this offset."""
    value = replayed("cart", msgspec.json.encode(what))
    event = reading(FetchedRecord("trigger-replays", offset, time, b"u1", value), None)  # type: ignore[arg-type]
    assert isinstance(event, ChangeInput)
    return event


async def failed(file: object = FILE, then: Script | None = None) -> World:
    """A world with a message that was refused; afterwards the channel works, or does ``then``."""
    is_refusing = True

    def script(message: Message, count: int) -> AttemptResult:
        if is_refusing:
            return REFUSED
        return AttemptResult(Outcome.SENT) if then is None else then(message, count)

    world = World(file, script)  # type: ignore[arg-type]
    await world.claim()
    world.shop.since["u1"] = {"abandoned_cart": START}
    await world.read(change_input(CHANGE, START))
    await world.until(START + SECOND_MS)
    is_refusing = False
    return world


async def redelivered(world: World, *offsets: int) -> None:
    for offset in offsets:
        await world.read(redelivery(offset, world.now))
        await world.until(world.now + 10 * SECOND_MS)


def kinds(decisions: list[Decision]) -> list[str]:
    return [decision.decision for decision in decisions]


async def test_what_was_sent_since_it_failed_is_not_sent_again() -> None:
    """A message that was sent since is not sent again, however often it is redelivered; each has a decision."""
    world = await failed()
    await redelivered(world, 0, 1, 2)
    assert [result.outcome for _, _, result in world.attempts()] == [Outcome.REFUSED, Outcome.SENT]
    assert kinds(world.decisions()) == ["failed", "sent", "skipped", "skipped"]
    assert world.decisions()[-1].reason == SENT_SINCE


async def test_what_failed_again_is_tried_again_under_decisions_of_its_own() -> None:
    """With one id, a recovery would take a second decision for published."""
    world = await failed(then=lambda *_: REFUSED)
    await redelivered(world, 0, 1)
    assert kinds(world.decisions()) == ["failed"] * 3
    assert len({decision.decision_id for decision in world.decisions()}) == 3
    assert len({dict(letter.headers)["decision-id"] for letter in world.letters()}) == 3
    assert [decision.redelivery and decision.redelivery.offset for decision in world.decisions()] == [None, 0, 1]
    assert {decision.key for decision in world.decisions()} == {"u1-1-cart"}, "one key for the receiver"


async def test_what_may_have_been_sent_and_failed_is_tried_again() -> None:
    """All attempts of a webhook were cut off: it counts, and is redelivered all the same."""
    file = file_of(
        channels={"screen": {"kind": "console", "retry": {"attempts": 1}}},
        triggers={"cart": {"segment": "abandoned_cart", "channel": "screen"}},
    )
    cut = World(file, lambda _, count: AttemptResult(Outcome.SENT if count > 1 else Outcome.UNKNOWN, "cut"))
    await cut.claim()
    cut.shop.since["u1"] = {"abandoned_cart": START}
    await cut.read(change_input(CHANGE, START))
    await cut.until(START + SECOND_MS)
    (sent,) = customer_state.decode(cut.store._of(0).customers["u1"]).sent
    assert sent.is_failed
    await redelivered(cut, 0, 1)
    assert kinds(cut.decisions()) == ["failed", "sent", "skipped"]


async def test_what_is_on_its_way_is_not_begun_twice() -> None:
    """Two requests at once are one message."""
    world = await failed()
    await world.read(redelivery(0, world.now), redelivery(1, world.now))
    await world.until(world.now + 10 * SECOND_MS)
    assert kinds(world.decisions()) == ["failed", "sent"]


async def test_who_was_erased_is_sent_nothing_again() -> None:
    """Nothing is known any more of what was sent."""
    world = await failed()
    await redelivered(world, 0)
    await world.read(Event("u1", ERASE, world.now, "e1"))
    await redelivered(world, 1)
    assert kinds(world.decisions()) == ["failed", "sent", "skipped"]
    assert world.decisions()[-1].reason == "erased"


async def topic() -> list[Decision]:
    """The decisions of a message that failed, was redelivered, and sent."""
    world = await failed(ONCE)
    await redelivered(world, 0)
    assert kinds(world.decisions()) == ["failed", "sent"]
    return world.decisions()


async def test_a_redelivery_that_redis_lost_with_its_end_is_not_sent_again() -> None:
    """The change and its failure are known; the redelivery is read again."""
    decisions = await topic()
    world = await failed(ONCE)
    for _ in range(2):  # the same may be read back twice
        await world.claim()
        await world.acting.note({"u1": decisions[1:]})
    await redelivered(world, 0)
    assert len(world.attempts()) == 1
    await redelivered(world, 1)
    assert kinds(world.decisions()) == ["failed", "skipped"]


@pytest.mark.parametrize("says_so", [True, False], ids=["this version", "a former version"])
async def test_after_a_rebuild_a_redelivered_message_is_sent(says_so: bool) -> None:
    """A redelivery is sent for a second stay under `once`, too; former versions do not mark decisions so."""
    decisions = [
        decision if says_so else msgspec.structs.replace(decision, redelivery=None) for decision in await topic()
    ]
    world = World(ONCE)
    await world.claim()
    world.shop.since["u1"] = {"abandoned_cart": START}
    await world.acting.note({"u1": decisions})
    await world.read(change_input(CHANGE, START))
    world.now = START + SECOND_MS  # as at first
    await redelivered(world, 0)
    world.shop.sequences["u1"], world.shop.since["u1"] = 2, {}
    second = world.shop.change("u1", "abandoned_cart", world.now)
    await world.read(change_input(second, world.now))
    await world.until(world.now + SECOND_MS)
    assert world.attempts() == []
    assert world.decisions()[-1].reason == "sent before, and once is all"
    person: Person = customer_state.decode(world.store._of(0).customers["u1"])
    assert person.awaited == []
    assert person.acted == ["cart"]


async def test_after_a_rebuild_a_redelivery_that_failed_is_not_begun_again() -> None:
    """A failed redelivery with its end on the topic has one decision and one dead letter, and no second try."""
    world = await failed(then=lambda *_: REFUSED)
    await redelivered(world, 0)
    decisions = world.decisions()
    assert kinds(decisions) == ["failed", "failed"]
    other = World(FILE)
    await other.claim()
    other.shop.since["u1"] = {"abandoned_cart": START}
    await other.acting.note({"u1": decisions})
    await other.read(change_input(CHANGE, START))
    other.now = START + SECOND_MS
    await redelivered(other, 0)
    assert (other.attempts(), other.decisions()) == ([], [])
    await redelivered(other, 1)
    assert kinds(other.decisions()) == ["sent"], "asked for once more"


def test_of_several_letters_of_a_message_the_newest_is_redelivered() -> None:
    """A message with several dead letters is tried once per request; an unreadable letter stays as it is."""

    def letter(offset: int, trigger: str, value: bytes) -> SimpleNamespace:
        return SimpleNamespace(offset=offset, key=b"u1", value=value, headers=[("trigger", trigger.encode())])

    letters = [(0, "cart", b'{"change_id": "c"}'), (1, "mail", b'{"change_id": "c"}'), (2, "cart", b'"not a change"'),
               (3, "cart", b'{"change_id": "c"}'), (4, "cart", b'{"change_id": "d"}'), (5, "", b"{}")]  # fmt: skip
    assert newest(letter(*fields) for fields in letters) == {1, 2, 3, 4}


async def test_what_retention_has_taken_is_not_expected_for_ever() -> None:
    """After a rebuild the decision is on its topic and its change is not: once all is read, nothing of it stays."""
    decisions = await topic()
    world = World(FILE)
    await world.claim()
    await world.acting.note({"u1": decisions})
    assert len(customer_state.decode(world.store._of(0).customers["u1"]).awaited) == 2
    await world.until(START + 9 * SECOND_MS)
    assert len(customer_state.decode(world.store._of(0).customers["u1"]).awaited) == 2, "it may be read yet"
    await world.until(START + 10 * SECOND_MS)
    person = customer_state.decode(world.store._of(0).customers["u1"])
    assert (person.awaited, world.waiting()) == ([], 0)
    assert person.was_sent(decisions[0].key)


async def test_a_failure_that_redis_lost_may_be_redelivered() -> None:
    """That its attempt began is known, and so counts as sent until its end is read back."""
    decisions = (await failed()).decisions()
    world = World(FILE)
    await world.claim()
    world.shop.since["u1"] = {"abandoned_cart": START}
    await world.read(change_input(CHANGE, START))
    person = customer_state.decode(world.store._of(0).customers["u1"])
    (action,) = person.actions
    person.sends(action, "screen", START)
    action.attempting, action.attempts = True, 1
    world.store._of(0).customers["u1"] = customer_state.encode(person)
    await world.claim()
    await world.acting.note({"u1": decisions})
    await redelivered(world, 0)
    assert kinds(world.decisions()) == ["sent"]
