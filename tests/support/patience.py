"""Waits for another process, which takes its own time.

A limit ends a run that hangs, and measures nothing. So it is several times as long as a test asks for:
machines that run all tests at once differ that much.
"""

from __future__ import annotations

import time
from collections.abc import Callable

PATIENCE = 5
_PAUSE_S = 0.05


def eventually(condition: Callable[[], bool], within_s: float = 20.0, what: str = "it did not come true") -> None:
    """Wait until the condition is true; it is looked at less often where looking itself takes long."""
    began = looked = time.monotonic()
    while not condition():
        now = time.monotonic()
        assert now - began < PATIENCE * within_s, f"{what}: not within {PATIENCE * within_s:.0f} s"
        time.sleep(max(_PAUSE_S, min(now - looked, 2.0)))
        looked = time.monotonic()
