"""The product reads every case of the field right, whether its events come in order or in any other."""

import random
from collections.abc import Iterable, Sequence

import pytest

from rules.definitions.segments_file import parse
from rules.engine import Engine
from rules.events import Event
from rules.times import parse_instant
from streams.offline.replay import Replay
from streams.wire.event_decoder import decode_line
from tests.field_cases.cases import CASES, SEGMENTS, FieldCase


def instant(text: str) -> int:
    at = parse_instant(text)
    assert at is not None
    return at


def segments(case: FieldCase, events: Iterable[Event]) -> set[str]:
    """The segments of the customer at the instant of the case, by the changes that these events made as they came."""
    replay = Replay(Engine(parse(SEGMENTS.read_text(), SEGMENTS.name)))
    changes = [change for event in events for change in replay.step(event)]
    changes += replay.finish(instant(case.at))
    now: set[str] = set()
    for change in changes:
        if change.customer == case.customer:
            now ^= {change.segment}
    return now


def until(case: FieldCase) -> Sequence[Event]:
    events = [decode_line(line) for line in case.lines]
    return [event for event in events if event.time <= instant(case.at)]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.events} {case.customer} {case.at}")
def test_a_case_is_read_right(case: FieldCase) -> None:
    """The customer is in these segments and in no other."""
    assert segments(case, until(case)) == case.segments


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.events} {case.customer} {case.at}")
def test_a_case_is_read_right_in_any_order(case: FieldCase) -> None:
    """So it is if the events come late, twice and in another order."""
    for seed in range(5):
        events = [*until(case), *until(case)]
        random.Random(seed).shuffle(events)
        assert segments(case, events) == case.segments, f"seed {seed}"
