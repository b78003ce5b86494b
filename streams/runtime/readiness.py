"""Decides whether a process is ready, and the reasons why it is not.

The one rule: an answer needs no call to Kafka or Redis, so that it comes while those do not answer.

See also `streams.runtime.health_endpoint`, which answers, and `streams.runtime.scraped_metrics`, which has the figures.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

import msgspec

from streams.runtime.metrics import Metrics
from streams.runtime.rebalance_listener import PartitionOwner
from streams.runtime.watchdog import FetchWatchdog, LoopWatchdog
from streams.state.call_timer import CallTimer

# Redis or Kafka is reported as away after this time without an answer. Both are called many times a second.
SILENT_S = 3.0


class Ready(msgspec.Struct, frozen=True):
    """The answer of ``/ready``; ``because``: one sentence for each thing that is not as it should be."""

    ready: bool
    because: list[str]


class Reachable(Protocol):
    """The state of an endpoint of triggers."""

    @property
    def is_broken(self) -> bool:
        """Whether its breaker is open."""

    @property
    def is_gone(self) -> bool:
        """Whether the endpoint has answered that it no longer exists."""


class ReadinessSources(msgspec.Struct, frozen=True, kw_only=True):
    """The parts of a process that readiness depends on. ``behind_s``: a partition further behind is not caught up."""

    ownership: PartitionOwner
    metrics: Metrics
    stopwatch: CallTimer
    loop: LoopWatchdog
    fetches: FetchWatchdog
    behind_s: float
    monotonic: Callable[[], float]
    counted: Mapping[str, Mapping[tuple[str, ...], int]] = {}  # by metric and labels
    endpoints: Mapping[str, Reachable] = {}  # msgspec copies it; by channel

    def ready(self) -> Ready:
        """Whether all partitions of this process are decided up to now, and why not."""
        because = [*self._silent(), *self._behind()]
        if not self.ownership.runners and not self.ownership.is_spare:
            because.append("no partition is claimed")
        return Ready(not because, because)

    def behind(self) -> Mapping[int, float]:
        """By partition, how far its saved clock is behind the wall clock, beyond the grace, in seconds."""
        allowed = self.metrics.now_ms() - self.metrics.grace_ms
        return {
            partition: max(0, allowed - runner.task.saved.clock) / 1000
            for partition, runner in self.ownership.runners.items()
        }

    def near(self) -> Mapping[str, float]:
        """How near each watchdog is to its limit: 0 far, 1 it stops the process."""
        shares = [runner.task.processor.dead_letter_load for runner in self.ownership.runners.values()]
        return {
            "loop": self.loop.near,
            **self.fetches.near(self.monotonic()),
            "dead_letters": max(shares, default=0.0),
        }

    def _silent(self) -> Iterable[str]:
        if (waits_s := self.stopwatch.waiting_s) > SILENT_S:
            yield f"Redis has not answered for {waits_s:.0f} s"
        now = self.monotonic()
        inputs = [fetching for fetching in self.ownership.fetching().values() if not fetching.full]
        silent_s, name = max(((now - fetching.heard, fetching.name) for fetching in inputs), default=(0.0, ""))
        if silent_s > SILENT_S:
            yield f"Kafka has not answered for {name} for {silent_s:.0f} s"

    def _behind(self) -> Iterable[str]:
        for partition, behind_s in sorted(self.behind().items()):
            if behind_s > self.behind_s:
                yield f"partition {partition} is {behind_s:.0f} s behind"
