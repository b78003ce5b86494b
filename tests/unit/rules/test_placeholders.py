"""Placeholders that a segments file adds: wherever events are read under it, they are no ids.

The expected result is that of the same history without the placeholders.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.definitions.segments_file import Definitions, build, built_in
from rules.engine import Engine
from rules.event_names import INPUTS
from rules.events import Event
from rules.identity.events import ForwardedEvent, Misaddressed
from rules.placeholders import BUILT_IN, TEXTS, placeholders
from streams.kafka.fetch import Batch
from streams.offline import replay as replaying
from streams.offline.replay import Replay
from streams.runtime.input_buffer import reader
from streams.state.definition_list import DefinitionVersion
from streams.state.definition_versions import DefinitionVersions
from streams.triggers.inputs import reading
from streams.wire import identity_records
from streams.wire.dead_letters import Undecodable
from tests.support.partition_lives import Lives, Record

# What decides the built-in file: of the version before placeholders, and to be changed only with what is stored.
BUILT_IN_FINGERPRINT = "5e3d26fa57c9"
SEGMENTS = {
    "buyer": {"title": "Buyer", "when": {"performed": {"event": "Order Completed"}}},
    "abandoned_cart": {"title": "Abandoned", "when": {"cart": {"idle_for": "30m", "until": "30d"}}},
}
FORMER = build({"version": 1, "segments": SEGMENTS}, "former.yaml")
NEWER = build({"version": 1, "segments": SEGMENTS, "placeholders": ["visitor"]}, "newer.yaml")
# Two people sign in, and the page sends a text in place of the user's id; one of them leaves a cart, the other buys.
SIGN_INS = [
    {"type": "track", "event": "Product Added", "anonymousId": "a", "properties": {"product_id": "tea"}},
    {"type": "identify", "anonymousId": "a", "traits": {"email": "a@example.com"}},
    {"type": "identify", "anonymousId": "b", "traits": {"email": "b@example.com"}},
    {"type": "track", "event": "Order Completed", "anonymousId": "b", "properties": {"order_id": "1", "total": 9}},
]


def sign_ins(text: str) -> list[bytes]:
    """The events as lines, with a text as the user's id at both sign-ins."""
    events = [
        {**event, "messageId": str(number), "timestamp": f"2026-03-02T09:0{number}:00Z"}
        for number, event in enumerate(SIGN_INS)
    ]
    return [json.dumps(event | ({"userId": text} if event["type"] == "identify" else {})).encode() for event in events]


def members(definitions: Definitions, lines: Sequence[bytes]) -> dict[str, list[str]]:
    """The segments of each customer two hours after the last of these lines, by a replay."""
    rejected: list[object] = []
    replay, engine = Replay(Engine(definitions)), Engine(definitions)
    events = replaying.read(lines, lambda *line: rejected.append(line), definitions.placeholders)
    for _ in replay.run(events, 1_772_449_200_000):
        pass
    assert rejected == []
    inside = {customer_id: sorted(engine.membership(customer)) for customer_id, customer in replay.customers.items()}
    return {customer_id: segments for customer_id, segments in inside.items() if segments}


# --- what they change, and what not ------------------------------------------------------------


def test_two_people_and_a_text_that_is_no_id() -> None:
    """The cart of one person is left although the other buys, and the text is no customer's id."""
    apart = {"a": ["abandoned_cart"], "b": ["buyer"]}
    for text in ("undefined", " NULL ", "[object Object]"):
        assert members(FORMER, sign_ins(text)) == apart
    for text in ("visitor", "Visitor ", "VISI TOR"):
        assert members(NEWER, sign_ins(text)) == apart
        assert members(FORMER, sign_ins(text)) != apart


def test_a_file_without_them_is_as_it_was() -> None:
    """A file without placeholders has a fixed fingerprint; with some, only the file's differs."""
    assert built_in().fingerprint == BUILT_IN_FINGERPRINT
    nothing: tuple[object, ...] = (None, [])
    for value in nothing:
        assert build({"version": 1, "segments": SEGMENTS, "placeholders": value}, "f").fingerprint == FORMER.fingerprint
    twice = build({"version": 1, "segments": SEGMENTS, "placeholders": ["visitor", "visitor"]}, "f")
    assert FORMER.fingerprint != NEWER.fingerprint == twice.fingerprint
    assert [segment.fingerprint for segment in FORMER.segments] == [segment.fingerprint for segment in NEWER.segments]


# --- white space -------------------------------------------------------------------------------

SPACES = [character for character in map(chr, range(sys.maxunicode + 1)) if not character.strip()]
ADDED = ["visitor", "not-set", "بازدیدکننده", "Straße", "ßx", "İd", "ﬁrst", "\u3000ghost "]
spaces = st.text(st.sampled_from(SPACES), max_size=12) | st.builds(
    lambda space, count: space * count, st.sampled_from(SPACES), st.sampled_from([1, 8, 9, 400])
)


def cased(text: str) -> st.SearchStrategy[str]:
    """A text as it is, in capitals, and in small letters."""
    return st.sampled_from([text, text.upper(), text.lower(), text.swapcase()])


@given(spaces, st.sampled_from([*TEXTS, *ADDED]).flatmap(cased), spaces)
def test_white_space_makes_no_id_of_a_placeholder(before: str, text: str, after: str) -> None:
    """All that `str.strip` takes off is no part of a text, however much of it there is."""
    assert placeholders(ADDED).include(before + text + after)


@pytest.mark.parametrize("text", ["\u2003undefined", "\u2009null", "undefined\u3000", "\u2003"])
def test_spaces_of_other_scripts_are_white_space(text: str) -> None:
    """An event whose only id is such a text has no customer."""
    assert decoded("visits", text, page(userId=text)) == Undecodable("no_customer", "userId")


@pytest.mark.parametrize("text", ["u1", "undefined1", " ann ", "x" * 100, "undefined" * 9, " n u l l " + "x" * 60])
def test_an_id_is_no_placeholder(text: str) -> None:
    """An id that begins like a placeholder is none, nor is one with white space around it, or a long one."""
    assert not BUILT_IN.include(text)


# --- where records are read --------------------------------------------------------------------


def decoded(topic: str, key: str, value: bytes, definitions: Definitions = NEWER) -> Event | Undecodable:
    """The result of decoding a record under these definitions."""
    record = Record(topic, 0, 1_772_449_200_000, key.encode(), value)
    return reader(definitions.placeholders)(record, Batch(topic, 0, 0, 1, [], 0))


def page(**ids: str) -> bytes:
    return json.dumps({"type": "page", "messageId": "m", "timestamp": "2026-03-02T09:00:00Z", **ids}).encode()


def test_a_worker_reads_none_of_them_as_an_id() -> None:
    """A worker takes no placeholder for an id, in an input or in an event that another partition sent on."""
    event = decoded("visits", "a", page(userId="visitor", anonymousId="a"))
    assert isinstance(event, Event)
    assert (event.customer, event.link, event.identifies) == ("a", None, False)
    event = decoded("visits", "ann", page(userId="ann", anonymousId="Visitor"))
    assert isinstance(event, Event)
    assert (event.customer, event.link) == ("ann", None)
    assert isinstance(decoded("visits", "visitor", page(userId="visitor", anonymousId="a")), Misaddressed)
    assert decoded("visits", "visitor", page(userId="visitor")) == Undecodable("no_customer", "userId")
    assert decoded("visits", "visitor", page(userId="visitor"), FORMER) != Undecodable("no_customer", "userId")

    for ids, link in (
        ({"userId": "ann", "anonymousId": "visitor"}, None),
        ({"userId": "ann", "anonymousId": "b"}, "b"),
    ):
        sent = ForwardedEvent("ann", "page", 1, "m", path=("a",), value=page(**ids), appended_ms=1_772_449_200_000)
        event = decoded("merges", "ann", identity_records.encode(sent))
        assert isinstance(event, ForwardedEvent)
        assert event.link == link


def test_triggers_read_none_of_them_as_an_id() -> None:
    """The traits of such an identify are those of the id beside it, as for the segmenter."""
    fields = json.loads(page(userId="visitor", anonymousId="a")) | {"type": "identify", "traits": {"plan": "pro"}}
    record = Record("profiles", 0, 1_772_449_200_000, b"a", json.dumps(fields).encode())
    event = reading(record, Batch("profiles", 0, 0, 1, [], 0), NEWER.placeholders)
    assert isinstance(event, Event)
    assert event.customer == "a"


# --- a file that adds them ---------------------------------------------------------------------


def order(key: str, number: int, minute: int, **ids: str) -> Record:
    """An order as a record of ``purchases``."""
    at = 1_772_442_000_000 + minute * 60_000  # 2026-03-02T09:00:00Z
    event = {
        "type": "track",
        "event": "Order Completed",
        "messageId": f"m{number}",
        "properties": {"order_id": f"{number}"},
    }
    value = {**event, **ids, "timestamp": f"2026-03-02T09:{minute:02}:00Z"}
    return Record("purchases", number, at, key.encode(), json.dumps(value).encode())


def test_adding_them_is_a_change_of_definitions() -> None:
    """A worker continues under the newer file on the stored state; from then on the text is no id."""
    orders = [order("visitor", 0, 0, userId="visitor"), order("b", 1, 5, userId="visitor", anonymousId="b")]
    topics: dict[str, list[Any]] = {topic: [] for topic in INPUTS}
    lives = Lives(random.Random(1), Engine(FORMER), topics | {"purchases": orders[:1]})
    assert asyncio.run(lives.live(0))
    assert lives.members() == {"visitor": frozenset({"buyer"})}

    lives.topics = topics | {"purchases": orders}
    lives.times = [record.timestamp for record in orders]
    lives.engine = Engine(NEWER)
    assert asyncio.run(lives.live(0))
    assert lives.stop_messages == []
    epochs = DefinitionVersions(
        msgspec.json.decode(lives.store._partitions[0].definition_versions, type=list[DefinitionVersion]), lives.engine
    )
    assert (epochs.number, epochs.is_settled) == (1, True)
    assert lives.members() == {"visitor": frozenset({"buyer"}), "b": frozenset({"buyer"})}
    assert [change.customer_id for change in lives.outputs.changes()] == ["visitor", "b"]
