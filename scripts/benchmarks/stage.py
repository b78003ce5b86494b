"""The stage of a benchmark: a broker, topics that are filled the same way each time, and the changes published there.

Each run has topics of its own with the same records, so that no run profits from another one's caches or data. Only
127.0.0.1 is connected to.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, Self

import msgspec
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka import TopicPartition as Place
from kafka import KafkaAdminClient, KafkaConsumer, TopicPartition

from load.generate import Record, records
from local import servers
from rules.definitions.segments_file import parse
from rules.engine import Engine
from rules.event_names import INPUTS
from rules.times import parse_instant
from streams.kafka import admin as topics
from streams.kafka.partitioner import partition_of
from streams.offline import replay
from streams.settings import Settings
from streams.wire.topics import CHANGES

PARTITIONS = 4
SPAN_MS = 6 * 3_600_000
ENDED_MS = 60_000  # before publishing, so that no event lies in the future
# Memberships are compared at the time of this share of a load: with the last events each system's time ends where its
# partitions do.
COMPARED_SHARE = 0.99
DEFINITIONS = Path(__file__).parent.parent / "load" / "four_segments.yaml"
HOT = b"everybody"
CLOCK_TICKS = os.sysconf("SC_CLK_TCK")

Members = Mapping[str, frozenset[str]]


class StageLoad(NamedTuple):
    """A load to publish; ``start_ms`` is the same in every run."""

    events: int
    customers: int
    profile: str
    start_ms: int
    hot_every: int = 0
    seed: int = 1

    def records(self) -> Iterable[Record]:
        """The records in the order of their times; one in ``hot_every`` (0: none) is of one hot customer."""
        in_order = records(self.events, self.customers, self.seed, self.profile, self.start_ms, SPAN_MS)
        if not self.hot_every:
            return in_order
        return (_of_hot(record) if index % self.hot_every == 0 else record for index, record in enumerate(in_order))


def _of_hot(record: Record) -> Record:
    topic, key, value, ms = record
    return topic, HOT, value.replace(key, HOT), ms


def load(events: int, customers: int, profile: str, hot_every: int = 0) -> StageLoad:
    """A load that ended a while ago."""
    return StageLoad(events, customers, profile, int(time.time() * 1000) - SPAN_MS - ENDED_MS, hot_every)


class _PublishedChange(msgspec.Struct):
    customer_id: str
    segments: list[str]
    occurred_at: str


_decoder = msgspec.json.Decoder(_PublishedChange)


def settings_of(broker: str, redis_url: str, **more: Any) -> Settings:
    """The settings of a worker that decides the four segments on this broker and Redis."""
    environment = {"definitions": DEFINITIONS, **more}
    return Settings(brokers=broker, redis=redis_url, partitions=PARTITIONS, **environment)


async def preload(broker: str, prefix: str, load: StageLoad) -> None:
    """Publish a generated history, in ready-made batches."""
    producer = AIOKafkaProducer(bootstrap_servers=broker, max_batch_size=400_000)
    await producer.start()
    builders: dict[tuple[str, int], Any] = {}
    places: dict[bytes, int] = {}
    for topic, customer, value, _ in load.records():
        place = places.get(customer)
        if place is None:
            place = places[customer] = partition_of(customer.decode(), PARTITIONS)
        builder = builders.get((topic, place))
        if builder is None:
            builder = builders[topic, place] = producer.create_batch()
        while builder.append(timestamp=None, key=customer, value=value) is None:
            await producer.send_batch(builder, prefix + topic, partition=place)
            builder = builders[topic, place] = producer.create_batch()
    for (topic, place), builder in builders.items():
        await producer.send_batch(builder, prefix + topic, partition=place)
    await producer.stop()


async def consumed(broker: str, names: Iterable[str], count: int, see: Any) -> float:
    """Pass ``count`` records to ``see`` as they come. Returns the seconds that it took."""
    consumer = AIOKafkaConsumer(
        *names, bootstrap_servers=broker, auto_offset_reset="earliest", isolation_level="read_committed"
    )
    await consumer.start()
    received, began = 0, time.monotonic()
    while received < count:
        for batch in (await consumer.getmany(timeout_ms=1000)).values():
            for record in batch:
                see(record)
            received += len(batch)
        if time.monotonic() - began > 300:
            raise TimeoutError(f"{received:,} of {count:,} records came in 300 s")
    taken_s = time.monotonic() - began
    await consumer.stop()
    return taken_s


async def published_members(broker: str, prefix: str, until_ms: int) -> tuple[Members, int]:
    """The memberships by the changes that occurred up to ``until_ms``, and the number of all changes."""
    members: dict[str, frozenset[str]] = {}
    count = 0

    def see(record: Any) -> None:
        nonlocal count
        change = _decoder.decode(record.value)
        count += 1
        if (parse_instant(change.occurred_at) or 0) <= until_ms:
            members[change.customer_id] = frozenset(change.segments)

    await see_changes(broker, prefix, see)
    return {name: segments for name, segments in members.items() if segments}, count


async def see_changes(broker: str, prefix: str, see: Callable[[Any], None]) -> None:
    """Pass each record that the topic of changes has by now to ``see``."""
    name = prefix + CHANGES
    consumer = AIOKafkaConsumer(
        bootstrap_servers=broker, auto_offset_reset="earliest", isolation_level="read_committed"
    )
    await consumer.start()
    places = [Place(name, partition) for partition in range(PARTITIONS)]
    consumer.assign(places)
    ends = await consumer.end_offsets(places)
    await consumer.seek_to_beginning(*places)
    while any([await consumer.position(place) < end for place, end in ends.items()]):
        for batch in (await consumer.getmany(timeout_ms=500)).values():
            for record in batch:
                see(record)
    await consumer.stop()


def expected(load: StageLoad) -> tuple[Members, int]:
    """The memberships by the rules alone, computed in this process from the records, and their time (ms)."""
    times = [ms for *_, ms in load.records()]
    until_ms = times[int(len(times) * COMPARED_SHARE)]
    lines = (value for _, _, value, _ in load.records())
    run = replay.Replay(Engine(parse(DEFINITIONS.read_text("utf-8"), DEFINITIONS.name)))
    members: dict[str, frozenset[str]] = {}
    for change in run.run(replay.read(lines, _refuse), until_ms):
        members[change.customer] = frozenset(change.segments)
    return {name: segments for name, segments in members.items() if segments}, until_ms


def _refuse(number: int, _: bytes, reason: str) -> None:
    raise AssertionError(f"generated record {number} is a dead letter: {reason}")


def cpu_s(pid: int) -> float:
    """CPU seconds of a process so far, user and system."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / CLOCK_TICKS


class Stage:
    """One broker, and topics on it under a prefix for each run."""

    def __init__(self) -> None:
        self.kafka = servers.Kafka(heap_mb=1024)
        self._count = 0

    def __enter__(self) -> Self:
        self.kafka.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kafka.stop()

    def fill(self, load: StageLoad) -> str:
        """Create topics with the load in them. Returns their prefix."""
        self._count += 1
        prefix = f"run{self._count}-"
        topics.create(settings_of(self.kafka.address, "redis://unused", topic_prefix=prefix))
        asyncio.run(preload(self.kafka.address, prefix, load))
        return prefix

    def clear(self, prefix: str) -> None:
        """Delete the topics of a run."""
        admin = KafkaAdminClient(bootstrap_servers=self.kafka.address)
        admin.delete_topics([name for name in admin.list_topics() if name.startswith(prefix)])
        admin.close()

    @contextmanager
    def watching(self, group: str, prefix: str) -> Iterator[Callable[[], int]]:
        """A function that returns how many records a group has committed, over all inputs."""
        places = [TopicPartition(prefix + name, partition) for name in INPUTS for partition in range(PARTITIONS)]
        consumer = KafkaConsumer(bootstrap_servers=self.kafka.address, group_id=group, enable_auto_commit=False)
        try:
            yield lambda: sum(consumer.committed(place) or 0 for place in places)
        finally:
            consumer.close()
