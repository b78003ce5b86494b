"""The contract between a partition's task and the object that decides and saves its steps.

See also `streams.runtime.partition_task`, which calls it.
"""

from __future__ import annotations

from typing import Protocol

from streams.runtime.checkpoint import Checkpointer
from streams.runtime.input_merge import MergedBatch
from streams.wire.records import OutRecord


class StepProcessor(Protocol):
    """Decides and saves the steps of a partition: `streams.worker.segmenter.Segmenter`, or the triggers' dispatcher."""

    @property
    def checkpointer(self) -> Checkpointer:
        """The checkpointer, which shows how far the partition is saved."""

    @property
    def dead_letter_load(self) -> float:
        """How near the share of dead letters is to its limit; at 1 the process stops."""

    async def process_batch(self, batch: MergedBatch, clock: int, caught_up_until: int = 0) -> list[OutRecord]:
        """Apply a merged batch, and save. Returns the records to publish."""

    async def fire(self, clock: int, limit: int) -> list[OutRecord]:
        """Fire due times ≤ ``clock`` (ms) of at most ``limit`` customers, and save. Returns the records to publish."""
