"""Sums: the contributions of events to a sum or an average over a window.

The one rule: the newest 256 contributions are stored as they came, by (time, hashed message id);
older ones are added to the sum of their UTC day. So within the bound a sum is a function of the
set of events.

Beyond the bound, an older contribution leaves the window at the end of its day, not at its own time, and
a late event that is older than all stored contributions counts as counted already.

See also `rules.facts.contributions` (which facts need them), `rules.conditions.aggregates` (which asks for them), and
`rules.profile.occurrences` (what is counted).
"""

from __future__ import annotations

from bisect import bisect_left

import msgspec

from rules.profile import days, deduplication
from rules.profile.days import Days
from rules.times import DAY_MS

ENTRIES_MAX = 256

SumEntry = tuple[int, int, int]


class Sum(msgspec.Struct, array_like=True, gc=False):
    """``entries``: (time, hashed message id, value in 10⁻⁶), ascending; ``days``: of the older ones."""

    entries: list[SumEntry] = []
    days: Days = {}


def add(contributions: Sum, entry: SumEntry, window: int | None) -> bool:
    """Add a contribution in place; whether it was new."""
    if contributions.days and len(contributions.entries) == ENTRIES_MAX and entry[:2] < contributions.entries[0][:2]:
        return False
    if not deduplication.insert(contributions.entries, entry, _key):
        return False
    _bound(contributions, window)
    return True


def merge(mine: Sum, theirs: Sum, window: int | None) -> Sum:
    """Merge the sums of two profiles: the result is that of all events of both."""
    merged = Sum(deduplication.merged((*mine.entries, *theirs.entries), _key), days.merge(mine.days, theirs.days))
    if merged.entries:
        _bound(merged, window)
    return merged


def leaving(contributions: Sum) -> list[tuple[int, int, int]]:
    """The contributions as (time from which their window runs, sum, count), ascending."""
    entries = [(time, value, 1) for time, _, value in contributions.entries]
    return sorted([*days.leaving(contributions.days), *entries]) if contributions.days else entries


def _key(entry: SumEntry) -> tuple[int, int]:
    return entry[:2]


def _bound(contributions: Sum, window: int | None) -> None:
    entries = contributions.entries
    if window is not None and (entries[0][0] <= (frontier := entries[-1][0] - window) or contributions.days):
        del entries[: bisect_left(entries, (frontier + 1, 0), key=_key)]
        contributions.days = {day: sums for day, sums in contributions.days.items() if (day + 1) * DAY_MS > frontier}
    while len(entries) > ENTRIES_MAX:
        time, _, value = entries.pop(0)
        days.add(contributions.days, time // DAY_MS, value, 1)
