"""Bounded unpacking of Kafka's record batches in kafka-python, a piece at a time.

Written against kafka-python 3.0, whose fetcher uses the class that is replaced here.

See also: `streams.kafka.record_batches`, which does the same for aiokafka and says why.
"""

from __future__ import annotations

from typing import Any

from kafka.consumer import fetcher
from kafka.record.default_records import DefaultRecordBatch
from kafka.record.memory_records import MemoryRecords

from streams.kafka.record_batches import BoundedRecords, PackedBatch


def bound_log_batches() -> None:
    """Make kafka-python's consumers of this process unpack in pieces."""
    assert hasattr(fetcher, "MemoryRecords"), "kafka-python no longer reads batches by MemoryRecords"
    fetcher.MemoryRecords = BoundedLogRecords


class BoundedLogRecords(BoundedRecords):
    """In place of kafka-python's ``MemoryRecords``: the batches of the response to a fetch."""

    _whole = MemoryRecords

    def __init__(self, data: bytes) -> None:
        super().__init__(bytes(data))

    def _packed(self, batch: Any, data: bytes) -> PackedBatch:
        return PackedLogBatch(batch, data)

    def next_batch(self) -> Any:
        """The next batch, whose records are unpacked as they are read; ``None`` at the end."""
        return super().next_batch() if self.has_next() else None


class PackedLogBatch(PackedBatch):
    """A packed batch with the interface that kafka-python's fetcher uses."""

    _parser = DefaultRecordBatch

    def __getattr__(self, name: str) -> Any:
        """A field of the batch's header."""
        return getattr(self._batch, name)
