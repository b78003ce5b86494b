"""Persons of several ids on real Kafka and Redis: two workers, links across partitions, and deaths on the way.

The one rule: what is right is where the tests' oracle sees each person whose events all have one id.
"""

from __future__ import annotations

import json
import random
import time
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import redis
from kafka import KafkaProducer

from local import Kafka, Redis
from rules.identity_events import Forwarded, Link, Moved
from streams import topics
from streams.settings import Settings
from streams.wire import merges
from tests import live, oracle
from tests.commands import partition_of, segmenter
from tests.patience import eventually
from workers import Worker

pytestmark = pytest.mark.kafka

PREFIX = "people-"
PERSONS = 300
# More facts, and in other places than those of the four.
OTHER = """
version: 1
library: {only: [abandoned_cart, repeat_buyer]}
segments:
  a_viewer: {title: Viewer, when: {performed: {event: Product Viewed, within: 30d}}}
  b_visitor: {title: Visitor, when: {performed: {event: page, count: {at_least: 2}, within: 30d}}}
"""
NAMES = ("page", "Product Viewed", "Product Added", "Product Added", "Order Completed")
TOPICS = {"page": "visits", "alias": "profiles", "erase": "profiles"} | live.TOPICS


@pytest.fixture
def settings(kafka: Kafka, redis_server: Redis) -> Iterator[dict[str, Any]]:
    made: dict[str, Any] = {
        "brokers": kafka.address, "redis": redis_server.url, "partitions": live.PARTITIONS, "topic_prefix": PREFIX,
        "group": PREFIX, "redis_prefix": PREFIX, "definitions": live.FOUR, "session_timeout_s": 3,
    }  # fmt: skip
    topics.create(Settings(**made))
    yield made
    client: Any = redis.Redis.from_url(redis_server.url)
    for name in client.keys(f"{PREFIX}*"):
        client.delete(name)


def history(rng: random.Random, number: int, now: datetime) -> list[dict[str, Any]]:
    """A person's events, in time order, without ids."""
    at = now - timedelta(minutes=rng.randrange(240, 480))
    events = []
    for index in range(rng.randint(2, 7)):
        name = rng.choice(NAMES)
        kind = {"type": "page"} if name == "page" else {"type": "track", "event": name}
        properties = {"product_id": "p", "order_id": f"o{number}-{index}", "total": 10}
        stamp = {"messageId": f"{number}-{index}", "timestamp": at.isoformat(timespec="milliseconds")}
        events.append({**kind, **stamp, "properties": properties})
        at += timedelta(seconds=rng.choice((5, 200, 1_900)))
    return events


def cut(rng: random.Random, number: int, events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """On a device until the person is known there, after it under either id; known by an alias in the end at last."""
    user, device = f"مشتری-{number}", f"device-{number}"
    known = rng.randrange(len(events) + 1)
    ids = [
        {"anonymousId": device} if at < known else rng.choice(
            ({"userId": user, "anonymousId": device}, {"userId": user}, {"anonymousId": device})
        )
        for at in range(len(events))
    ]  # fmt: skip
    alias = {"type": "alias", "userId": user, "previousId": device, "messageId": f"{number}-alias"}
    return [
        *({**event, **own} for event, own in zip(events, ids, strict=True)),
        {**alias, "timestamp": events[-1]["timestamp"]},
    ]


def publish(settings: dict[str, Any], events: list[dict[str, Any]]) -> None:
    producer: Any = KafkaProducer(bootstrap_servers=settings["brokers"], linger_ms=10)
    for event in events:
        key = (event.get("userId") or event["anonymousId"]).encode()
        topic = TOPICS[event.get("event", event["type"])]
        value = json.dumps(event, ensure_ascii=False).encode()
        producer.send(PREFIX + topic, key=key, value=value, partition=partition_of(key))
    producer.flush()
    producer.close()


def members(settings: dict[str, Any]) -> dict[str, set[str]]:
    """By the newest change of each id that is told of."""
    newest: dict[str, dict[str, Any]] = {}
    for record in live.read_topic(settings["brokers"], f"{PREFIX}segment-changes"):
        change = json.loads(record.value)
        who = change["customer_id"]
        if who not in newest or change["sequence"] > newest[who]["sequence"]:
            newest[who] = change
    return {who: set(change["segments"]) for who, change in newest.items() if change["segments"]}


def test_every_person_is_where_their_events_say(settings: dict[str, Any], tmp_path: Path) -> None:
    """Whoever dies while the ids hear of one another: each person once, and the device nowhere; all can be verified."""
    rng = random.Random(11)
    now = datetime.now(UTC)
    whole, sent = [], []
    for number in range(PERSONS):
        events = history(rng, number, now)
        whole += [{**event, "userId": f"مشتری-{number}"} for event in events]
        sent += cut(rng, number, events)
    sent.sort(key=lambda event: str(event["timestamp"]))
    workers = [Worker(settings) for _ in range(2)]
    try:
        for worker in workers:
            worker.start()
        workers[0].wait_ready()
        for at in range(0, len(sent), len(sent) // 4 + 1):
            publish(settings, sent[at : at + len(sent) // 4 + 1])
            victim = rng.choice(workers)
            time.sleep(rng.random() * 2)
            victim.kill()
            victim.start()

        def right() -> dict[str, set[str]]:
            at_ms = int(time.time() * 1000)
            found = oracle.membership(whole, oracle.BUILT_IN, at_ms)
            return {who: set(own) for who, own in found.items() if own}

        eventually(lambda: members(settings) == right(), 90)
        eventually(lambda: segmenter("verify", timeout_s=60, **settings).code == 0, 60)
        assert all(worker.exit_code is None for worker in workers)
    finally:
        for worker in workers:
            worker.stop()
    sequences: dict[str, list[int]] = defaultdict(list)
    seen: set[str] = set()
    for record in live.read_topic(settings["brokers"], f"{PREFIX}segment-changes"):
        change = json.loads(record.value)
        if change["change_id"] not in seen:
            seen.add(change["change_id"])
            sequences[change["customer_id"]].append(change["sequence"])
    assert [who for who, found in sequences.items() if found != list(range(1, len(found) + 1))] == []
    moved = live.read_topic(settings["brokers"], f"{PREFIX}merges")
    assert {type(merges.read(record.value, record.key)) for record in moved} >= {Link, Moved, Forwarded}

    with Worker(settings, "--rebuild") as worker:
        worker.wait_ready()
        eventually(lambda: worker.log.read_text().count("going on from them") == live.PARTITIONS, 90)
        eventually(lambda: segmenter("verify", timeout_s=60, **settings).code == 0, 60)
    assert members(settings) == right()
    told = live.read_topic(settings["brokers"], f"{PREFIX}segment-changes")
    assert not any(json.loads(record.value)["backfill"] for record in told), "whoever is read again is who they were"

    other = tmp_path / "other.yaml"
    other.write_text(OTHER)
    under = {**settings, "definitions": other}
    with Worker(under, "--rebuild") as worker:
        worker.wait_ready()
        eventually(lambda: worker.log.read_text().count("going on from them") == live.PARTITIONS, 90)
        eventually(lambda: segmenter("verify", timeout_s=60, **under).code == 0, 60)
        assert worker.exit_code is None
