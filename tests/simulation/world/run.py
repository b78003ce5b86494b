"""A run: a seed becomes a world, the world runs to its quiet end, and the auditor looks at it.

The one rule: the same seed, the same run, on any machine.
"""

from __future__ import annotations

import asyncio
import logging
import warnings
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from faust.types import TP

from rules.definitions.segments_file import build
from rules.engine import Engine
from streams.runtime.partition_task import Pace
from streams.state.contract import tombstone
from streams.wire import customer_codec
from tests.simulation.world.faults import Storm, kinds
from tests.simulation.world.group import Group
from tests.simulation.world.kafka import MERGES, Kafka
from tests.simulation.world.loop import Loop
from tests.simulation.world.medium import Medium
from tests.simulation.world.shop import TOPICS, Shop, definitions, partition_of
from tests.simulation.world.sim import START_MS, Rates, Sim
from tests.simulation.world.worker import Site, Worker
from tests.support import audit_identity
from tests.support.audit import audit
from tests.support.audit_changes import tally
from tests.support.evidence import Evidence, In, Left, Published, Stopped

QUIET_MAX_S = 150.0
SKEW_MAX_MS = 200


class Options(NamedTuple):
    """``durable``: what is published is never lost by Redis; else each world draws whether it may be. ``people``: each
    customer is a person of two ids, a device's and a name.
    """

    durable: bool = False
    people: bool = False


class Outcome(NamedTuple):
    """What came of a run."""

    seed: int
    problems: list[str]
    trace: list[str]
    digest: str
    counts: Counter[str]


class World:
    """All parts of the world of one seed."""

    def __init__(self, seed: int, options: Options) -> None:
        self.loop = Loop()
        self.sim = sim = Sim(seed, self.loop)
        rng = sim.rng
        self.definitions = definitions(rng)
        self.partitions = rng.choice((1, 2))
        self.renew_s = rng.choice((None, 0.5))
        self.ahead = not options.durable and rng.random() < 0.7
        self.grace_ms = rng.choice((300, 1_000))
        self.lasts_s = rng.choice((8.0, 16.0))
        self.engine = Engine(build(self.definitions, "world.yaml"))
        self.people = options.people
        self.topics = (*TOPICS, MERGES) if options.people else TOPICS
        self.kafka = Kafka(sim, self.topics, self.partitions)
        self.group = Group(sim, self.kafka, self.partitions, rng.choice((1.0, 3.0)))
        self.medium = Medium(sim, ahead=self.ahead)
        self.shop = Shop(sim, self.kafka, self.partitions, self.lasts_s, people=options.people)
        self.stops: list[Stopped] = []
        sim.slow_s = rng.choice((0.1, 1.0, 4.0))
        sim.crash_rate = rng.choice((0.0, 0.0, 0.005, 0.02))
        site = self._site()
        self.skew_ms = skew = rng.choice((0, SKEW_MAX_MS))
        self.workers = [Worker(site, f"w{number}", rng.randint(-skew, skew)) for number in range(rng.choice((1, 2, 3)))]
        self.starts_s = rng.choice((0.0, 0.0, 0.5, 1.0)) * self.lasts_s
        self.storm = Storm(site, self.workers, self.lasts_s + self.starts_s, kinds(rng))
        self._claims_again_at = 1.0 + self.starts_s + self.lasts_s
        self._synced_every_s = rng.choice((0.3, 2.0))

    def _site(self) -> Site:
        sim, rng = self.sim, self.sim.rng
        return Site(
            sim=sim,
            kafka=self.kafka,
            group=self.group,
            medium=self.medium,
            engine=self.engine,
            topics=self.topics,
            partitions=self.partitions,
            renew_s=self.renew_s,
            pace=Pace(rng.choice((1, 3, 100)), rng.choice((2, 5, 100)), rng.choice((1, 50)), self.grace_ms),
            rates=self._rates(),
            belong=self._belong,
            stops=self.stops,
        )

    def _rates(self) -> Rates:
        rng = self.sim.rng
        return Rates(
            network=rng.choice((0.0, 0.01, 0.05)),
            publish=rng.choice((0.0, 0.0, 0.03)),
            batch=rng.choice((0.0, 0.0, 0.05)),
            seek=rng.choice((0.0, 0.0, 0.05)),
            ahead=rng.choice((0.0, 0.3)),
        )

    async def live(self) -> str | None:
        """Run from the first record to the quiet end; returns what kept that from coming."""
        sim = self.sim
        self.shop.send()
        sim.later(0.0, self._sync)
        sim.later(self.starts_s, self._look)
        sim.later(self.starts_s, self.storm.begin)
        await asyncio.sleep(self.starts_s + self.lasts_s + 0.5)
        sim.calm = True
        self.storm.end()
        sim.say("calm")
        stays, until = sim.now + sim.pick((0.0, 1.0, 4.0)), sim.now + QUIET_MAX_S
        while sim.now < stays or not self._is_quiet():
            if sim.now > until:
                return f"not quiet: {[self._left(partition) for partition in range(self.partitions)]}"
            await asyncio.sleep(0.1)
        return None

    def _sync(self) -> None:
        self.medium.sync()
        self.sim.later(self._synced_every_s, self._sync)

    def _look(self) -> None:
        for worker in self.workers:
            worker.look()
        self.sim.later(0.05, self._look)

    def _is_quiet(self) -> bool:
        """Every partition is held and done, and every outbox is empty.

        An entry whose trim Redis lost is seen by the next claim only, so there is one more if need be.
        """
        owned = {partition for worker in self.workers for partition in worker.owned_partitions()}
        partitions = range(self.partitions)
        if not all(worker.is_settled for worker in self.workers) or not owned.issuperset(partitions):
            return False
        if not all(self._is_done(partition) for partition in partitions):
            return False
        is_empty = not any(self.medium.memory._of(partition).outbox for partition in partitions)
        if not is_empty and self.sim.now > self._claims_again_at:
            self._claims_again_at = self.sim.now + 30.0
            self.sim.reached("a lost trim")
            self.group.rebalance()
        return is_empty

    def _is_done(self, partition: int) -> bool:
        """Whether everything is read, and everything that is due is fired."""
        stored = self.medium.memory._of(partition)
        ends = all(stored.positions.get(topic) == self.kafka.logs[TP(topic, partition)].last for topic in self.topics)
        is_fired = not any(due <= stored.clock for due in stored.dues.values())
        is_fired &= not any(customer_codec.decode(value).published_ahead for value in stored.customers.values())
        return ends and is_fired and stored.clock >= START_MS + int(self.shop.ends_at * 1000)

    # --- what is left ----------------------------------------------------------------------

    def evidence(self) -> Evidence:
        partitions = range(self.partitions)
        return Evidence(
            definitions=self.definitions,
            grace_ms=self.grace_ms,
            skew_ms=self.skew_ms,
            start_ms=START_MS,
            records=[
                In(
                    *tp,
                    entry.offset,
                    entry.timestamp,
                    entry.key,
                    entry.value,
                    START_MS + entry.given_at * 1000,
                    START_MS + entry.visible_at * 1000,
                )
                for tp, log in self.kafka.logs.items()
                for entry in log.entries
                if entry.is_read and tp.topic != MERGES
            ],
            bad=self.shop.bad,
            ends={(tp.topic, tp.partition): log.last for tp, log in self.kafka.logs.items()},
            published=[
                Published(
                    *place, START_MS + entry.at * 1000, entry.record.key, entry.record.value, dict(entry.record.headers)
                )
                for place, out in self.kafka.out.items()
                for entry in out
                if entry.record is not None
            ],
            history={partition: self.medium.history[partition] for partition in partitions},
            left={partition: self._left(partition) for partition in partitions},
            stops=self.stops,
            assignments=[
                (worker.process.name, partition) for worker in self.workers for partition in worker.owned_partitions()
            ],
            lost_writes=self.medium.lost_writes,
            forgotten=self.medium.forgotten,
        )

    def _belong(self, customers: Sequence[str], partition: int) -> list[bool]:
        return [partition_of(customer, self.partitions) == partition for customer in customers]

    def _left(self, partition: int) -> Left:
        stored = self.medium.memory._of(partition)
        customers = {name: customer_codec.decode(value) for name, value in stored.customers.items()}
        for name in {(entry.key or b"").decode() for log in self.kafka.logs.values() for entry in log.entries}:
            if name not in customers and (value := stored.erased.get(tombstone(name))) is not None:
                customers[name] = customer_codec.decode(value)
        return Left(
            positions=dict(stored.positions),
            clock=stored.clock,
            outbox=len(stored.outbox),
            members={name: self.engine.membership(customer) for name, customer in customers.items()},
            sequences={name: customer.sequence for name, customer in customers.items()},
        )

    def close(self) -> None:
        """Close the loop; every task that still waits for something dies of it."""
        self.sim.over = True
        self.loop.unwind()


PLAIN = Options()


def run(seed: int, options: Options = PLAIN) -> Outcome:
    """Run one seed."""
    world = World(seed, options)
    sim = world.sim
    handler = _Heard(sim)
    logging.getLogger("streams").addHandler(handler)
    try:
        unquiet = world.loop.run_until_complete(world.live())
        evidence = world.evidence()
        wrong = audit_identity.audit if options.people else audit
        problems = world.loop.failures + ([unquiet] if unquiet else list(wrong(evidence)))
        return Outcome(
            seed, problems, sim.trace, sim.digest(), sim.counts + (Counter() if options.people else tally(evidence))
        )
    finally:
        logging.getLogger("streams").removeHandler(handler)
        with warnings.catch_warnings(action="ignore"):  # tasks that died before their first step
            world.close()


class _Heard(logging.Handler):
    """A log handler: what the product logs is part of the trace."""

    def __init__(self, sim: Sim) -> None:
        super().__init__(logging.WARNING)
        self._sim = sim

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        if record.exc_info and record.exc_info[1]:
            text += f" ({record.exc_info[1]!r})"
        self._sim.say(f"log: {text}")
