"""Records that kill the worker, on real Kafka and Redis: it goes on without them, and all other customers are decided.

A worker is started again as a supervisor would, until it stays; how often it died is counted.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest
import redis as sync_redis
from aiokafka import AIOKafkaProducer
from kafka import KafkaConsumer, KafkaProducer, TopicPartition

from local.processes import Worker
from local.servers import Kafka, Redis
from rules.times import format_instant
from streams.failpoints import MARK
from streams.kafka import admin
from streams.kafka.output_reader import KafkaOutputReader
from streams.settings import Settings
from tests.support import live
from tests.support.patience import PATIENCE

pytestmark = pytest.mark.kafka

MB = 1_000_000
BOMB_RECORDS = 300
# Beside an idle worker: of one input in hand and what it makes of them, an outbox of dead letters, a piece that is
# unpacked, and what the allocator does not give back.
PEAK_MAX_MB = 96
# Of `verify`, which reads everything again: its modules, and what is handed out at once.
VERIFY_PEAK_MAX_MB = 260
DEATHS_MAX = 12  # a worker that dies more often will not stay


class Run:
    """A partition of its own, and the workers that read it one after the other."""

    def __init__(self, kafka: Kafka, redis: Redis, name: str, folder: Path) -> None:
        name = f"poison-{name}"
        self.settings: dict[str, Any] = {
            "brokers": kafka.address, "redis": redis.url, "redis_prefix": f"{name}:", "topic_prefix": f"{name}-",
            "group": name, "partitions": 1, "definitions": live.FOUR, "session_timeout_s": 3,
        }  # fmt: skip
        admin.create(Settings(**self.settings))
        self.log = folder / "worker.log"
        self._redis: Any = sync_redis.Redis.from_url(redis.url)

    def topic(self, name: str) -> str:
        return f"{self.settings['topic_prefix']}{name}"

    def buy(self, customers: Iterable[str], **more: str) -> None:
        """Publish an order of each customer."""
        producer: Any = KafkaProducer(bootstrap_servers=self.settings["brokers"], enable_idempotence=False)
        for customer in customers:
            event = {
                "type": "track", "event": "Order Completed", "messageId": f"m-{customer}", "userId": customer,
                "timestamp": format_instant(time.time_ns() // 1_000_000 - 60_000),
                "properties": {"order_id": f"o-{customer}", "total": 1, **more},
            }  # fmt: skip
            producer.send(self.topic("purchases"), key=customer.encode(), value=json.dumps(event).encode(), partition=0)
        producer.flush()
        producer.close()

    def position(self, name: str) -> int:
        """The saved position of an input."""
        return int(self._redis.hget(f"{self.settings['redis_prefix']}{{p0}}:meta", f"position:{self.topic(name)}") or 0)

    def read(self, name: str) -> list[Any]:
        """All records of an output topic."""
        consumer: Any = KafkaConsumer(bootstrap_servers=self.settings["brokers"], isolation_level="read_committed")
        place = TopicPartition(self.topic(name), 0)
        consumer.assign([place])
        consumer.seek_to_beginning(place)
        end, records = consumer.end_offsets([place])[place], []
        while consumer.position(place) < end:
            records += [record for some in consumer.poll(timeout_ms=200).values() for record in some]
        consumer.close()
        return records

    def letters(self) -> list[tuple[str, str, int]]:
        """Reason, input and offset of each dead letter."""
        letters = [dict(record.headers) for record in self.read("dead-letters")]
        return [(letter["reason"].decode(), self._input(letter), int(letter["offset"])) for letter in letters]

    def _input(self, headers: Mapping[str, bytes]) -> str:
        return headers["topic"].decode().removeprefix(self.settings["topic_prefix"])

    def buyers(self) -> list[str]:
        """The recent buyers on the topic; one that was published twice is listed twice."""
        changes = [json.loads(record.value) for record in self.read("segment-changes")]
        return sorted(change["customer_id"] for change in changes if change["segment"] == "recently_purchased")

    def dies(self, **environment: str) -> bool:
        """Whether a worker dies; one that has read all purchases is ended in order."""
        until = time.monotonic() + 60 * PATIENCE
        worker = Worker(self.settings, log=self.log).start(**environment)
        try:
            while worker.exit_code is None and self.position("purchases") < self.purchases:
                assert time.monotonic() < until, worker.tail()
                time.sleep(0.1)
            if worker.exit_code is None:
                time.sleep(1)  # what was saved is published, or kills
        finally:
            ended = worker.exit_code
            worker.stop()
        assert ended in (None, -9), worker.tail()
        return ended is not None

    @property
    def purchases(self) -> int:
        """The end offset of the input."""
        consumer: Any = KafkaConsumer(bootstrap_servers=self.settings["brokers"])
        place = TopicPartition(self.topic("purchases"), 0)
        end = int(consumer.end_offsets([place])[place])
        consumer.close()
        return end


def memory_mb(worker: Worker, what: str = "VmRSS") -> int:
    status = Path(f"/proc/{worker.pid}/status").read_text()
    return int(status.partition(f"{what}:")[2].split()[0]) // 1024


def verify_peak_mb(run: Run) -> int:
    """The memory that `segmenter verify` took at most, which must find all of it right."""
    command = Worker(run.settings, log=run.log.with_name("verify.log"))
    command.command, command.options = "verify", ()
    peak = 0
    with command:
        while command.exit_code is None:
            with contextlib.suppress(ValueError, IndexError, FileNotFoundError):  # it has just ended
                peak = max(peak, memory_mb(command, "VmHWM"))
            time.sleep(0.1)
    assert command.exit_code == 0, command.tail()
    return peak


async def send_bomb(
    brokers: str, topic: str, records: int, value: bytes | None = b"[" * MB, key: bytes = b"u1"
) -> None:
    """Send one batch of a few kilobytes which expands to so many megabytes, by default of brackets."""
    producer = AIOKafkaProducer(
        bootstrap_servers=brokers, compression_type="zstd", max_batch_size=2**30, max_request_size=2**30
    )
    await producer.start()
    try:
        batch = producer.create_batch()
        for _ in range(records):
            assert batch.append(key=key, value=value, timestamp=None) is not None
        await (await producer.send_batch(batch, topic, partition=0))
    finally:
        await producer.stop()


@pytest.mark.parametrize("part", ["value", pytest.param("key", marks=pytest.mark.nightly)])
def test_a_small_batch_of_many_megabytes(kafka: Kafka, redis_server: Redis, tmp_path: Path, part: str) -> None:
    """Each record of the batch is a dead letter, memory stays bounded, and other customers are decided meanwhile."""
    run = Run(kafka, redis_server, f"bomb-{part}", tmp_path)
    record: dict[str, Any] = {} if part == "value" else {"key": b"k" * MB, "value": None}
    until = time.monotonic() + 120 * PATIENCE
    with Worker(run.settings, log=run.log) as worker:
        worker.wait_ready()
        run.buy(["before"])
        while run.position("purchases") < 1:
            assert time.monotonic() < until, worker.tail()
            time.sleep(0.1)
        idle = memory_mb(worker)
        asyncio.run(send_bomb(kafka.address, run.topic("visits"), BOMB_RECORDS, **record))
        run.buy(["meanwhile"])
        began = time.monotonic()
        while run.position("visits") < BOMB_RECORDS or run.position("purchases") < 2:
            assert worker.exit_code is None, worker.tail()
            assert time.monotonic() < until, worker.tail()
            time.sleep(0.1)
        lasted = time.monotonic() - began
        time.sleep(1)
        peak = memory_mb(worker, "VmHWM")
        assert worker.stop() == 0
    verified = verify_peak_mb(run)
    print(f"verify {verified} MB,", end=" ")  # noqa: T201  # the figures of the run
    assert verified < VERIFY_PEAK_MAX_MB
    print(f"idle {idle} MB, at most {peak} MB, {BOMB_RECORDS} MB in {lasted:.1f} s")  # noqa: T201  # the figures of the run
    assert peak < idle + PEAK_MAX_MB
    assert run.letters() == [("not_json", "visits", offset) for offset in range(BOMB_RECORDS)]
    assert run.buyers() == ["before", "meanwhile"]


async def test_what_is_read_back_comes_in_bounded_pieces(kafka: Kafka, redis_server: Redis, tmp_path: Path) -> None:
    """A scan of `profiles` for erasures reads bounded pieces; between them the event loop runs."""
    run = Run(kafka, redis_server, "back", tmp_path)
    await send_bomb(kafka.address, run.topic("profiles"), 20)
    turns = 0

    async def turn() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    turning = asyncio.create_task(turn())
    outputs = KafkaOutputReader({"bootstrap_servers": kafka.address}, run.settings["topic_prefix"])
    counts, turns_before = [], []
    async for chunk in outputs.read({("profiles", 0): None}):
        counts.append(len(chunk.records))
        turns_before.append(turns)
        assert chunk.position == sum(counts)
    turning.cancel()
    assert sum(counts) == 20
    assert max(counts) <= 2
    assert len(set(turns_before)) == len(turns_before)


@pytest.mark.parametrize("where", ["mid_apply", pytest.param("mid_decode", marks=pytest.mark.nightly)])
def test_a_record_that_kills_becomes_a_dead_letter(
    where: str, kafka: Kafka, redis_server: Redis, tmp_path: Path
) -> None:
    """After two deaths at its position and two alone on trial a record is a dead letter; all others count once."""
    run = Run(kafka, redis_server, where, tmp_path)
    run.buy([f"early-{number}" for number in range(20)])
    run.buy(["killer"], note=MARK.decode())
    run.buy([f"late-{number}" for number in range(20)])
    deaths = 0
    while run.dies(SEGMENTER_FAIL_POINT=f"{where}:1"):
        deaths += 1
        assert deaths < DEATHS_MAX
    assert deaths == 4
    assert run.letters() == [("poison", "purchases", 20)]
    assert run.buyers() == sorted(f"{when}-{number}" for when in ("early", "late") for number in range(20))


def test_deaths_without_a_cause_blame_no_record(kafka: Kafka, redis_server: Redis, tmp_path: Path) -> None:
    """After three kills at one position, one with a record on trial, nothing is lost or a dead letter."""
    run = Run(kafka, redis_server, "innocent", tmp_path)
    customers = [f"c-{number}" for number in range(40)]
    run.buy(customers)
    for _ in range(3):
        assert run.dies(SEGMENTER_FAIL_POINT="before_save:1")
    assert "their records are processed one by one" in run.log.read_text()
    assert not run.dies()
    assert run.letters() == []
    assert run.buyers() == sorted(customers)
