"""The cost of an event in process has a bound, so that no change makes it much dearer unseen.

The cost is a ratio to parsing the same bytes in the same run by the parser that is written in Python, the least of
several turns. The bounds lie far enough above the measured ratios for a busy machine, and below twice: 1.01 and 0.61,
and 1.16 and 0.62 with linked ids, on a quiet one.
"""

from __future__ import annotations

import pytest

from benchmarks.step_cost import measure


@pytest.mark.parametrize(
    ("profile", "is_linked", "bound"),
    [
        ("change-heavy", False, 1.5),
        ("session-like", False, 0.95),
        ("change-heavy", True, 1.8),
        ("session-like", True, 1.1),
    ],
)
def test_a_step_costs_no_more_than_so_many_parses(profile: str, is_linked: bool, bound: float) -> None:
    """A step decodes, merges, decides, explains in two languages, and encodes for the store and the topic.

    With ``is_linked`` each event names two ids, and what one id sends to the other is read, too.
    """
    cost = measure(20_000, profile, rounds=5, is_linked=is_linked)
    assert cost.changes > cost.events / 10
    assert cost.ratio_python < bound
