"""Day sums: what older contributions add up to, by UTC day.

The one rule: a sum stands as its digits, since added up it may pass 64 bits, which a stored number
does not.
"""

from __future__ import annotations

from rules.times import DAY_MS

# UTC day (days since 1970) to (digits of the sum in 10⁻⁶, count).
Days = dict[int, tuple[str, int]]


def add(days: Days, day: int, total: int, count: int) -> None:
    """Add ``count`` contributions of ``total`` (10⁻⁶) to a day."""
    known = days.get(day, ("0", 0))
    days[day] = (str(int(known[0]) + total), known[1] + count)


def merge(ours: Days, theirs: Days) -> Days:
    """The sums of both."""
    merged = dict(ours)
    for day, (total, count) in theirs.items():
        add(merged, day, int(total), count)
    return merged


def leaving(days: Days) -> list[tuple[int, int, int]]:
    """As (the time from which its window runs, sum, count): each counts until its day has left the window."""
    return [((day + 1) * DAY_MS, int(total), count) for day, (total, count) in days.items()]
