"""The task of one partition while this process owns it: the only writer of the partition's state.

Events and due times go through one queue. Each turn takes a bounded step of merged records and then a bounded slice of
due times, so neither starves the other. Every step is saved before the next one begins.

See also `streams.runtime.input_merge` for the order of the records, `streams.runtime.input_buffer` for how many of them
wait, `streams.runtime.timers` for due times, `streams.runtime.partition_clock` for how far time is decided,
`streams.runtime.step_processor` for what a step does, and `streams.runtime.poison_pills` for steps with care.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections.abc import Callable

import msgspec

from streams.kafka.fetch import Batch, Fetching, FetchResponse, FetchStatus
from streams.runtime.backfill_pacer import Background
from streams.runtime.input_buffer import InputBuffer, RecordReader
from streams.runtime.input_merge import Merge
from streams.runtime.outbox import Outbox
from streams.runtime.partition_clock import PartitionClock
from streams.runtime.poison_pills import Trials
from streams.runtime.step_processor import StepProcessor
from streams.runtime.timers import IDLE_WAIT_S, Timers

_IDLE_SAVE_MS = 1_000


class Pace(msgspec.Struct, frozen=True):
    """Sizes of a step, and how far time lags.

    ``batch_max``: records of a step. ``in_hand_max``: records of one input in memory. ``timers_per_step``: customers
    whose due times fire in a step of timers. ``grace_ms``: how far the clock stays behind the wall clock. ``answer_s``:
    see `PartitionClock`.
    """

    batch_max: int
    in_hand_max: int
    timers_per_step: int
    grace_ms: int
    answer_s: float = 0.35


class TaskContext(msgspec.Struct, frozen=True, kw_only=True):
    """The parts that the task of a partition needs in every kind of process.

    ``fetch_status``: how an input of the partition, by its topic, is being fetched. ``trials``: of records near which
    the process died (`streams.runtime.poison_pills`); ``None``: without.
    """

    partition: int
    merge: Merge
    pace: Pace
    fetch_status: Callable[[str], FetchStatus]
    now_ms: Callable[[], int]
    monotonic: Callable[[], float] = time.monotonic
    trials: Trials | None = None


class PartitionTask:
    """Merges, decides, saves and publishes one partition until it is released."""

    def __init__(
        self,
        context: TaskContext,
        processor: StepProcessor,
        outbox: Outbox,
        *,
        read_record: RecordReader | None = None,
        background: Background | None = None,
    ) -> None:
        """``read_record``: decodes the records of the inputs; by default those of the segmenter's inputs."""
        self.partition = context.partition
        self.processor = processor
        self.merge = context.merge
        self.saved = processor.checkpointer
        self._outbox = outbox
        self._pace = context.pace
        self._fetch_status = context.fetch_status
        self.time = PartitionClock(
            self.merge, self.saved, context.fetch_status, context.now_ms, context.pace.grace_ms, context.pace.answer_s
        )
        self._timers = Timers(
            self.time, self.saved, processor, context.pace.timers_per_step, context.pace.grace_ms, context.now_ms
        )
        self._trials = context.trials
        self._inputs = InputBuffer(
            self.saved.positions, self.merge, context.pace.in_hand_max, context.monotonic, read_record, self._trials
        )
        self._background = background or Background()
        self._rebuild = self._background.rebuild
        self._more = asyncio.Event()
        self._releasing = False

    def receive(self, batch: Batch) -> int | None:
        """Take a fetched batch. Returns the position to seek back to if records before it are missing.

        Records that were received before are skipped, so a batch may come twice.
        """
        missing = self._inputs.receive(batch)
        if missing is None:
            self._more.set()
        return missing

    def in_hand(self, topic: str) -> int:
        """How many records of this input wait, decoded or not."""
        return self._inputs.count(topic)

    def is_full(self, topic: str) -> bool:
        """Whether this input has enough records in hand."""
        return self._inputs.is_full(topic)

    def fetching(self, topic: str) -> Fetching:
        """How this input is being fetched; until the first answer, as if all of it were fetched."""
        status = self._fetch_status(topic)
        fetched = self._inputs.fetched(topic)
        answer = status.answer or FetchResponse(fetched, fetched, 0, -math.inf)
        return Fetching(
            name=f"{topic}-{self.partition}",
            fetched=fetched,
            high_watermark=answer.high_watermark,
            last_stable_offset=answer.last_stable_offset,
            requested_at=answer.requested_monotonic,
            heard=status.at,
            full=self.is_full(topic),
        )

    def release(self) -> None:
        """End `run` after the present step."""
        self._releasing = True
        self._more.set()

    async def run(self) -> None:
        """Take steps until released. An exception of a step is raised, not retried."""
        if self._rebuild is not None:
            self._rebuild.start()
        try:
            while not self._releasing:
                await self._turn()
        finally:
            await self._end_rebuild()

    async def _turn(self) -> None:
        self._more.clear()
        if self._is_careful:
            async with self._care.alone:
                moved = await self._moved()
        else:
            moved = await self._moved()
        if moved:
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._wait_s()):
                await self._more.wait()

    async def _moved(self) -> bool:
        """Take the steps that are ready; whether there were any."""
        # A bounded number of steps follows one another, so that other tasks of the event loop have their turn.
        moved = await self._try_step() if self._is_careful else await self._step()
        fired = await self._fire()
        if await self._switch() or await self._backfill() or fired or moved:
            return True
        await self._idle()
        return False

    @property
    def _is_careful(self) -> bool:
        return self._trials is not None and self._trials.is_on

    @property
    def _care(self) -> Trials:
        assert self._trials is not None
        return self._trials

    async def _try_step(self) -> bool:
        """Take a step of one record, with a trial of its decoding and one of the rest; publish it before the next."""
        care = self._care
        await self._inputs.try_decode(care)
        batch = self.merge.take(1, self.time.read_until)
        if not batch:
            if self.time.caught_up_until():
                care.ended()
            return False
        async with contextlib.AsyncExitStack() as trial:
            for _, _, _, _, record in batch.readings:
                await trial.enter_async_context(care.of(record))
            out = await self.processor.process_batch(batch, self.time.clock(), self.time.caught_up_until())
        if out:
            await self._outbox.put(out)
        # Published before the next record, so that a death in its trial leaves nothing of this one open.
        await self._outbox.drained()
        care.passed()
        return True

    async def _step(self) -> bool:
        await self._inputs.decode()
        batch = self.merge.take(self._pace.batch_max, self.time.read_until)
        if not batch:
            return False
        self._background.pacer.stepped()
        out = await self.processor.process_batch(batch, self.time.clock(), self.time.caught_up_until())
        if out:
            await self._outbox.put(out)
        return True

    async def _fire(self) -> bool:
        out = await self._timers.fire()
        if out:
            await self._outbox.put(out)
        return out is not None

    async def _switch(self) -> bool:
        if self._rebuild is None or not self._rebuild.is_near:
            return False
        await self._rebuild.switch()
        return True

    async def _end_rebuild(self) -> None:
        rebuild, self._rebuild = self._rebuild, None
        if rebuild is not None:
            await rebuild.end()

    @property
    def _may_backfill(self) -> bool:
        """Whether a backfill step may be taken; before a rebuild is ready, its work would be replaced by the result."""
        return not self._background.is_done and (self._rebuild is None or self._rebuild.is_done)

    async def _backfill(self) -> bool:
        backfill = self._background.backfill
        if backfill is None or not self._may_backfill:
            return False
        out = await self._background.pacer.turn(backfill.step)
        if backfill.is_done:
            await self._end_rebuild()
        if out:
            await self._outbox.put(out)
        return out is not None

    async def _idle(self) -> None:
        """Save the clock now and then although no record came: others read from it how far time is decided."""
        clock = self.time.clock()
        if clock >= self.saved.clock + _IDLE_SAVE_MS:
            await self.saved.save_time(clock, self.time.caught_up_until())

    def _wait_s(self) -> float:
        if self._may_backfill:
            return min(IDLE_WAIT_S, self._background.pacer.wait_s + 0.001)
        return self._timers.wait_s()
