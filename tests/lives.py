"""A partition that lives several lives: it dies anywhere, and its store loses its last writes.

The one rule: all of the worker is the real one, from the claim to the trim; but Kafka and the group are
stand-ins, the store is the memory store, and the wall clock goes on only when a life says so.
"""

from __future__ import annotations

import asyncio
import copy
import json
import random
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any, NamedTuple, cast

from faust.types import TP

from rules.engine import Engine
from rules.events import INPUTS
from streams.ceiling import Ceiling
from streams.claiming import Claiming, Plan
from streams.fetched import Answer, Batch, Heard, Offsets
from streams.outbox import OutRecord
from streams.recovery import Chunk
from streams.segmenter import CHANGES, DEAD_LETTERS
from streams.shard import Pace, Shard
from streams.stop import Stop
from streams.store import Claim, Fenced, Identity, MemoryStore, Save
from streams.wire import changes, customers
from tests import oracle
from tests.oracle import Json

IDENTITY = Identity("cluster", "group", 1, "definitions")
GRACE_MS = 1_000
FIRST = dict.fromkeys(INPUTS, 0)


class Died(Exception):
    """The end of a life."""


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
        at = rng.randrange(len(values) + 1)
        when = values[at - 1][1] if at else values[0][1]
        values.insert(at, (rng.choice(INPUTS), when, b"who", b"garbage %d" % number))
    topics: dict[str, list[Record]] = {topic: [] for topic in INPUTS}
    for topic, when, key, value in values:
        topics[topic].append(Record(topic, len(topics[topic]), when, key, value))
    return topics


class Outputs:
    """The output topics: what was appended, and what somebody sent who died."""

    def __init__(self, rng: random.Random, *, transactional: bool) -> None:
        self.rng = rng
        self.transactional = transactional
        self.records: dict[str, list[OutRecord]] = {CHANGES: [], DEAD_LETTERS: []}
        self.late: list[OutRecord] = []

    async def read(self, positions: Mapping[tuple[str, int], int | None]) -> AsyncGenerator[Chunk, None]:
        """In chunks of any size."""
        for (topic, partition), position in positions.items():
            at = position or 0
            while at < len(self.records[topic]):
                end = min(len(self.records[topic]), at + self.rng.choice((1, 2, 5, 100)))
                yield Chunk(topic, partition, self.records[topic][at:end], end)
                at = end
        self.append(self.late)  # a zombie's: nobody saw them
        self.late = []

    def append(self, records: Sequence[OutRecord]) -> None:
        for record in records:
            self.records[record.topic].append(record)

    def changes(self) -> list[changes.SegmentChange]:
        return [changes.decode(record.value or b"") for record in self.records[CHANGES]]

    def letters(self) -> list[tuple[str, int]]:
        found = [dict(record.headers) for record in self.records[DEAD_LETTERS]]
        return [(headers["topic"].decode(), int(headers["offset"])) for headers in found]


class Publisher:
    """Appends; may die before, in the middle or after. With transactions, all or nothing."""

    def __init__(self, outputs: Outputs, deaths: Deaths) -> None:
        self._outputs = outputs
        self._deaths = deaths
        self.may = asyncio.Event()

    async def claim(self, partitions: Sequence[int]) -> None:
        """Nothing to make ready."""

    async def publish(self, partition: int, records: Sequence[OutRecord]) -> Mapping[str, int]:
        await self.may.wait()
        outputs = self._outputs
        if self._deaths.comes():
            sent = outputs.rng.randrange(len(records) + 1)
            if not outputs.transactional:
                outputs.append(records[:sent])
                outputs.late = list(records[sent:]) if outputs.rng.random() < 0.5 else []
            raise Died
        outputs.append(records)
        if self._deaths.comes():
            raise Died
        return {topic: len(outputs.records[topic]) for topic in {record.topic for record in records}}

    async def release(self) -> None:
        """Nothing to let go of."""


class Deaths:
    """After so many calls of store and publisher this life ends; never: None."""

    def __init__(self, after: int | None = None) -> None:
        self.left = after

    def comes(self) -> bool:
        if self.left is not None:
            self.left -= 1
        return self.left is not None and self.left < 0


class Store(MemoryStore):
    """Remembers what it was after every write, so that it can go back there; may die before or after one.

    ``loses``: before which write, and how many it loses then while the worker goes on.
    """

    def __init__(self) -> None:
        super().__init__()
        self.deaths = Deaths()
        self.loses: tuple[int, int] | None = None
        self.was: list[Any] = [_copied(self._partitions)]

    def _dies(self) -> None:
        if self.loses and self.loses[0] == len(self.was):
            self.lose(self.loses[1])
            self.loses = None
        if self.deaths.comes():
            raise Died

    def _written(self) -> None:
        self.was.append(_copied(self._partitions))
        self._dies()

    async def claim(self, claim: Claim) -> Any:
        state = await super().claim(claim)
        self._written()
        return state

    async def begin(self, claim: Claim, positions: Mapping[str, int]) -> None:
        await super().begin(claim, positions)
        self._written()

    async def save(self, partition: int, save: Save) -> Any:
        self._dies()
        answer = await super().save(partition, save)
        self._written()
        return answer

    async def trim(self, partition: int, token: str, first: int, outputs: Mapping[str, int]) -> bool:
        self._dies()
        answer = await super().trim(partition, token, first, outputs)
        self._written()
        return answer

    def lose(self, writes: int) -> None:
        """The last writes were never there."""
        self.was = self.was[: max(1, len(self.was) - writes)]
        self._partitions = _copied(self.was[-1])


def _copied(partitions: Mapping[int, Any]) -> dict[int, Any]:
    """What they hold is never changed in place, so it need not be copied too."""
    copies = {number: copy.copy(held) for number, held in partitions.items()}
    for held in copies.values():
        for name, value in vars(held).items():
            if isinstance(value, dict | list):
                setattr(held, name, value.copy())
    return copies


class Lives:
    """One partition through all its lives."""

    def __init__(self, rng: random.Random, engine: Engine, topics: dict[str, list[Record]], *, transactional: bool):
        self.rng = rng
        self.engine = engine
        self.topics = topics
        self.store = Store()
        self.outputs = Outputs(rng, transactional=transactional)
        self.wall = 0
        self.times = sorted({record.timestamp for records in topics.values() for record in records})
        self.count = 0
        self.said: list[str] = []

    def _plan(self) -> Plan:
        return Plan(
            topics=INPUTS,
            identity=IDENTITY,
            engine=self.engine,
            pace=Pace(self.rng.choice((1, 3, 10)), 1_000, self.rng.choice((1, 5)), GRACE_MS),
            ceiling=Ceiling(1.0, 10_000),
            languages=(),
            rebuild=False,
            exact_ends=True,
            belongs=lambda *_: True,
            now_ms=lambda: self.wall,
            stop=self.said.append,
        )

    # --- what stands in for the consumer

    generation = 0

    async def offsets(self, tps: frozenset[TP]) -> Offsets:
        return Offsets(dict.fromkeys(tps, 0), {tp: len(self.topics[tp.topic]) for tp in tps}, {})

    def heard(self, tp: TP) -> Heard:
        end = self._end(tp.topic)
        return Heard(Answer(end, end, self.wall, time.monotonic()), time.monotonic())

    def _end(self, topic: str) -> int:
        return sum(record.timestamp <= self.wall for record in self.topics[topic])

    # --- a life

    async def live(self, until: int, dies_after: int | None = None) -> bool:
        """Claim, read on as the time goes, and publish; to the end, or to a death. Whether it came to the end.

        The end is not before all was read, nor before the clock has passed the moment of the claim.
        A worker that finds that its store has lost something stops: a death too.
        """
        self.count += 1
        until = max(until, self.times[-1], self.wall + 1)
        self.store.deaths = deaths = Deaths(dies_after)
        publisher = Publisher(self.outputs, deaths)
        running: asyncio.Task[None] | None = None
        try:
            claiming = await self.claim(publisher)
            (holding,) = claiming.holdings().values()
            running = asyncio.create_task(claiming.claimed[0].outbox.run())
            await self._read_on(holding.shard, publisher, running, until)
            publisher.may.set()
            await self._drained(claiming, running)
        except (Died, Stop, Fenced):
            return False
        finally:
            if running is not None:
                running.cancel()
                await asyncio.gather(running, return_exceptions=True)
        return True

    async def claim(self, publisher: Publisher | None = None) -> Claiming:
        """All that comes before anything new is read."""
        publisher = publisher or Publisher(self.outputs, Deaths())
        publisher.may.set()
        claiming = Claiming(self._plan(), self.store, publisher, self.outputs, self.count, cast(Any, self))
        await claiming.take(frozenset(TP(topic, 0) for topic in INPUTS))
        return claiming

    @staticmethod
    async def _drained(claiming: Claiming, running: asyncio.Task[None]) -> None:
        drained = asyncio.create_task(claiming.claimed[0].outbox.drained())
        await asyncio.wait([drained, running], return_when=asyncio.FIRST_COMPLETED)
        if running.done():
            drained.cancel()
            running.result()

    async def _read_on(self, shard: Shard, publisher: Publisher, running: asyncio.Task[None], until: int) -> None:
        while True:
            publisher.may.set() if self.rng.random() < 0.6 else publisher.may.clear()
            self._fetch(shard)
            moved = await shard._step()
            moved = await shard._fire() or moved
            await asyncio.sleep(0)
            if running.done():
                running.result()
            if not moved and all(shard.merge.fetched(topic) == self._end(topic) for topic in INPUTS):
                if self.wall >= until + GRACE_MS:
                    return
                later = [when for when in self.times if when > self.wall]
                self.wall = later[0] if later else until + GRACE_MS

    def _fetch(self, shard: Shard) -> None:
        """Some of what is there, of some inputs."""
        for topic in INPUTS:
            start, end = shard.merge.fetched(topic), self._end(topic)
            if start < end and self.rng.random() < 0.7:
                end = min(end, start + self.rng.choice((1, 2, 100)))
                shard.receive(Batch(topic, 0, start, end, cast(Any, self.topics[topic][start:end]), self.count))

    def having_lost(self, writes: int) -> Lives:
        """The same at this moment, but for the last writes of the store."""
        other = copy.copy(self)
        other.rng = random.Random(writes)
        other.store, other.outputs = copy.copy(self.store), copy.copy(self.outputs)
        other.outputs.rng = other.rng
        other.store.lose(writes)
        other.outputs.records = {topic: list(records) for topic, records in self.outputs.records.items()}
        return other

    def members(self) -> dict[str, frozenset[str]]:
        """Who is in what, by the store."""
        held = self.store._partitions[0].customers
        found = {who: frozenset(self.engine.membership(customers.decode(value))) for who, value in held.items()}
        return {who: segments for who, segments in found.items() if segments}

    def ahead(self) -> list[str]:
        """Who is ahead still."""
        held = self.store._partitions[0].customers
        return [who for who, value in held.items() if customers.decode(value).ahead is not None]
