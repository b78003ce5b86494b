"""A partition that lives several lives: it dies anywhere, and its store loses its last writes.

All of the worker is the real one, from the claim to the trim; but Kafka and the group are
stand-ins, the store is the memory store, and the wall clock goes on only when a life says so.
"""

from __future__ import annotations

import asyncio
import copy
import json
import random
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, cast

import msgspec
from faust.types import TP

from rules.engine import Engine
from rules.event_names import INPUTS
from rules.published_ahead import PublishedChange
from streams.errors import Fenced
from streams.kafka.fetch import Batch, FetchResponse, FetchStatus, Offsets
from streams.offline.rebuild_process import beyond, newest
from streams.offline.recompute import RecomputedPartition
from streams.runtime.assignment import Assignment
from streams.runtime.partition_runner import PartitionRunner
from streams.runtime.partition_task import Pace, PartitionTask
from streams.state.contract import Identity
from streams.state.definition_versions import DefinitionVersions
from streams.stop import Stop
from streams.wire import customer_codec
from streams.wire.topics import CHANGES, OUTPUTS
from streams.worker.claim import WorkerConfig, claim_partitions
from streams.worker.dead_letter_limit import DeadLetterLimit
from streams.worker.rebuild_handover import RebuildRequest, Recomputation
from tests.oracle import oracle
from tests.oracle.oracle import Json
from tests.support.lossy_store import Deaths, Died, Outputs, Publisher, Store

IDENTITY = Identity("cluster", "group", 1, "definitions")
GRACE_MS = 1_000
FIRST = dict.fromkeys(INPUTS, 0)


class Record(NamedTuple):
    """A record of an input."""

    topic: str
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None


def inputs(rng: random.Random, sent: Sequence[Json], garbage: int) -> dict[str, list[Record]]:
    """The events in the order in which they are sent, each as soon as it can be; some records are no events."""
    values: list[tuple[str, int, bytes, bytes]] = []
    now = 0
    for event in sent:
        now = max(now, oracle.fact(event).time)
        topic = INPUTS[oracle.topic_rank(oracle.fact(event).name)]
        values.append((topic, now, oracle.customer(event).encode(), json.dumps(event).encode()))
    for number in range(garbage):
        index = rng.randrange(len(values) + 1)
        when = values[index - 1][1] if index else values[0][1]
        values.insert(index, (rng.choice(INPUTS), when, b"who", b"garbage %d" % number))
    topics: dict[str, list[Record]] = {topic: [] for topic in INPUTS}
    for topic, when, key, value in values:
        topics[topic].append(Record(topic, len(topics[topic]), when, key, value))
    return topics


class Lives:
    """One partition through all its lives."""

    def __init__(self, rng: random.Random, engine: Engine, topics: dict[str, list[Record]]) -> None:
        self.rng = rng
        self.engine = engine
        self.topics = topics
        self.store = Store()
        self.outputs = Outputs(rng)
        self.outputs.inputs = self._readable
        self.wall = 0
        self.times = sorted({record.timestamp for records in topics.values() for record in records})
        self.count = 0
        self.stop_messages: list[str] = []
        self.rebuilds = False

    def _plan(self) -> WorkerConfig:
        return WorkerConfig(
            topics=INPUTS,
            outputs=OUTPUTS,
            identity=msgspec.structs.replace(IDENTITY, definitions=self.engine.definitions.fingerprint),
            engine=self.engine,
            pace=Pace(self.rng.choice((1, 3, 10)), 1_000, self.rng.choice((1, 5)), GRACE_MS),
            dead_letter_limit=DeadLetterLimit(1.0, 10_000),
            languages=(),
            rebuild=self.rebuilds,
            started_ms=self.wall + 1,
            recompute=self._recompute,
            exact_ends=True,
            belong=lambda customers, _: [True] * len(customers),
            now_ms=lambda: self.wall,
            stop=self.stop_messages.append,
        )

    # --- what stands in for the consumer

    generation = 0

    async def offsets(self, tps: frozenset[TP]) -> Offsets:
        return Offsets(dict.fromkeys(tps, 0), {tp: len(self.topics[tp.topic]) for tp in tps}, {})

    def heard(self, tp: TP) -> FetchStatus:
        end = self._end(tp.topic)
        return FetchStatus(FetchResponse(end, end, self.wall, time.monotonic()), time.monotonic())

    def _end(self, topic: str) -> int:
        return sum(record.timestamp <= self.wall for record in self.topics[topic])

    async def _recompute(self, request: RebuildRequest) -> Recomputation:
        return Beside(self, request)

    # --- a life

    async def live(self, until: int, dies_after: int | None = None, *, in_publishing: bool = False) -> bool:
        """Claim, read on as the time goes, and publish; to the end, or to a death. Whether it came to the end.

        ``dies_after``: so many calls of store and publisher; ``in_publishing``: of the publisher alone.

        The end is not before all was read, nor before the clock has passed the moment of the claim.
        A worker that finds that its store has lost something stops: a death too.
        """
        self.count += 1
        # Each change of files is told a millisecond after the customer's instant, which may be this one.
        until = max(until, self.times[-1], self.wall + 20)
        deaths = Deaths(dies_after)
        self.store.deaths = Deaths() if in_publishing else deaths
        publisher = Publisher(self.outputs, deaths)
        running: asyncio.Task[None] | None = None
        try:
            runner = await self.claim(publisher)
            running = asyncio.create_task(runner.outbox.run())
            try:
                await self._read_on(runner.task, publisher, running, until)
            finally:
                await runner.task._end_rebuild()
            publisher.may.set()
            await self._drained(runner, running)
        except (Died, Stop, Fenced):
            return False
        finally:
            if running is not None:
                running.cancel()
                await asyncio.gather(running, return_exceptions=True)
        return True

    async def claim(self, publisher: Publisher | None = None) -> PartitionRunner:
        """Claim the partition: all that comes before anything new is read."""
        publisher = publisher or Publisher(self.outputs, Deaths())
        publisher.may.set()
        config = self._plan()
        assignment = Assignment(config, self.store, publisher, self.outputs, self.count, cast(Any, self))
        (runner,) = (await claim_partitions(config, assignment, frozenset(TP(topic, 0) for topic in INPUTS))).values()
        return runner

    @staticmethod
    async def _drained(runner: PartitionRunner, running: asyncio.Task[None]) -> None:
        drained = asyncio.create_task(runner.outbox.drained())
        await asyncio.wait([drained, running], return_when=asyncio.FIRST_COMPLETED)
        if running.done():
            drained.cancel()
            running.result()

    async def _read_on(
        self, partition_task: PartitionTask, publisher: Publisher, running: asyncio.Task[None], until: int
    ) -> None:
        if partition_task._rebuild is not None:
            partition_task._rebuild.start()
        while True:
            publisher.may.set() if self.rng.random() < 0.6 else publisher.may.clear()
            self._fetch(partition_task)
            moved = await partition_task._step()
            moved = await partition_task._fire() or moved
            moved = await partition_task._switch() or moved
            moved = await partition_task._backfill() or moved
            await asyncio.sleep(0)
            if running.done():
                running.result()
            if (
                not moved
                and partition_task._background.is_done
                and partition_task._rebuild is None
                and all(partition_task.merge.fetched(topic) == self._end(topic) for topic in INPUTS)
            ):
                if self.wall >= until + GRACE_MS:
                    return
                later = [when for when in self.times if when > self.wall]
                self.wall = later[0] if later else until + GRACE_MS

    def _fetch(self, partition_task: PartitionTask) -> None:
        """Fetch some of what is there, of some inputs."""
        for topic in INPUTS:
            start, end = partition_task.merge.fetched(topic), self._end(topic)
            if start < end and self.rng.random() < 0.7:
                end = min(end, start + self.rng.choice((1, 2, 100)))
                partition_task.receive(
                    Batch(topic, 0, start, end, cast(Any, self.topics[topic][start:end]), self.count)
                )

    def _readable(self, topic: str) -> list[Record]:
        return [record for record in self.topics.get(topic, []) if record.timestamp <= self.wall]

    def having_lost(self, writes: int) -> Lives:
        """Copies of the lives at this moment, but for the last writes of the store."""
        other = copy.copy(self)
        other.rng = random.Random(writes)
        other.store, other.outputs = copy.copy(self.store), copy.copy(self.outputs)
        other.outputs.rng, other.outputs.inputs = other.rng, other._readable
        other.store.lose(writes)
        other.outputs.records = {topic: list(records) for topic, records in self.outputs.records.items()}
        return other

    def members(self) -> dict[str, frozenset[str]]:
        """The customers' segments, by the store."""
        stored = self.store._partitions[0].customers
        memberships = {
            customer_id: frozenset(self.engine.membership(customer_codec.decode(value)))
            for customer_id, value in stored.items()
        }
        return {customer_id: segments for customer_id, segments in memberships.items() if segments}

    def ahead(self) -> list[str]:
        """The customers that are still published ahead."""
        stored = self.store._partitions[0].customers
        return [
            customer_id
            for customer_id, value in stored.items()
            if customer_codec.decode(value).published_ahead is not None
        ]


class Beside:
    """A rebuild: reads all events again, in turns with the life."""

    def __init__(self, lives: Lives, request: RebuildRequest) -> None:
        assert request.definitions == lives.engine.definitions.fingerprint
        versions = DefinitionVersions.decoded(request.definition_versions, request.documents, lives.engine)
        versions = versions.for_engine(lives.engine, 0)
        logs = cast(Any, {topic: _Log(lives.topics[topic]) for topic in INPUTS})
        self._made = RecomputedPartition(logs, lives.engine, request.partition, lambda *_: True, versions.translated)
        self._lives = lives
        self.customers: dict[str, bytes] = {}
        self.published: dict[str, PublishedChange] = {}

    async def upto(self, positions: Mapping[str, int]) -> None:
        """Read up to these positions, as a rebuild in a process of its own does."""
        for _ in self._made.steps(positions):
            if self._lives.rng.random() < 0.3:
                await asyncio.sleep(0)
        is_first, touched = not self.customers, self._made.take_touched()
        self.customers |= {name: customer_codec.encode(self._made.customers[name]) for name in touched}
        if is_first:
            published = newest(record.value for record in self._lives.outputs.records[CHANGES])
            stored = zip(touched, await self._lives.store.load(0, touched), strict=True)
            sequences = {name: 0 if value is None else customer_codec.decode(value).sequence for name, value in stored}
            self.published = beyond(published, sequences)

    async def close(self) -> None:
        """Do nothing: nothing is open."""


class _Log:
    """An input from its first record on."""

    def __init__(self, records: Sequence[Record]) -> None:
        self._records = records
        self._at = 0

    def upto(self, end: int) -> Iterator[Record]:
        """Those before ``end`` that were not read yet."""
        while self._at < end:
            self._at += 1
            yield self._records[self._at - 1]
