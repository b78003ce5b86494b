"""Messages as the SDKs of Segment, RudderStack and Jitsu send them, and what segments they lead to."""

import json
from pathlib import Path
from typing import Any

import pytest

from rules.definitions.segments_file import build
from rules.engine import Engine
from streams.wire.event_decoder import decode_line

CASES = json.loads((Path(__file__).parents[2] / "support" / "sdk_messages.json").read_text("utf-8"))
LIBRARY = build({"version": 1, "library": True, "hosts": ["shop.example", "Pay.example"]}, "library.yaml")
OF_CONTEXT = {segment.key: segment for segment in LIBRARY.segments if set(segment.canonical) == {"context"}}


@pytest.mark.parametrize("case", CASES, ids=[case["sender"] for case in CASES])
def test_the_segments_of_a_message(case: dict[str, Any]) -> None:
    """The customer is in just these of the segments that ask for the context."""
    engine = Engine(LIBRARY)
    customer = engine.new()
    engine.apply("visitor", customer, decode_line(json.dumps(case["message"]).encode()))
    assert [key for key in engine.membership(customer) if key in OF_CONTEXT] == case["expected"]


def test_messages_of_every_sender_and_call() -> None:
    """The cases have pages, screens, tracks and identifies, and reach every segment of device and source."""
    assert {case["message"]["type"] for case in CASES} == {"page", "screen", "track", "identify"}
    reached = {key for case in CASES for key in case["expected"]}
    kinds = {segment.key for segment in LIBRARY.segments if segment.kind in ("device", "traffic source")}
    assert kinds <= reached
