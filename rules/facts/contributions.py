"""Facts about contributions of events to an aggregate: sum, average, extreme, number of different values.

See also: `rules.conditions.totals` (the condition); `rules.profile.sums` and `rules.profile.extremes` (the data and its
bounds).
"""

from __future__ import annotations

import msgspec

from rules.events import Event
from rules.facts.base import Former, Key, Names, SlottedFact, Window, covers, longer
from rules.facts.selection import EventFilter, PropertyReader, read
from rules.profile import extremes, sums
from rules.profile.profile import Profile
from rules.profile.short_ids import hashed_id
from rules.profile.sums import Sum

DISTINCT_MAX = 256

_SUM_ENTRY_BYTES = 24
_EXTREME_ENTRY_BYTES = 15
_DISTINCT_ENTRY_BYTES = 18


class SumFact(SlottedFact, frozen=True):
    """The contributions of events to sums and averages over up to ``window``."""

    names: Names
    picked: EventFilter
    reading: PropertyReader
    window: Window

    @property
    def key(self) -> Key:
        return SumFact, self.names, self.picked, self.reading

    @property
    def bytes_most(self) -> int:
        return sums.ENTRIES_MAX * _SUM_ENTRY_BYTES

    @staticmethod
    def slots(profile: Profile) -> list[Sum]:
        return profile.sums

    @staticmethod
    def empty() -> Sum:
        return Sum()

    def widened(self, wish: SumFact) -> SumFact:
        return msgspec.structs.replace(self, window=longer(self.window, wish.window))

    def apply(self, profile: Profile, event: Event) -> bool:
        values = read(self.picked, self.reading, event)
        entries = profile.sums[self.slot]
        return bool(values) and sums.add(entries, (event.time, hashed_id(event.id), values[0]), self.window)

    def merge(self, profile: Profile, other: Profile) -> None:
        profile.sums[self.slot] = sums.merge(profile.sums[self.slot], other.sums[self.slot], self.window)

    def missing_history(self, former: Former) -> Window | bool:
        was = former.get(self.key)
        return False if isinstance(was, SumFact) and covers(was.window, self.window) else self.window


class ExtremeFact(SlottedFact, frozen=True):
    """The contributions that can be the greatest, or the least, of events over ``window``."""

    names: Names
    picked: EventFilter
    reading: PropertyReader
    window: Window
    greatest: bool

    @property
    def key(self) -> Key:
        return ExtremeFact, self.names, self.picked, self.reading, self.window, self.greatest

    @property
    def bytes_most(self) -> int:
        return extremes.STEPS_MAX * _EXTREME_ENTRY_BYTES

    @staticmethod
    def slots(profile: Profile) -> list[list[extremes.ExtremeEntry]]:
        return profile.extremes

    @staticmethod
    def empty() -> list[extremes.ExtremeEntry]:
        return []

    def apply(self, profile: Profile, event: Event) -> bool:
        values = read(self.picked, self.reading, event)
        stairs = profile.extremes[self.slot]
        return bool(values) and extremes.add(stairs, (event.time, values[0]), self.window, greatest=self.greatest)

    def merge(self, profile: Profile, other: Profile) -> None:
        mine, theirs = profile.extremes[self.slot], other.extremes[self.slot]
        profile.extremes[self.slot] = extremes.merge(mine, theirs, self.window, greatest=self.greatest)

    def missing_history(self, former: Former) -> Window | bool:
        return False if self.key in former else self.window


class DistinctFact(SlottedFact, frozen=True):
    """The values (hashed) of these events and when each last came; the newest 256 of them."""

    names: Names
    picked: EventFilter
    reading: PropertyReader
    window: Window

    @property
    def key(self) -> Key:
        return DistinctFact, self.names, self.picked, self.reading

    @property
    def bytes_most(self) -> int:
        return DISTINCT_MAX * _DISTINCT_ENTRY_BYTES

    @staticmethod
    def slots(profile: Profile) -> list[dict[int, int]]:
        return profile.distincts

    @staticmethod
    def empty() -> dict[int, int]:
        return {}

    def widened(self, wish: DistinctFact) -> DistinctFact:
        return msgspec.structs.replace(self, window=longer(self.window, wish.window))

    def apply(self, profile: Profile, event: Event) -> bool:
        newest = profile.distincts[self.slot]
        values = [value for value in read(self.picked, self.reading, event) if event.time > newest.get(value, 0)]
        if not values:
            return False
        if len(values) == 1 and event.time > (next(reversed(newest.values())) if newest else 0):
            newest.pop(values[0], None)  # removed first, so that it is inserted as the last one
            newest[values[0]] = event.time
            self._drop_oldest(newest)
        else:
            profile.distincts[self.slot] = self._bounded(newest | dict.fromkeys(values, event.time))
        return True

    def _drop_oldest(self, newest: dict[int, int]) -> None:
        frontier = 0 if self.window is None else next(reversed(newest.values())) - self.window
        while len(newest) > DISTINCT_MAX or next(iter(newest.values())) <= frontier:
            del newest[next(iter(newest))]

    def merge(self, profile: Profile, other: Profile) -> None:
        mine, theirs = profile.distincts[self.slot], other.distincts[self.slot]
        merged = {value: max(mine.get(value, 0), theirs.get(value, 0)) for value in mine.keys() | theirs.keys()}
        profile.distincts[self.slot] = self._bounded(merged)

    def _bounded(self, times: dict[int, int]) -> dict[int, int]:
        """Ascending by (time, value), so that equal sets of events are stored alike."""
        newest = sorted(times.items(), key=lambda item: (item[1], item[0]))[-DISTINCT_MAX:]
        frontier = 0 if self.window is None or not newest else newest[-1][1] - self.window
        return {value: time for value, time in newest if time > frontier}

    def missing_history(self, former: Former) -> Window | bool:
        was = former.get(self.key)
        return False if isinstance(was, DistinctFact) and covers(was.window, self.window) else self.window
