"""Guards are switched off, one at a time: the simulation or a test must fail without each.

The daily part of `scripts/mutants`; the rest runs at night.
"""

from __future__ import annotations

import pytest

from quality.mutants import BY_SIMULATION, BY_TESTS, ROOT, SEEDS, Mutant, tried

ALL = {mutant.guard: mutant for mutant in (*BY_SIMULATION, *BY_TESTS)}
DAILY = (
    "position check in Redis", "save number in Redis", "only the owner saves in Redis", "seek on assignment",
    "merge by event time", "an old end offset does not move the clock", "records on the topics are not published again",
    "one event per message id",
)  # fmt: skip


@pytest.mark.parametrize(
    "guard", [*DAILY, *(pytest.param(guard, marks=pytest.mark.nightly) for guard in ALL if guard not in DAILY)]
)
def test_a_guard_is_missed(guard: str) -> None:
    """Without the guard a simulation or a test fails."""
    ((_, killed, _),) = tried([ALL[guard]], SEEDS)
    assert killed is not None


def test_each_guard_stands_where_it_is_said_to() -> None:
    """Each guard stands in its file once; else nothing would be switched off."""
    places = {mutant.guard: (ROOT / mutant.path).read_text("utf-8").count(mutant.right) for mutant in ALL.values()}
    assert {guard: count for guard, count in places.items() if count != 1} == {}


def test_what_guards_nothing_is_told() -> None:
    """A change that changes nothing is reported as a survivor."""
    line = "from __future__ import annotations"
    ((_, killed, _),) = tried([Mutant("nothing", "streams/stop.py", line, line + " ", "tests/tools/test_tidy.py")], 1)
    assert killed is None
