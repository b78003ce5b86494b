"""A shop on real Kafka and Redis for the commands that erase, export and unlink customers."""

from __future__ import annotations

import json
import secrets
import time
from typing import Any

import redis
from kafka import KafkaProducer

from local.servers import Kafka, Redis
from streams.kafka import admin as topics
from streams.settings import Settings
from tests.support import live
from tests.support.commands import Done, partition_of, segmenter


class Shop:
    """Topics, a Redis prefix, and a worker's settings, all of one name."""

    def __init__(self, kafka: Kafka, redis_server: Redis) -> None:
        self.prefix = f"erase-{secrets.token_hex(4)}-"  # this module may be imported under two names
        self.settings: dict[str, Any] = {
            "brokers": kafka.address, "redis": redis_server.url, "partitions": live.PARTITIONS,
            "topic_prefix": self.prefix, "group": self.prefix, "redis_prefix": self.prefix,
            "definitions": live.FOUR, "session_timeout_s": 3,
        }  # fmt: skip
        self.redis: Any = redis.Redis.from_url(redis_server.url)
        topics.create(Settings(**self.settings))

    def publish(self, *events: dict[str, Any]) -> None:
        producer: Any = KafkaProducer(bootstrap_servers=self.settings["brokers"])
        for event in events:
            key = (event.get("userId") or event["anonymousId"]).encode()
            topic = {"identify": "profiles", "erase": "profiles", "alias": "profiles"}.get(
                event["type"], live.TOPICS.get(event.get("event", ""), "visits")
            )
            producer.send(
                self.prefix + topic, key=key, value=json.dumps(event, ensure_ascii=False).encode(),
                partition=partition_of(key),
            )  # fmt: skip
        producer.flush()
        producer.close()

    def run(self, *arguments: str) -> Done:
        return segmenter(*arguments, timeout_s=120, **self.settings)

    def changes(self, customer_id: str) -> list[dict[str, Any]]:
        records = live.read_topic(self.settings["brokers"], self.prefix + "segment-changes")
        return [json.loads(record.value) for record in records if record.key == customer_id.encode()]

    def keys_naming(self, customer_id: str) -> list[bytes]:
        """The keys of Redis in whose bytes a customer is."""
        dumps = [(name, self.redis.dump(name) or b"") for name in self.redis.keys(self.prefix + "*")]
        return [name for name, dump in dumps if customer_id.encode() in dump]

    def forget_everything(self) -> None:
        for name in self.redis.keys(self.prefix + "*"):
            self.redis.delete(name)


def timestamp_of_now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime()) + f".{int(time.time() * 1000) % 1000:03}Z"
