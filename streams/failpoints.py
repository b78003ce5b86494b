"""Fail points: places at which a test may let the worker die.

The one rule: without ``SEGMENTER_FAIL_POINT`` in the environment at start a fail point does
nothing. With ``NAME:N`` the process kills itself (SIGKILL) when it reaches NAME for the Nth time.
"""

from __future__ import annotations

import os
import signal

NAMES = ("after_load", "after_save", "after_publish")

_name, _, _count = os.environ.get("SEGMENTER_FAIL_POINT", "").partition(":")
_left = int(_count or 0)


def reach(name: str) -> None:
    """Pass a fail point."""
    global _left  # noqa: PLW0603  # the count-down of this process
    if name != _name:
        return
    _left -= 1
    if _left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
