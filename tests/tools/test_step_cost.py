"""The cost of an event in process has a bound, so that no change makes it much dearer unseen.

The cost is a ratio to parsing the same bytes in the same run by the parser that is written in Python, the least of
several turns. The bounds lie far enough above the measured ratios (0.78 and 0.49) for a busy machine, and below twice.
"""

from __future__ import annotations

import pytest

from benchmarks.step_cost import measure


@pytest.mark.parametrize(("profile", "bound"), [("change-heavy", 1.5), ("session-like", 0.95)])
def test_a_step_costs_no_more_than_so_many_parses(profile: str, bound: float) -> None:
    """A step decodes, merges, decides, explains in two languages, and encodes for the store and the topic."""
    cost = measure(20_000, profile, rounds=5)
    assert cost.changes > cost.events / 10
    assert cost.ratio_python < bound
