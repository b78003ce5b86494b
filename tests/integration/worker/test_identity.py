"""Persons of several ids on real Kafka and Redis: two workers, links across partitions, and deaths on the way.

The one rule: what is right is where the tests' oracle sees each person whose events all have one id.
"""

from __future__ import annotations

import itertools
import json
import random
import re
import time
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest
import redis
from kafka import KafkaProducer

from fault_runs.output_faults import Repeater
from local.processes import Worker
from local.servers import Kafka, Redis
from rules.identity.events import ForwardedEvent, Link, ProfileMerge
from streams.kafka import admin
from streams.settings import Settings
from streams.wire import identity_records
from tests.oracle import oracle
from tests.support import live
from tests.support.commands import partition_of, segmenter
from tests.support.patience import eventually

pytestmark = pytest.mark.kafka

PREFIX = "people-"
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


# More views than a sum tells apart: a profile that is counted twice shows.
VIEWS = 400
DEFINITIONS: dict[str, Any] = {
    **oracle.BUILT_IN,
    "segments": {
        **{
            key: {"title": key, **definition}
            for key, definition in cast(dict[str, Any], oracle.BUILT_IN["segments"]).items()
        },
        **{
            f"viewed_{least}": {
                "title": "Viewed",
                "when": {"total": {"agg": "sum", "of": "score", "event": "Product Viewed", "at_least": least}},
            }
            for least in (VIEWS, VIEWS + 1)
        },
    },
}


_numbers = itertools.count()


@pytest.fixture
def settings(kafka: Kafka, redis_server: Redis, tmp_path: Path) -> Iterator[dict[str, Any]]:
    prefix, file = f"{PREFIX}{next(_numbers)}-", tmp_path / "segments.yaml"
    file.write_text(json.dumps(DEFINITIONS))
    made: dict[str, Any] = {
        "brokers": kafka.address, "redis": redis_server.url, "partitions": live.PARTITIONS, "topic_prefix": prefix,
        "group": prefix, "redis_prefix": prefix, "definitions": file, "session_timeout_s": 3,
    }  # fmt: skip
    admin.create(Settings(**made))
    yield made
    client: Any = redis.Redis.from_url(redis_server.url)
    for name in client.keys(f"{prefix}*"):
        client.delete(name)


def busy(now: datetime) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """A person with very many views on a device before it was linked: as events of one id, and as they are sent."""
    at = now - timedelta(hours=9)
    views = [
        {
            "type": "track", "event": "Product Viewed", "messageId": f"busy-{index}", "properties": {"score": 1},
            "timestamp": (at + timedelta(seconds=index)).isoformat(timespec="milliseconds"),
        }
        for index in range(VIEWS)
    ]  # fmt: skip
    alias = {"type": "alias", "userId": "busy", "previousId": "busy-device", "messageId": "busy-alias"}
    sent = [{**view, "anonymousId": "busy-device"} for view in views]
    stamp = (at + timedelta(hours=1)).isoformat(timespec="milliseconds")
    return [{**view, "userId": "busy"} for view in views], [*sent, {**alias, "timestamp": stamp}]


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
    """A person's events, on a device first, then under either id from a random event on; an alias comes last."""
    user, device = f"مشتری-{number}", f"device-{number}"
    known_from = rng.randrange(len(events) + 1)
    ids = [
        {"anonymousId": device} if index < known_from else rng.choice(
            ({"userId": user, "anonymousId": device}, {"userId": user}, {"anonymousId": device})
        )
        for index in range(len(events))
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
        producer.send(settings["topic_prefix"] + topic, key=key, value=value, partition=partition_of(key))
    producer.flush()
    producer.close()


def members(settings: dict[str, Any]) -> dict[str, set[str]]:
    """The segments of each id, by its newest change; ids without segments are left out."""
    newest: dict[str, dict[str, Any]] = {}
    for record in live.read_topic(settings["brokers"], settings["topic_prefix"] + "segment-changes"):
        change = json.loads(record.value)
        customer = change["customer_id"]
        if customer not in newest or change["sequence"] > newest[customer]["sequence"]:
            newest[customer] = change
    return {customer: set(change["segments"]) for customer, change in newest.items() if change["segments"]}


def forge(settings: dict[str, Any]) -> None:
    """Write a profile to `merges` that moved once more, under another name, as a liar or a defect would."""
    for record in live.read_topic(settings["brokers"], settings["topic_prefix"] + "merges"):
        event = identity_records.read(record.value, record.key)
        if isinstance(event, ProfileMerge) and event.customer == "busy":
            other = msgspec.structs.replace(event, move=event.move ^ 1)
            producer: Any = KafkaProducer(bootstrap_servers=settings["brokers"])
            topic = settings["topic_prefix"] + "merges"
            producer.send(topic, key=record.key, value=identity_records.encode(other), partition=record.partition)
            producer.close()
            return
    raise AssertionError("no profile has moved to busy")


def out_of_sequence(settings: dict[str, Any]) -> list[str]:
    """Ids whose changes do not count up by one, repeats left out."""
    sequences: dict[str, list[int]] = defaultdict(list)
    change_ids: set[str] = set()
    for record in live.read_topic(settings["brokers"], settings["topic_prefix"] + "segment-changes"):
        change = json.loads(record.value)
        if change["change_id"] not in change_ids:
            change_ids.add(change["change_id"])
            sequences[change["customer_id"]].append(change["sequence"])
    return [customer for customer, numbers in sequences.items() if numbers != list(range(1, len(numbers) + 1))]


@pytest.mark.parametrize("persons", [150, pytest.param(300, marks=pytest.mark.nightly)])
def test_every_person_is_where_their_events_say(persons: int, settings: dict[str, Any]) -> None:
    """With deaths while ids are linked, each person is a member once, the device not, and verify agrees."""
    rng = random.Random(11)
    now = datetime.now(UTC)
    whole, sent = busy(now)
    for number in range(persons):
        events = history(rng, number, now)
        whole += [{**event, "userId": f"مشتری-{number}"} for event in events]
        sent += cut(rng, number, events)
    sent.sort(key=lambda event: str(event["timestamp"]))
    workers, repeater = [Worker(settings) for _ in range(2)], Repeater(settings["brokers"], settings["topic_prefix"])
    repeater.start()
    try:
        for worker in workers:
            worker.start()
        workers[0].wait_ready()
        for start in range(0, len(sent), len(sent) // 4 + 1):
            publish(settings, sent[start : start + len(sent) // 4 + 1])
            victim = rng.choice(workers)
            time.sleep(rng.random() * 2)
            victim.kill()
            victim.start()

        def right() -> dict[str, set[str]]:
            at_ms = int(time.time() * 1000)
            memberships = oracle.membership(whole, DEFINITIONS, at_ms)
            return {customer: set(own) for customer, own in memberships.items() if own}

        eventually(lambda: members(settings) == right(), 90)
        eventually(lambda: segmenter("verify", timeout_s=60, **settings).code == 0, 60)
        compared = re.search(r"(\d+) persons of several ids compared", segmenter("verify", **settings).out)
        assert compared is not None
        assert int(compared[1]) > persons // 2
        assert all(worker.exit_code is None for worker in workers)
    finally:
        repeater.end()
        for worker in workers:
            worker.stop()
    assert repeater.count > persons
    assert out_of_sequence(settings) == []
    moved = live.read_topic(settings["brokers"], settings["topic_prefix"] + "merges")
    assert {type(identity_records.read(record.value, record.key)) for record in moved} >= {
        Link,
        ProfileMerge,
        ForwardedEvent,
    }

    forge(settings)
    with Worker(settings) as worker:
        worker.wait_ready()
        eventually(lambda: "viewed_401" in members(settings).get("busy", set()), 60)
        report = segmenter("verify", timeout_s=60, **settings)
        assert report.code == 1, "the two that read `merges` agree, the events do not"
        assert "busy  viewed_401, by all ids" in report.out


@pytest.mark.parametrize("persons", [50, pytest.param(100, marks=pytest.mark.nightly)])
def test_everybody_is_made_again(persons: int, settings: dict[str, Any], tmp_path: Path) -> None:
    """A rebuild by the same file publishes nothing; by another one all is equal."""
    rng, now = random.Random(12), datetime.now(UTC)
    whole, sent = busy(now)
    for number in range(persons):
        events = history(rng, number, now)
        whole += [{**event, "userId": f"مشتری-{number}"} for event in events]
        sent += cut(rng, number, events)
    publish(settings, sorted(sent, key=lambda event: str(event["timestamp"])))

    def right() -> dict[str, set[str]]:
        memberships = oracle.membership(whole, DEFINITIONS, int(time.time() * 1000))
        return {customer: set(own) for customer, own in memberships.items() if own}

    with Worker(settings) as worker:
        worker.wait_ready()
        eventually(lambda: members(settings) == right(), 90)
    with Worker(settings, "--rebuild") as worker:
        worker.wait_ready()
        eventually(lambda: worker.log.read_text().count("rebuild result in use") == live.PARTITIONS, 90)
        eventually(lambda: segmenter("verify", timeout_s=60, **settings).code == 0, 60)
    assert members(settings) == right()
    records = live.read_topic(settings["brokers"], settings["topic_prefix"] + "segment-changes")
    assert not any(json.loads(record.value)["backfill"] for record in records), "reading again changes no membership"

    other = tmp_path / "other.yaml"
    other.write_text(OTHER)
    under = {**settings, "definitions": other}
    with Worker(under, "--rebuild") as worker:
        worker.wait_ready()
        eventually(lambda: worker.log.read_text().count("rebuild result in use") == live.PARTITIONS, 90)
        eventually(lambda: segmenter("verify", timeout_s=60, **under).code == 0, 60)
        assert worker.exit_code is None
