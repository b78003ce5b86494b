"""Each kind of condition is entered and left in every way that it can, often, and as the oracle says.

A failure names its kind and seeds: `world_of(kind, seed)` is the case again.
"""

from collections import Counter

import pytest

from streams.offline.replay import Replay
from tests.strategies.condition_kinds import KINDS, of_kind, world_of
from tests.strategies.worlds import World, failing, wrong_in_any_order, wrong_in_time_order

PAIRS = range(20)
NIGHTLY = range(len(PAIRS), 1_000)
SHARE = 0.05  # of the pairs in which each way is met

BLOCKS = [PAIRS, pytest.param(NIGHTLY, marks=pytest.mark.nightly)]


def ways(name: str, world: World) -> set[tuple[str, str]]:
    """How segments of the kind were entered and left, by an event or by time alone."""
    keys = of_kind(name, world.definitions)
    changes = [change for change in Replay(world.engine).run(world.events, world.until) if change.segment in keys]
    return {(change.kind, "time" if change.event is None else "event") for change in changes}


@pytest.mark.parametrize("seeds", BLOCKS, ids=lambda seeds: f"seeds {seeds.start}-{seeds.stop - 1}")
@pytest.mark.parametrize("name", KINDS)
def test_a_kind_is_entered_and_left_in_every_way(name: str, seeds: range) -> None:
    """At least one of twenty pairs shows each way of the table, none another; each pair is the oracle's."""
    worlds = {seed: world_of(name, seed) for seed in seeds}
    counts = Counter(way for world in worlds.values() for way in ways(name, world))
    assert counts.keys() == KINDS[name].ways, counts
    assert min(counts.values()) >= SHARE * len(seeds), counts
    assert failing(seeds, lambda seed: wrong_in_time_order(worlds[seed])) == {}


@pytest.mark.parametrize("name", KINDS)
def test_a_kind_in_any_order(name: str) -> None:
    """With late events, too, each pair is the oracle's."""
    assert failing(PAIRS[:10], lambda seed: wrong_in_any_order(world_of(name, seed))) == {}
