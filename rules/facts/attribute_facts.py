"""Facts that were told: traits, and what the context of events says."""

from __future__ import annotations

import msgspec

from rules.events import IDENTIFY, Event
from rules.profile import attributes
from rules.profile.attributes import AttributeValue
from rules.profile.profile import Profile, short_id
from rules.times import parse_date
from rules.value_tests import ValueTest
from rules.values import Path, resolve_path, shown, text


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
        if self.name not in traits or not attributes.stands(known, event.time, message_id, first=False):
            return False
        value = traits[self.name]
        met = sum(1 << at for at, (path, test) in enumerate(self.tests) if test.meets(resolve_path(value, path)))
        dates = tuple(parse_date(text(resolve_path(value, path))) for path in self.dates)
        told = shown(value)
        touch = AttributeValue(event.time, message_id, met, None if told is None else attributes.shortened(told), dates)
        profile.traits[self.slot] = touch
        return not touch.answers(known)

    def merge(self, profile: Profile, other: Profile) -> None:
        profile.traits[self.slot] = attributes.merge(profile.traits[self.slot], other.traits[self.slot], first=False)


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
        if not attributes.stands(known, event.time, message_id, first=self.first):
            return False
        if known is not None and value == known.shown and len(value) < attributes.SHOWN_MAX_CHARS:
            profile.touches[self.slot] = AttributeValue(event.time, message_id, known.met, value)
            return False  # told again, as it mostly is
        met = sum(1 << at for at, test in enumerate(self.tests) if test.meets(value))
        touch = AttributeValue(event.time, message_id, met, attributes.shortened(value))
        profile.touches[self.slot] = touch
        return not touch.answers(known)

    def merge(self, profile: Profile, other: Profile) -> None:
        ours, theirs = profile.touches[self.slot], other.touches[self.slot]
        profile.touches[self.slot] = attributes.merge(ours, theirs, first=self.first)
