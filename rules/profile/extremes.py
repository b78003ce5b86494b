"""Extremes: the contributions that can be the greatest, or the least, of a window.

The one rule: kept is every contribution that no newer one equals or surpasses. It is a function
of the set of events, so that repeats and order are harmless without ids.

Bound: the newest 256 of them. Beyond it, values that only fall (for the greatest) leave their
window too early.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable

STEPS_MAX = 256

Entry = tuple[int, int]


def staircase(entries: Iterable[Entry], *, greatest: bool) -> list[Entry]:
    """Of (time, value), ascending, those that no newer one equals or surpasses."""
    kept: list[Entry] = []
    for entry in entries:
        while kept and _gives_way(kept[-1], entry, greatest):
            kept.pop()
        kept.append(entry)
    return kept


def add(kept: list[Entry], entry: Entry, window: int | None, *, greatest: bool) -> bool:
    """Add a contribution in place; whether it can matter."""
    if not kept or entry > kept[-1]:
        kept.append(entry)
    else:
        kept.insert(bisect_left(kept, entry), entry)
    before = list(kept)
    kept[:] = staircase(kept, greatest=greatest)
    _bound(kept, window)
    return entry in kept or before != kept


def merge(ours: list[Entry], theirs: list[Entry], window: int | None, *, greatest: bool) -> list[Entry]:
    """What the events of both would have left."""
    merged = staircase(sorted({*ours, *theirs}), greatest=greatest)
    _bound(merged, window)
    return merged


def _gives_way(older: Entry, newer: Entry, greatest: bool) -> bool:
    return older[1] <= newer[1] if greatest else older[1] >= newer[1]


def _bound(kept: list[Entry], window: int | None) -> None:
    if window is None:
        del kept[1:]  # nothing leaves, so the first is it for ever
    del kept[:-STEPS_MAX]
    if window is not None and kept and kept[0][0] <= (frontier := kept[-1][0] - window):
        del kept[: bisect_left(kept, (frontier + 1,))]
