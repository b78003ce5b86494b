"""Placement: whether the records of a partition belong to it by the number of partitions that the topics have now.

The one rule: a partition of which nothing was read yet is not begun where its first records belong to others.

    topics of 2 partitions      u7 → 1, u8 → 0
    partitions are added        4 partitions: u7 → 3, u8 → 0; what was written before stays where it is
    a worker on an empty Redis  would find u7's former orders on partition 1, where they count for nobody

What was written before stands first, and half or more of its customers belong to others by any larger number. So a few
customers at the head of each input are enough to see it. Single records of a producer that partitions in another way
are no sign of it: each becomes a dead letter `wrong_partition`, as fewer than `MISPLACED_MIN` customers do in any case.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from contextlib import aclosing, suppress
from functools import partial

from rules.events import INPUTS
from streams.recovery import Outputs
from streams.stop import COPY, Stop

# Customers and records of a partition of an input that are looked at.
CUSTOMERS_MAX, RECORDS_MAX = 64, 5_000
# An upstream's open transaction hides what follows it, and keeps nobody from beginning.
READ_MAX_S = 2.0
# From so many customers on, and if they are more than one in so many of those at the head.
MISPLACED_MIN, ONE_IN = 3, 4


async def check(outputs: Outputs, partitions: int, belongs: Callable[[str, int], bool]) -> None:
    """Refuse topics whose first records belong to other partitions. Raises `Stop`, and what the reading raises."""
    for topic in INPUTS:
        for partition, keys in (await _heads(outputs, topic, partitions)).items():
            if is_misplaced(keys, partial(_belongs_to, belongs, partition)):
                raise Stop(
                    f"events on partition {partition} of {topic} belong to other partitions, as partitions were added "
                    f"after they were written; nothing was read; {COPY}"
                )


async def _heads(outputs: Outputs, topic: str, partitions: int) -> Mapping[int, Iterable[bytes]]:
    """The first keys of each partition of a topic, in their order."""
    heads: dict[int, dict[bytes, None]] = {partition: {} for partition in range(partitions)}
    count = 0
    with suppress(TimeoutError):
        async with (
            asyncio.timeout(READ_MAX_S),
            aclosing(outputs.read(dict.fromkeys((topic, at) for at in heads))) as chunks,
        ):
            async for chunk in chunks:
                count += len(chunk.records)
                heads[chunk.partition].update(dict.fromkeys(record.key for record in chunk.records if record.key))
                if count >= RECORDS_MAX * partitions or all(len(keys) >= CUSTOMERS_MAX for keys in heads.values()):
                    break
    return heads


def _belongs_to(belongs: Callable[[str, int], bool], partition: int, key: bytes) -> bool:
    return belongs(key.decode(errors="replace"), partition)


def is_misplaced(keys: Iterable[bytes], belongs: Callable[[bytes], bool]) -> bool:
    """Whether different customers, in the order in which they came, were at first placed by another number."""
    misplaced = 0
    for count, key in enumerate(keys, 1):
        misplaced += not belongs(key)
        if misplaced >= MISPLACED_MIN and misplaced * ONE_IN > count:
            return True
    return False
