"""Stopping for safety: exit code 75, with a sentence that says what happened and what to do.

The one rule: a process that cannot continue safely ends at once, without clean-up that could write.
All its state is in Redis and Kafka, so a supervisor may start it again.

See also: `streams.runtime.preflight` (most of the checks), ``tests/integration/stops/test_stop_sentences.py`` (each
sentence is tried).
"""

from __future__ import annotations

import os
import threading
from typing import NoReturn

EXIT_STOPPED = 75  # EX_TEMPFAIL of sysexits.h
# The remedy if the stored state cannot be used any more.
REBUILD = "use a fresh Redis and `segmenter worker --rebuild`"
# The page with the rights which each process needs of Kafka and of Redis.
RIGHTS = "docs/operations/rights.md"
# The remedy if records are not in the partitions in which their topics' number of partitions would put them.
COPY = (
    "while nothing writes to these topics, copy them to new ones with `segmenter topics copy --to PREFIX` (of "
    "SEGMENTER_PARTITIONS partitions each); then start everything with SEGMENTER_TOPIC_PREFIX=PREFIX and another "
    "SEGMENTER_REDIS_PREFIX"
)


class Stop(Exception):
    """The process must not continue; the text says why and what to do."""


def recreated_topic(log: str, end: int, position: int) -> Stop:
    """The stop for a log (topic-partition) which ends before a position that was read: its topic was created again."""
    return Stop(
        f"{log} ends at {end} but records up to {position} were already read; the topic was deleted and recreated: "
        f"{REBUILD}"
    )


def stop(sentence: str) -> NoReturn:
    """End the process by ``os._exit``, which a hung loop or thread cannot prevent."""
    try:
        # Not through sys.stderr: another thread may have its lock, and its pipe may be full or closed.
        os.set_blocking(2, False)
        os.write(2, f"segmenter stopped: {sentence}\n".encode())
    finally:
        os._exit(EXIT_STOPPED)


def end_at_last(within_s: float) -> None:
    """Exit with code 0 if the process has not ended by then. Call it only when all is saved and released."""
    timer = threading.Timer(within_s, os._exit, (0,))
    timer.daemon = True
    timer.start()
