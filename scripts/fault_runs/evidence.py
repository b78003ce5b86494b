"""The evidence of a run: its inputs, its published records, and the data in Redis.

It is read as bytes, without code of the product, so that a mistake there is not repeated here.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from fault_runs.scene import INPUTS, PARTITIONS, Scene
from fault_runs.traffic import EXPECTED
from tests.oracle import oracle
from tests.oracle.oracle import milliseconds
from tests.support.live import committed

__all__ = ["SLOW_MS", "In", "StoredState", "events", "inputs", "listed", "read", "slow", "stored"]

# An event that took this long from its own time to Kafka may be late.
SLOW_MS = 700


class In(NamedTuple):
    """A record of an input; ``bad``: why it cannot be used, as its sender noted."""

    topic: str
    partition: int
    offset: int
    appended_ms: int
    key: bytes | None
    value: bytes | None
    bad: str | None


class StoredState(NamedTuple):
    """A customer in Redis: since when in which segment, how many changes, the next due time (0: none)."""

    since: Mapping[str, int]
    sequence: int
    due: int


def inputs(scene: Scene) -> list[In]:
    """The records that were sent and not aborted."""
    return [_in(record, scene) for name in INPUTS for record in read(scene, name)]


def read(scene: Scene, name: str) -> list[Any]:
    """All committed records of a topic, by partition and offset."""
    records = committed(scene.lane.kafka.address, scene.prefix + name, PARTITIONS)
    return sorted(records, key=lambda record: (record.partition, record.offset))


def _in(record: Any, scene: Scene) -> In:
    bad = dict(record.headers).get(EXPECTED)
    return In(
        record.topic.removeprefix(scene.prefix), record.partition, record.offset, record.timestamp,
        record.key, record.value, None if bad is None else bad.decode(),
    )  # fmt: skip


def slow(records: Sequence[In]) -> set[str]:
    """The customers whose present events took long to Kafka, so that they may have come late."""
    ids = set()
    for record in records:
        if record.bad is None and (record.key or b"").startswith(b"live-"):
            event = json.loads(record.value or b"")
            if record.appended_ms - milliseconds(event["timestamp"]) > SLOW_MS:
                ids.add(oracle.customer(event))
    return ids


def events(records: Sequence[In]) -> list[Any]:
    """The events in the order of their times, then of the inputs."""
    values = []
    for record in records:
        if record.bad is None:
            event = json.loads(record.value or b"")
            values.append(((milliseconds(event["timestamp"]), INPUTS.index(record.topic), record.offset), event))
    return [event for _, event in sorted(values, key=lambda pair: pair[0])]


def stored(scene: Scene, partition: int, keys: Sequence[str]) -> dict[str, StoredState]:
    rows = {}
    for name, value in scene.client.hscan_iter(scene.key(partition, "customers"), count=5_000):
        _, sequence, since, _, _, due, *_ = msgspec.msgpack.decode(value, strict=False)
        rows[name.decode()] = StoredState({keys[int(index)]: when for index, when in since.items()}, sequence, due)
    return rows


def listed(scene: Scene, partition: int) -> dict[str, int]:
    """The due times by which a partition finds the customers that are due."""
    entries = scene.client.zrange(scene.key(partition, "due"), 0, -1, withscores=True)
    return {name.decode(): int(due) for name, due in entries}
