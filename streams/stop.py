"""Stopping for safety: exit code 75 and one sentence that says what to do.

The one rule: what cannot go on safely ends the process at once, without clean-up that could
write. Everything needed to go on is in Redis and Kafka; a supervisor may start the worker again.
"""

from __future__ import annotations

import os
import sys

EXIT_STOPPED = 75  # EX_TEMPFAIL of sysexits.h


class Stop(Exception):
    """The worker must not go on; the text says why and what to do."""


def stop(sentence: str) -> None:
    """End the process. ``os._exit``, as a hung loop or thread must not be able to prevent it."""
    sys.stdout.flush()
    sys.stderr.write(f"segmenter stopped: {sentence}\n")
    sys.stderr.flush()
    os._exit(EXIT_STOPPED)
