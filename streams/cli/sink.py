"""``segmenter sink``: writes changes, memberships and decisions to PostgreSQL."""

from __future__ import annotations

import importlib.util
import logging
import signal
import sys

from streams import logs
from streams.settings import Settings
from streams.stop import Stop


def run(settings: Settings, *, once: bool) -> int:
    """Write until interrupted, or, with ``once``, up to the present ends of the topics. Raises `Stop`."""
    if importlib.util.find_spec("psycopg") is None:
        raise Stop("the package psycopg is missing; install it with pip install 'psycopg[binary]'")
    from streams.sink import process  # noqa: PLC0415  # not where psycopg is missing

    logs.set_up(settings.log_format)
    # kafka-python warns of each of its own tasks that takes 0.1 s, as unpacking a large batch does.
    logging.getLogger("kafka.net").setLevel(logging.ERROR)
    # As Ctrl-C: a transaction that is under way is not committed.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    process.run(settings, once=once)
    return 0
