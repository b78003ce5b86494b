"""Histories that are read in several lives, how the lives are drawn, and a fold of the changes."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Sequence
from functools import cache

from rules.engine import Engine
from streams.wire.changes import SegmentChange
from tests.oracle import oracle
from tests.oracle.oracle import Json
from tests.strategies import worlds
from tests.support.partition_lives import Lives, inputs

LIVES_MAX = 6
DIES_WITHIN = 40  # calls of store and publisher
LOST = (0, 0, 1, 2, 3, 5, 10, 1_000)  # of the store's last writes


class Case:
    """A history that is read in several lives, and what must come of it."""

    def __init__(
        self, rng: random.Random, events: Sequence[Json], definitions: Json, engine: Engine, until: int
    ) -> None:
        self.rng, self.events, self.definitions, self.engine, self.until = rng, events, definitions, engine, until
        self.topics = inputs(rng, events, rng.choice((0, 0, 3)))

    def lives(self) -> Lives:
        return Lives(self.rng, self.engine, self.topics)

    @cache  # noqa: B019  # a case ends with its test
    def right(self, until: int) -> tuple[dict[str, list[worlds.PlainChange]], dict[str, frozenset[str]]]:
        """The changes in time order, and the customers' segments at the end, by the oracle."""
        members = oracle.membership(self.events, self.definitions, until)
        changes = worlds.right(self.events, self.definitions, until)
        return changes, {customer_id: own for customer_id, own in members.items() if own}


async def through_all(case: Case, lives: Lives) -> None:
    """Live some lives that end anywhere, each followed by a loss of the store; then one to the end."""
    rng = case.rng
    for _ in range(rng.randrange(1, LIVES_MAX)):
        at = len(lives.store.was) + rng.randrange(DIES_WITHIN)
        lives.store.loses = rng.choice((None, (at, rng.choice(LOST))))
        await lives.live(case.until, rng.choice((None, *range(DIES_WITHIN))))
        lives.store.lose(rng.choice(LOST))
    lives.store.loses = None
    assert await lives.live(case.until)


def fold(changes: Sequence[SegmentChange]) -> tuple[dict[str, frozenset[str]], list[SegmentChange]]:
    """The customers' segments after the changes, and the changes that do not follow on the one before."""
    members: dict[str, frozenset[str]] = defaultdict(frozenset)
    sequences: dict[str, int] = defaultdict(int)
    strange = []
    for change in changes:
        customer_id = change.customer_id
        alternates = (change.segment in members[customer_id]) == (change.change == "exited")
        follows = change.sequence == sequences[customer_id] + 1
        members[customer_id] ^= {change.segment}
        sequences[customer_id] = change.sequence
        if not (alternates and follows) or tuple(sorted(members[customer_id])) != change.segments:
            strange.append(change)
    return {customer_id: own for customer_id, own in members.items() if own}, strange
