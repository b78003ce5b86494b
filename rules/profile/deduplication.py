"""Deduplication of a message that is delivered twice, in two records with different times.

The one rule: a message counts once, at its earliest time. A message that its producer sends again
has the same id and timestamp; but where the client's clock runs ahead, its event time is the
record's Kafka time, which is later for the second record, by as much as a clock may be ahead.

Facts without message ids are not exact about it: the newest of some events (a cart event, a value) may have the time of
the second record.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable
from typing import TypeVar

from rules.times import MINUTE_MS

# The most (ms) that a client's timestamp may be ahead of the record's Kafka time.
AHEAD_MAX_MS = 5 * MINUTE_MS

T = TypeVar("T")
IdT = TypeVar("IdT", int, str, tuple[str, int])


def insert(entries: list[T], entry: T, key: Callable[[T], tuple[int, IdT]]) -> bool:
    """Insert a message by its key, (time, id); whether it was new, or earlier than its stored time."""
    place = time, ident = key(entry)
    if not entries or key(entries[-1])[0] < time - AHEAD_MAX_MS:
        entries.append(entry)
        return True
    index = len(entries) if key(entries[-1]) < place else bisect_left(entries, place, key=key)
    # The same message with a later time is replaced by this one.
    for later in range(index, len(entries)):
        other = key(entries[later])
        if other[0] > time + AHEAD_MAX_MS:
            break
        if other[1] == ident:
            del entries[later]
            entries.insert(index, entry)
            return other != place
    # The same message with an earlier time stays.
    for earlier in range(index - 1, -1, -1):
        other = key(entries[earlier])
        if other[0] < time - AHEAD_MAX_MS:
            break
        if other[1] == ident:
            return False
    entries.insert(index, entry)
    return True


def merged(entries: Iterable[T], key: Callable[[T], tuple[int, IdT]]) -> list[T]:
    """Merge entries: ascending, each message once."""
    first: dict[IdT, T] = {}
    for entry in sorted(entries, key=key):
        first.setdefault(key(entry)[1], entry)
    return list(first.values())
