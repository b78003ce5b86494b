"""What a change carries, as `explain` and `tail` show it."""

from __future__ import annotations

import msgspec

from rules.definitions.segments_file import parse
from rules.engine import Engine
from rules.events import Origin
from streams.cli import explain, tail
from streams.offline.explain import explanation
from streams.wire import customer_codec
from streams.wire.event_decoder import decode_line
from tests.support.in_memory_triggers import START, change

SEGMENTS = """
version: 1
segments:
  cart: {title: Cart, when: {cart: {until: 7d}}, include: {cart: [product_id, name, quantity]}}
  guest: {title: Guest, when: {performed: {event: Signed In}}, include: {traits: [first_name]}}
"""
HOSTILE = "tea\u202e\x1b[31m"


def test_explain_shows_what_a_member_carries_and_nothing_that_controls_a_terminal() -> None:
    """The data are those of a change at this moment; of a segment that the customer is not in there are none."""
    engine = Engine(parse(SEGMENTS, "segments"))
    customer = engine.new()
    added = {
        "type": "track", "event": "Product Added", "messageId": "m", "userId": "u1",
        "timestamp": "2026-03-01T10:00:00Z", "properties": {"product_id": "p1", "name": HOSTILE, "quantity": 2},
    }  # fmt: skip
    engine.apply("u1", customer, decode_line(msgspec.json.encode(added), START, Origin("carts", 0, 0)))
    meta = {"definitions": engine.definitions.fingerprint, "epoch": "0", "clock": str(START)}
    explained = explanation(engine, "u1", 0, customer_codec.encode(customer), meta, {})
    by_key = {segment.segment: segment.data for segment in explained.segments}
    assert by_key["guest"] == {}
    assert msgspec.to_builtins(by_key["cart"])["cart"][0]["product_id"] == "p1"
    (line,) = (line for line in explain.lines(explained, "en") if "carries" in line)
    assert line.startswith('  carries {"cart":[{"product_id":"p1","name":"tea')
    assert not {"\u202e", "\x1b"} & set(line)
    assert "data" in msgspec.to_builtins(explained.segments[0])


def test_tail_shows_what_a_change_carries() -> None:
    """A change of a segment that includes nothing has no such part."""
    carried = change("u1", "cart", "entered", START, 1, data={"cart": [{"name": HOSTILE}]})
    text = tail.line(carried, "en").plain
    assert 'carries {"cart":[{"name":"tea' in text
    assert not {"\u202e", "\x1b"} & set(text)
    assert "carries" not in tail.line(change("u1", "cart", "entered", START, 1), "en").plain
