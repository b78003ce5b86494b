"""The merge of a partition's inputs by event time.

    visits      10:00  10:05            Kafka answered: these are all there are
    carts       10:03  …                Kafka answered: more records wait, which are not fetched yet
    step        10:00 and 10:03 are taken; the visit of 10:05 waits, as a cart event of 10:04 may follow
    clock       10:03

The one rule: no record is taken while another input may still have an earlier one. An input that has unread records but
none in hand (buffered) stops the merge; an input without lag does not. Kafka Streams does the same (KIP-695). An answer
that an input has no lag is true of the moment at which Kafka was asked. A record of another input which came long after
that moment waits for the next answer, as an earlier record may have been appended meanwhile. Ties are taken in the
order of the inputs (profiles, visits, carts, purchases), then by offset.

Within an input records keep their order: a record that is older than the one before it is taken right after that one.

See also `streams.runtime.partition_clock`, the clock that follows from it.

An event that is older than what was taken is late: see `rules.engine`.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import itemgetter

import msgspec

from rules.events import Event
from streams.wire.dead_letters import Undecodable
from streams.wire.records import InputRecord, size_of

# (order time, rank of the input, offset, event or why it is a dead letter, record). The first three are unique
# together, so that these tuples sort in C without ever comparing what follows, and a tuple is made ten times as fast as
# an object of a class. Readers unpack it.
Reading = tuple[int, int, int, Event | Undecodable, InputRecord]

# The sort key of readings: an order time, the rank of an input, and an offset.
_Bound = tuple[int, int, int]
# The bound before every reading.
NOTHING: _Bound = (-1, -1, -1)

# Bytes of keys and values of one step: all of them may become dead letters, which go through one save.
STEP_MAX_BYTES = 4 * 1024 * 1024


class MergedBatch(msgspec.Struct, frozen=True):
    """Readings in merged order, and the position of each input before and after them."""

    readings: Sequence[Reading]
    starts: Mapping[str, int]
    positions: Mapping[str, int]

    def __bool__(self) -> bool:
        return bool(self.readings) or self.starts != self.positions


class _Input:
    """The readings in hand of one input, in offset order, and how far it was fetched and taken."""

    def __init__(self, rank: int, position: int) -> None:
        self.rank = rank
        self.position = position
        self.fetched = position
        self.newest = 0
        self.readings: list[Reading] = []
        self.arrivals: deque[tuple[float, int]] = deque()  # when (monotonic, s) each batch came, and its first offset
        self.bytes = 0

    def came_until(self, until: float) -> int:
        """How many of the readings in hand had come by ``until`` (monotonic, s)."""
        readings, arrivals = self.readings, self.arrivals
        while len(arrivals) > 1 and (not readings or arrivals[1][1] <= readings[0][2]):
            arrivals.popleft()
        if not readings or arrivals[-1][0] <= until:
            return len(readings)
        first = next(offset for arrived_at, offset in arrivals if arrived_at > until)
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
        """How many bytes of keys and values of this input wait."""
        return self._inputs[topic].bytes

    def unread_from(self, topic: str) -> int:
        """The order time (ms) of the first record that waits, else of the newest that came; 0: none came."""
        pending = self._inputs[topic]
        return pending.readings[0][0] if pending.readings else pending.newest

    def add(
        self, topic: str, end: int, readings: Iterable[tuple[Event | Undecodable, InputRecord]], arrived_at: float = 0.0
    ) -> None:
        """Add records from the fetched position on. ``end``: the position after them; ``arrived_at``: of the batch."""
        pending = self._inputs[topic]
        pending.arrivals.append((arrived_at, pending.fetched))
        newest, rank, append = pending.newest, pending.rank, pending.readings.append
        for decoded, record in readings:
            if not isinstance(decoded, Undecodable) and decoded.time > newest:
                newest = decoded.time
            append((newest, rank, record.offset, decoded, record))
            pending.bytes += size_of(record)
        pending.newest = newest
        pending.fetched = end

    def take(self, limit: int, read_until: Callable[[str], float]) -> MergedBatch:
        """Take at most ``limit`` readings that no unread record can precede.

        ``read_until(topic)``: a time (monotonic, s). Readings of other inputs that arrived by then may be taken, as no
        unread record of this input precedes them; ``-inf`` if Kafka has records of this input that are not fetched.
        Readings that arrived later are compared with this input's readings in hand: those before the last one in hand
        may be taken. Without readings in hand they wait.
        """
        bound = self._bound(read_until)
        if bound is NOTHING:
            return MergedBatch((), {}, {})
        ready: list[Reading] = []
        for pending in self._inputs.values():
            end = len(pending.readings) if bound is None else bisect_left(pending.readings, bound)
            ready += pending.readings[: min(end, limit)]
        ready.sort()
        ready = ready[:limit]
        fits = sum(pending.bytes for pending in self._inputs.values()) <= STEP_MAX_BYTES
        return self._advance(ready if fits else _within_bytes(ready))

    def _bound(self, read_until: Callable[[str], float]) -> _Bound | None:
        """The reading before which all may be taken; ``None``: all may be taken, `NOTHING`: none."""
        inputs = self._inputs.items()
        arrivals = [pending.arrivals[-1][0] for _, pending in inputs if pending.readings]
        newest = max(arrivals, default=0.0)
        bounds: list[_Bound] = []
        until = math.inf
        for topic, pending in inputs:
            complete_until = read_until(topic)
            if not pending.readings:
                until = min(until, complete_until)
            elif complete_until < newest:
                # An unread record of this input may precede readings that other inputs gave since its last answer.
                time, rank, offset = pending.readings[-1][:3]
                bounds.append((time, rank, offset + 1))
        if until == -math.inf:
            return NOTHING
        for _, pending in inputs:
            count = pending.came_until(until)
            if count < len(pending.readings):
                bounds.append(pending.readings[count][:3])
        return min(bounds, default=None)

    def _advance(self, taken: list[Reading]) -> MergedBatch:
        counts = [0] * len(self._inputs)
        for _, rank, _, _, _ in taken:
            counts[rank] += 1
        starts, positions = {}, {}
        for topic, pending in self._inputs.items():
            starts[topic] = pending.position
            count = counts[pending.rank]
            if count == len(pending.readings):
                pending.position = pending.fetched
                pending.bytes = 0
                pending.readings.clear()
            elif count:
                pending.position = pending.readings[count - 1][2] + 1
                pending.bytes -= sum([size_of(record) for _, _, _, _, record in pending.readings[:count]])
                del pending.readings[:count]
            positions[topic] = pending.position
        return MergedBatch(taken, starts, positions)


def _within_bytes(readings: list[Reading]) -> list[Reading]:
    """The first readings, as many as fit into a step, at least one."""
    total = 0
    for count, (_, _, _, _, record) in enumerate(readings):
        total += size_of(record)
        if total > STEP_MAX_BYTES and count:
            return readings[:count]
    return readings
