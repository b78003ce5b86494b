"""Records of `merges`: the links of a step to one partition are one record; nothing of them is lost or disordered."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Sequence

import msgspec
import pytest

from rules.events import ERASE, Event, Origin
from rules.identity.events import Link, LinkBatch, Unlinked
from streams.wire import identity_records
from streams.wire.identity_records import LINKS_MAX
from streams.wire.records import sent_records

PARTITIONS = 3


def partitions_of(customers: Sequence[str]) -> list[int]:
    return [len(customer) % PARTITIONS for customer in customers]


def link(former: str, time: int, into: str = "ann") -> Link:
    origin = Origin("visits", 1, time) if time % 2 else None
    return Link(former, ERASE, time, f"m{time}", origin=origin, into=into, vouched=time % 3 == 0)


def single(value: bytes | None, key: bytes | None) -> list[Event]:
    """The events of a record."""
    event = identity_records.read(value, key)
    assert not isinstance(event, str), event
    return list(event.links) if isinstance(event, LinkBatch) else [event]


@pytest.mark.parametrize("seed", range(300))
def test_every_partition_receives_what_was_sent_to_it_in_order(seed: int) -> None:
    """Whatever a step sends; a record has as many links as it may, all of one partition, under the first one's key."""
    rng = random.Random(seed)
    share = rng.choice((0.0, 0.01, 0.5))
    events: list[Event] = []
    for time in range(rng.choice((0, 1, 2, 30, 3 * LINKS_MAX))):
        name = "d" * rng.randrange(1, 3 * PARTITIONS)
        other = Unlinked(name, ERASE, time, f"m{time}", former="x")
        events.append(other if rng.random() < share else link(name, time))
    received: defaultdict[int, list[Event]] = defaultdict(list)
    for record in sent_records(events, partitions_of):
        assert record.key is not None
        (partition,) = partitions_of([record.key.decode()])
        came = single(record.value, record.key)
        assert set(partitions_of([event.customer for event in came])) == {partition}
        assert len(came) <= LINKS_MAX
        received[partition] += came
    sent: defaultdict[int, list[Event]] = defaultdict(list)
    for event, partition in zip(events, partitions_of([event.customer for event in events]), strict=True):
        sent[partition].append(event)
    assert received == {partition: of_partition for partition, of_partition in sent.items() if of_partition}


def test_links_are_as_few_records_as_can_be() -> None:
    """One for each partition and `LINKS_MAX` links."""
    events = [link("d" * (1 + number % PARTITIONS), number) for number in range(2 * PARTITIONS * LINKS_MAX)]
    assert len(sent_records(events, partitions_of)) == 2 * PARTITIONS
    assert len(sent_records(events[:PARTITIONS], partitions_of)) == PARTITIONS


def test_links_are_read_in_the_order_of_their_times() -> None:
    """The times of a step ascend but for late events; the batch has the earliest time."""
    batch = identity_records.read(identity_records.encode_links([link("a", 7), link("b", 5)]), b"a")
    assert isinstance(batch, LinkBatch)
    assert [each.time for each in batch.links] == [5, 7]
    assert (batch.customer, batch.time) == ("a", 5)


def test_what_is_no_record_of_links_is_a_dead_letter() -> None:
    """A wrong key, no link, another shape, bytes that end too early."""
    whole = identity_records.encode_links([link("a", 5), link("b", 6)])
    assert identity_records.read(whole, b"b") == "wrong_key"
    assert identity_records.read(whole, None) == "wrong_key"
    assert identity_records.read(b"\xc1\x90", b"a") == "bad_value"
    assert identity_records.read(b"\xc1" + msgspec.msgpack.encode([["a"]]), b"a") == "bad_value"
    for end in range(1, len(whole)):
        assert identity_records.read(whole[:end], b"a") in ("not_json", "bad_value")
