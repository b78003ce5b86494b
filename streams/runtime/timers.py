"""The timers of a partition: its customers' due times, which fire on the partition's clock.

A due time is when time alone may change what is decided of a customer: the window of a condition ends, or an age is
reached. Kafka Streams calls it a punctuation, Flink a timer. Each customer has one, the earliest of its segments
(`rules.due_times`), which is stored with it; Redis gives those that are due.

A due time fires only when the clock has passed it, so everything that happened before it is decided.

See also `streams.runtime.partition_clock`, and `rules.engine` for what firing decides.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from streams.runtime.checkpoint import Checkpointer
from streams.runtime.partition_clock import PartitionClock
from streams.runtime.step_processor import StepProcessor
from streams.wire.records import OutRecord

IDLE_WAIT_S = 0.05


class Timers:
    """Fires due times in steps. ``timers_per_step``: of how many customers in one step."""

    def __init__(
        self,
        time: PartitionClock,
        saved: Checkpointer,
        processor: StepProcessor,
        timers_per_step: int,
        grace_ms: int,
        now_ms: Callable[[], int],
    ) -> None:
        self._time = time
        self._saved = saved
        self._processor = processor
        self._timers_per_step = timers_per_step
        self._grace_ms = grace_ms
        self._now_ms = now_ms

    async def fire(self) -> Sequence[OutRecord] | None:
        """Decide a slice of the customers that are due, and save. Returns records to publish; ``None``: none is due."""
        clock = self._time.clock()
        if not 0 < self._saved.next_due <= clock:
            return None
        return await self._processor.fire(clock, self._timers_per_step)

    def wait_s(self) -> float:
        """How long to wait for records before the next look at the clock (s)."""
        due = self._saved.next_due
        if not due:
            return IDLE_WAIT_S
        left_ms = due + self._grace_ms - self._now_ms()
        # Overdue while Kafka is silent: the clock waits for its answer. The next look is after a quarter of the delay.
        return min(IDLE_WAIT_S, max(0.002, left_ms / 1000, -left_ms / 1000 / 4))
