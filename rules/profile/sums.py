"""Sums: what events contribute to a sum or an average over a window.

The one rule: the newest 256 contributions are kept as they came, by (time, hashed message id);
older ones are added to the sum of their UTC day. So within the bound a sum is a function of the
set of events.

Beyond it: an older contribution leaves the window at the end of its day, not at its own time, and
a late event older than all that is kept is taken as already counted.
"""

from __future__ import annotations

from bisect import bisect_left

import msgspec

from rules.profile import days, deduplication
from rules.profile.days import Days
from rules.times import DAY_MS

ENTRIES_MAX = 256

Entry = tuple[int, int, int]


class Sum(msgspec.Struct, array_like=True, gc=False):
    """``entries``: (time, hashed message id, value in 10⁻⁶), ascending; ``days``: of the older ones."""

    entries: list[Entry] = []
    days: Days = {}


def add(kept: Sum, entry: Entry, window: int | None) -> bool:
    """Add a contribution in place; whether it was new."""
    if kept.days and len(kept.entries) == ENTRIES_MAX and entry[:2] < kept.entries[0][:2]:
        return False
    if not deduplication.insert(kept.entries, entry, _key):
        return False
    _bound(kept, window)
    return True


def merge(ours: Sum, theirs: Sum, window: int | None) -> Sum:
    """What the events of both would have made."""
    merged = Sum(deduplication.merged((*ours.entries, *theirs.entries), _key), days.merge(ours.days, theirs.days))
    if merged.entries:
        _bound(merged, window)
    return merged


def leaving(kept: Sum) -> list[tuple[int, int, int]]:
    """All contributions as (the time from which their window runs, sum, count), ascending."""
    entries = [(time, value, 1) for time, _, value in kept.entries]
    return sorted([*days.leaving(kept.days), *entries]) if kept.days else entries


def _key(entry: Entry) -> tuple[int, int]:
    return entry[:2]


def _bound(kept: Sum, window: int | None) -> None:
    entries = kept.entries
    if window is not None and (entries[0][0] <= (frontier := entries[-1][0] - window) or kept.days):
        del entries[: bisect_left(entries, (frontier + 1, 0), key=_key)]
        kept.days = {day: told for day, told in kept.days.items() if (day + 1) * DAY_MS > frontier}
    while len(entries) > ENTRIES_MAX:
        time, _, value = entries.pop(0)
        days.add(kept.days, time // DAY_MS, value, 1)
