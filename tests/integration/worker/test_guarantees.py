"""Every change once, on Apache Kafka and Redis: workers die, are replaced while they still live, and Redis goes back.

The one rule: nothing is dropped before it is judged. A reader sees every change once, also where a former owner comes
back.
"""

from __future__ import annotations

import asyncio
import copy
import json
import os
import signal
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import redis as redis_client
from aiokafka import AIOKafkaProducer
from kafka import KafkaConsumer, TopicPartition

from local.processes import Worker
from local.servers import Kafka, Redis
from streams.kafka import admin
from streams.settings import Settings
from streams.wire.topics import READ
from tests.oracle import oracle
from tests.support import live
from tests.support.live import append_only_file
from tests.support.patience import eventually

pytestmark = pytest.mark.kafka

EVENTS = 3_000
YEAR_MS = 365 * 86_400_000
_numbers = count(1)


@cache
def history() -> tuple[list[dict[str, Any]], list[oracle.OracleChange]]:
    """The beginning of the real night, and its expected changes; all its due times have passed."""
    events = live.real_events()[:EVENTS]
    return events, oracle.changes(events, oracle.BUILT_IN, oracle.latest(events) + YEAR_MS)


class Parts:
    """Topics with a backlog, a Redis of its own, and workers that are started one by one."""

    def __init__(self, kafka: Kafka, redis: Redis) -> None:
        self.kafka, self.redis = kafka, redis
        self.prefix = f"guarantees{next(_numbers)}-"
        self.settings: dict[str, Any] = {
            "brokers": kafka.address,
            "redis": redis.url,
            "topic_prefix": self.prefix,
            "group": self.prefix + "group",
            "partitions": live.PARTITIONS,
            "session_timeout_s": 3,
            "definitions": live.FOUR,
            "batch_max": 20,
            "in_hand_max": 40,
        }
        self.workers: list[Worker] = []
        admin.create(Settings(**self.settings))

    def publish(self, events: list[dict[str, Any]]) -> None:
        names = {name: self.prefix + topic for name, topic in live.TOPICS.items()}
        live.publish(self.kafka.address, events, names)

    def worker(self, fail_point: str = "") -> Worker:
        worker = Worker(self.settings)
        self.workers.append(worker)
        return worker.start(SEGMENTER_FAIL_POINT=fail_point)

    def dies(self, fail_point: str) -> None:
        """Run a worker until it dies at this fail point."""
        worker = self.worker(fail_point)
        eventually(lambda: worker.exit_code is not None)
        assert worker.exit_code == -signal.SIGKILL, worker.tail()

    def finish(self) -> None:
        """Run a worker until it has read to the end; every change has then been published, in order, once."""
        self.worker()
        self.judge()

    def judge(self, wanted: list[oracle.OracleChange] | None = None) -> None:
        wanted = history()[1] if wanted is None else wanted
        live.wait_until_quiet(self.kafka.address, len(wanted), 40, self.prefix)
        changes = live.changes(self.kafka.address, self.prefix)
        assert live.per_customer(changes) == live.per_customer(wanted), self.workers[-1].tail()
        assert live.gaps(changes) == []
        assert len({change.change_id for change in changes}) == len(changes)


@pytest.fixture
def redis() -> Iterator[Redis]:
    with Redis(aof=True) as server:
        yield server


@pytest.fixture
def parts(kafka: Kafka, redis: Redis) -> Iterator[Parts]:
    made = Parts(kafka, redis)
    made.publish(history()[0])
    yield made
    for worker in made.workers:
        worker.kill()


# --- deaths ------------------------------------------------------------------------------------


def test_killed_between_publishing_and_trimming(parts: Parts) -> None:
    """The next claim finds on the topic what was acknowledged."""
    parts.dies("after_publish:3")
    parts.dies("before_publish:3")
    parts.finish()


# --- a Redis that goes back --------------------------------------------------------------------


def test_redis_loses_what_it_wrote_last(parts: Parts) -> None:
    """Published changes that Redis lost are decided again, and not published again."""
    worker = parts.worker()
    live.wait_until_quiet(parts.kafka.address, len(history()[1]), 40, parts.prefix)
    worker.kill()
    before = saves(parts)
    parts.redis.kill9()
    log = append_only_file(parts.redis)
    os.truncate(log, log.stat().st_size * 2 // 5)
    parts.redis.start()
    assert 0 < saves(parts) < before - 10
    parts.finish()


def saves(parts: Parts) -> int:
    """The number of saves of all partitions."""
    client: Any = redis_client.Redis.from_url(parts.redis.url)
    total = sum(int(client.hget(f"segmenter:{{p{number}}}:meta", "save") or 0) for number in range(live.PARTITIONS))
    client.close()
    return total


# --- replaced owners --------------------------------------------------------------------------


def test_former_owners_that_wake_up(parts: Parts) -> None:
    """Kafka refuses the changes of owners which stood still for longer than the group waits."""
    stopped = []
    for point in ("before_publish:3:SIGSTOP", "after_publish:3:SIGSTOP"):
        stopped.append(parts.worker(point))
        eventually(lambda: is_stopped(stopped[-1]))
    parts.worker().wait_ready()
    for worker in stopped:
        os.kill(worker.pid, signal.SIGCONT)
    parts.judge()


@pytest.fixture
def empty(kafka: Kafka, redis: Redis) -> Iterator[Parts]:
    """Parts whose topics hold nothing yet."""
    made = Parts(kafka, redis)
    yield made
    for worker in made.workers:
        worker.kill()


def test_a_former_owner_that_wakes_up_brings_no_erased_row_back(empty: Parts) -> None:
    """A former owner cannot publish the row of a customer erased meanwhile."""
    empty.publish([order("erased")])
    former = empty.worker("before_publish:1:SIGSTOP")
    eventually(lambda: is_stopped(former))
    newer = empty.worker()
    eventually(lambda: rows(empty).get("erased") is not None, what=newer.tail())
    erase = {"type": "erase", "userId": "erased", "messageId": "erase", "timestamp": now(), "event": "erase"}
    live.publish(empty.kafka.address, [erase], {"erase": empty.prefix + "profiles"})
    eventually(lambda: rows(empty).get("erased", b"") is None, what=newer.tail())
    os.kill(former.pid, signal.SIGCONT)
    eventually(lambda: former.exit_code == 75 or former.log.read_text().count("claimed partitions") > 1)
    empty.publish([order("other")])
    eventually(lambda: rows(empty).get("other") is not None, what=newer.tail())
    assert rows(empty)["erased"] is None


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def order(customer: str) -> dict[str, Any]:
    properties = {"order_id": f"order of {customer}", "total": 5}
    event = {"type": "track", "event": "Order Completed", "messageId": customer, "userId": customer}
    return {**event, "properties": properties, "timestamp": now()}


def rows(parts: Parts) -> dict[str, bytes | None]:
    """The newest row of each customer."""
    records = live.committed(parts.kafka.address, parts.prefix + "segment-memberships", live.PARTITIONS)
    return {record.key.decode(): record.value for record in records}


def is_stopped(worker: Worker) -> bool:
    return Path(f"/proc/{worker.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


def test_a_second_worker_joins_and_the_first_one_dies(parts: Parts) -> None:
    """Partitions move to another worker twice, with changes on their way."""
    first = parts.worker("after_save:100")
    first.wait_ready()
    second = parts.worker().wait_ready()
    eventually(lambda: first.exit_code is not None)
    parts.judge()
    assert second.exit_code is None, second.tail()


# --- producers that use transactions themselves ------------------------------------------------


async def in_a_transaction(parts: Parts, events: list[dict[str, Any]], *, commit: bool) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=parts.kafka.address, transactional_id=parts.prefix)
    await producer.start()
    await producer.begin_transaction()
    for event in events:
        topic, key = parts.prefix + live.TOPICS[event["event"]], event["userId"].encode()
        await producer.send(topic, json.dumps(event).encode(), key)
    await (producer.commit_transaction() if commit else producer.abort_transaction())
    await producer.stop()


def test_what_an_upstream_producer_aborted(kafka: Kafka, redis: Redis) -> None:
    """Aborted events do not count, and positions go past the markers in their place."""
    parts = Parts(kafka, redis)
    first, second, orders = history()[0][:300], history()[0][300:600], copy.deepcopy(history()[0][:300])
    for number, event in enumerate(orders):
        event |= {"event": "Order Completed", "messageId": f"aborted-{number}"}
    for events, commit in ((orders, False), (first, True), (orders, False)):
        asyncio.run(in_a_transaction(parts, events, commit=commit))
    parts.publish(second)
    asyncio.run(in_a_transaction(parts, orders, commit=False))
    worker = parts.worker()
    try:
        parts.judge(oracle.changes(first + second, oracle.BUILT_IN, oracle.latest(second) + YEAR_MS))
        eventually(lambda: positions(parts) == ends(parts))
    finally:
        worker.kill()


def positions(parts: Parts) -> dict[tuple[str, int], int]:
    """The read positions in Redis, by input and partition."""
    client: Any = redis_client.Redis.from_url(parts.redis.url, decode_responses=True)
    offsets = {}
    for number in range(live.PARTITIONS):
        for name, value in client.hgetall(f"segmenter:{{p{number}}}:meta").items():
            if name.startswith("position:"):
                offsets[name.removeprefix("position:"), number] = int(value)
    client.close()
    return offsets


def ends(parts: Parts) -> dict[tuple[str, int], int]:
    """The ends of the inputs, markers included."""
    consumer: Any = KafkaConsumer(bootstrap_servers=parts.kafka.address)
    places = [TopicPartition(parts.prefix + name, number) for name in READ for number in range(live.PARTITIONS)]
    end_offsets = {(place.topic, place.partition): end for place, end in consumer.end_offsets(places).items()}
    consumer.close()
    return end_offsets
