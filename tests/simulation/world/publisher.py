"""The way to the output topics: the publisher, as it looks from outside.

The one rule: the records of one call arrive in order, after those of the call before it, each at most once. Some may
arrive although the call failed, or after its process died; but nothing arrives from a producer that was fenced, once
the leader of the output has heard of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from streams.errors import NotRenewed, ProducerFenced, PublishFailed
from streams.wire.records import OutRecord
from streams.wire.topics import OUTPUTS
from tests.simulation.world.kafka import MERGES, Kafka
from tests.simulation.world.loop import Process
from tests.simulation.world.medium import Medium
from tests.simulation.world.sim import Rates, Sim, answer

FAILED, FENCED = -1, -2
Queue = asyncio.Queue[tuple[Sequence[OutRecord], asyncio.Future[int]]]


class Fenced:
    """A producer for each claimed partition, which sends on whether or not a process still waits for it."""

    def __init__(
        self, sim: Sim, kafka: Kafka, medium: Medium, process: Process, rates: Rates, renew_s: float | None
    ) -> None:
        self.renew_s = renew_s
        self._sim = sim
        self._kafka = kafka
        self._medium = medium
        self._process = process
        self._rates = rates
        self._epochs: dict[int, int] = {}
        self._waiting: dict[tuple[str, int, int], Queue] = {}

    async def claim(self, partitions: Sequence[int]) -> None:
        """Claim a new epoch for each partition, of which the leaders hear before anything else is done."""
        for partition in partitions:
            self._sim.tread(self._process, "before a fence")
            await self.renew(partition)
            self._sim.tread(self._process, "after a fence")

    async def renew(self, partition: int) -> None:
        """Renew the epochs as a claim does. It may fail before it has begun, or when some of the leaders know of it."""
        sim, started = self._sim, self._sim.future()
        fails = sim.happens("renewal fails", self._rates.publish)
        if fails and sim.rng.random() < 0.5:
            raise NotRenewed("no answer", has_begun=False)
        sim.later(sim.delay(), self._start, partition, started)
        epoch = await started
        for topic in OUTPUTS:
            marked: asyncio.Future[bool] = sim.future()
            sim.later(sim.delay(), self._mark, topic, partition, epoch, marked)
            if not await marked:
                raise ProducerFenced
            if fails and sim.rng.random() < 0.5:
                break
        if fails:
            raise NotRenewed("no answer", has_begun=True)
        self._epochs[partition] = epoch

    def _start(self, partition: int, started: asyncio.Future[int]) -> None:
        self._kafka.producers[partition] += 1
        self._sim.later(self._sim.delay(), answer, started, self._kafka.producers[partition])

    def _mark(self, topic: str, partition: int, epoch: int, marked: asyncio.Future[bool]) -> None:
        is_newest = self._kafka.producers[partition] == epoch
        if is_newest:
            self._kafka.carry_epoch(topic, partition, epoch)
        self._sim.later(self._sim.delay(), answer, marked, is_newest)

    async def release(self) -> None:
        """Close the producers; what is on its way may arrive."""
        self._epochs.clear()

    async def publish(self, partition: int, records: Sequence[OutRecord]) -> Mapping[str, int]:
        """Publish an entry; see `streams.runtime.outbox.Publisher`."""
        self._sim.tread(self._process, "before a publish")
        self._medium.publishing()
        if partition not in self._epochs:
            raise ProducerFenced
        topics = sorted({record.topic for record in records})
        positions = await self._sent(
            partition, {name: [record for record in records if record.topic == name] for name in topics}
        )
        if FENCED in positions.values():
            raise ProducerFenced
        if FAILED in positions.values():
            raise PublishFailed("no answer")
        self._sim.tread(self._process, "after a publish")
        return positions

    async def _sent(self, partition: int, records: Mapping[str, Sequence[OutRecord]]) -> dict[str, int]:
        sent: dict[str, asyncio.Future[int]] = {}
        for topic, own in records.items():
            cut = self._sim.rng.randint(1, len(own))
            for chunk in (own[:cut], own[cut:]):
                if chunk:
                    sent[topic] = self._queued(topic, partition, chunk)
        return {topic: await future for topic, future in sent.items()}

    def _queued(self, topic: str, partition: int, chunk: Sequence[OutRecord]) -> asyncio.Future[int]:
        epoch = self._epochs[partition]
        queue = self._waiting.get((topic, partition, epoch))
        if queue is None:
            queue = self._waiting[topic, partition, epoch] = asyncio.Queue()
            self._sim.spawn(self._process, self._send(topic, partition, epoch, queue))
        future: asyncio.Future[int] = self._sim.future()
        queue.put_nowait((chunk, future))
        return future

    async def _send(self, topic: str, partition: int, epoch: int, queue: Queue) -> None:
        """One after the other; a producer that failed sends nothing more."""
        position = 0
        while True:
            chunk, future = await queue.get()
            if position not in (FAILED, FENCED):
                sent: asyncio.Future[int] = self._sim.future()
                self._depart(topic, partition, epoch, chunk, sent)
                position = await sent
            answer(future, position)

    def _depart(
        self, topic: str, partition: int, epoch: int, chunk: Sequence[OutRecord], sent: asyncio.Future[int]
    ) -> None:
        sim = self._sim
        fails = sim.happens("publish fails", self._rates.publish)

        def arrive() -> None:
            if topic != MERGES and self._kafka.epochs[topic, partition] > epoch:
                sim.reached("publish fenced")
                sim.later(sim.delay(), answer, sent, FENCED)
                return
            sim.say(f"{self._process.name} publishes p{partition} {topic}: {len(chunk)}")
            self._medium.published()
            position = self._kafka.append(topic, partition, chunk)
            if not fails and not sim.peril(self._process, "before a publish is acknowledged"):
                sim.later(sim.delay(), answer, sent, position)

        if not fails or sim.rng.random() < 0.5:
            sim.later(sim.delay(), arrive)
        if fails:
            sim.later(sim.rng.uniform(0.001, 0.2), answer, sent, FAILED)
