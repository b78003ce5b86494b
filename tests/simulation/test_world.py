"""The simulation, seed after seed: whatever faults a world has, its auditor finds nothing wrong.

A seed that fails is printed with the command that repeats it.
"""

from __future__ import annotations

from collections import Counter
from functools import cache

import pytest

from tests.simulation.world.__main__ import TRACE_LINES, report
from tests.simulation.world.run import Options, run

# A worker that vanishes leaves what it was doing undone; Python remarks on it.
pytestmark = [
    pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]

BLOCK = 50  # seeds of one test
DAILY, NIGHTLY = 150, 10_000
DAILY_PEOPLE = 50
# Of these each must have happened, in the seeds of every run: a fault that never happens tests nothing.
REACHED = (
    "answer came after a seek", "bad record", "change marked late", "claim found an outbox", "fault crash",
    "fault freeze", "fault group deleted", "fault input unreachable", "fault outage", "fault rebalance",
    "fault redis falls back", "fault redis restarts", "redis lost writes", "renewal fails", "reply lost",
    "save already", "save fenced", "sent late", "sent twice", "transaction aborted", "transaction committed",
)  # fmt: skip


@pytest.mark.parametrize(
    "first",
    [
        *range(0, DAILY, BLOCK),
        *(pytest.param(first, marks=pytest.mark.nightly) for first in range(DAILY, NIGHTLY, BLOCK)),
    ],
)
def test_no_seed_fails(first: int) -> None:
    """State, published changes and the order in which they came are the oracle's."""
    failed = [judged(seed)[0] for seed in range(first, first + BLOCK)]
    assert not any(failed), "\n\n".join(filter(None, failed))


@cache
def judged(seed: int) -> tuple[str, Counter[str]]:
    """Find what is to be reported of a world, if anything, and what happened in it."""
    outcome = run(seed, Options())
    return report(outcome, Options(), TRACE_LINES) if outcome.problems else "", outcome.counts


@pytest.mark.parametrize(
    "first",
    [
        *range(0, DAILY_PEOPLE, BLOCK),
        *(pytest.param(first, marks=pytest.mark.nightly) for first in range(DAILY_PEOPLE, NIGHTLY // 2, BLOCK)),
    ],
)
def test_persons_of_two_ids(first: int) -> None:
    """Whatever fails, and however the owners of two ids hear of each other, each person is where one id would be."""
    options = Options(people=True)
    outcomes = [run(seed, options) for seed in range(first, first + BLOCK)]
    failed = [report(outcome, options, TRACE_LINES) for outcome in outcomes if outcome.problems]
    assert not failed, "\n\n".join(failed)


def test_everything_happens() -> None:
    """Each state and fault comes up in some seeds of a run: the rarest of them is in one of twenty."""
    counts: Counter[str] = Counter()
    for seed in range(2 * BLOCK):
        counts += judged(seed)[1]
    assert [name for name in REACHED if not counts[name]] == []


def test_a_seed_is_one_run() -> None:
    """Two runs of a seed are equal to the last line of the trace."""
    assert run(7, Options()).digest == run(7, Options()).digest != run(8, Options()).digest
