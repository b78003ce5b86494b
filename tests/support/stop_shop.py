"""A shop whose worker stops: its topics and orders, its workers, and the sentence of a stop."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

import redis
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType, NewTopic

from local.processes import Worker
from local.servers import Kafka, Redis, Tansu
from rules.customer import Customer
from streams.kafka import admin as topics
from streams.settings import Settings
from streams.wire import customer_codec
from tests.support import live
from tests.support.patience import eventually

DEMO = Path(__file__).parents[2] / "rules" / "demo.yaml"
REDIS_GONE_S = 60.0  # the client tries twelve times, over about fifteen seconds
STOP_S = 20.0
_numbers = count(1)


def sentence(worker: Worker, within_s: float = STOP_S) -> str:
    """The one sentence with which the worker stopped for safety; no traceback beside it."""
    eventually(lambda: worker.exit_code is not None, within_s)
    assert worker.exit_code == 75, worker.tail()
    log = worker.log.read_text()
    assert "Traceback" not in log
    (text,) = [line.partition("segmenter stopped: ")[2] for line in log.splitlines() if "segmenter stopped: " in line]
    return text


def worker(settings: Mapping[str, object], folder: Path, *arguments: str) -> Worker:
    return Worker(settings, *arguments, log=folder / f"worker-{next(_numbers)}.log")


def refusing(settings: Mapping[str, object], folder: Path) -> Worker:
    """A worker that is not meant to last: its group is to forget it soon."""
    return worker({**settings, "session_timeout_s": 1}, folder)


def refused(settings: Mapping[str, object], folder: Path) -> str:
    """The sentence with which a worker of these settings does not even begin."""
    with refusing(settings, folder) as begun:
        return sentence(begun)


class Shop:
    """Topics on a broker, keys in a Redis, and what stands in them; one partition unless told otherwise."""

    def __init__(self, broker: Tansu | Kafka, redis_server: Redis, name: str, **more: object) -> None:
        self.settings: dict[str, Any] = {
            "brokers": broker.address,
            "broker": "kafka" if isinstance(broker, Kafka) else "tansu",
            "redis": redis_server.url,
            "partitions": 1,
            "session_timeout_s": 2,
            "topic_prefix": f"{name}-",
            "group": name,
            "redis_prefix": f"{name}:",
            "definitions": live.FOUR,
            **more,
        }
        self.prefix = f"{name}-"
        self._redis = redis.Redis.from_url(redis_server.url)
        topics.create(Settings(**self.settings))

    def publish(self, topic: str, *values: bytes) -> None:
        """Publish records of one customer, as they are."""
        producer: Any = KafkaProducer(bootstrap_servers=self.settings["brokers"], enable_idempotence=False)
        for value in values:
            producer.send(self.prefix + topic, key=b"u1", value=value, partition=0)
        producer.flush()
        producer.close()

    def saved(self, partition: int = 0) -> dict[str, str]:
        """The stored fields of a partition as a whole."""
        stored: Any = self._redis.hgetall(f"{self.settings['redis_prefix']}{{p{partition}}}:meta")
        return {name.decode(): value.decode() for name, value in stored.items()}

    def position(self, topic: str, partition: int = 0) -> int:
        """The next record to apply, by what is saved."""
        return int(self.saved(partition).get(f"position:{self.prefix}{topic}", 0))

    def customer(self, name: str) -> Customer:
        """The customer as stored in partition 0."""
        value: Any = self._redis.hget(f"{self.settings['redis_prefix']}{{p0}}:customers", name)
        return customer_codec.decode(value)

    def committed(self, topic: str) -> int | None:
        """The position that the group has committed of partition 0."""
        consumer: Any = KafkaConsumer(
            bootstrap_servers=self.settings["brokers"], group_id=self.settings["group"], enable_auto_commit=False
        )
        offset: int | None = consumer.committed(TopicPartition(self.prefix + topic, 0))
        consumer.close()
        return offset

    def read(self, topic: str, number: int, within_s: float = 20.0) -> list[Any]:
        """Read so many records of a topic, from its beginning."""
        consumer: Any = KafkaConsumer(bootstrap_servers=self.settings["brokers"])
        places = [TopicPartition(self.prefix + topic, partition) for partition in range(self.settings["partitions"])]
        consumer.assign(places)
        consumer.seek_to_beginning(*places)
        records: list[Any] = []
        until = time.monotonic() + within_s
        while len(records) < number and time.monotonic() < until:
            for batch in consumer.poll(timeout_ms=100).values():
                records += batch
        consumer.close()
        return records


def order() -> bytes:
    """An order of now, another one each time."""
    return _event("Order Completed", order_id=f"o{next(_numbers)}")


def cart() -> bytes:
    return _event("Product Added", product_id="p1")


def _event(name: str, **properties: object) -> bytes:
    event = {"type": "track", "event": name, "messageId": f"m{next(_numbers)}", "userId": "u1"}
    return json.dumps({**event, "timestamp": datetime.now(UTC).isoformat(), "properties": properties}).encode()


def create(server: Tansu | Kafka, topic: str, partitions: int = 1) -> None:
    with administrator(server) as admin:
        admin.create_topics([NewTopic(topic, partitions, 1)])


@contextmanager
def administrator(server: Tansu | Kafka) -> Iterator[Any]:
    client: Any = KafkaAdminClient(bootstrap_servers=server.address)
    yield client
    client.close()


def recreate(kafka: Kafka, shop: Shop, topic: str) -> None:
    """Delete a topic and create it, as soon as Kafka allows."""
    with administrator(kafka) as admin:
        admin.delete_topics([shop.prefix + topic])
        eventually(lambda: shop.prefix + topic not in admin.list_topics())
    create(kafka, shop.prefix + topic)


def set_batch_size(kafka: Kafka, topic: str, size: int) -> None:
    with administrator(kafka) as admin:
        admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, {"max.message.bytes": str(size)})])
