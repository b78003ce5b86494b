"""Whether the first records and customers of a partition show that the topic got more partitions."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Collection, Iterable, Sequence
from types import SimpleNamespace
from typing import Any, cast

import pytest

from streams.kafka.fetch import OutputChunk, TopicAndPartition
from streams.kafka.partitioner import belonging_of_each, partition_of
from streams.stop import Stop
from streams.wire.records import OutRecord
from streams.worker import placement
from tests.support.commands import segmenter

# --- what is seen at the head of a topic ---------------------------------------------------------


def is_refused(number: int, now: int, customers: Iterable[int], strangers: Iterable[int] = ()) -> bool:
    """Whether partition 0 is refused, with these customers by ``number`` of partitions, by ``now`` of them.

    ``strangers`` are written to it by a producer that partitions in another way, each after twenty customers.
    """
    names = [f"u{customer}" for customer in customers if partition_of(f"u{customer}", number) == 0]
    elsewhere = [f"s{stranger}" for stranger in strangers if partition_of(f"s{stranger}", now) != 0]
    for place, name in enumerate(elsewhere, 1):
        names.insert(21 * place - 1, name)
    belong = belonging_of_each(now, "murmur2")
    return placement.is_misplaced(belong(names, 0))


@pytest.mark.parametrize(("before", "now"), [(1, 2), (2, 4), (3, 5), (4, 6), (10, 20), (64, 128)])
def test_customers_of_another_number_are_seen(before: int, now: int) -> None:
    """Few of them are enough, also where many of the present number follow."""
    assert not is_refused(now, now, range(2_000))
    assert is_refused(before, now, range(20 * before))
    belong = belonging_of_each(now, "murmur2")
    early = [f"u{index}" for index in range(20 * before) if partition_of(f"u{index}", before) == 0]
    late = [f"v{index}" for index in range(50 * now) if partition_of(f"v{index}", now) == 0]
    assert placement.is_misplaced(belong(early + late, 0))


def test_strangers_among_customers_are_no_sign() -> None:
    """Each of them is a dead letter; and so are fewer customers than would be a sign."""
    assert not is_refused(4, 4, range(2_000), strangers=range(20))
    assert not placement.is_misplaced([False, False])


class Coming:
    """Stands in for the topics: first records, each of which comes so long (s) after the look began."""

    def __init__(self, clock: SimpleNamespace, *coming: tuple[float, int, Sequence[str]]) -> None:
        self._clock = clock
        self._coming = coming
        self.given_up: list[int] = []

    async def peek(
        self, places: Collection[TopicAndPartition], wanted: Callable[[TopicAndPartition], bool]
    ) -> AsyncGenerator[OutputChunk, None]:
        left = set(places)
        for at, partition, names in self._coming:
            self._clock.now = at
            left = {place for place in left if wanted(place)}
            place = "purchases", partition
            if place in left:
                records = [OutRecord("", name.encode(), b"", []) for name in names]
                yield OutputChunk(*place, records, len(records))
            else:
                self.given_up.append(partition)


async def look(monkeypatch: pytest.MonkeyPatch, *coming: tuple[float, int, Sequence[str]]) -> list[int]:
    """Look at partitions 0 and 1 of two; return the partitions whose records were not waited for."""
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(placement, "time", SimpleNamespace(monotonic=lambda: clock.now))
    outputs = Coming(clock, *coming)

    def belong(customers: Sequence[str], _: int) -> list[bool]:
        return [customer.startswith("stayed") for customer in customers]

    await placement.check(cast(Any, outputs), [0, 1], [], belong)
    return outputs.given_up


STAYED, MOVED = ["stayed"], ["moved1", "moved2", "moved3"]


async def test_first_records_that_come_late_are_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """The wait is as long as a partition has no record, however soon the other's records came."""
    for coming in ([(20.0, 0, MOVED)], [(0.1, 0, STAYED), (20.0, 1, MOVED)]):
        with pytest.raises(Stop, match="belong to other partitions"):
            await look(monkeypatch, *coming)


async def test_more_of_a_partition_is_not_waited_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """The bound starts with the first records: it limits the reading, not the time until Kafka was found."""
    soon, late = 10.0 + placement.READ_MAX_S, 10.1 + placement.READ_MAX_S
    assert await look(monkeypatch, (10.0, 0, STAYED), (late, 0, MOVED)) == [0]
    with pytest.raises(Stop, match="belong to other partitions"):
        await look(monkeypatch, (10.0, 0, STAYED), (soon, 0, MOVED))


def test_a_copy_needs_to_know_where_to() -> None:
    """Only a copy takes `--to`, and it must have it."""
    for words in (["copy"], ["create", "--to", "x-"]):
        done = segmenter("topics", *words)
        assert (done.code, "--to PREFIX" in done.err) == (2, True)
