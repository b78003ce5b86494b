"""Watchdogs, which stop a process that makes no progress.

The one rule: a worker that cannot make progress logs it and exits, so that its supervisor and its group notice; Faust
alone would go on sending heartbeats.

See also: `streams.kafka.fetch` (what is known of a fetch), and `streams.runtime.readiness` (``/ready``, which shows how
near a watchdog is).
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterable, Mapping

from faust.types import TP

from streams.kafka.fetch import Fetching

# This many answers in a row without progress on an input that is out of step mean that a batch was lost.
LOST_AFTER_ANSWERS = 3


class LoopWatchdog:
    """A thread that stops the process when the event loop has not turned for ``stuck_s``."""

    def __init__(self, stuck_s: float, stop: Callable[[str], None]) -> None:
        self._stuck_s = stuck_s
        self._stop = stop
        self._turned = time.monotonic()
        self._done = threading.Event()
        self._longest_s = 0.0

    async def run(self) -> None:
        """Beat on the loop; the thread starts with the first beat and ends with this task."""
        self._turned = time.monotonic()
        threading.Thread(target=self._watch, name="loop-watchdog", daemon=True).start()
        try:
            while True:
                now = time.monotonic()
                # A long pause fades slowly, as metrics are read only now and then.
                self._longest_s = max(now - self._turned, 0.97 * self._longest_s)
                self._turned = now
                await asyncio.sleep(self._stuck_s / 30)
        finally:
            self._done.set()

    @property
    def near(self) -> float:
        """The longest recent pause, as a share of the one that stops the process."""
        return self._longest_s / self._stuck_s

    def _watch(self) -> None:
        while not self._done.wait(self._stuck_s / 10):
            if time.monotonic() - self._turned > self._stuck_s:
                self._stop(f"the event loop stood still for {self._stuck_s:.0f} s; start the worker again")


class LostFetchDetector:
    """Finds inputs that are out of step with what Kafka answers.

    Either waiting records are not delivered (a batch was lost between Kafka and the partition's task, and none follows
    it), or the log ends before the position (the topic was created again, or its new leader has not caught up yet).
    Answers are counted, and not the time: while Kafka is silent, nothing is lost.
    """

    def __init__(self) -> None:
        # Inputs out of step: the awaited position, when (monotonic, s) Kafka was last asked, and the answers since.
        self._suspects: dict[TP, tuple[int, float, int]] = {}

    def look(self, inputs: Mapping[TP, Fetching]) -> Mapping[TP, int]:
        """The awaited positions of inputs that were out of step for `LOST_AFTER_ANSWERS` answers after the first."""
        suspects: dict[TP, tuple[int, float, int]] = {}
        lost: dict[TP, int] = {}
        for tp, fetching in inputs.items():
            if not fetching.waits and fetching.fetched <= fetching.high_watermark:
                continue
            position, last_requested_at, count = self._suspects.get(tp, (-1, 0.0, 0))
            is_answered = fetching.requested_at > last_requested_at
            count = 0 if position != fetching.fetched else count + is_answered
            if count < LOST_AFTER_ANSWERS:
                suspects[tp] = (fetching.fetched, fetching.requested_at, count)
            else:
                lost[tp] = fetching.fetched
        self._suspects = suspects
        return lost


class FetchWatchdog:
    """Stops the process when Kafka holds records of its inputs that are not fetched, or is silent.

    ``unread_s``: how long readable records may wait without any being fetched. Silence may last five times that, as a
    broker that is away may come back, but a client that does not fetch needs a restart. An input whose buffer is full
    is not fetched, so its silence does not count. After a release, a claim must follow within the time of silence:
    ``without_since`` gives since when (monotonic, s) there is none.
    """

    def __init__(
        self,
        unread_s: float,
        fetching: Callable[[], Iterable[Fetching]],
        without_since: Callable[[], float | None],
        stop: Callable[[str], None],
    ) -> None:
        self._unread_s = unread_s
        self._fetching = fetching
        self._without_since = without_since
        self._stop = stop
        self._since: dict[str, tuple[int, float]] = {}

    async def run(self) -> None:
        """Check now and then until cancelled."""
        while True:
            await asyncio.sleep(self._unread_s / 10)
            self.look(time.monotonic())

    def look(self, now: float) -> None:
        """Check all inputs once."""
        without = self._without_since()
        if without is not None and now - without > 5 * self._unread_s:
            self._stop(
                f"nothing was claimed for {5 * self._unread_s:.0f} s after partitions were released; see that Kafka "
                "is up, and start again"
            )
        since: dict[str, tuple[int, float]] = {}
        for fetching in self._fetching():
            name = fetching.name
            position, began = self._since.get(name, (fetching.fetched, now))
            stands_still = fetching.waits and position == fetching.fetched
            since[name] = (position, began) if stands_still else (fetching.fetched, now)
            if now - since[name][1] > self._unread_s:
                self._stop(f"{name} has records that were not fetched for {self._unread_s:.0f} s; start again")
            # Five times: a broker may come back by itself, a client that does not fetch does not.
            if not fetching.full and now - fetching.heard > 5 * self._unread_s:
                self._stop(f"Kafka did not answer for {name} in {5 * self._unread_s:.0f} s; see that it is up")
        self._since = since

    def near(self, now: float) -> Mapping[str, float]:
        """The used share of each limit, by its name."""
        without = self._without_since()
        inputs = list(self._fetching())
        waiting = [fetching.name for fetching in inputs if fetching.waits and fetching.name in self._since]
        unread = [now - self._since[name][1] for name in waiting]
        silent = [now - fetching.heard for fetching in inputs if not fetching.full]
        return {
            "unread": max(unread, default=0.0) / self._unread_s,
            "silent": max(silent, default=0.0) / (5 * self._unread_s),
            "unclaimed": 0.0 if without is None else (now - without) / (5 * self._unread_s),
        }
