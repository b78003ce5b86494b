"""The store's medium: what is written, what is durable, and what it loses.

The one rule: the contract is kept by the product's own `MemoryStore`; here is what happens to it.
It may fall back to an earlier moment, all of it together, but never behind what is synced.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Coroutine, Sequence
from typing import Any, NamedTuple, TypeVar

from streams.state.memory import MemoryStore
from tests.simulation.world.loop import Process
from tests.simulation.world.sim import Sim
from tests.support.evidence import Claimed, Saved

T = TypeVar("T")


class Undo(NamedTuple):
    """A partition before a write, and the writer."""

    partition: int
    before: dict[str, Any]
    logged: int
    process: Process
    entries: Sequence[bytes]  # what went into the outbox


class Medium:
    """The Redis server. ``history``: the claims and saves that it still knows, by partition."""

    def __init__(self, sim: Sim, *, ahead: bool) -> None:
        self.memory = MemoryStore()
        self.history: dict[int, list[Claimed | Saved]] = defaultdict(list)
        self.lost_writes = 0
        self.forgotten: set[str] = set()  # customers of saves that were lost
        self._sim = sim
        self._ahead = ahead
        self._undo: list[Undo] = []
        self._floor = 0
        self._falls_after: int | None = None
        self._away = 0
        self._is_mended = False

    def write(
        self, process: Process, partition: int, action: Coroutine[Any, Any, T], entries: Sequence[bytes] = ()
    ) -> T:
        """Carry out a call that may change a partition."""
        stored = self.memory._of(partition)
        before = {name: _copied(value) for name, value in vars(stored).items()}
        undo = Undo(partition, before, len(self.history[partition]), process, entries)
        result = at_once(action)
        self._undo.append(undo)
        if self._falls_after is not None and len(self._undo) - self._floor >= self._falls_after:
            self._falls_after = None
            self._sim.later(0.0, self._fall_back)
        return result

    def sync(self) -> None:
        """Make durable what was written up to now."""
        self._undo.clear()
        self._floor = 0

    def published(self) -> None:
        """Note that records are on the topics."""
        if self._ahead and self._falls_after is not None and any(undo.entries for undo in self._undo):
            self._falls_after = None
            self._sim.later(self._sim.delay(), self._fall_back)

    def publishing(self) -> None:
        """Note that what is saved is about to be published; it is durable by then, unless it may be lost."""
        if not self._ahead:
            self._floor = len(self._undo)

    def fall_back(self, after: int) -> None:
        """Lose the last writes, as soon as so many can be lost, or something is published that can be."""
        self._falls_after = after

    def forget(self) -> None:
        """Lose the last write alone, now."""
        self._sim.later(0.0, self._fall_back, 1)

    def _fall_back(self, count: int | None = None) -> None:
        """Lose so many writes, or from anywhere after the last sync on.

        Who has entries in hand that are lost here would publish them: unless the world is to see
        changes that Redis does not know, that machine loses its power at the same moment.
        """
        if len(self._undo) == self._floor:
            return
        keep = len(self._undo) - count if count else self._sim.rng.randrange(self._floor, len(self._undo))
        lost, self._undo = self._undo[keep:], self._undo[:keep]
        for undo in reversed(lost):
            vars(self.memory._of(undo.partition)).update(undo.before)
            history = self.history[undo.partition]
            self.forgotten.update(
                name for entry in history[undo.logged :] if isinstance(entry, Saved) for name in entry.customers
            )
            del history[undo.logged :]
        for undo in lost:
            if undo.entries and not self._ahead:
                self._sim.kill(undo.process, "power cut with Redis")
        self.lost_writes += len(lost)
        self._sim.say(f"redis lost {len(lost)} writes")
        self._sim.reached("redis lost writes")
        self.restarts(self._sim.rng.choice((0.01, 0.5)))

    def restarts(self, seconds: float) -> None:
        """Restart: the server is away for so long."""
        self._away += 1
        self._sim.later(seconds, self._comes_back)

    def _comes_back(self) -> None:
        self._away -= 1

    def mend(self) -> None:
        """Bring the server back; from now on it loses nothing more."""
        self._falls_after = None
        self._is_mended = True

    @property
    def is_up(self) -> bool:
        """Whether the server takes calls."""
        return self._is_mended or not self._away


def at_once(work: Coroutine[Any, Any, T]) -> T:
    """The memory store never waits."""
    try:
        work.send(None)
    except StopIteration as done:
        return done.value  # type: ignore[no-any-return]  # typed as Any
    raise AssertionError("the memory store waits")


def _copied(value: Any) -> Any:
    return value.copy() if isinstance(value, dict | list) else value
