"""The contract between a partition's task and what decides and saves its steps.

See also `streams.runtime.partition_task`, which calls it.
"""

from __future__ import annotations

from typing import Protocol

from streams.runtime.checkpoint import Checkpointer
from streams.runtime.merge import MergedBatch
from streams.wire.records import OutRecord


class StepProcessor(Protocol):
    """Decides and saves the steps of a partition: `streams.worker.segmenter.Segmenter`, or the triggers' dispatcher."""

    @property
    def checkpointer(self) -> Checkpointer:
        """How far the partition is saved."""

    @property
    def dead_letter_load(self) -> float:
        """How near dead letters are to stopping the process, which they do at 1."""

    async def process_batch(self, batch: MergedBatch, clock: int, caught_up: int = 0) -> list[OutRecord]:
        """Apply a merged batch and save; the records to publish."""

    async def fire(self, clock: int, limit: int) -> list[OutRecord]:
        """Fire what is due up to ``clock`` (ms), of at most ``limit`` customers, and save; the records to publish."""
