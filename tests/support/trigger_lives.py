"""Triggers beside a segmenter whose Redis is slow, loses its last second, or is emptied; in a time of its own.

Claim, steps, outbox, looks and marks of linked ids are the real ones. Kafka is a list, Redis the memory store, and the
segmenter a model (`tests.support.trigger_segmenter`). Every call of a store takes time, in which all else goes on.
Long because it is one world.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar, cast

from faust.types import TP

from rules.placeholders import BUILT_IN
from streams.errors import Fenced
from streams.kafka.fetch import Batch, FetchedRecord, FetchResponse, FetchStatus, Offsets, OutputChunk
from streams.runtime.assignment import Assignment
from streams.runtime.partition_runner import PartitionRunner
from streams.runtime.partition_task import Pace
from streams.state.contract import Identity
from streams.state.redis_reader import PartitionLook
from streams.stop import Stop
from streams.triggers import decision_log
from streams.triggers.claim import TriggersConfig, TriggersTask, claim_partitions
from streams.triggers.config import TriggersFile
from streams.triggers.counts import Counts
from streams.triggers.decision_log import Decision
from streams.triggers.endpoint import Endpoint
from streams.triggers.inputs import INPUTS
from streams.triggers.linked_ids import LinkedIds
from streams.triggers.membership_lookup import MembershipLookup
from streams.triggers.messages import AttemptResult, Message, Outcome
from streams.wire.records import OutRecord
from streams.wire.topics import CHANGES, TRIGGER_DEAD_LETTERS, TRIGGER_DECISIONS
from tests.support.in_memory_triggers import START
from tests.support.lossy_store import Store
from tests.support.trigger_segmenter import DEFINITIONS, GRACE_MS, Segmenter

T = TypeVar("T")
FRESH_MS = 11_000


class Topics:
    """The topics to which triggers publish."""

    renew_s = None
    peek: Any = None  # triggers do not call it

    def __init__(self) -> None:
        self.records: dict[str, list[OutRecord]] = {TRIGGER_DECISIONS: [], TRIGGER_DEAD_LETTERS: []}

    async def read(self, positions: Mapping[tuple[str, int], int | None]) -> Any:
        """Read from these positions to the end."""
        for (topic, partition), position in positions.items():
            records = self.records[topic][position or 0 :]
            if records:
                yield OutputChunk(topic, partition, cast(Any, records), len(self.records[topic]))

    async def claim(self, partitions: Sequence[int]) -> None:
        """Do nothing: there is nothing to make ready."""

    async def renew(self, partition: int) -> None:
        """Do nothing: there is no other publisher."""

    async def publish(self, partition: int, records: Sequence[OutRecord]) -> Mapping[str, int]:
        for record in records:
            self.records[record.topic].append(record)
        return {topic: len(self.records[topic]) for topic in {record.topic for record in records}}

    async def release(self) -> None:
        """Do nothing: there is nothing to let go of."""

    def decisions(self) -> list[Decision]:
        """All decisions, in order."""
        return [decision_log.decode(record.value or b"") for record in self.records[TRIGGER_DECISIONS]]


class SlowStore(Store):
    """The memory store, each call of which takes time; ``history``: what it was after which write."""

    def __init__(self, lives: TriggerLives) -> None:
        super().__init__()
        self._lives = lives
        self._times = [START]

    def _written(self) -> None:
        super()._written()
        self._times.append(self._lives.wall)

    def lose_since(self, time: int) -> None:
        """Lose what was written after that, as if it had never been there."""
        lost = sum(written > time for written in self._times)
        if lost:
            self.lose(lost)
            self._times = self._times[: len(self.was)]

    def empty(self) -> None:
        """Empty the store."""
        self.lose(len(self.was))
        self._times = self._times[:1]

    async def load(self, partition: int, customers: Sequence[str]) -> list[bytes | None]:
        return await self._lives.slowly(lambda: super(SlowStore, self).load(partition, customers))

    async def due(self, partition: int, until: int, limit: int) -> list[str]:
        return await self._lives.slowly(lambda: super(SlowStore, self).due(partition, until, limit))

    async def next_due(self, partition: int) -> int:
        return await self._lives.slowly(lambda: super(SlowStore, self).next_due(partition))

    async def save(self, partition: int, save: Any) -> Any:
        return await self._lives.slowly(lambda: super(SlowStore, self).save(partition, save))

    async def trim(self, *arguments: Any) -> bool:
        return await self._lives.slowly(lambda: super(SlowStore, self).trim(*arguments))


class Attempt(NamedTuple):
    """A message that went out, with what there was when triggers looked last.

    ``read``: how many records of each input they had read. ``decided`` (ms): up to where Redis held what the segmenter
    decided. ``published``: how many decisions were on the topic.
    """

    time: int
    read: Mapping[str, int]
    decided: int
    published: int
    message: Message
    outcome: Outcome


class TriggerLives:
    """Triggers of one partition, over all their lives."""

    def __init__(
        self,
        rng: random.Random,
        file: TriggersFile,
        segmenter: Segmenter,
        delay_ms: int,
        losses: Sequence[Callable[[TriggerLives], None]],
        requests: Sequence[tuple[int, Callable[[TriggerLives], None]]] = (),
    ) -> None:
        """``losses``: what happens to Redis, each at a time of its own; ``requests``: what operators do, and when."""
        self.rng = rng
        self.file = file
        self.wall = START
        self.segmenter = segmenter
        self.delay_ms = delay_ms
        self.topics = Topics()
        self.store = SlowStore(self)
        self.attempts: list[Attempt] = []
        self.counts = Counts()
        self.stops: list[str] = []
        self.generation = 0
        timed = [(START + rng.randrange(2_000, 30_000), loss) for loss in losses]
        self._losses = sorted([*timed, *requests], key=lambda deed: deed[0])
        self.inputs: dict[str, list[FetchedRecord]] = {name: [] for name in INPUTS}
        self.inputs[CHANGES] = segmenter.records
        self._fetched = (dict.fromkeys(INPUTS, 0), START)

    # --- time

    def pass_ms(self, passed: int) -> None:
        """Let time go on, and the world with it."""
        until = self.wall + passed
        while self.wall < until:
            self.wall = min(until, self.wall + 50)
            if self._losses and self._losses[0][0] <= self.wall:
                self._losses.pop(0)[1](self)
            self.segmenter.run(self.wall)

    async def slowly(self, call: Callable[[], Awaitable[T]]) -> T:
        """A call of Redis: half of its time lies before what it does, half after."""
        self.pass_ms(self.delay_ms - self.delay_ms // 2)
        await asyncio.sleep(0)
        answer = await call()
        self.pass_ms(self.delay_ms // 2)
        await asyncio.sleep(0)
        return answer

    async def look(self, partition: int, ids: Sequence[str]) -> PartitionLook:
        """Look at customers of the segmenter's store; see `streams.state.redis.RedisStore`."""

        async def partition_look() -> PartitionLook:
            return self.segmenter.look(partition, ids)

        return await self.slowly(partition_look)

    # --- what stands in for Kafka's consumer

    async def offsets(self, tps: frozenset[TP]) -> Offsets:
        ends = {tp: len(self.inputs[tp.topic]) for tp in tps}
        return Offsets(dict.fromkeys(tps, 0), ends, dict.fromkeys(tps, 1) if self.generation > 1 else {})

    def heard(self, tp: TP) -> FetchStatus:
        ends, requested_ms = self._fetched
        end = ends[tp.topic]
        return FetchStatus(FetchResponse(end, end, requested_ms, requested_ms / 1000), requested_ms / 1000)

    def append(self, topic: str, customer: str, value: bytes) -> None:
        """Append a record of now."""
        records = self.inputs[topic]
        records.append(FetchedRecord(topic, len(records), self.wall, customer.encode(), value))

    # --- a channel

    async def send(self, message: Message) -> AttemptResult:
        """Connect for a while, look once more, and send."""
        self.pass_ms(self.rng.choice((0, 0, 20, 3_000)))
        await asyncio.sleep(0)
        read, decided = dict(self._partition_task.dispatcher.checkpointer.positions), self.segmenter.reached[0]
        against = await message.against()
        if against is not None:
            return AttemptResult(Outcome.GIVEN_BACK, against)
        outcome = self.rng.choice([Outcome.SENT] * 8 + [Outcome.FAILED, Outcome.UNKNOWN, Outcome.REFUSED])
        published = len(self.topics.records[TRIGGER_DECISIONS])
        self.attempts.append(Attempt(self.wall, read, decided, published, message, outcome))
        return AttemptResult(outcome, "drawn")

    async def close(self) -> None:
        """Do nothing: nothing is open."""

    # --- lives

    def _plan(self, *, rebuild: bool) -> TriggersConfig:
        linked = LinkedIds(self, lambda name: int(name.startswith("phone")), lambda: self.wall, GRACE_MS)
        return TriggersConfig(
            topics=INPUTS,
            outputs=(TRIGGER_DECISIONS, TRIGGER_DEAD_LETTERS),
            identity=Identity("cluster", "group", 1, "triggers"),
            pace=Pace(self.rng.choice((1, 10)), 1_000, 100, 0),
            rebuild=rebuild,
            exact_ends=True,
            now_ms=lambda: self.wall,
            stop=self.stops.append,
            monotonic=lambda: self.wall / 1000,
            file=self.file,
            placeholders=BUILT_IN,
            endpoints={name: Endpoint(way, self) for name, way in self.file.channels.items()},
            memberships=MembershipLookup(self, DEFINITIONS, linked),
            counts=self.counts,
            fresh_ms=FRESH_MS,
        )

    async def live(self, until: int, ends_at: int) -> bool:
        """Claim and go on until all is decided after ``until``; whether it came to that before ``ends_at``."""
        self.generation += 1
        rebuild = self.generation > 1 and not self.store._of(0).positions
        if rebuild:
            await self._refused()
        running: asyncio.Task[None] | None = None
        task: TriggersTask | None = None
        try:
            runner = await self._claim(rebuild=rebuild)
            running = asyncio.create_task(runner.outbox.run())
            self._partition_task = task = cast(TriggersTask, runner.task)
            return await self._turns(task, running, until, ends_at)
        except (Stop, Fenced):
            return False
        finally:
            tasks = [running] if running is not None else []
            if task is not None:
                tasks += task.dispatcher._tasks
            for ended in tasks:
                ended.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self.pass_ms(self.rng.randrange(500, 3_000))

    async def _claim(self, *, rebuild: bool) -> PartitionRunner:
        config = self._plan(rebuild=rebuild)
        assignment = Assignment(config, self.store, self.topics, self.topics, self.generation, cast(Any, self))
        (runner,) = (await claim_partitions(config, assignment, frozenset(TP(topic, 0) for topic in INPUTS))).values()
        return runner

    async def _refused(self) -> None:
        """Without ``--rebuild`` an empty Redis is refused."""
        try:
            await self._claim(rebuild=False)
        except Stop:
            return
        raise AssertionError("an empty Redis is taken for a new one")

    async def _turns(self, partition_task: TriggersTask, running: asyncio.Task[None], until: int, ends_at: int) -> bool:
        while self.wall < ends_at:
            if self.rng.random() < 0.7:
                self._fetch(partition_task)
            moved = await partition_task._step()
            await partition_task._fire()
            await asyncio.sleep(0)
            if running.done():
                running.result()
            if moved:
                continue
            await partition_task._idle()
            if self.wall > until and self._is_quiet(partition_task):
                await partition_task._outbox.drained()
                return True
            self.pass_ms(35 if self.wall < until else 500)
        return False

    def _is_quiet(self, partition_task: TriggersTask) -> bool:
        positions = partition_task.dispatcher.checkpointer.positions
        all_read = all(positions[name] == len(records) for name, records in self.inputs.items())
        return (
            self.segmenter.is_quiet
            and all_read
            and not partition_task.dispatcher.checkpointer.next_due
            and not partition_task.dispatcher._flying
            and not self._losses
        )

    def _fetch(self, partition_task: TriggersTask) -> None:
        for name, records in self.inputs.items():
            start, end = partition_task.merge.fetched(name), len(records)
            if start < end:
                partition_task.receive(Batch(name, 0, start, end, cast(Any, records[start:end]), self.generation))
        self._fetched = ({name: len(records) for name, records in self.inputs.items()}, self.wall)


FILE = TriggersFile.model_validate({
    "version": 1,
    "window": "3s",
    "channels": {
        "mail": {"kind": "console", "after_crash": "drop", "concurrency": 2},
        "bot": {"kind": "console", "after_crash": "send", "concurrency": 2, "retry": {"first": "1s", "attempts": 3}},
    },
    "triggers": {
        "remind": {
            "segment": "abandoned_cart", "channel": "mail", "delay": "3s", "priority": 1, "then": {"after": "5s"},
        },
        "nudge": {"segment": "abandoned_cart", "channel": "mail", "cool_down": "1h", "delay": "2s"},
        "call": {
            "segment": "abandoned_cart", "channel": "bot", "variants": {"a": {}, "b": {"weight": 2}},
            "then": {"after": "2s", "variants": {"a": {}, "b": {"weight": 2}}},
        },
        "thanks": {"segment": "abandoned_cart", "on": "exited", "channel": "bot", "delay": "1s", "expires": "30m"},
    },
})  # fmt: skip
