"""Helpers of the tests on real parts: publish a history, read the changes back, compare.

The comparison knows nothing of the code under test but the bytes on the topics.
"""

from __future__ import annotations

import json
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from aiokafka.partitioner import murmur2
from kafka import KafkaConsumer, KafkaProducer, TopicPartition

from load import rees46
from local.servers import Redis
from tests.oracle.oracle import OracleChange, milliseconds
from tests.support.patience import PATIENCE

DATA = Path(__file__).parents[2] / "data" / "rees46-2019-10-01.csv.gz"
# The four segments of the contract: those of oracle.BUILT_IN, whatever else the library has.
FOUR = Path(__file__).parents[2] / "scripts" / "load" / "four_segments.yaml"
PARTITIONS = 4
# Topics by event name, from the contract; the history has no other names.
TOPICS = {"Product Viewed": "visits", "Product Added": "carts", "Order Completed": "purchases"}


class ReadChange(NamedTuple):
    """A segment change as read from the topic."""

    customer: str
    segment: str
    change: str
    occurred_at: int
    late: bool
    sequence: int
    change_id: str


def real_events() -> list[dict[str, Any]]:
    """The data set as Segment Spec messages."""
    with rees46.open_csv(str(DATA)) as lines:
        return list(rees46.events(lines))


def another_night(events: Sequence[Mapping[str, Any]], night: int) -> list[dict[str, Any]]:
    """Events with other customers, days later; ``night`` is the day of that October."""
    later = []
    for event in events:
        copy = json.loads(json.dumps(event))
        copy["messageId"] += f"-{night}"
        copy["userId"] += f"-{night}"
        copy["timestamp"] = copy["timestamp"].replace("2019-10-01", f"2019-10-{night:02d}")
        later.append(copy)
    return later


def publish(brokers: str, events: Iterable[Mapping[str, Any]], topics: Mapping[str, str] = TOPICS) -> None:
    """Publish each event to its topic, keyed, in the order given."""
    producer: Any = KafkaProducer(bootstrap_servers=brokers, linger_ms=20, enable_idempotence=False)
    for event in events:
        key = str(event["userId"]).encode()
        partition = (murmur2(key) & 0x7FFFFFFF) % PARTITIONS
        value = json.dumps(event, ensure_ascii=False).encode()
        producer.send(topics[event["event"]], key=key, value=value, partition=partition)
    producer.flush()
    producer.close()


def read_topic(brokers: str, topic: str = "segment-changes", *, exact_ends: bool = True) -> list[Any]:
    """All records of a topic, per partition in order. ``exact_ends``: the broker's are; those of Tansu are not."""
    if exact_ends:
        return committed(brokers, topic, PARTITIONS)
    records: list[Any] = []
    for batch in _batches(brokers, topic, quiet_s=2.0, until=time.monotonic() + 300):
        records += batch
    return records


def committed(brokers: str, topic: str, partitions: int) -> list[Any]:
    """All committed records of a topic up to its ends of now, per partition in order."""
    consumer: Any = KafkaConsumer(bootstrap_servers=brokers, isolation_level="read_committed", enable_auto_commit=False)
    places = [TopicPartition(topic, partition) for partition in range(partitions)]
    consumer.assign(places)
    consumer.seek_to_beginning(*places)
    ends = consumer.end_offsets(places)
    records: list[Any] = []
    while any(consumer.position(place) < ends[place] for place in places):
        for batch in consumer.poll(timeout_ms=500, max_records=5_000).values():
            records += batch
    consumer.close()
    return records


def _batches(brokers: str, topic: str, quiet_s: float, until: float) -> Iterator[list[Any]]:
    """Batches of records until none came for a while: not every broker knows its end offsets exactly."""
    consumer: Any = KafkaConsumer(bootstrap_servers=brokers, isolation_level="read_committed")
    places = [TopicPartition(topic, partition) for partition in range(PARTITIONS)]
    consumer.assign(places)
    consumer.seek_to_beginning(*places)
    came = time.monotonic()
    while time.monotonic() < min(until, came + quiet_s):
        batches = consumer.poll(timeout_ms=200)
        if batches:
            came = time.monotonic()
        yield from batches.values()
    consumer.close()


def changes(brokers: str, prefix: str = "", *, exact_ends: bool = True) -> list[ReadChange]:
    """The segment changes on the topic, repeats and all; for ``exact_ends`` see `read_topic`."""
    records = read_topic(brokers, prefix + "segment-changes", exact_ends=exact_ends)
    return [_read_change(json.loads(record.value)) for record in records]


def _read_change(value: Mapping[str, Any]) -> ReadChange:
    return ReadChange(
        value["customer_id"], value["segment"], value["change"], milliseconds(value["occurred_at"]),
        value["late"], value["sequence"], value["change_id"],
    )  # fmt: skip


def without_repeats(changes: Sequence[ReadChange]) -> list[ReadChange]:
    """The changes as a consumer sees them that drops what it knows by its id."""
    return list({change.change_id: change for change in changes}.values())


def per_customer(changes: Iterable[ReadChange | OracleChange]) -> dict[str, list[tuple[str, str, int, bool]]]:
    """The changes of each customer as (segment, change, occurred_at, late), in order."""
    by: dict[str, list[tuple[str, str, int, bool]]] = defaultdict(list)
    for change in changes:
        customer = change.customer if isinstance(change, ReadChange) else change.customer_id
        by[customer].append((change.segment, change.change, change.occurred_at, change.late))
    return dict(by)


def gaps(changes: Iterable[ReadChange]) -> list[str]:
    """Customers whose sequence is not 1, 2, 3 …"""
    numbers: dict[str, list[int]] = defaultdict(list)
    for change in changes:
        numbers[change.customer].append(change.sequence)
    return [customer for customer, sequences in numbers.items() if sequences != list(range(1, len(sequences) + 1))]


def wait_until_quiet(brokers: str, expected: int, timeout_s: float, prefix: str = "") -> None:
    """Wait until ``expected`` different changes came, or the time is up, or nothing came for long."""
    ids: set[str] = set()
    timeout_s *= PATIENCE
    until = time.monotonic() + timeout_s
    for batch in _batches(brokers, prefix + "segment-changes", quiet_s=timeout_s, until=until):
        ids.update(json.loads(record.value)["change_id"] for record in batch)
        if len(ids) >= expected:
            break
    time.sleep(1)  # what should not come would come now


def append_only_file(redis: Redis) -> Path:
    """The append-only file of a Redis."""
    assert redis.folder is not None
    (file,) = [*redis.folder.glob("appendonlydir/*.incr.aof"), *redis.folder.glob("appendonly.aof")]
    return file
