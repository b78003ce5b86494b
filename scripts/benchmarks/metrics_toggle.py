"""A worker whose metrics are on and off by turns, and which reports the CPU time of each turn.

Both kinds of turn are of one process on one backlog, so that they differ in the metrics alone.
"""

from __future__ import annotations

import random
import sys
import time
from collections import deque
from collections.abc import Sequence

from prometheus_client import generate_latest

from streams.cli import main
from streams.runtime import faust_app
from streams.runtime.meter import DecidedChanges, MeteredStep
from streams.runtime.metrics import Metrics, PartitionMeter

# Records fetched in one turn and decided in the next make two turns differ by some 0.1 s, however long they are.
TURN_S = 2.0
RENDERED_EVERY_S = 5.0


class Turns:
    """The turns. A turn ends with a step, and is reported on stdout: on or off, events, CPU seconds.

    The first one of a pair is drawn, so that no periodic work of the machine falls on one kind more often.
    """

    def __init__(self) -> None:
        self.on = False
        self.metrics: Metrics | None = None
        self._first = random.Random()
        self._number = -1
        self._rendered = 0.0
        self._next()

    def _next(self) -> None:
        self._number += 1
        self.on = not self.on if self._number % 2 else self._first.random() < 0.5
        self._events, self._cpu_s, self._began = 0, time.process_time(), time.monotonic()

    def stepped(self, events: int) -> None:
        """Note a step that saved some events."""
        self._events += events
        now = time.monotonic()
        if self.on and self.metrics is not None and now - self._rendered > RENDERED_EVERY_S:
            self._rendered = now
            generate_latest(self.metrics.registry)
        if now - self._began > TURN_S:
            spent_s = time.process_time() - self._cpu_s
            print(f"turn {'on' if self.on else 'off'} {self._events} {spent_s:.6f}", flush=True)
            self._next()


_turns = Turns()


class SwitchedMeter:
    """A meter of one partition, which counts only in turns that are on."""

    def __init__(self, metrics: Metrics) -> None:
        _turns.metrics = metrics
        self._counted = PartitionMeter(metrics)
        self._on = deque[bool]()

    def stepped(self, step: MeteredStep) -> None:
        """See `streams.runtime.meter.Meter`."""
        if _turns.on:
            self._counted.stepped(step)
        _turns.stepped(len(step.readings))

    def decided(self, changes: Sequence[DecidedChanges]) -> None:
        """See `streams.runtime.meter.Meter`."""
        self._on.append(_turns.on)
        if _turns.on:
            self._counted.decided(changes)

    def published(self, entries: int) -> None:
        """See `streams.runtime.meter.Meter`."""
        for _ in range(entries):
            if self._on.popleft():
                self._counted.published(1)


class SwitchedMetrics(Metrics):
    """Metrics that count calls to Redis only in turns that are on."""

    def called(self, call: str, took_s: float) -> None:
        """See `streams.runtime.metrics.Metrics`."""
        if _turns.on:
            super().called(call, took_s)


if __name__ == "__main__":
    vars(faust_app).update(PartitionMeter=SwitchedMeter, Metrics=SwitchedMetrics)
    sys.exit(main.run(sys.argv[1:]))
