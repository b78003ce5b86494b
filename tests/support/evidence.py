"""What a run of the simulation leaves behind, as plain values, and the order in which its records were read.

The one rule: nothing here comes from the product. Bytes are those on the topics, positions those
that the store took; times of events are worked out anew from the records.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import UTC, datetime
from typing import NamedTuple

from tests.oracle.oracle import Json, milliseconds

TOPICS = ("profiles", "visits", "carts", "purchases")
CHANGES, MEMBERSHIPS, DEAD_LETTERS = "segment-changes", "segment-memberships", "dead-letters"


class Bad(NamedTuple):
    """A record that cannot be used, and why."""

    topic: str
    partition: int
    offset: int
    reason: str


class In(NamedTuple):
    """A record of an input. ``given_ms``: when Kafka first gave it away; ``visible_ms``: since when for good."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    given_ms: float
    visible_ms: float


class Published(NamedTuple):
    """A record of an output; ``at_ms``: when Kafka had it."""

    topic: str
    partition: int
    at_ms: float
    key: bytes | None
    value: bytes | None
    headers: Mapping[str, bytes]


class Claimed(NamedTuple):
    """A claim that the store took. ``epoch`` counts the group's generations for ever."""

    epoch: int
    generation: int


class Saved(NamedTuple):
    """A save that the store took; ``stepped``: when its step was taken (s after the start)."""

    stepped: float
    starts: Mapping[str, int]
    positions: Mapping[str, int]
    clock: int
    customers: Sequence[str]


class Stopped(NamedTuple):
    """A worker that stopped for safety; ``at``: s after the start."""

    at: float
    process: str
    sentence: str


class Left(NamedTuple):
    """What the store holds of a partition in the end: the segments of each customer, sorted, and its last sequence."""

    positions: Mapping[str, int]
    clock: int
    outbox: int
    members: Mapping[str, tuple[str, ...]]
    sequences: Mapping[str, int]


class Evidence(NamedTuple):
    """All that a run leaves behind. ``history``: by partition the claims and saves that the store knew in the end.

    ``assignments``: which process held which partition. ``lost_writes``: how many the store lost;
    ``forgotten``: the customers of saves among them.
    """

    definitions: Json
    grace_ms: int
    skew_ms: int
    start_ms: int
    records: Sequence[In]
    bad: Sequence[Bad]
    ends: Mapping[tuple[str, int], int]
    published: Sequence[Published]
    history: Mapping[int, Sequence[Claimed | Saved]]
    left: Mapping[int, Left]
    stops: Sequence[Stopped]
    assignments: Sequence[tuple[str, int]]
    lost_writes: int
    forgotten: AbstractSet[str]


class Read(NamedTuple):
    """A record with its place in the order of reading.

    ``order``: the key by which inputs are merged: the newest time of its input up to it, the
    input's rank, its offset. ``event``: as it counts, its timestamp the event time; `None` for a
    dead letter.
    """

    order: tuple[int, int, int]
    record: In
    event: Json | None
    time: int


def read(record: In, reason: str | None, newest: int) -> Read:
    """Read a record behind others of its input; a misplaced event still moves its input on in time."""
    rank = TOPICS.index(record.topic)
    if reason not in (None, "wrong_partition"):
        return Read((newest, rank, record.offset), record, None, 0)
    event: Json = json.loads(record.value or b"")
    # A client's clock that runs ahead moves no customer.
    time = min(milliseconds(str(event["timestamp"])), record.timestamp)
    written = datetime.fromtimestamp(time / 1000, UTC).isoformat(timespec="milliseconds")
    order = (max(newest, time), rank, record.offset)
    return Read(order, record, {**event, "timestamp": written} if reason is None else None, time)


def steps(evidence: Evidence, partition: int) -> Iterator[tuple[Saved, list[Read]]]:
    """The saves of a partition, each with its records in merged order; each claim merges anew."""
    bad = {bad[:3]: bad.reason for bad in evidence.bad}
    own = [record for record in evidence.records if record.partition == partition]
    newest: dict[str, int] = {}
    for step in evidence.history[partition]:
        if isinstance(step, Claimed):
            newest = dict.fromkeys(TOPICS, 0)
            continue
        reads: list[Read] = []
        for record in own:
            if step.starts[record.topic] <= record.offset < step.positions[record.topic]:
                reads.append(read(record, bad.get(record[:3]), newest[record.topic]))
                newest[record.topic] = reads[-1].order[0]
        yield step, sorted(reads, key=lambda read_record: read_record.order)


def events(evidence: Evidence, partition: int) -> list[Json]:
    """Every event of a partition, whenever it was read."""
    bad = {bad[:3]: bad.reason for bad in evidence.bad}
    reads = [read(record, bad.get(record[:3]), 0) for record in evidence.records if record.partition == partition]
    return [read_record.event for read_record in reads if read_record.event is not None]


def identity(record: Published) -> object:
    """The part of an output record that is the same in every repeat: the change's id, the dead letter's place."""
    if record.topic == CHANGES:
        return record.headers["ce_id"]
    return tuple(record.headers[name] for name in ("topic", "partition", "offset"))


def once(evidence: Evidence, topic: str) -> list[Published]:
    """The records of an output without repeats, in the order of their first coming."""
    first: dict[object, Published] = {}
    for record in evidence.published:
        if record.topic == topic:
            first.setdefault(identity(record), record)
    return list(first.values())
