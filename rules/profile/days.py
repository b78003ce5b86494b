"""Day sums: the sum and number of older contributions, by UTC day.

A sum is stored as its digits, since it may exceed 64 bits, which a stored number does not.

Bound: the newest 1,100 days with a contribution, three years. Older contributions are added to the oldest of these days
and leave a window with it; a sum without a window stays exact.
"""

from __future__ import annotations

from rules.times import DAY_MS

# By UTC day (days since 1970): (digits of the sum in 10⁻⁶, count).
Days = dict[int, tuple[str, int]]
DAYS_MAX = 1_100


def add(days: Days, day: int, total: int, count: int) -> None:
    """Add ``count`` contributions of ``total`` (10⁻⁶) to a day."""
    _add(days, day, total, count)
    _bound(days)


def _add(days: Days, day: int, total: int, count: int) -> None:
    before = days.get(day, ("0", 0))
    days[day] = (str(int(before[0]) + total), before[1] + count)


def _bound(days: Days) -> None:
    if len(days) > DAYS_MAX:
        in_order = sorted(days)
        oldest = in_order[-DAYS_MAX]
        for day in in_order[:-DAYS_MAX]:
            total, count = days.pop(day)
            _add(days, oldest, int(total), count)


def merge(mine: Days, theirs: Days) -> Days:
    """Merge the day sums of two profiles."""
    merged = dict(mine)
    for day, (total, count) in theirs.items():
        _add(merged, day, int(total), count)
    _bound(merged)
    return merged


def leaving(days: Days) -> list[tuple[int, int, int]]:
    """All sums as (the time from which the window runs, sum, count): each counts until its day has left the window."""
    return [((day + 1) * DAY_MS, int(total), count) for day, (total, count) in days.items()]
