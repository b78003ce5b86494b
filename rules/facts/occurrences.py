"""Facts about times of events: the newest ones, and the earliest.

See also: `rules.conditions.event_count` and `rules.conditions.recency` (the conditions), and
`rules.profile.occurrences` (the data and its bounds).
"""

from __future__ import annotations

import msgspec

from rules.events import Event
from rules.facts.base import Former, Key, Names, SlottedFact, Window, covers, longer
from rules.facts.selection import EventFilter
from rules.profile import occurrences
from rules.profile.occurrences import Occurrences
from rules.profile.profile import Profile
from rules.profile.short_ids import hashed_id

_OCCURRENCE_BYTES = 18
_FIRST_BYTES = 9


class OccurrenceFact(SlottedFact, frozen=True):
    """The newest ``most`` of some events, as (time, hashed message id).

    Events that are older than the newest by ``window``, or beyond ``most``, are dropped: no condition of these
    definitions depends on them.
    """

    names: Names
    picked: EventFilter
    window: Window
    most: int

    @property
    def key(self) -> Key:
        return OccurrenceFact, self.names, self.picked

    @property
    def bytes_most(self) -> int:
        return self.most * _OCCURRENCE_BYTES

    @staticmethod
    def slots(profile: Profile) -> list[Occurrences]:
        return profile.occurrences

    @staticmethod
    def empty() -> Occurrences:
        return Occurrences()

    def widened(self, wish: OccurrenceFact) -> OccurrenceFact:
        window, most = longer(self.window, wish.window), max(self.most, wish.most)
        return msgspec.structs.replace(self, window=window, most=most)

    def apply(self, profile: Profile, event: Event) -> bool:
        if not self.picked.meets(event):
            return False
        newest = profile.occurrences[self.slot]
        return occurrences.add(newest, event.time, hashed_id(event.id), self.window, self.most)

    def merge(self, profile: Profile, other: Profile) -> None:
        mine, theirs = profile.occurrences[self.slot], other.occurrences[self.slot]
        profile.occurrences[self.slot] = occurrences.merge(mine, theirs, self.window, self.most)

    def missing_history(self, former: Former) -> Window | bool:
        was = former.get(self.key)
        is_covered = isinstance(was, OccurrenceFact) and covers(was.window, self.window) and was.most >= self.most
        return False if is_covered else self.window


class FirstFact(SlottedFact, frozen=True):
    """The time (ms) of the earliest of some events; 0: none yet."""

    names: Names
    picked: EventFilter

    @property
    def key(self) -> Key:
        return FirstFact, self.names, self.picked

    @property
    def bytes_most(self) -> int:
        return _FIRST_BYTES

    @staticmethod
    def slots(profile: Profile) -> list[int]:
        return profile.firsts

    @staticmethod
    def empty() -> int:
        return 0

    def apply(self, profile: Profile, event: Event) -> bool:
        first = profile.firsts[self.slot]
        if (first and first <= event.time) or not self.picked.meets(event):
            return False
        profile.firsts[self.slot] = event.time
        return True

    def merge(self, profile: Profile, other: Profile) -> None:
        firsts = (profile.firsts[self.slot], other.firsts[self.slot])
        profile.firsts[self.slot] = min(filter(None, firsts), default=0)

    def missing_history(self, former: Former) -> Window | bool:
        return False if self.key in former else None
