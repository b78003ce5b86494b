"""A run of hostile records: a worker's settings on topics of its own, what was sent, and the expected results.

The expected result is noted when a record is made, by the place at which it was put.
"""

from __future__ import annotations

import asyncio
import time
from array import array
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import redis as sync_redis
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from kafka import KafkaAdminClient, KafkaConsumer
from kafka import TopicPartition as KafkaPartition
from kafka.admin import ConfigResource, ConfigResourceType

from local.processes import Worker
from local.servers import Kafka, Redis
from streams.kafka import admin as topics
from streams.settings import Settings
from streams.wire.topics import ALL
from tests.support import hostile_records
from tests.support.hostile_records import PARTITIONS, REASONS, Sent
from tests.support.patience import PATIENCE

SENT_TOGETHER = 20_000
Place = tuple[str, int]


class Noted(NamedTuple):
    """What was sent to one partition, by offset: reasons (their number + 1; 0: good) and check sums.

    ``undecided``: the offsets of records which are dead letters for that reason or count.
    """

    reasons: bytearray
    sums: array[int]
    undecided: set[int]


class Run:
    """A worker's settings on topics of its own, and what was sent to them."""

    def __init__(self, kafka: Kafka, redis: Redis, name: str, folder: Path, definitions: str, **more: object) -> None:
        name = f"records-{name}"  # the servers are those of other tests too
        file = folder / "segments.yaml"
        file.write_text(definitions)
        self.settings: dict[str, Any] = {
            "brokers": kafka.address, "redis": redis.url, "redis_prefix": f"{name}:", "topic_prefix": f"{name}-",
            "group": name, "partitions": PARTITIONS, "definitions": file, "session_timeout_s": 3, **more,
        }  # fmt: skip
        topics.create(Settings(**self.settings), ALL)
        self.log = folder / "worker.log"
        self.noted: dict[Place, Noted] = {
            (topic, partition): Noted(bytearray(), array("L"), set())
            for topic in hostile_records.TOPICS
            for partition in range(PARTITIONS)
        }
        self._redis: Any = sync_redis.Redis.from_url(redis.url)

    def accept_large_records(self, topic: str) -> None:
        """Raise the limit of a topic above what a worker reads."""
        name = self.settings["topic_prefix"] + topic
        admin: Any = KafkaAdminClient(bootstrap_servers=self.settings["brokers"])
        admin.alter_configs(
            [ConfigResource(ConfigResourceType.TOPIC, name, {"max.message.bytes": 4 * hostile_records.MIB})]
        )
        admin.close()

    def send(self, records: Iterator[Sent]) -> None:
        """Send each record to its place, in the order given, and note there what it is."""
        asyncio.run(self._send(records))

    async def _send(self, records: Iterator[Sent]) -> None:
        producer = AIOKafkaProducer(
            bootstrap_servers=self.settings["brokers"], max_batch_size=900_000, max_request_size=2_000_000
        )
        await producer.start()
        try:
            while some := self._some(records):
                for (topic, partition), waiting in some.items():
                    await self._put(producer, topic, partition, waiting)
        finally:
            await producer.stop()

    def _some(self, records: Iterator[Sent]) -> Mapping[Place, list[Sent]]:
        batches: dict[Place, list[Sent]] = {}
        for _, record in zip(range(SENT_TOGETHER), records, strict=False):
            place = record.topic, record.partition
            batches.setdefault(place, []).append(record)
            noted = self.noted[place]
            if record.may_count:
                noted.undecided.add(len(noted.reasons))
            noted.reasons.append(0 if record.reason is None else 1 + REASONS.index(record.reason))
            noted.sums.append(record.sum)
        return batches

    async def _put(self, producer: AIOKafkaProducer, topic: str, partition: int, waiting: list[Sent]) -> None:
        name = self.settings["topic_prefix"] + topic
        batch = producer.create_batch()
        for record in waiting:
            while batch.append(key=record.key, value=record.value, timestamp=None) is None:
                await (await producer.send_batch(batch, name, partition=partition))
                batch = producer.create_batch()
        await (await producer.send_batch(batch, name, partition=partition))

    @property
    def count(self) -> int:
        return sum(len(noted.reasons) for noted in self.noted.values())

    def applied(self) -> int:
        """The number of records that are saved as applied."""
        prefix = self.settings["topic_prefix"]
        names = [f"position:{prefix}{topic}" for topic in hostile_records.TOPICS]
        stored_positions = [
            self._redis.hmget(f"{self.settings['redis_prefix']}{{p{partition}}}:meta", names)
            for partition in range(PARTITIONS)
        ]
        return sum(int(position or 0) for positions in stored_positions for position in positions)

    def is_caught_up(self, topic: str) -> bool:
        """Whether nothing is on its way: an input that workers write is applied, and all outboxes are empty.

        What is applied makes further records, and a record may leave an outbox between two looks: the topic must end
        at the same place before and after.
        """
        name, prefix = self.settings["topic_prefix"] + topic, self.settings["redis_prefix"]
        keys = [f"{prefix}{{p{partition}}}:meta" for partition in range(PARTITIONS)]
        places = [KafkaPartition(name, partition) for partition in range(PARTITIONS)]
        consumer: Any = KafkaConsumer(bootstrap_servers=self.settings["brokers"])
        try:
            ends = consumer.end_offsets(places)
            applied = [int(self._redis.hget(key, f"position:{name}") or 0) for key in keys]
            is_settled = applied == [ends[place] for place in places] and not self.waiting()
            return is_settled and bool(consumer.end_offsets(places) == ends)
        finally:
            consumer.close()

    def waiting(self, of: str = "") -> int:
        """Entries of the outbox that are not known to be published; ``of``: a further prefix, as triggers have one."""
        prefix = self.settings["redis_prefix"] + of
        return sum(self._redis.llen(f"{prefix}{{p{partition}}}:outbox") for partition in range(PARTITIONS))

    def drain(self, worker: Worker, within_s: float) -> list[tuple[float, int]]:
        """Wait until all is applied and published; the share that was applied and the resident MB, now and then."""
        until, samples = time.monotonic() + PATIENCE * within_s, []
        while (applied := self.applied()) < self.count or self.waiting():
            assert worker.exit_code is None, worker.tail()
            assert time.monotonic() < until, f"{applied} of {self.count}: {worker.tail()}"
            samples.append((applied / self.count, resident_mb(worker.pid)))
            time.sleep(0.2)
        return [*samples, (1.0, resident_mb(worker.pid))]

    def each(self, topic: str, take: Callable[[Any], None]) -> None:
        """Give all records of an output to ``take``, one after the other."""
        asyncio.run(self._each(self.settings["topic_prefix"] + topic, take))

    async def _each(self, topic: str, take: Callable[[Any], None]) -> None:
        consumer = AIOKafkaConsumer(bootstrap_servers=self.settings["brokers"], auto_offset_reset="earliest")
        places = [TopicPartition(topic, partition) for partition in range(PARTITIONS)]
        await consumer.start()
        try:
            consumer.assign(places)
            ends = await consumer.end_offsets(places)
            unread = {place for place, end in ends.items() if end}
            while unread:
                for batch in (await consumer.getmany(*unread, timeout_ms=200)).values():
                    for record in batch:
                        take(record)
                unread = {place for place in unread if await consumer.position(place) < ends[place]}
        finally:
            await consumer.stop()

    def assert_dead_letters_once(self) -> Counter[tuple[str, str]]:
        """Every bad record and no other is on the topic, once, as it was, with why and from where.

        Counts those of records that the worker itself sent, by topic and reason.
        """
        others: Counter[tuple[str, str]] = Counter()
        left = {place: bytearray(noted.reasons) for place, noted in self.noted.items()}

        def take(record: Any) -> None:
            headers = dict(record.headers)
            topic = headers["topic"].decode().removeprefix(self.settings["topic_prefix"])
            place, offset = (topic, int(headers["partition"])), int(headers["offset"])
            if place not in left:
                others[topic, headers["reason"].decode()] += 1
                return
            assert left[place][offset] == 1 + REASONS.index(headers["reason"].decode()), (place, offset, headers)
            if "size" not in headers:
                original = Sent(*place, record.key, record.value, None)
                assert original.sum == self.noted[place].sums[offset], (place, offset)
            left[place][offset] = 0

        self.each("dead-letters", take)
        for place, noted in self.noted.items():
            for offset in noted.undecided:
                left[place][offset] = 0
        assert {place: bytes(reasons).strip(b"\0") for place, reasons in left.items()} == dict.fromkeys(left, b"")
        return others

    def assert_no_defect(self) -> None:
        """The log has no frames, so no exception was caught that would pass for a bad value."""
        lines = self.log.read_text().splitlines()
        assert not [line for line in lines if line.lstrip().startswith(("Traceback", 'File "'))]


def resident_mb(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) // 1024
