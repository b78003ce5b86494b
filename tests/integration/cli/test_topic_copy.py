"""`segmenter topics copy` of persons with several ids and of erased ones, on real Kafka and Redis.

The one rule: on topics with more partitions every customer has the same membership, and no further change is published.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from kafka import KafkaProducer

from local.servers import Kafka, Redis
from rules.identity.events import ErasureNotice
from streams.kafka import admin
from streams.kafka.partitioner import partition_of
from streams.settings import Settings
from streams.wire import identity_records
from tests.support import live
from tests.support.commands import segmenter
from tests.support.patience import eventually
from tests.support.stop_shop import Shop, administrator, set_batch_size, worker

pytestmark = pytest.mark.kafka

PERSONS = 24
ERASED = range(0, PERSONS, 3)
TOPICS = {
    "page": "visits", "identify": "profiles", "alias": "profiles", "erase": "profiles", "Product Added": "carts",
    "Order Completed": "purchases",
}  # fmt: skip


def user(number: int) -> str:
    return f"user{number}"


def device(number: int) -> str:
    """A device id on another partition than its user while there are two, and mostly later, too."""
    return next(
        name
        for name in (f"device{number}-{attempt}" for attempt in range(100))
        if partition_of(name, 2) != partition_of(user(number), 2)
    )


def life(number: int, now: datetime) -> list[dict[str, Any]]:
    """A cart on a device, a visit from which its user is known, two orders, and another cart on the device."""
    by_user, by_device = {"userId": user(number)}, {"anonymousId": device(number)}
    link: dict[str, Any] = {"type": "page", **by_user, **by_device}
    if number % 2:
        link = {"type": "alias", **by_user, "previousId": device(number)}
    events: list[dict[str, Any]] = [
        {"type": "track", "event": "Product Added", "properties": {"product_id": "p1"}, **by_device},
        {"type": "page", **by_device},
        link,
        {"type": "track", "event": "Order Completed", "properties": {"order_id": f"o{number}"}, **by_user},
        {"type": "track", "event": "Order Completed", "properties": {"order_id": f"o{number}-2"}, **by_user},
        {"type": "track", "event": "Product Added", "properties": {"product_id": "p2"}, **by_device},
    ]
    return [
        {**event, "messageId": f"{number}-{index}", "timestamp": at(now, number + 60 * index)}
        for index, event in enumerate(events)
    ]


def at(now: datetime, after_m: float) -> str:
    """The time so many minutes after this moment yesterday: all that is due has been due for hours."""
    return (now - timedelta(days=1) + timedelta(minutes=after_m)).isoformat(timespec="milliseconds")


def erasure(number: int, now: datetime) -> dict[str, Any]:
    return {"type": "erase", "userId": user(number), "messageId": f"erase-{number}", "timestamp": now.isoformat()}


class Place:
    """Topics of a prefix, and a worker's Redis for them."""

    def __init__(self, settings: dict[str, Any]) -> None:
        self.settings = settings

    def publish(self, events: Iterable[Mapping[str, Any]]) -> None:
        producer: Any = KafkaProducer(bootstrap_servers=self.settings["brokers"], linger_ms=10)
        for event in events:
            key = event.get("userId") or event["anonymousId"]
            topic = self.settings["topic_prefix"] + TOPICS[event.get("event", event["type"])]
            place = partition_of(key, self.settings["partitions"])
            producer.send(topic, json.dumps(event).encode(), key.encode(), None, place)
        producer.flush()
        producer.close()

    def read(self, topic: str) -> Sequence[Any]:
        settings = self.settings
        return live.committed(settings["brokers"], settings["topic_prefix"] + topic, settings["partitions"])

    def changes(self) -> Counter[str]:
        """The ids of all changes."""
        return Counter(json.loads(record.value)["change_id"] for record in self.read("segment-changes"))

    def members(self) -> dict[str, list[str]]:
        """The segments of each id, by its newest row; ids without segments are left out."""
        newest = {record.key.decode(): record.value for record in self.read("segment-memberships")}
        rows = {customer: json.loads(value)["segments"] for customer, value in newest.items() if value is not None}
        return {customer: segments for customer, segments in rows.items() if segments}

    def erased_along(self) -> set[str]:
        """Ids that were erased along with a person."""
        messages = [identity_records.read(record.value, record.key) for record in self.read("merges")]
        return {message.customer for message in messages if isinstance(message, ErasureNotice)}

    def is_equal(self) -> bool:
        return segmenter("verify", **self.settings).code == 0


def test_persons_of_several_ids_and_erased_ones(kafka: Kafka, redis_server: Redis, tmp_path: Path) -> None:
    """Ids linked on other partitions are copied; an id erased along with a person does not come back."""
    settings: dict[str, Any] = {
        "brokers": kafka.address, "redis": redis_server.url, "partitions": 2, "topic_prefix": "to-copy-",
        "group": "to-copy", "redis_prefix": "to-copy:", "definitions": live.FOUR, "session_timeout_s": 3,
    }  # fmt: skip
    admin.create(Settings(**settings))
    before, now = Place(settings), datetime.now(UTC)
    sent = sorted(
        (event for number in range(PERSONS) for event in life(number, now)), key=lambda event: event["timestamp"]
    )
    before.publish(sent)
    with worker(settings, tmp_path):
        eventually(lambda: len(before.members()) == PERSONS and before.is_equal(), 60)
        before.publish(erasure(number, now) for number in ERASED)
        eventually(lambda: before.erased_along() == {device(number) for number in ERASED}, 60)
        eventually(lambda: len(before.members()) == PERSONS - len(ERASED) and before.is_equal(), 60)

    prefix = "to-copy-new-"
    copied = segmenter("topics", "copy", "--to", prefix, **{**settings, "partitions": 4})
    assert copied.code == 0, copied.err
    after = Place({**settings, "partitions": 4, "topic_prefix": prefix, "redis_prefix": prefix})
    with worker(after.settings, tmp_path) as fresh:
        eventually(lambda: after.members() == before.members() and after.is_equal(), 60)
        assert fresh.exit_code is None
    assert set(after.members()) == {user(number) for number in range(PERSONS) if number not in ERASED}
    assert after.changes() == before.changes(), "nothing is said again, nor anything else"
    assert after.read("dead-letters") == []


def test_a_record_that_kafka_refuses_for_good(kafka: Kafka, redis_server: Redis) -> None:
    """A record larger than its topic now accepts stops the copy: waiting for Kafka would not help."""
    shop = Shop(kafka, redis_server, "copy-refused")
    visits, new = shop.prefix + "visits", f"{shop.prefix}new-"
    producer: Any = KafkaProducer(bootstrap_servers=kafka.address)
    producer.send(visits, b"x" * 5_000, b"u1")
    producer.close()
    set_batch_size(kafka, visits, 1_000)
    done = segmenter("topics", "copy", "--to", new, **shop.settings)
    sentence = done.err.splitlines()[-1]
    assert done.code == 75
    assert f"Kafka refuses to write a record to {new}visits" in sentence
    assert "max.message.bytes" in sentence
    assert sentence.endswith("delete the new topics, and copy again")
    set_batch_size(kafka, visits, 1_000_000)
    with administrator(kafka) as admins:
        admins.delete_topics([name for name in admins.list_topics() if name.startswith(new)])
        eventually(lambda: not any(name.startswith(new) for name in admins.list_topics()))
    again = segmenter("topics", "copy", "--to", new, **shop.settings)
    assert again.code == 0, again
    assert f"{new}visits: 1 records copied" in again.err
