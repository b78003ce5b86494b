"""The merge of a partition's inputs by event time, and the clock that follows from it.

The one rule: nothing is read past what another input may still hold. An input that has unread
records but none in hand stops the merge; an input without lag does not. So does Kafka Streams
(KIP-695). Ties go by the order of the inputs (profiles, visits, carts, purchases), then offset.

Within an input records keep their order: one that is older than the one before it is read right
after that one.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol

import msgspec

from rules.events import Event


class Record(Protocol):
    """What is needed of a Kafka record; ``timestamp`` in ms, -1 when it has none."""

    @property
    def topic(self) -> str: ...
    @property
    def offset(self) -> int: ...
    @property
    def timestamp(self) -> int: ...
    @property
    def key(self) -> bytes | None: ...
    @property
    def value(self) -> bytes | None: ...


# (order time, rank of the input, offset, event or why it is a dead letter, record); the first
# three are unique, so tuples of them sort in C without ever comparing what follows.
Reading = tuple[int, int, int, Event | str, Record]

ANSWER_MAX_AGE_S = 5.0
# Values of one step: what of them becomes dead letters goes through one save.
STEP_MAX_BYTES = 4 * 1024 * 1024


class Taken(msgspec.Struct, frozen=True):
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
        self.bytes = 0


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

    def add(self, topic: str, end: int, readings: Iterable[tuple[Event | str, Record]]) -> None:
        """Records that follow on what was fetched; ``end`` is the position after them."""
        known = self._inputs[topic]
        newest, rank, append = known.newest, known.rank, known.readings.append
        for what, record in readings:
            if not isinstance(what, str) and what.time > newest:
                newest = what.time
            append((newest, rank, record.offset, what, record))
            known.bytes += _size(record)
        known.newest = newest
        known.fetched = end

    def take(self, limit: int, caught_up: Callable[[str], bool]) -> Taken:
        """At most ``limit`` readings that nothing unread can precede.

        ``caught_up(topic)``: whether the input has no record beyond what was fetched.
        """
        bound: tuple[int, int, int] | None = None
        for topic, known in self._inputs.items():
            if caught_up(topic):
                continue
            if not known.readings:
                return Taken((), {}, {})
            newest, rank, offset = known.readings[-1][:3]
            last = newest, rank, offset + 1
            bound = last if bound is None or last < bound else bound
        ready: list[Reading] = []
        for known in self._inputs.values():
            end = len(known.readings)
            if bound is not None:
                end = bisect_left(known.readings, bound)
            ready += known.readings[: min(end, limit)]
        ready.sort()
        return self._advance(_within_bytes(ready[:limit]))

    def _advance(self, taken: list[Reading]) -> Taken:
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
        return Taken(taken, starts, positions)


def _size(record: Record) -> int:
    return 0 if record.value is None else len(record.value)


def _within_bytes(readings: list[Reading]) -> list[Reading]:
    """As many as fit into a step, at least one."""
    total = 0
    for count, reading in enumerate(readings):
        total += _size(reading[4])
        if total > STEP_MAX_BYTES and count:
            return readings[:count]
    return readings
