"""Occurrences: the newest times of some events.

Times and the hashed ids of their messages stand side by side, ascending by (time, id), so that a count over a window
looks at a list of times as it is.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right

import msgspec

from rules.profile import deduplication
from rules.profile.deduplication import AHEAD_MAX_MS


class Occurrences(msgspec.Struct, array_like=True, gc=False):
    """The ``times`` (ms) of messages and, at the same indices, their ``ids``."""

    times: list[int] = []
    ids: list[int] = []


def add(newest: Occurrences, time: int, message_id: int, window: int | None, most: int) -> bool:
    """Add an occurrence in place, unless it is known from an earlier time; whether it was new."""
    times, ids = newest.times, newest.ids
    if not times or times[-1] < time - AHEAD_MAX_MS:
        times.append(time)
        ids.append(message_id)
    elif message_id in ids[bisect_left(times, time - AHEAD_MAX_MS) :]:
        return _add_again(newest, time, message_id, window, most)
    else:
        index = bisect_left(times, time)
        while index < len(times) and times[index] == time and ids[index] < message_id:
            index += 1
        times.insert(index, time)
        ids.insert(index, message_id)
    _bound(newest, window, most)
    return True


def _add_again(newest: Occurrences, time: int, message_id: int, window: int | None, most: int) -> bool:
    """Add a known message, or one with the same hash by chance: it counts at its earliest time."""
    pairs = list(zip(newest.times, newest.ids, strict=True))
    new = deduplication.insert(pairs, (time, message_id), _itself)
    _put(newest, pairs)
    _bound(newest, window, most)
    return new


def merge(mine: Occurrences, theirs: Occurrences, window: int | None, most: int) -> Occurrences:
    """Merge the occurrences of two profiles: the result is that of all events of both."""
    both = [*zip(mine.times, mine.ids, strict=True), *zip(theirs.times, theirs.ids, strict=True)]
    merged = Occurrences()
    _put(merged, deduplication.merged(both, _itself))
    _bound(merged, window, most)
    return merged


def _itself(pair: tuple[int, int]) -> tuple[int, int]:
    return pair


def _put(newest: Occurrences, pairs: list[tuple[int, int]]) -> None:
    newest.times = [time for time, _ in pairs]
    newest.ids = [message_id for _, message_id in pairs]


def _bound(newest: Occurrences, window: int | None, most: int) -> None:
    times = newest.times
    drop = max(0, len(times) - most)
    if window is not None and times and times[drop] <= (frontier := times[-1] - window):
        drop = bisect_right(times, frontier)
    if drop:
        del times[:drop]
        del newest.ids[:drop]
