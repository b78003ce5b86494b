"""Linked ids of a customer: up to which moment the events of all of them are decided.

Events of a linked id are read in the partition of that id, and sent on over `merges`. An example, in seconds:

    u1 in partition 0, linked to phone in partition 3; a message to u1 is due at 100
    103  partition 3 is decided up to 101, and one entry is in its outbox
    104  that entry is published: by 104 all that was decided up to 101 is on `merges`
    106  partition 0 has read everything that was appended up to 105, so also that: u1 is decided up to 101

So each look at a customer with linked ids looks at the partitions of those ids, too. It notes a mark for each: by 104,
published up to 101. Until the first mark counts, some seconds after the start, such a customer waits. Ids may be linked
to linked ids; then the same holds once more for each step of the way.

See also: `streams.triggers.membership_lookup`, which asks for it, and `rules.identity.resolution` (how ids are linked).
"""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Protocol

import msgspec

from rules.customer import Customer
from streams.state.redis import CLOCK_SKEW_MAX_MS
from streams.state.redis_reader import PartitionLook
from streams.wire import customer_codec

# Marks are kept for this long beyond the grace. It must be longer than the time between two looks at a customer
# (`streams.triggers.action_decisions`), else the marks of the look before would never count.
MARK_RETENTION_MS = 180_000
# The least time between two marks of a partition.
MARKS_APART_MS = 100
# The most ids of one customer that are followed, over all steps.
IDS_MAX = 1_000
# The most customers whose linked ids are remembered between two looks.
CUSTOMERS_MAX = 10_000


class LookStore(Protocol):
    """The part of the segmenter's store that a look-up needs."""

    async def look(self, partition: int, customers: Sequence[str]) -> PartitionLook:
        """The progress of a partition and these customers, all read at one moment."""


class PartitionMarks:
    """Marks of one partition: pairs of a wall-clock time (ms) and up to when (ms) it had published by then."""

    def __init__(self, retention_ms: int) -> None:
        self._retention_ms = retention_ms
        self._marks: deque[tuple[int, int]] = deque()
        self._reached = 0
        self._fencing_token: str | None = None
        self._unpublished: tuple[int, int] | None = None  # an entry's number, and up to when (ms) was decided with it

    def note(self, look: PartitionLook, now: int) -> None:
        """Take in a look that was answered by ``now`` (ms)."""
        reached = min(int(look.meta.get("clock", 0)), int(look.meta.get("caught_up", 0)))
        trimmed = int(look.meta.get("trimmed", 0))
        fencing_token = look.meta.get("token")
        if reached < self._reached or fencing_token != self._fencing_token:
            # Redis may have lost writes, so an entry of this number may be another one.
            self._unpublished = None
        self._reached, self._fencing_token = reached, fencing_token
        if not look.outbox:
            self._unpublished = None
            self._add(now, reached)
            return
        if self._unpublished is not None and trimmed >= self._unpublished[0]:
            self._add(now, self._unpublished[1])
            self._unpublished = None
        if self._unpublished is None:
            self._unpublished = trimmed + look.outbox, reached

    def _add(self, now: int, reached: int) -> None:
        if self._marks and now < self._marks[-1][0] + MARKS_APART_MS:
            return
        self._marks.append((now, reached))
        while self._marks[0][0] < now - self._retention_ms:
            self._marks.popleft()

    def decided(self, read: int) -> int:
        """Up to when (ms) the partition's decisions had been published by ``read`` (ms); 0: unknown."""
        return max((reached for now, reached in self._marks if now + CLOCK_SKEW_MAX_MS <= read), default=0)


class Closure(msgspec.Struct, frozen=True):
    """All ids that are linked to a customer, their partitions, and over how many steps they are."""

    partitions: frozenset[int]
    steps: int
    ids: frozenset[str] = frozenset()


class LinkedIds:
    """Follows linked ids through the partitions of a segmenter."""

    def __init__(
        self, store: LookStore, partition_of: Callable[[str], int], now_ms: Callable[[], int], grace_ms: int
    ) -> None:
        self._store = store
        self._partition_of = partition_of
        self._now_ms = now_ms
        self._retention_ms = MARK_RETENTION_MS + grace_ms
        self._marks: dict[int, PartitionMarks] = {}
        self._closures: dict[str, Closure] = {}

    async def refresh(self, by_id: Mapping[str, Customer]) -> None:
        """Look at the partitions of all ids that are linked to these customers."""
        while len(self._closures) > CUSTOMERS_MAX:
            del self._closures[next(iter(self._closures))]
        newest = {name: linked for name, customer in by_id.items() if (linked := former_ids(customer))}
        ids = dict(newest)
        steps = dict.fromkeys(ids, 0)
        while newest:
            stored = await self._look(frozenset().union(*newest.values()))
            for name in newest:
                steps[name] += 1
            further = {name: _further(ids[name] | {name}, linked, stored) for name, linked in newest.items()}
            newest = {name: linked for name, linked in further.items() if linked and len(ids[name]) < IDS_MAX}
            ids |= {name: ids[name] | linked for name, linked in newest.items()}
        for name, linked in ids.items():
            self._closures.pop(name, None)  # so that the newest stand last, and the oldest are dropped first
            self._closures[name] = Closure(frozenset(map(self._partition_of, linked)), steps[name], linked)

    async def _look(self, ids: Iterable[str]) -> Mapping[str, Customer]:
        by_partition: dict[int, list[str]] = defaultdict(list)
        for linked in sorted(ids):
            by_partition[self._partition_of(linked)].append(linked)
        looks = await asyncio.gather(*(self._store.look(number, names) for number, names in by_partition.items()))
        now = self._now_ms()
        for number, look in zip(by_partition, looks, strict=True):
            self._marks.setdefault(number, PartitionMarks(self._retention_ms)).note(look, now)
        return {name: customer_codec.decode(value) for look in looks for name, value in look.values.items()}

    def forget(self, names: Iterable[str]) -> None:
        """Forget what was linked to these customers, to which nothing is linked any more."""
        for name in names:
            self._closures.pop(name, None)

    def of(self, name: str) -> list[tuple[int, str]]:
        """The ids that were linked to a customer at the last look, each with its partition."""
        closure = self._closures.get(name)
        return [] if closure is None else [(self._partition_of(linked), linked) for linked in sorted(closure.ids)]

    def reached(self, name: str, customer: Customer, read: int) -> tuple[int, int]:
        """Up to when (ms) events of all ids of a customer are decided, and over how many steps that was learned.

        ``read`` (ms): up to when the customer's own partition is decided. Each step takes some seconds.
        """
        closure = self._closures.get(name)
        direct = frozenset(map(self._partition_of, former_ids(customer)))
        if closure is None or not direct <= closure.partitions:
            return 0, 1  # linked since the last look
        for _ in range(closure.steps):
            read = min(read, *(self._decided(partition, read) for partition in closure.partitions))
        return read, closure.steps

    def _decided(self, partition: int, read: int) -> int:
        marks = self._marks.get(partition)
        return 0 if marks is None else marks.decided(read)


def _further(ids: Collection[str], linked: Iterable[str], stored: Mapping[str, Customer]) -> frozenset[str]:
    """The ids that are linked to these linked ids, without those in ``ids``."""
    return frozenset().union(*(former_ids(stored[name]) for name in linked if name in stored)).difference(ids)


def former_ids(customer: Customer) -> frozenset[str]:
    """The ids that are linked to a customer, by a link of either kind."""
    aliases = customer.linkage.aliases if customer.linkage is not None else {}
    return frozenset({*(customer.links or ()), *aliases})
