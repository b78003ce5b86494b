"""Chance, and what happened: the one generator of a run, its trace, and its counts.

The one rule: every choice is drawn here, so the seed is the run. Nothing that differs between two
runs of one seed (random tokens, the order of a set) may reach a choice or the trace.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Coroutine, Sequence
from hashlib import sha256
from typing import Any, NamedTuple, TypeVar

from tests.simulation.world.loop import Killed, Loop, Process

T = TypeVar("T")

START_MS = 1_772_359_200_000  # the wall clock when the run begins: 2026-03-01T10:00:00Z


class Rates(NamedTuple):
    """How often what goes wrong, each time that it could."""

    network: float  # a call to the store is lost, its answer is lost, or it is late
    publish: float  # a publish fails
    batch: float  # a batch is lost on its way to its partition's task
    seek: float  # a seek that was overtaken is carried out after all
    ahead: float  # the store loses the write that notes which customers are ahead


class Sim:
    """What all parts of a world share."""

    def __init__(self, seed: int, loop: Loop) -> None:
        self.rng = random.Random(f"world {seed}")
        self.loop = loop
        self.trace: list[str] = []
        self.counts: Counter[str] = Counter()
        self.calm = False  # no more faults
        self.over = False  # any process that makes a call dies
        self.slow_s = 0.1
        self.crash_rate = 0.0  # per place at which a process talks to the world
        self.crashed: list[tuple[Process, str]] = []

    # --- time ------------------------------------------------------------------------------

    @property
    def now(self) -> float:
        """Seconds since the run began."""
        return self.loop.time()

    def wall_ms(self) -> int:
        """The true wall clock."""
        return START_MS + int(self.loop.time() * 1000)

    def later(self, delay_s: float, callback: Any, *args: Any) -> None:
        """Call it then, whatever process lives."""
        self.loop.outside(delay_s, callback, *args)

    def delay(self) -> float:
        """How long a message travels: mostly little, seldom long."""
        roll = self.rng.random()
        if roll < 0.9 or self.calm:
            return 0.0002 + roll * 0.002
        if roll < 0.99:
            return self.rng.uniform(0.003, 0.05)
        return self.rng.uniform(0.05, self.slow_s)

    # --- chance ----------------------------------------------------------------------------

    def happens(self, what: str, rate: float) -> bool:
        """Whether a fault happens now; counted."""
        if self.calm or not rate or self.rng.random() >= rate:
            return False
        self.counts[what] += 1
        return True

    def pick(self, options: Sequence[T]) -> T:
        return self.rng.choice(options)

    # --- what happened ---------------------------------------------------------------------

    def say(self, text: str) -> None:
        """Write a line of the trace."""
        self.trace.append(f"{self.loop.time():8.3f} {text}")

    def reached(self, what: str) -> None:
        """Count a state that the runs should reach now and then."""
        self.counts[what] += 1

    def digest(self) -> str:
        """A digest that is equal for equal runs."""
        return sha256("\n".join(self.trace).encode()).hexdigest()[:16]

    # --- processes -------------------------------------------------------------------------

    def spawn(self, process: Process, work: Coroutine[Any, Any, None]) -> None:
        self.loop.spawn(process, work)

    def kill(self, process: Process, why: str) -> None:
        """Kill a process now, between two steps."""
        if not process.is_dead:
            process.is_dead = True
            self.crashed.append((process, why))

    def peril(self, process: Process, where: str) -> bool:
        """A place at which a process may die; whether it is dead."""
        if not process.is_dead and self.happens(f"crash {where}", self.crash_rate):
            self.kill(process, f"crash {where}")
        return process.is_dead

    def tread(self, process: Process, where: str) -> None:
        """Die at a fail point in the middle of a step of the process itself."""
        if self.over or self.peril(process, where):
            raise Killed

    def future(self) -> asyncio.Future[Any]:
        return self.loop.create_future()


def answer(future: asyncio.Future[Any], value: object) -> None:
    """Give the answer, unless the caller has given up."""
    if not future.done():
        future.set_result(value)
