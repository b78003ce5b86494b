"""Bad records by the hundred thousand among good ones, through Kafka, a worker and Redis.

The one rule: what is expected was noted when a record was made, by the place at which it was put.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from array import array
from collections.abc import Callable, Iterator, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import redis as sync_redis
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from kafka import KafkaAdminClient
from kafka.admin import ConfigResource, ConfigResourceType

from local import Kafka, Redis
from rules.times import format_instant
from streams import topics
from streams.settings import Settings
from tests import hostile
from tests.hostile import PARTITIONS, REASONS, Sent, mixed
from tests.patience import PATIENCE
from workers import Worker

pytestmark = pytest.mark.kafka

SEED = 40_60
DEFINITIONS = f"""
version: 1
segments:
  all_counted:
    title: Every good event counted
    when: {{performed: {{event: Signed Up, count: {{at_least: {hostile.EVENTS_EACH}}}}}}}
  counted_twice:
    title: More than were sent
    when: {{performed: {{event: Signed Up, count: {{at_least: {hostile.EVENTS_EACH + 1}}}}}}}
  looked_into:
    title: What stands in an event, read in every way; nobody is in it
    when:
      any:
        - performed: {{event: Signed Up, where: {{n: {{at_least: 1}}}}}}
        - performed: {{event: Signed Up, where: {{text: {{matches: never}}}}}}
        - performed: {{event: Signed Up, where: {{text: {{contains: never}}}}}}
        - performed: {{event: Signed Up, where: {{deep.deep.deep: never}}}}
        - total: {{agg: sum, of: n, event: Signed Up, at_least: 1}}
        - total: {{agg: max, of: deep, event: Signed Up, at_least: 1}}
        - total: {{agg: distinct, of: text, event: Signed Up, at_least: 100}}
        - context: {{device: never}}
        - context: {{channel: search}}
        - context: {{locale: never}}
"""
GROWS_MAX_MB = 48  # after the first quarter, by which all that is kept in memory was filled once
SENT_TOGETHER = 20_000
Place = tuple[str, int]


class Noted(NamedTuple):
    """What was sent to one partition, by offset: reasons (their number + 1; 0: good) and check sums."""

    reasons: bytearray
    sums: array[int]


class Run:
    """A worker's settings on topics of its own, and what was sent to them."""

    def __init__(self, kafka: Kafka, redis: Redis, name: str, folder: Path, **more: object) -> None:
        name = f"records-{name}"  # the servers are those of other tests too
        definitions = folder / "counting.yaml"
        definitions.write_text(DEFINITIONS)
        self.settings: dict[str, Any] = {
            "brokers": kafka.address, "redis": redis.url, "redis_prefix": f"{name}:", "topic_prefix": f"{name}-",
            "group": name, "partitions": PARTITIONS, "definitions": definitions, "session_timeout_s": 3, **more,
        }  # fmt: skip
        topics.create(Settings(**self.settings))
        self.log = folder / "worker.log"
        self.noted: dict[Place, Noted] = {
            (topic, at): Noted(bytearray(), array("L")) for topic in hostile.TOPICS for at in range(PARTITIONS)
        }
        self._redis: Any = sync_redis.Redis.from_url(redis.url)

    def send(self, records: Iterator[Sent]) -> None:
        """Each at its place, in the order given; what it is is noted there."""
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
        found: dict[Place, list[Sent]] = {}
        for _, record in zip(range(SENT_TOGETHER), records, strict=False):
            place = record.topic, record.partition
            found.setdefault(place, []).append(record)
            noted = self.noted[place]
            noted.reasons.append(0 if record.reason is None else 1 + REASONS.index(record.reason))
            noted.sums.append(record.sum)
        return found

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
        """Records that are saved as applied."""
        prefix = self.settings["topic_prefix"]
        names = [f"position:{prefix}{topic}" for topic in hostile.TOPICS]
        found = [self._redis.hmget(f"{self.settings['redis_prefix']}{{p{at}}}:meta", names) for at in range(PARTITIONS)]
        return sum(int(position or 0) for positions in found for position in positions)

    def waiting(self) -> int:
        """Entries of the outbox that are not known to be published."""
        prefix = self.settings["redis_prefix"]
        return sum(self._redis.llen(f"{prefix}{{p{at}}}:outbox") for at in range(PARTITIONS))

    def drain(self, worker: Worker, within_s: float) -> list[tuple[float, int]]:
        """Until all is applied and published; the share that was applied and the resident MB, now and then."""
        until, seen = time.monotonic() + PATIENCE * within_s, []
        while (applied := self.applied()) < self.count or self.waiting():
            assert worker.exit_code is None, worker.tail()
            assert time.monotonic() < until, f"{applied} of {self.count}: {worker.tail()}"
            seen.append((applied / self.count, resident_mb(worker.pid)))
            time.sleep(0.2)
        return [*seen, (1.0, resident_mb(worker.pid))]

    def each(self, topic: str, take: Callable[[Any], None]) -> None:
        """All records of an output, one after the other."""
        asyncio.run(self._each(self.settings["topic_prefix"] + topic, take))

    async def _each(self, topic: str, take: Callable[[Any], None]) -> None:
        consumer = AIOKafkaConsumer(bootstrap_servers=self.settings["brokers"], auto_offset_reset="earliest")
        places = [TopicPartition(topic, at) for at in range(PARTITIONS)]
        await consumer.start()
        try:
            consumer.assign(places)
            ends = await consumer.end_offsets(places)
            unread = {place for place, end in ends.items() if end}
            while unread:
                for found in (await consumer.getmany(*unread, timeout_ms=200)).values():
                    for record in found:
                        take(record)
                unread = {place for place in unread if await consumer.position(place) < ends[place]}
        finally:
            await consumer.stop()

    def assert_dead_letters_once(self) -> None:
        """Every bad record and no other is on the topic, once, as it was, with why and from where."""
        left = {place: bytearray(noted.reasons) for place, noted in self.noted.items()}

        def take(record: Any) -> None:
            headers = dict(record.headers)
            topic = headers["topic"].decode().removeprefix(self.settings["topic_prefix"])
            place, offset = (topic, int(headers["partition"])), int(headers["offset"])
            assert left[place][offset] == 1 + REASONS.index(headers["reason"].decode()), (place, offset, headers)
            if "size" not in headers:
                kept = Sent(*place, record.key, record.value, None)
                assert kept.sum == self.noted[place].sums[offset], (place, offset)
            left[place][offset] = 0

        self.each("dead-letters", take)
        assert {place: bytes(found).strip(b"\0") for place, found in left.items()} == dict.fromkeys(left, b"")

    def assert_no_defect(self) -> None:
        """Of whatever was caught, frames are logged; a record that tripped us would pass for a bad value."""
        lines = self.log.read_text().splitlines()
        assert not [line for line in lines if line.lstrip().startswith(("Traceback", 'File "'))]

    def assert_good_counted(self, customers: list[str]) -> None:
        """Everybody came to their last event, once, and nobody beyond it."""
        entered = []

        def take(record: Any) -> None:
            change = json.loads(record.value)
            assert (change["segment"], change["change"], change["late"]) == ("all_counted", "entered", False)
            entered.append(change["customer_id"])

        self.each("segment-changes", take)
        assert sorted(entered) == sorted(customers)


def resident_mb(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) // 1024


def drained(run: Run, count: int, bad_share: float, within_s: float) -> None:
    """Send, drain with one worker, and see that all came to where it belongs and memory stayed as it was."""
    rng = random.Random(SEED)
    began = time.monotonic()
    run.send(mixed(rng, count, bad_share, time.time_ns() // 1_000_000 - count - 60_000))
    sent = time.monotonic()
    sent_of = set().union(*(noted.reasons for noted in run.noted.values()))
    assert sent_of == {0, *range(2, len(REASONS) + 1)}, "good, and each reason but too_large, which Kafka refuses"
    with Worker(run.settings, log=run.log) as worker:
        seen = run.drain(worker, within_s)
        lasted = time.monotonic() - sent
        assert worker.stop() == 0
    run.assert_dead_letters_once()
    run.assert_good_counted(hostile.customers(count, bad_share))
    quarter = next(mb for share, mb in seen if share >= 0.25)
    grown = seen[-1][1] - quarter
    told = f"seed {SEED}: {run.count:,} records, {bad_share:.0%} bad, sent in {sent - began:.0f} s"
    memory = f"{quarter} MB at a quarter, {seen[-1][1]} MB at the end, {max(mb for _, mb in seen)} MB at most"
    print(f"{told}, drained in {lasted:.0f} s; resident {memory}")  # noqa: T201  # the figures of the run
    assert grown < GROWS_MAX_MB
    run.assert_no_defect()


def test_twenty_thousand(kafka: Kafka, redis_server: Redis, tmp_path: Path) -> None:
    """Two of five records are bad: the good count, the bad are dead letters once, memory is flat."""
    drained(Run(kafka, redis_server, "hostile", tmp_path), 20_000, 0.4, within_s=60)


@pytest.mark.nightly
@pytest.mark.timeout(1_800)
def test_a_million_bad_records(tmp_path: Path) -> None:
    """The same of a million bad records and a million and a half good ones, in servers of their own."""
    with Kafka(heap_mb=1_024) as kafka, Redis(aof=True) as redis:
        drained(Run(kafka, redis, "million", tmp_path), 2_500_000, 0.4, within_s=1_200)


def test_more_bad_than_good_stops(kafka: Kafka, redis_server: Redis, tmp_path: Path) -> None:
    """Above the ceiling the worker says so and names the setting; with it raised it goes on, and nothing is lost."""
    run = Run(kafka, redis_server, "ceiling", tmp_path, dead_letter_window=1_000)
    run.send(mixed(random.Random(SEED), 10_000, 0.6, time.time_ns() // 1_000_000 - 90_000))
    with Worker(run.settings, log=run.log) as worker:
        assert worker.process is not None
        assert worker.process.wait(60) == 75
    (stopped,) = [line for line in run.log.read_text().splitlines() if line.startswith("segmenter stopped: ")]
    assert " of the last 1000 records of partition " in stopped
    assert "SEGMENTER_DEAD_LETTER_SHARE" in stopped
    assert run.applied() < run.count
    with Worker({**run.settings, "dead_letter_share": 1}, log=run.log) as worker:
        run.drain(worker, 60)
        assert worker.stop() == 0
    run.assert_dead_letters_once()
    run.assert_good_counted(hostile.customers(10_000, 0.6))
    run.assert_no_defect()


def test_records_that_are_too_large(kafka: Kafka, redis_server: Redis, tmp_path: Path) -> None:
    """A topic whose limit was raised lets more through than is read: known by their beginning, size and hash."""
    run = Run(kafka, redis_server, "large", tmp_path)
    admin: Any = KafkaAdminClient(bootstrap_servers=kafka.address)
    admin.alter_configs(
        [ConfigResource(ConfigResourceType.TOPIC, "records-large-visits", {"max.message.bytes": 4 * hostile.MIB})]
    )
    admin.close()
    now = time.time_ns() // 1_000_000 - 60_000
    large = [hostile.too_large(hostile.name(at), format_instant(now + at)) for at in range(4)]
    good = list(mixed(random.Random(SEED), 40, 0.0, now))
    run.send(iter([one for pair in zip(large * 10, good, strict=True) for one in pair]))
    with Worker(run.settings, log=run.log) as worker:
        run.drain(worker, 60)
        assert worker.stop() == 0
    run.assert_dead_letters_once()
    run.assert_good_counted(hostile.customers(40, 0.0))
    run.assert_no_defect()
    values = {sha256(record.value or b"").hexdigest().encode(): record.value or b"" for record in large}

    def take(record: Any) -> None:
        headers = dict(record.headers)
        value = values[headers["sha256"]]
        assert record.value == value[: 64 * 1024]
        assert (headers["reason"], int(headers["size"])) == (b"too_large", len(value))

    run.each("dead-letters", take)
