"""Steps are as small as the largest customers of a segments file need them to be."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rules.definitions.segments_file import build, parse
from streams.runtime.partition_task import Pace
from streams.worker.step_size import STORED_MAX_BYTES, bounded
from tests.support import hostile_outputs

ROOT = Path(__file__).parents[3]
PACE = Pace(1_000, 10_000, 100, 0)


@pytest.mark.parametrize("name", ["rules/segments.yaml", "rules/demo.yaml", "scripts/load/four_segments.yaml"])
def test_the_files_of_the_project_take_whole_steps(name: str) -> None:
    """The settings decide."""
    assert bounded(PACE, parse((ROOT / name).read_text(), name)) == PACE


def test_customers_of_megabytes_take_small_ones() -> None:
    """All customers of a step at their largest stay within the bound; a step takes one event in any case."""
    definitions = build(json.loads(hostile_outputs.definitions()), "hostile")
    most = sum(fact.bytes_most for fact, _ in definitions.facts.with_segments())
    assert most > 500_000
    pace = bounded(PACE, definitions)
    assert 1 <= pace.batch_max < PACE.batch_max
    assert pace.batch_max * most <= STORED_MAX_BYTES < (pace.batch_max + 1) * most
    assert pace.timers_per_step == min(PACE.timers_per_step, pace.batch_max)
    assert (pace.in_hand_max, pace.grace_ms) == (PACE.in_hand_max, PACE.grace_ms)
    assert bounded(Pace(1, 1, 1, 0), definitions) == Pace(1, 1, 1, 0)
