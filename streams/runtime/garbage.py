"""How often a serving process collects garbage: seldom, as what it makes for an event or a request has no cycles."""

from __future__ import annotations

import gc

_COLLECT_AFTER = 100_000


def collect_seldom() -> None:
    """Leave out of every collection what is there now, such as modules, and collect after many new objects.

    Scans of the young generation took 10 % of a worker's step, and one of everything held up all requests of a gateway.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_COLLECT_AFTER)
