"""Extremes: the contributions that can be the greatest, or the least, of a window.

The one rule: a contribution stays while no newer one equals or surpasses it. The result is a function of the set of
events, so that repeats and order are harmless without ids.

Bound: the newest 256 of them. Beyond it, values that only fall (for the greatest) leave their
window too early.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable

STEPS_MAX = 256

ExtremeEntry = tuple[int, int]


def staircase(entries: Iterable[ExtremeEntry], *, greatest: bool) -> list[ExtremeEntry]:
    """The entries (time, value), ascending, that no newer one equals or surpasses."""
    stairs: list[ExtremeEntry] = []
    for entry in entries:
        while stairs and _gives_way(stairs[-1], entry, greatest):
            stairs.pop()
        stairs.append(entry)
    return stairs


def add(stairs: list[ExtremeEntry], entry: ExtremeEntry, window: int | None, *, greatest: bool) -> bool:
    """Add a contribution in place; whether it may be an extreme of some window."""
    if not stairs or entry > stairs[-1]:
        stairs.append(entry)
    else:
        stairs.insert(bisect_left(stairs, entry), entry)
    before = list(stairs)
    stairs[:] = staircase(stairs, greatest=greatest)
    _bound(stairs, window)
    return entry in stairs or before != stairs


def merge(
    mine: list[ExtremeEntry], theirs: list[ExtremeEntry], window: int | None, *, greatest: bool
) -> list[ExtremeEntry]:
    """Merge two staircases: the result is that of all events of both."""
    merged = staircase(sorted({*mine, *theirs}), greatest=greatest)
    _bound(merged, window)
    return merged


def _gives_way(older: ExtremeEntry, newer: ExtremeEntry, greatest: bool) -> bool:
    return older[1] <= newer[1] if greatest else older[1] >= newer[1]


def _bound(stairs: list[ExtremeEntry], window: int | None) -> None:
    if window is None:
        del stairs[1:]  # without a window no entry leaves, so the first one is the extreme for ever
    del stairs[:-STEPS_MAX]
    if window is not None and stairs and stairs[0][0] <= (frontier := stairs[-1][0] - window):
        del stairs[: bisect_left(stairs, (frontier + 1,))]
