"""Placement: whether the records of a partition belong to it by the number of partitions that the topics have now.

The one rule: a partition of which nothing was read yet is not begun while first records of the topics belong to other
partitions, or cannot be read.

    topics of 2 partitions      u7 → 1, u8 → 0
    partitions are added        4 partitions: u7 → 3, u8 → 0; records written before stay where they are
    a worker on an empty Redis  would find u7's former orders on partition 1, where they count for no customer;
                                another one, which has partition 3 alone, would decide u7 without them

Records written before are the first ones, and by any larger number of partitions at least half of their customers
belong to other partitions. So a few customers at the head of each input are enough to see it. Single records of a
producer that partitions in another way are no sign of it: each becomes a dead letter `wrong_partition`, as do those of
fewer than `MISPLACED_MIN` customers in any case.

Only keys are judged, so records of an open or aborted transaction count as any others.

See also: `streams.kafka.partitioner`, and `streams.cli.topic_copy` (the remedy).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import aclosing

import msgspec

from rules.event_names import INPUTS
from streams.kafka.fetch import OutputReader, TopicAndPartition
from streams.stop import COPY, Stop

# The most customers and records that are looked at, in each partition of an input.
CUSTOMERS_MAX, RECORDS_MAX = 64, 5_000
# After this time (s) from the first record on, a partition with some records is judged by those. For the first record
# of another partition the check waits as long as a claim may take.
READ_MAX_S = 2.0
# The least number of misplaced customers, and their least share (one in so many) of those at the head.
MISPLACED_MIN, ONE_IN = 3, 4

Belong = Callable[[Sequence[str], int], Sequence[bool]]


class _Head(msgspec.Struct):
    """The first customers of a partition of an input, in their order, and how many records they sent."""

    keys: dict[bytes, None] = {}
    count: int = 0

    @property
    def is_enough(self) -> bool:
        return len(self.keys) >= CUSTOMERS_MAX or self.count >= RECORDS_MAX


async def check(outputs: OutputReader, unread: Collection[int], others: Collection[int], belong: Belong) -> set[int]:
    """Refuse topics whose first records belong to other partitions. Returns the partitions that were checked.

    ``unread``: partitions of which nothing was read yet. Only if they have any records, the others are checked, too.
    Raises `Stop`, and what the reading raises.
    """
    looked_at = set(unread)
    if await _check(outputs, unread, belong) and others:
        await _check(outputs, others, belong)
        looked_at.update(others)
    return looked_at


async def _check(outputs: OutputReader, partitions: Collection[int], belong: Belong) -> bool:
    """Check the first records of these partitions, and refuse misplaced ones; whether there were any records."""
    heads = await _heads(outputs, [(topic, partition) for topic in INPUTS for partition in partitions])
    for (topic, partition), head in heads.items():
        customers = [key.decode(errors="replace") for key in head.keys]
        if is_misplaced(belong(customers, partition)):
            raise Stop(
                f"events on partition {partition} of {topic} belong to other partitions, as partitions were added "
                f"after they were written; nothing was read; {COPY}"
            )
    return any(head.count for head in heads.values())


async def _heads(outputs: OutputReader, places: Collection[TopicAndPartition]) -> Mapping[TopicAndPartition, _Head]:
    """Read the head of each partition; the time limit begins with the first record of any."""
    heads = {place: _Head() for place in places}
    until = float("inf")

    def is_wanted(place: TopicAndPartition) -> bool:
        head = heads[place]
        is_late = time.monotonic() > until
        return not head.is_enough and not (is_late and head.count)

    async with aclosing(outputs.peek(places, is_wanted)) as chunks:
        async for chunk in chunks:
            until = min(until, time.monotonic() + READ_MAX_S)
            head = heads[chunk.topic, chunk.partition]
            head.keys.update(dict.fromkeys(record.key for record in chunk.records if record.key))
            head.count += len(chunk.records)
    return heads


def is_misplaced(belongings: Iterable[bool]) -> bool:
    """Whether the first customers of a partition were placed by another partition count.

    ``belongings``: of each, in the order of their records, whether it belongs to the partition.
    """
    misplaced = 0
    for count, belongs in enumerate(belongings, 1):
        misplaced += not belongs
        if misplaced >= MISPLACED_MIN and misplaced * ONE_IN > count:
            return True
    return False
