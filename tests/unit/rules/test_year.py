"""A generated year through the whole library: the product's changes are the oracle's.

The rule: customers are drawn from one load of 100,000 events; a part of them in every run, all of them nightly.
"""

import json
from collections import defaultdict
from functools import cache
from pathlib import Path
from typing import cast

import pytest

import rules
from load.generate import records
from rules.definitions import yaml_text
from rules.definitions.segments_file import built_in
from rules.engine import Engine
from streams.offline.replay import Replay
from streams.wire.event_decoder import decode_line
from tests.oracle import oracle

LIBRARY = cast(oracle.Json, yaml_text.read(Path(rules.__file__).with_name("segments.yaml").read_text("utf-8")))
YEAR_MS = 365 * 86_400_000
EVENTS, CUSTOMERS = 100_000, 20_000
PARTS = 250
DAILY = 1  # part: 80 customers, about 8 s

Changes = list[tuple[str, str, int, bool]]


@cache
def year() -> dict[str, list[bytes]]:
    """The values of each customer, in the order of their times."""
    own: dict[str, list[bytes]] = defaultdict(list)
    for _, key, value, _ in records(EVENTS, CUSTOMERS, seed=7, span_ms=YEAR_MS):
        own[key.decode()].append(value)
    assert sum(map(len, own.values())) == EVENTS
    return own


def replayed(engine: Engine, values: list[bytes], until: int) -> Changes:
    changes = Replay(engine).run(map(decode_line, values), until)
    return [(change.segment, change.kind, change.occurred_at, change.late) for change in changes]


def expected(values: list[bytes], until: int) -> Changes:
    changes = oracle.changes([json.loads(value) for value in values], LIBRARY, until)
    return [(change.segment, change.change, change.occurred_at, change.late) for change in changes]


@pytest.mark.slow
@pytest.mark.parametrize(
    "part",
    [*range(DAILY), *(pytest.param(part, marks=pytest.mark.nightly) for part in range(DAILY, PARTS))],
)
def test_a_year_through_the_library(part: int) -> None:
    """Each customer's changes are the oracle's to a month past the year, and the library is at work."""
    customers = sorted(year())[part::PARTS]
    until = 1_767_225_600_000 + YEAR_MS + 30 * 86_400_000
    engine = Engine(built_in())
    decided = {customer_id: replayed(engine, year()[customer_id], until) for customer_id in customers}
    assert [
        customer_id for customer_id in customers if decided[customer_id] != expected(year()[customer_id], until)
    ] == []
    segments = {segment for changes in decided.values() for segment, *_ in changes}
    assert len(segments) >= 25, segments
