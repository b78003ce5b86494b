"""Watchdogs: stop rather than stand still unseen.

The one rule: a worker that cannot make progress says so and exits, so that its supervisor and
its group notice; Faust alone would go on heart-beating.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable


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
