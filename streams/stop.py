"""Stopping for safety: exit code 75 and one sentence that says what to do.

The one rule: what cannot go on safely ends the process at once, without clean-up that could
write. Everything needed to go on is in Redis and Kafka; a supervisor may start the worker again.
"""

from __future__ import annotations

import os
import threading
from typing import NoReturn

EXIT_STOPPED = 75  # EX_TEMPFAIL of sysexits.h
# What to do where the stored state is of no use any more.
REBUILD = "use a fresh Redis and `segmenter worker --rebuild`"
# Where it stands what each process may do, to Kafka and to Redis.
RIGHTS = "docs/operations/rights.md"
# What to do where records do not lie by the number of partitions that the topics have.
COPY = (
    "while nothing writes to these topics, copy them to new ones with `segmenter topics copy --to PREFIX` (of "
    "SEGMENTER_PARTITIONS partitions each); then start everything with SEGMENTER_TOPIC_PREFIX=PREFIX and another "
    "SEGMENTER_REDIS_PREFIX"
)


class Stop(Exception):
    """The worker must not go on; the text says why and what to do."""


def created_anew(log: str, end: int, position: int) -> Stop:
    """A log (topic-partition) that ends before what was read of it."""
    return Stop(f"{log} ends at {end} but {position} were read; the topic was created anew: {REBUILD}")


def stop(sentence: str) -> NoReturn:
    """End the process. ``os._exit``, as a hung loop or thread must not be able to prevent it."""
    try:
        # Not through sys.stderr: its lock may be held, its pipe may be full or gone.
        os.set_blocking(2, False)
        os.write(2, f"segmenter stopped: {sentence}\n".encode())
    finally:
        os._exit(EXIT_STOPPED)


def end_at_last(within_s: float) -> None:
    """Exit with code 0 if the process has not ended by then: all that it held is saved and let go."""
    timer = threading.Timer(within_s, os._exit, (0,))
    timer.daemon = True
    timer.start()
