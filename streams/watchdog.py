"""Watchdogs: stop rather than stand still unseen.

The one rule: a worker that cannot make progress says so and exits, so that its supervisor and
its group notice; Faust alone would go on heart-beating.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Hashable, Iterable

import msgspec


class LoopWatchdog:
    """A thread that stops the process when the event loop has not turned for ``stuck_s``."""

    def __init__(self, stuck_s: float, stop: Callable[[str], None]) -> None:
        self._stuck_s = stuck_s
        self._stop = stop
        self._turned = time.monotonic()
        self._done = threading.Event()

    async def run(self) -> None:
        """Beat on the loop; the thread starts with the first beat and ends with this task."""
        self._turned = time.monotonic()
        threading.Thread(target=self._watch, name="loop-watchdog", daemon=True).start()
        try:
            while True:
                self._turned = time.monotonic()
                await asyncio.sleep(self._stuck_s / 30)
        finally:
            self._done.set()

    def _watch(self) -> None:
        while not self._done.wait(self._stuck_s / 10):
            if time.monotonic() - self._turned > self._stuck_s:
                self._stop(f"the event loop stood still for {self._stuck_s:.0f} s; start the worker again")


class Reading(msgspec.Struct, frozen=True):
    """How an input is being read: the next offset awaited, the end that Kafka last answered and
    when (monotonic; ``None``: no answer yet), and whether it is held back on purpose."""

    name: Hashable
    fetched: int
    end: int
    answered: float | None
    held: bool


class FetchWatchdog:
    """Stops the process when Kafka holds records of ours that are not fetched, or is silent.

    ``unread_s``: so long may unread records wait without any being fetched. Silence may last
    five times that: a broker that is away is no reason to hurry, a deaf client is.
    """

    def __init__(self, unread_s: float, readings: Callable[[], Iterable[Reading]], stop: Callable[[str], None]) -> None:
        self._unread_s = unread_s
        self._readings = readings
        self._stop = stop
        self._since: dict[Hashable, tuple[int, float]] = {}

    async def run(self) -> None:
        """Look now and then until cancelled."""
        while True:
            await asyncio.sleep(self._unread_s / 10)
            self.look(time.monotonic())

    def look(self, now: float) -> None:
        """One look at all inputs."""
        readings = list(self._readings())
        moved = {one.name: self._since.get(one.name, (one.fetched, now)) for one in readings}
        self._since = {
            one.name: moved[one.name]
            if moved[one.name][0] == one.fetched and one.end > one.fetched and not one.held
            else (one.fetched, now)
            for one in readings
        }
        for one in readings:
            if now - self._since[one.name][1] > self._unread_s:
                self._stop(f"{one.name} has records that were not fetched for {self._unread_s:.0f} s; start again")
            if one.answered is not None and now - one.answered > 5 * self._unread_s:
                self._stop(f"Kafka did not answer for {one.name} in {5 * self._unread_s:.0f} s; see that it is up")
