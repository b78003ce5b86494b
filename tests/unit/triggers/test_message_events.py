"""What was sent, as an event of the customer: segments can ask for it, and it vouches for no identity."""

from __future__ import annotations

import pytest

from rules.definitions.segments_file import parse
from rules.engine import Engine
from rules.event_names import ERASE
from rules.events import Event, Origin
from rules.times import DAY_MS
from streams.triggers.messages import AttemptResult, Outcome
from streams.wire.event_decoder import read
from streams.wire.records import OutRecord, decode_entry
from tests.support.in_memory_triggers import START, World, cart, enters

SEGMENTS = """
version: 1
segments:
  written_to: {title: Written to, when: {performed: {event: Message Sent, count: {at_least: 2}, within: 14d}}}
  seen: {title: Seen, when: {sessions: {count: {at_least: 1}, within: 30d}}}
"""


def events_of(made: World) -> list[OutRecord]:
    """The records for ``visits`` in the outbox."""
    records = [record for entry in made.store._of(0).outbox for record in decode_entry(entry)]
    return [record for record in records if record.topic == "visits"]


def decoded(record: OutRecord, offset: int = 0) -> Event:
    event = read(record.value, record.key, START + DAY_MS, Origin("visits", 0, offset))
    assert isinstance(event, Event)
    return event


async def lived(outcome: Outcome, customer: str = "u1", *, events: bool = True) -> World:
    """A life in which one customer enters the segment twice, with a second message each time."""
    file = cart(then={"after": "1h"}, variants={"a": {}}).model_copy(update={"events": events})
    way = file.channels["screen"].model_copy(update={"after_crash": "drop"})
    made = World(file.model_copy(update={"channels": {"screen": way}}), lambda *_: AttemptResult(outcome, "drawn"))
    await made.claim()
    await enters(made, customer)
    for hours in range(4):
        await made.until(START + hours * 3_600_000)
    return made


@pytest.mark.parametrize(
    ("outcome", "name", "count"),
    [(Outcome.SENT, "Message Sent", 2), (Outcome.UNKNOWN, "Message Sent", 2), (Outcome.REFUSED, "Message Failed", 1)],
)
async def test_each_message_that_ended_at_the_channel_is_an_event(outcome: Outcome, name: str, count: int) -> None:
    """A skipped message is none; the time is that of the decision, and the id the decision's."""
    made = await lived(outcome, "بهار")
    events = [decoded(record) for record in events_of(made)]
    assert [event.name for event in events] == [name] * count
    assert {event.customer for event in events} == {"بهار"}
    ends = [end for end in made.decisions() if end.decision != "skipped"]
    assert [event.id for event in events] == [f"message-{end.decision_id}" for end in ends]
    assert not any(event.identifies or event.vouched or event.link for event in events)
    fields = events[0].properties.fields
    assert (fields["trigger"], fields["channel"]) == ("cart", "screen")
    assert fields.get("uncertain") == (True if outcome is Outcome.UNKNOWN else None)


async def test_without_the_option_nothing_is_published() -> None:
    """A file that does not ask changes no segment."""
    assert events_of(await lived(Outcome.SENT, events=False)) == []


async def test_segments_ask_for_what_was_sent_and_a_message_is_no_visit() -> None:
    """Two messages within 14 days make a member, however often they come, and no session."""
    engine = Engine(parse(SEGMENTS, "segments"))
    customer = engine.new()
    made = await lived(Outcome.SENT)
    for record in (*events_of(made), *events_of(made)):
        engine.apply("u1", customer, decoded(record))
    keys = [segment.key for segment in engine.definitions.segments]
    assert [keys[index] for index in customer.since] == ["written_to"]


async def test_an_erased_customer_gets_no_event_of_a_message_that_was_under_way() -> None:
    """The event would make a new profile of a person who asked to be forgotten."""
    file = cart().model_copy(update={"events": True})

    async def erased_meanwhile(made: World) -> None:
        await made.acting.fire(made.now, 100)
        await made.read(Event("u1", ERASE, made.now + 1, "e"))
        await made.acting.landed()
        await made.acting.settle()

    made = World(file)
    await made.claim()
    await enters(made)
    made.now += 1
    made.shop.reached_ms = made.now
    await erased_meanwhile(made)
    await made.until(START + DAY_MS)
    assert len(made.attempts()) == 1
    assert events_of(made) == []
