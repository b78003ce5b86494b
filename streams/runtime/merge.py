"""The merge of a partition's inputs by event time, and the clock that follows from it.

The one rule: nothing is read past what another input may still hold. An input that has unread
records but none in hand stops the merge; an input without lag does not. So does Kafka Streams
(KIP-695). Without lag is as of when that was asked: what came long after that waits for another
answer, as a record before it may have come meanwhile. Ties go by the order of the inputs
(profiles, visits, carts, purchases), then offset.

Within an input records keep their order: one that is older than the one before it is read right
after that one.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import itemgetter

import msgspec

from rules.events import Event
from streams.wire.records import InputRecord

# (order time, rank of the input, offset, event or why it is a dead letter, record); the first
# three are unique, so tuples of them sort in C without ever comparing what follows.
Reading = tuple[int, int, int, Event | str, InputRecord]

# Values of one step: what of them becomes dead letters goes through one save.
STEP_MAX_BYTES = 4 * 1024 * 1024


class MergedBatch(msgspec.Struct, frozen=True):
    """Readings in merged order, and the position of each input before and after them."""

    readings: Sequence[Reading]
    starts: Mapping[str, int]
    positions: Mapping[str, int]

    def __bool__(self) -> bool:
        return bool(self.readings) or self.starts != self.positions


class _Input:
    """What is in hand of one input, in offset order, and how far it was fetched and taken."""

    def __init__(self, rank: int, position: int) -> None:
        self.rank = rank
        self.position = position
        self.fetched = position
        self.newest = 0
        self.readings: list[Reading] = []
        self.arrivals: deque[tuple[float, int]] = deque()  # when a batch came, and its first offset
        self.bytes = 0

    def came_until(self, until: float) -> int:
        """How many of the readings in hand had come by then."""
        readings, arrivals = self.readings, self.arrivals
        while len(arrivals) > 1 and (not readings or arrivals[1][1] <= readings[0][2]):
            arrivals.popleft()
        if not readings or arrivals[-1][0] <= until:
            return len(readings)
        first = next(offset for came, offset in arrivals if came > until)
        return bisect_left(readings, first, key=itemgetter(2))


class Merge:
    """The inputs of one partition. Positions are next offsets, by input topic."""

    def __init__(self, topics: Sequence[str], positions: Mapping[str, int]) -> None:
        self._inputs = {topic: _Input(rank, positions[topic]) for rank, topic in enumerate(topics)}

    def fetched(self, topic: str) -> int:
        """The position from which the next batch of this input is awaited."""
        return self._inputs[topic].fetched

    def in_hand(self, topic: str) -> int:
        """How many records of this input wait."""
        return len(self._inputs[topic].readings)

    def bytes_in_hand(self, topic: str) -> int:
        """How many bytes of values of this input wait."""
        return self._inputs[topic].bytes

    def unread_from(self, topic: str) -> int:
        """The order time (ms) of the first that waits, or else of the newest that came; 0: nothing came."""
        known = self._inputs[topic]
        return known.readings[0][0] if known.readings else known.newest

    def add(self, topic: str, end: int, readings: Iterable[tuple[Event | str, InputRecord]], came: float = 0.0) -> None:
        """Records that follow on what was fetched; ``end`` is the position after them, ``came`` when they came."""
        known = self._inputs[topic]
        known.arrivals.append((came, known.fetched))
        newest, rank, append = known.newest, known.rank, known.readings.append
        for what, record in readings:
            if not isinstance(what, str) and what.time > newest:
                newest = what.time
            append((newest, rank, record.offset, what, record))
            known.bytes += _size(record)
        known.newest = newest
        known.fetched = end

    def take(self, limit: int, read_until: Callable[[str], float]) -> MergedBatch:
        """At most ``limit`` readings that nothing unread can precede.

        ``read_until(topic)``: what others gave up to then lies behind all that this input had (``-inf``
        where it has records beyond what was fetched). It need not hold for what lies behind what is in hand.
        """
        inputs = self._inputs.items()
        newest = max((known.arrivals[-1][0] for _, known in inputs if known.readings), default=0.0)
        bounds: list[tuple[int, int, int]] = []
        until = math.inf
        for topic, known in inputs:
            at = read_until(topic)
            if not known.readings:
                until = min(until, at)
            elif at < newest:
                last, rank, offset = known.readings[-1][:3]
                bounds.append((last, rank, offset + 1))
        if until == -math.inf:
            return MergedBatch((), {}, {})
        for _, known in inputs:
            came = known.came_until(until)
            if came < len(known.readings):
                bounds.append(known.readings[came][:3])
        bound = min(bounds, default=None)
        ready: list[Reading] = []
        for known in self._inputs.values():
            end = len(known.readings)
            if bound is not None:
                end = bisect_left(known.readings, bound)
            ready += known.readings[: min(end, limit)]
        ready.sort()
        return self._advance(_within_bytes(ready[:limit]))

    def _advance(self, taken: list[Reading]) -> MergedBatch:
        counts = [0] * len(self._inputs)
        for reading in taken:
            counts[reading[1]] += 1
        starts, positions = {}, {}
        for topic, known in self._inputs.items():
            starts[topic] = known.position
            count = counts[known.rank]
            if count == len(known.readings):
                known.position = known.fetched
            elif count:
                known.position = known.readings[count - 1][2] + 1
            positions[topic] = known.position
            known.bytes -= sum(_size(reading[4]) for reading in known.readings[:count])
            del known.readings[:count]
        return MergedBatch(taken, starts, positions)


def _size(record: InputRecord) -> int:
    return 0 if record.value is None else len(record.value)


def _within_bytes(readings: list[Reading]) -> list[Reading]:
    """As many as fit into a step, at least one."""
    total = 0
    for count, reading in enumerate(readings):
        total += _size(reading[4])
        if total > STEP_MAX_BYTES and count:
            return readings[:count]
    return readings
