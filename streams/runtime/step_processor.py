"""The contract between a partition's task and what decides and saves its steps.

See also `streams.runtime.partition_task`, which calls it.
"""

from __future__ import annotations

from typing import Protocol

from streams.runtime.merge import MergedBatch
from streams.wire.records import OutRecord


class StepProcessor(Protocol):
    """Decides and saves the steps of a partition: `streams.worker.segmenter.Segmenter`, or the triggers' dispatcher."""

    positions: dict[str, int]
    clock: int
    next_due: int

    @property
    def is_settled(self) -> bool:
        """Whether `sweep` has nothing to do."""

    async def sweep(self, _limit: int) -> list[OutRecord]:
        """About so many of the customers who must all be looked at again; the records to publish."""

    @property
    def dead_share_near(self) -> float:
        """How near dead letters are to stopping the process, which they do at 1."""

    async def advance(self, taken: MergedBatch, clock: int, caught_up: int = 0) -> list[OutRecord]:
        """Apply merged readings and save; the records to publish."""

    async def fire(self, clock: int, limit: int) -> list[OutRecord]:
        """What is due up to the clock, of at most so many customers; the records to publish."""

    async def pass_time(self, clock: int, caught_up: int = 0) -> None:
        """Save the clock alone."""
