"""The way to the output topics: an idempotent producer, as it looks from outside.

The one rule: the records of one call to one topic arrive in order, after those of the call before
it, each at most once; some may arrive although the call failed, or after its process died.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from streams.outbox import OutRecord, PublishFailed
from tests.world.kafka import Kafka
from tests.world.loop import Process
from tests.world.medium import Medium
from tests.world.sim import Sim, answer

Chunk = tuple[Sequence[OutRecord], "asyncio.Future[bool]"]


class Producer:
    """The publisher of one process."""

    def __init__(self, sim: Sim, kafka: Kafka, medium: Medium, process: Process, fail_rate: float) -> None:
        self._sim = sim
        self._kafka = kafka
        self._medium = medium
        self._process = process
        self._fail_rate = fail_rate
        self._waiting: dict[tuple[str, int], asyncio.Queue[Chunk]] = {}

    async def publish(self, partition: int, records: Sequence[OutRecord]) -> None:
        """As `streams.outbox.Publisher`. Who gives up waiting does not take back what is under way."""
        sim = self._sim
        sim.tread(self._process, "before a publish")
        self._medium.publishing()
        acks = []
        for topic in sorted({record.topic for record in records}):
            own = [record for record in records if record.topic == topic]
            cut = sim.rng.randint(1, len(own))
            acks += [self._queued(topic, partition, chunk) for chunk in (own[:cut], own[cut:]) if chunk]
        for ack in acks:
            if not await ack:
                raise PublishFailed("no answer")
        sim.tread(self._process, "after a publish")

    def _queued(self, topic: str, partition: int, chunk: Sequence[OutRecord]) -> asyncio.Future[bool]:
        ack: asyncio.Future[bool] = self._sim.future()
        queue = self._waiting.get((topic, partition))
        if queue is None:
            queue = self._waiting[topic, partition] = asyncio.Queue()
            self._sim.spawn(self._process, self._send(topic, partition, queue))
        queue.put_nowait((chunk, ack))
        return ack

    async def _send(self, topic: str, partition: int, queue: asyncio.Queue[Chunk]) -> None:
        """One after the other; a producer that failed sends nothing more."""
        while True:
            chunk, ack = await queue.get()
            sent: asyncio.Future[bool] = self._sim.future()
            self._depart(topic, partition, chunk, sent)
            is_taken = await sent
            answer(ack, is_taken)
            if not is_taken:
                return

    def _depart(self, topic: str, partition: int, chunk: Sequence[OutRecord], sent: asyncio.Future[bool]) -> None:
        sim = self._sim
        fails = sim.happens("publish fails", self._fail_rate)

        def arrive() -> None:
            self._kafka.publish(topic, partition, chunk)
            sim.say(f"{self._process.name} publishes p{partition} {topic}: {len(chunk)}")
            if not fails and not sim.peril(self._process, "before a publish is acknowledged"):
                sim.later(sim.delay(), answer, sent, True)

        if not fails or sim.rng.random() < 0.5:
            sim.later(sim.delay(), arrive)
        if fails:
            sim.later(sim.rng.uniform(0.001, 0.2), answer, sent, False)
