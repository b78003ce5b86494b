"""The way to the output topics: the two publishers, as they look from outside.

The one rule: the records of one call arrive in order, after those of the call before it, each at
most once. Without transactions some may arrive although the call failed, or after its process
died; with them a call arrives as a whole or not at all, and never from a producer that was fenced.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from streams.outbox import OutRecord, ProducerFenced, PublishFailed
from tests.world.kafka import Kafka
from tests.world.loop import Process
from tests.world.medium import Medium
from tests.world.sim import Rates, Sim, answer

FAILED, FENCED = -1, -2


class Producer:
    """What both have in common."""

    def __init__(self, sim: Sim, kafka: Kafka, medium: Medium, process: Process, rates: Rates) -> None:
        self._sim = sim
        self._kafka = kafka
        self._medium = medium
        self._process = process
        self._rates = rates

    async def publish(self, partition: int, records: Sequence[OutRecord]) -> Mapping[str, int]:
        """As `streams.outbox.Publisher`."""
        self._sim.tread(self._process, "before a publish")
        self._medium.publishing()
        topics = sorted({record.topic for record in records})
        positions = await self._sent(
            partition, {name: [one for one in records if one.topic == name] for name in topics}
        )
        if FENCED in positions.values():
            raise ProducerFenced
        if FAILED in positions.values():
            raise PublishFailed("no answer")
        self._sim.tread(self._process, "after a publish")
        return positions

    async def _sent(self, partition: int, records: Mapping[str, Sequence[OutRecord]]) -> dict[str, int]:
        raise NotImplementedError

    def _arrived(self, partition: int, topic: str, records: Sequence[OutRecord]) -> int:
        self._sim.say(f"{self._process.name} publishes p{partition} {topic}: {len(records)}")
        self._medium.published(self._process, partition, records)
        return self._kafka.append(topic, partition, records)

    def _fails(self) -> bool:
        return self._sim.happens("publish fails", self._rates.publish)


class Idempotent(Producer):
    """At least once: one producer for all partitions, that sends on whoever still waits for it."""

    def __init__(self, sim: Sim, kafka: Kafka, medium: Medium, process: Process, rates: Rates) -> None:
        super().__init__(sim, kafka, medium, process, rates)
        self._waiting: dict[tuple[str, int], asyncio.Queue[tuple[Sequence[OutRecord], asyncio.Future[int]]]] = {}

    async def claim(self, partitions: Sequence[int]) -> None:
        """What was given before is there afterwards, or has failed."""
        for queue in list(self._waiting.values()):
            await queue.join()

    async def release(self) -> None:
        """Nothing to let go of."""

    async def _sent(self, partition: int, records: Mapping[str, Sequence[OutRecord]]) -> dict[str, int]:
        sent: dict[str, asyncio.Future[int]] = {}
        for topic, own in records.items():
            cut = self._sim.rng.randint(1, len(own))
            for chunk in (own[:cut], own[cut:]):
                if chunk:
                    sent[topic] = self._queued(topic, partition, chunk)
        return {topic: await future for topic, future in sent.items()}

    def _queued(self, topic: str, partition: int, chunk: Sequence[OutRecord]) -> asyncio.Future[int]:
        queue = self._waiting.get((topic, partition))
        if queue is None:
            queue = self._waiting[topic, partition] = asyncio.Queue()
            self._sim.spawn(self._process, self._send(topic, partition, queue))
        future: asyncio.Future[int] = self._sim.future()
        queue.put_nowait((chunk, future))
        return future

    async def _send(
        self, topic: str, partition: int, queue: asyncio.Queue[tuple[Sequence[OutRecord], asyncio.Future[int]]]
    ) -> None:
        """One after the other; a producer that failed sends nothing more."""
        position = 0
        while True:
            chunk, future = await queue.get()
            if position != FAILED:
                sent: asyncio.Future[int] = self._sim.future()
                self._depart(topic, partition, chunk, sent)
                position = await sent
            answer(future, position)
            queue.task_done()

    def _depart(self, topic: str, partition: int, chunk: Sequence[OutRecord], sent: asyncio.Future[int]) -> None:
        sim, fails = self._sim, self._fails()

        def arrive() -> None:
            position = self._arrived(partition, topic, chunk)
            if not fails and not sim.peril(self._process, "before a publish is acknowledged"):
                sim.later(sim.delay(), answer, sent, position)

        if not fails or sim.rng.random() < 0.5:
            sim.later(sim.delay(), arrive)
        if fails:
            sim.later(sim.rng.uniform(0.001, 0.2), answer, sent, FAILED)


class Transactional(Producer):
    """Exactly once: a producer for each partition; the one that was started last is the only one that is heard."""

    def __init__(self, sim: Sim, kafka: Kafka, medium: Medium, process: Process, rates: Rates) -> None:
        super().__init__(sim, kafka, medium, process, rates)
        self._epochs: dict[int, int] = {}

    async def claim(self, partitions: Sequence[int]) -> None:
        """Start a producer for each, which fences those before."""
        for partition in partitions:
            self._sim.tread(self._process, "before a fence")
            started: asyncio.Future[int] = self._sim.future()
            self._sim.later(self._sim.delay(), self._start, partition, started)
            self._epochs[partition] = await started
            self._sim.tread(self._process, "after a fence")

    def _start(self, partition: int, started: asyncio.Future[int]) -> None:
        self._kafka.producers[partition] += 1
        self._sim.later(self._sim.delay(), answer, started, self._kafka.producers[partition])

    async def release(self) -> None:
        """The producers are closed."""
        self._epochs.clear()

    async def _sent(self, partition: int, records: Mapping[str, Sequence[OutRecord]]) -> dict[str, int]:
        if partition not in self._epochs:
            raise ProducerFenced
        committed: asyncio.Future[dict[str, int]] = self._sim.future()
        self._commit(partition, self._epochs[partition], records, committed)
        return await committed

    def _commit(
        self,
        partition: int,
        epoch: int,
        records: Mapping[str, Sequence[OutRecord]],
        committed: asyncio.Future[dict[str, int]],
    ) -> None:
        sim, fails = self._sim, self._fails()

        def arrive() -> None:
            if self._kafka.producers[partition] != epoch:
                sim.reached("transaction fenced")
                sim.later(sim.delay(), answer, committed, dict.fromkeys(records, FENCED))
                return
            positions = {topic: self._arrived(partition, topic, own) for topic, own in records.items()}
            for topic in records:
                self._kafka.mark(topic, partition)
            if not fails and not sim.peril(self._process, "before a commit is acknowledged"):
                sim.later(sim.delay(), answer, committed, positions)

        if not fails or sim.rng.random() < 0.5:
            sim.later(sim.delay() + sim.delay(), arrive)
        if fails:
            sim.later(sim.rng.uniform(0.001, 0.2), answer, committed, dict.fromkeys(records, FAILED))
