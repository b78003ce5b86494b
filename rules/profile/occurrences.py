"""Occurrences: when something happened, the newest times of it.

The one rule: times and the hashed ids of their messages stand side by side, ascending by (time,
id), so that a count over a window looks at a list of times as it is.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right

import msgspec

from rules.profile import deduplication
from rules.profile.deduplication import AHEAD_MAX_MS


class Occurrences(msgspec.Struct, array_like=True, gc=False):
    """``times`` in ms and, in the same places, ``ids``."""

    times: list[int] = []
    ids: list[int] = []


def add(kept: Occurrences, time: int, message_id: int, window: int | None, most: int) -> bool:
    """Add one in place, unless it is known from an earlier time; whether it was new."""
    times, ids = kept.times, kept.ids
    if not times or times[-1] < time - AHEAD_MAX_MS:
        times.append(time)
        ids.append(message_id)
    elif message_id in ids[bisect_left(times, time - AHEAD_MAX_MS) :]:
        return _add_again(kept, time, message_id, window, most)
    else:
        at = bisect_left(times, time)
        while at < len(times) and times[at] == time and ids[at] < message_id:
            at += 1
        times.insert(at, time)
        ids.insert(at, message_id)
    _bound(kept, window, most)
    return True


def _add_again(kept: Occurrences, time: int, message_id: int, window: int | None, most: int) -> bool:
    """A message that is known, by chance with more of its hash: it counts at its earliest time."""
    pairs = list(zip(kept.times, kept.ids, strict=True))
    new = deduplication.insert(pairs, (time, message_id), _itself)
    _put(kept, pairs)
    _bound(kept, window, most)
    return new


def merge(ours: Occurrences, theirs: Occurrences, window: int | None, most: int) -> Occurrences:
    """What the events of both would have left."""
    both = [*zip(ours.times, ours.ids, strict=True), *zip(theirs.times, theirs.ids, strict=True)]
    merged = Occurrences()
    _put(merged, deduplication.merged(both, _itself))
    _bound(merged, window, most)
    return merged


def _itself(pair: tuple[int, int]) -> tuple[int, int]:
    return pair


def _put(kept: Occurrences, pairs: list[tuple[int, int]]) -> None:
    kept.times = [time for time, _ in pairs]
    kept.ids = [message_id for _, message_id in pairs]


def _bound(kept: Occurrences, window: int | None, most: int) -> None:
    times = kept.times
    drop = max(0, len(times) - most)
    if window is not None and times and times[drop] <= (frontier := times[-1] - window):
        drop = bisect_right(times, frontier)
    if drop:
        del times[:drop]
        del kept.ids[:drop]
