"""The consumer group: which member reads which partition, by Kafka's rules of eager rebalancing.

The one rule: a generation begins when every member has let go and asked to join, or the time for
it is up; who did not ask is no member any more, though it may not know.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Literal, NamedTuple

from faust.types import TP

from tests.simulation.world.kafka import Kafka
from tests.simulation.world.sim import Sim, answer

Beat = Literal["ok", "rebalance", "unknown"]


class Assigned(NamedTuple):
    """A member's part of a generation. ``epoch`` counts generations for ever, whatever is deleted."""

    generation: int
    epoch: int
    partitions: frozenset[int]


class _Member:
    def __init__(self, heard: float) -> None:
        self.heard = heard
        self.generation = -1
        self.joining: asyncio.Future[Assigned] | None = None


class Group:
    """The coordinator; members are known by the names of their processes."""

    def __init__(self, sim: Sim, kafka: Kafka, partitions: int, session_s: float) -> None:
        self.generation = sim.pick((0, 3))
        self.epoch = 0
        self._sim = sim
        self._kafka = kafka
        self._partitions = partitions
        self._session_s = session_s
        self._rebalance_s = 2 * session_s
        self._members: dict[str, _Member] = {}
        self._round = 0
        self._is_stable = True
        sim.later(0.25, self._expire)

    @property
    def is_stable(self) -> bool:
        """Whether no rebalance is under way."""
        return self._is_stable

    def join(self, name: str) -> asyncio.Future[Assigned]:
        """Ask for a part; it comes when the round ends."""
        member = self._members.setdefault(name, _Member(self._sim.now))
        member.heard = self._sim.now
        member.joining = self._sim.future()
        self.rebalance()
        if all(member.joining for member in self._members.values()):
            self._sim.later(0.05, self._close, self._round)
        return member.joining

    def beat(self, name: str, generation: int) -> Beat:
        """A heartbeat."""
        member = self._members.get(name)
        if member is None or member.generation != generation:
            return "unknown"
        member.heard = self._sim.now
        return "ok" if self._is_stable else "rebalance"

    def leave(self, name: str) -> None:
        if self._members.pop(name, None):
            self.rebalance()

    def commit(self, name: str, generation: int, positions: Mapping[TP, int]) -> bool:
        """Whether the group takes offsets from this member of this generation."""
        member = self._members.get(name)
        if member is None or member.generation != generation:
            return False
        self._kafka.committed.update(positions)
        return True

    def rebalance(self) -> None:
        """Begin a new generation."""
        if self._is_stable:
            self._is_stable = False
            self._round += 1
            self._sim.later(self._rebalance_s, self._close, self._round)

    def forget(self) -> bool:
        """The group is deleted, offsets and all, which Kafka allows only while it has no member."""
        if self._members:
            return False
        self._kafka.committed.clear()
        self.generation = 0
        return True

    def _close(self, number: int) -> None:
        if self._is_stable or number != self._round:
            return
        self._members = {name: member for name, member in self._members.items() if member.joining}
        self.generation += 1
        self.epoch += 1
        self._is_stable = True
        parts = self._parts()
        self._sim.say(f"group generation {self.generation}: {parts}")
        for name, member in self._members.items():
            assert member.joining
            member.generation, member.heard = self.generation, self._sim.now
            assigned = Assigned(self.generation, self.epoch, frozenset(parts[name]))
            self._sim.later(self._sim.delay(), answer, member.joining, assigned)
            member.joining = None

    def _parts(self) -> dict[str, list[int]]:
        parts: dict[str, list[int]] = {name: [] for name in self._members}
        names = self._sim.rng.sample(sorted(parts), len(parts))
        for partition in range(self._partitions):
            if names:
                parts[names[partition % len(names)]].append(partition)
        return parts

    def _expire(self) -> None:
        silent = [
            name
            for name, member in self._members.items()
            if not member.joining and self._sim.now - member.heard > self._session_s
        ]
        for name in silent:
            self._sim.say(f"group heard nothing of {name}")
            del self._members[name]
            self.rebalance()
        if not self._is_stable and self._members and all(member.joining for member in self._members.values()):
            self._close(self._round)
        if not self._is_stable and not self._members:
            self._is_stable = True
        self._sim.later(0.25, self._expire)
