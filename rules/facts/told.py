"""Facts that were told: traits, and what the context of events says."""

from __future__ import annotations

import msgspec

from rules import touches
from rules.events import IDENTIFY, Event
from rules.predicates import ValueTest
from rules.profile import Profile, short_id
from rules.times import parse_date
from rules.touches import Touch
from rules.values import Path, reach, shown, text


class TraitFact(msgspec.Struct, frozen=True):
    """The newest identify that has a trait, or takes it back with null.

    ``tests``: what the definitions ask of it; ``dates``: where in it they look for dates.
    """

    slot: int
    name: str
    tests: tuple[tuple[Path, ValueTest], ...]
    dates: tuple[Path, ...]

    @property
    def names(self) -> frozenset[str]:
        return frozenset({IDENTIFY})

    def apply(self, profile: Profile, event: Event) -> bool:
        traits = event.traits.fields
        known = profile.traits[self.slot]
        message_id = short_id(event.id)
        if self.name not in traits or not touches.stands(known, event.time, message_id, first=False):
            return False
        value = traits[self.name]
        met = sum(1 << at for at, (path, test) in enumerate(self.tests) if test.meets(reach(value, path)))
        dates = tuple(parse_date(text(reach(value, path))) for path in self.dates)
        told = shown(value)
        touch = Touch(event.time, message_id, met, None if told is None else touches.shortened(told), dates)
        profile.traits[self.slot] = touch
        return not touch.answers(known)

    def merge(self, profile: Profile, other: Profile) -> None:
        profile.traits[self.slot] = touches.merge(profile.traits[self.slot], other.traits[self.slot], first=False)


class TouchFact(msgspec.Struct, frozen=True):
    """The first or last event whose context carries an attribute."""

    slot: int
    attribute: str
    first: bool
    tests: tuple[ValueTest, ...]

    @property
    def names(self) -> None:
        return None

    def apply(self, profile: Profile, event: Event) -> bool:
        known = profile.touches[self.slot]
        if self.first and known is not None and event.time > known.time:
            return False
        value = event.context.get(self.attribute)
        if value is None:
            return False
        message_id = short_id(event.id)
        if not touches.stands(known, event.time, message_id, first=self.first):
            return False
        if known is not None and value == known.shown and len(value) < touches.SHOWN_MAX_CHARS:
            profile.touches[self.slot] = Touch(event.time, message_id, known.met, value)
            return False  # told again, as it mostly is
        met = sum(1 << at for at, test in enumerate(self.tests) if test.meets(value))
        touch = Touch(event.time, message_id, met, touches.shortened(value))
        profile.touches[self.slot] = touch
        return not touch.answers(known)

    def merge(self, profile: Profile, other: Profile) -> None:
        ours, theirs = profile.touches[self.slot], other.touches[self.slot]
        profile.touches[self.slot] = touches.merge(ours, theirs, first=self.first)
