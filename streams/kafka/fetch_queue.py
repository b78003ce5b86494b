"""A queue of one partition's records that were fetched and are not decoded yet, taken in slices of a bounded size.

See also: `streams.runtime.input_buffer` (why they wait).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

import msgspec

from streams.kafka.fetch import Batch, FetchedRecord
from streams.wire.records import size_of

# Added to the bytes of each value, so that a slice of many small records is bounded, too.
RECORD_COST_BYTES = 512


class QueuedSlice(msgspec.Struct, frozen=True):
    """The next records of one input; ``end``: the position after them; ``arrived_at``: when their batch came."""

    batch: Batch
    records: list[FetchedRecord]
    end: int
    arrived_at: float
    cost: int


class _Waiting:
    """The batches of one input that wait, with their records that were not taken yet."""

    def __init__(self, position: int) -> None:
        self.fetched = position
        self.count = 0
        self.bytes = 0
        self.batches: deque[tuple[Batch, deque[FetchedRecord], float]] = deque()


class FetchQueue:
    """The waiting records of a partition's inputs. ``positions``: where each input begins."""

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
        """How many bytes of keys and values of this input wait."""
        return self._waiting[topic].bytes

    def add(self, batch: Batch, arrived_at: float) -> None:
        """Put a batch that begins at the awaited position, or before it; records that came before are skipped."""
        waiting = self._waiting[batch.topic]
        awaited = waiting.fetched
        records = deque(record for record in batch.records if record.offset >= awaited)
        waiting.batches.append((batch, records, arrived_at))
        waiting.count += len(records)
        waiting.bytes += sum(map(size_of, records))
        waiting.fetched = batch.end

    def take(self, topic: str, limit: int) -> QueuedSlice | None:
        """Take the next records of this input's oldest batch, up to this cost; at least one, if the batch has any.

        ``None`` if no batch waits. A slice never spans two batches.
        """
        waiting = self._waiting[topic]
        if not waiting.batches:
            return None
        batch, records, arrived_at = waiting.batches[0]
        taken: list[FetchedRecord] = []
        bytes_ = 0
        while records and bytes_ + RECORD_COST_BYTES * len(taken) < limit:
            record = records.popleft()
            taken.append(record)
            bytes_ += size_of(record)
        waiting.count -= len(taken)
        waiting.bytes -= bytes_
        end = records[0].offset if records else batch.end
        if not records:
            waiting.batches.popleft()
        return QueuedSlice(batch, taken, end, arrived_at, bytes_ + RECORD_COST_BYTES * len(taken))
