"""Payloads of real senders, mutated at random: no value makes an event unusable, and no purchase is lost."""

from __future__ import annotations

import json
import random
from collections import Counter

import pytest

from rules.definitions.segments_file import build
from rules.engine import Engine
from rules.event_names import ORDER_COMPLETED
from streams.wire.event_decoder import decode_line
from tests.support.mutated_payloads import mutate, payloads


@pytest.mark.parametrize("count", [5_000, pytest.param(200_000, marks=[pytest.mark.nightly, pytest.mark.timeout(900)])])
def test_no_value_loses_an_event(count: int) -> None:
    """Each is the event that it was; a purchase is one, whatever else the message says."""
    rng = random.Random(count)
    engine = Engine(build({"version": 1, "library": True}, "library.yaml"))
    originals = [(message, decode_line(json.dumps(message).encode())) for message in payloads()]
    names: Counter[str] = Counter()
    for _ in range(count):
        message, right = rng.choice(originals)
        line = json.dumps(mutate(rng, message)).encode()
        event = decode_line(line)
        assert (event.customer, event.name, event.time, event.id) == (
            right.customer, right.name, right.time, right.id,
        ), line  # fmt: skip
        customer = engine.new()
        engine.apply(event.customer, customer, event)
        names[event.name] += 1
        if event.name == ORDER_COMPLETED:
            assert "recently_purchased" in engine.membership(customer), line
    assert names[ORDER_COMPLETED] > count / 10
    assert len(names) > 8
