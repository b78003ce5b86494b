"""Sessions (session windows): intervals of activity, separated by gaps.

The one rule: intervals live on [H, ∞) with H = newest activity − window − gap, and one that
starts in [H, H + gap) is stored as starting at H. So the stored intervals do not depend on whether an older neighbour
was ever read, nor on the order of arrival. Such a start is older than the window and never counts.

Bound: the newest 512 intervals; beyond it the older sessions of a window do not count, and a
late event that joins two of the newest may count one too few.

See also: `rules.facts.sessions` (the fact that needs them).
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable

Interval = tuple[int, int]

INTERVALS_MAX = 512


def extend(intervals: list[Interval], time: int, gap: int, window: int) -> bool:
    """Add one activity in place; whether the sessions of the window may now begin otherwise."""
    if not intervals:
        intervals.append((time, time))
        _bound(intervals, gap, window)
        return True
    # Nearly every event comes last, so the end is looked at first.
    start, end = intervals[-1]
    if start <= time <= end or time < end - window - gap:
        return False
    joins = start <= time < end + gap
    if joins:
        intervals[-1] = (start, time)
    elif time > end:
        intervals.append((time, time))
    else:
        _join(intervals, time, gap)
    _bound(intervals, gap, window)
    return not joins


def _join(intervals: list[Interval], time: int, gap: int) -> None:
    """Insert a late activity, and join the neighbours that it reaches."""
    low = bisect_left(intervals, time - gap + 1, key=lambda interval: interval[1])
    high = low
    start = end = time
    while high < len(intervals) and intervals[high][0] - time < gap:
        start = min(start, intervals[high][0])
        end = max(end, intervals[high][1])
        high += 1
    intervals[low:high] = [(start, end)]


def _bound(intervals: list[Interval], gap: int, window: int) -> None:
    horizon = intervals[-1][1] - window - gap
    drop = max(0, len(intervals) - INTERVALS_MAX)
    while intervals[drop][1] < horizon:
        drop += 1
    if drop:
        del intervals[:drop]
    start, end = intervals[0]
    if start < horizon + gap:
        intervals[0] = (horizon, end)


def merge(mine: Iterable[Interval], theirs: Iterable[Interval], gap: int, window: int) -> list[Interval]:
    """Merge the intervals of two profiles: the result is that of the activity of both."""
    merged: list[Interval] = []
    for start, end in sorted((*mine, *theirs)):
        if merged and start - merged[-1][1] < gap:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end))
        else:
            merged.append((start, end))
    if merged:
        _bound(merged, gap, window)
    return merged
