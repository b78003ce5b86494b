"""The fact about sessions: activity, split at gaps without an event."""

from __future__ import annotations

import msgspec

from rules.event_names import ACTIVITY_NAMES
from rules.events import Event
from rules.facts.base import Former, Key, Names, SlottedFact, Window
from rules.profile import sessions
from rules.profile.profile import Profile

_INTERVAL_BYTES = 19


class SessionFact(SlottedFact, frozen=True):
    """The sessions, split at ``gap`` (ms), of the last ``window`` (ms)."""

    gap: int
    window: int

    @property
    def key(self) -> Key:
        return SessionFact, self.gap

    @property
    def names(self) -> Names:
        return ACTIVITY_NAMES

    @property
    def bytes_most(self) -> int:
        return sessions.INTERVALS_MAX * _INTERVAL_BYTES

    @staticmethod
    def slots(profile: Profile) -> list[list[sessions.Interval]]:
        return profile.sessions

    @staticmethod
    def empty() -> list[sessions.Interval]:
        return []

    def widened(self, wish: SessionFact) -> SessionFact:
        return msgspec.structs.replace(self, window=max(self.window, wish.window))

    def apply(self, profile: Profile, event: Event) -> bool:
        return sessions.extend(profile.sessions[self.slot], event.time, self.gap, self.window)

    def merge(self, profile: Profile, other: Profile) -> None:
        mine, theirs = profile.sessions[self.slot], other.sessions[self.slot]
        profile.sessions[self.slot] = sessions.merge(mine, theirs, self.gap, self.window)

    def missing_history(self, former: Former) -> Window | bool:
        was = former.get(self.key)
        return False if isinstance(was, SessionFact) and was.window >= self.window else self.window
