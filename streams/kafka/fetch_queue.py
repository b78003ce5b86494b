"""Records of one partition that were fetched and are not decoded yet, in slices of a bounded size.

See `streams.runtime.input_buffer` for why they wait.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

import msgspec

from streams.kafka.fetch import Batch, FetchedRecord

# What a record costs beside the bytes of its value: a slice of small records is bounded, too.
RECORD_COST_BYTES = 512


class QueuedSlice(msgspec.Struct, frozen=True):
    """The next records of one input; ``end`` is the position after them, ``came`` when their batch came."""

    batch: Batch
    records: list[FetchedRecord]
    end: int
    came: float
    cost: int


class _Waiting:
    """What waits of one input."""

    def __init__(self, position: int) -> None:
        self.fetched = position
        self.count = 0
        self.bytes = 0
        self.batches: deque[tuple[Batch, deque[FetchedRecord], float]] = deque()


class FetchQueue:
    """The inputs of one partition. ``positions``: from where each is read."""

    def __init__(self, positions: Mapping[str, int]) -> None:
        self._waiting = {topic: _Waiting(position) for topic, position in positions.items()}

    def __bool__(self) -> bool:
        return any(waiting.batches for waiting in self._waiting.values())

    def fetched(self, topic: str) -> int:
        """The position from which the next batch of this input is awaited."""
        return self._waiting[topic].fetched

    def count(self, topic: str) -> int:
        """How many records of this input wait."""
        return self._waiting[topic].count

    def size(self, topic: str) -> int:
        """How many bytes of values of this input wait."""
        return self._waiting[topic].bytes

    def add(self, batch: Batch, came: float) -> None:
        """Take a batch that begins where this input is awaited, or before; what was received before is skipped."""
        waiting = self._waiting[batch.topic]
        awaited = waiting.fetched
        records = deque(record for record in batch.records if record.offset >= awaited)
        waiting.batches.append((batch, records, came))
        waiting.count += len(records)
        waiting.bytes += sum(map(size, records))
        waiting.fetched = batch.end

    def take(self, topic: str, limit: int) -> QueuedSlice | None:
        """The next records of one batch of this input, until they cost so much; at least one, if the batch has any."""
        waiting = self._waiting[topic]
        if not waiting.batches:
            return None
        batch, records, came = waiting.batches[0]
        taken: list[FetchedRecord] = []
        bytes_ = 0
        while records and bytes_ + RECORD_COST_BYTES * len(taken) < limit:
            record = records.popleft()
            taken.append(record)
            bytes_ += size(record)
        waiting.count -= len(taken)
        waiting.bytes -= bytes_
        end = records[0].offset if records else batch.end
        if not records:
            waiting.batches.popleft()
        return QueuedSlice(batch, taken, end, came, bytes_ + RECORD_COST_BYTES * len(taken))


def size(record: FetchedRecord) -> int:
    """The bytes of a record's value."""
    return 0 if record.value is None else len(record.value)
