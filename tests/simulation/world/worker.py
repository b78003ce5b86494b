"""A worker: the real ownership in a process of its own, started again whenever it ends.

The one rule: the product runs as its composition root runs it (streams/runtime/faust_app.py); only Kafka's
consumer, the publisher and the way to the store are the world's.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, NamedTuple, NoReturn, cast

from rules.engine import Engine
from streams.runtime.partition_task import Pace
from streams.runtime.rebalance_listener import PartitionOwner
from streams.runtime.watchdog import FetchWatchdog
from streams.state.contract import Identity
from streams.wire.topics import OUTPUTS
from streams.worker.claim import WorkerConfig, claim_partitions
from streams.worker.dead_letter_limit import DeadLetterLimit
from tests.simulation.world.consumer import Consumer
from tests.simulation.world.group import Group
from tests.simulation.world.kafka import Kafka
from tests.simulation.world.loop import Killed, Process
from tests.simulation.world.medium import Medium
from tests.simulation.world.publisher import Fenced
from tests.simulation.world.sim import START_MS, Rates, Sim
from tests.simulation.world.store import Client, Network
from tests.support.evidence import Stopped

HEAL_EVERY_S, VERIFY_EVERY_S, UNREAD_S = 1.0, 60.0, 60.0


class Site(NamedTuple):
    """What all workers of a world share."""

    sim: Sim
    kafka: Kafka
    group: Group
    medium: Medium
    engine: Engine
    topics: tuple[str, ...]
    partitions: int
    renew_s: float | None
    pace: Pace
    rates: Rates
    belong: Callable[[Sequence[str], int], Sequence[bool]]
    stops: list[Stopped]


class Worker:
    """A machine on which one process after the other runs. ``skew_ms``: how far its clock is off."""

    def __init__(self, site: Site, name: str, skew_ms: int) -> None:
        self.network = Network(site.rates)
        self.process = Process(name)
        self.process.is_dead = True
        self.may_start = True
        self._site = site
        self._name = name
        self._skew_ms = skew_ms
        self._lives = 0
        self._ends_at = 0.0
        self._consumer: Consumer | None = None

    def look(self) -> None:
        """Start a process where none lives, some time after the one before has ended."""
        sim = self._site.sim
        if not self.process.is_dead or not self.may_start:
            return
        if not self._ends_at:
            self._ends_at = sim.now + (0.1 if sim.calm else sim.pick((0.0, 0.1, 0.5, 2.0)))
        if sim.now >= self._ends_at:
            self._ends_at = 0.0
            self._start()

    def _now_ms(self) -> int:
        return START_MS + int(self._site.sim.now * 1000) + self._skew_ms

    def _start(self) -> None:
        site, sim = self._site, self._site.sim
        self._lives += 1
        process = self.process = Process(f"{self._name}.{self._lives}")
        sim.say(f"{process.name} starts")
        consumer = Consumer(sim, site.kafka, site.group, process, self._now_ms, site.rates)
        store = Client(sim, site.medium, process, lambda: consumer.epoch, self.network)
        producer = Fenced(sim, site.kafka, site.medium, process, site.rates, site.renew_s)
        self._consumer = consumer
        config = self._plan(process)
        consumer.ownership = PartitionOwner(config, store, producer, site.kafka, partial(claim_partitions, config))
        sim.spawn(process, self._main(consumer, consumer.ownership))

    def _plan(self, process: Process) -> WorkerConfig:
        site = self._site
        return WorkerConfig(
            topics=site.topics,
            outputs=OUTPUTS,
            identity=Identity("cluster", "group", site.partitions, site.engine.definitions.fingerprint),
            engine=site.engine,
            pace=site.pace,
            dead_letter_limit=DeadLetterLimit(0.5, 10_000),
            # Processes die at any call here, a thousand times as often as where they live: that proves nothing.
            trial_deaths_max=sys.maxsize,
            languages=(),
            rebuild=False,
            exact_ends=True,
            belong=site.belong,
            now_ms=self._now_ms,
            stop=lambda sentence: self._stop(process, sentence),
            monotonic=lambda: site.sim.now,
        )

    def _stop(self, process: Process, sentence: str) -> NoReturn:
        site = self._site
        if not site.sim.over and not process.is_dead:
            site.sim.say(f"{process.name} stops: {sentence}")
            site.stops.append(Stopped(site.sim.now, process.name, sentence))
            process.is_dead = True
        raise Killed

    async def _main(self, consumer: Consumer, ownership: PartitionOwner) -> None:
        watchdog = FetchWatchdog(
            UNREAD_S,
            lambda: ownership.fetching().values(),
            lambda: ownership.without_since,
            cast(Any, ownership._config.stop),
        )

        async def watch() -> None:
            watchdog.look(self._site.sim.now)

        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(consumer.run())
                tasks.create_task(consumer.receive())
                tasks.create_task(consumer.commit())
                tasks.create_task(_every(HEAL_EVERY_S, ownership.heal))
                tasks.create_task(_every(VERIFY_EVERY_S, ownership.verify))
                tasks.create_task(_every(UNREAD_S / 10, watch))
        except* Exception as errors:  # noqa: BLE001  # none is survived
            ownership._config.stop(f"a defect ended a task ({errors.exceptions!r})")

    def owned_partitions(self) -> list[int]:
        """The partitions that its process holds."""
        holds = self._consumer.ownership.fetching() if self._consumer and not self.process.is_dead else {}
        return sorted({tp.partition for tp in holds})

    @property
    def is_settled(self) -> bool:
        """Whether its process has what the group gave it, in the group's newest generation."""
        return not self.process.is_dead and self._consumer is not None and self._consumer.is_settled

    def terminate(self) -> None:
        """Ask the process to end in order."""
        if self.process.is_running:
            self._site.sim.spawn(self.process, self._shut_down(self.process))

    async def _shut_down(self, process: Process) -> None:
        assert self._consumer is not None
        await self._consumer.ownership.release()
        self._site.group.leave(process.name)
        self._site.sim.say(f"{process.name} ends")
        process.is_dead = True
        raise Killed


async def _every(seconds: float, action: Callable[[], Awaitable[None]]) -> None:
    while True:
        await asyncio.sleep(seconds)
        await action()
