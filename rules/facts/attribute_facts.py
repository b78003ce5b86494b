"""Facts about attributes of a customer: traits, and attributes in the context of events.

A test of an attribute is answered when the event comes, and the answer is one bit of a stored number. So a fact has
room for `BITS_MAX` tests; of an attribute with more of them there are several facts, which all know the same event.

See also: `rules.conditions.attributes` (the conditions), and `rules.profile.attributes` (the data).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar

import msgspec

from rules.context import DEVICE, KIND_OF_TEXT, OF_REFERRER
from rules.event_names import IDENTIFY
from rules.events import Event
from rules.facts.base import Carry, Former, Key, Names, SlottedFact, Window, including
from rules.facts.registry import BITS_MAX, FactRegistry
from rules.hosts import NO_HOSTS
from rules.profile import attributes
from rules.profile.attributes import SHOWN_MAX_CHARS, AttributeValue
from rules.profile.profile import Profile
from rules.profile.short_ids import short_id
from rules.times import parse_date
from rules.value_tests import ValueTest
from rules.values import Path, resolve_path, shown, text

_VALUE_BYTES = 60


class TraitFact(SlottedFact, frozen=True):
    """The value of a trait in the newest identify that sets it, or takes it back with null.

    ``tests``: the definitions' tests of the trait; ``dates``: the paths at which they look for dates. ``group``: counts
    the facts of one trait.
    """

    name: str
    tests: tuple[tuple[Path, ValueTest], ...] = ()
    dates: tuple[Path, ...] = ()
    group: int = 0

    @staticmethod
    def require_test(facts: FactRegistry, path: Path, test: ValueTest) -> tuple[int, int]:
        """Require a test of a trait. Returns its slot and the bit of the answer."""
        wanted = path[1:], test
        fact = facts.require(_with_room(facts, TraitFact(path[0], (wanted,))))
        return fact.slot, fact.tests.index(wanted)

    @staticmethod
    def require_date(facts: FactRegistry, path: Path) -> tuple[int, int]:
        """Require a trait that is a date. Returns its slot and its index among the dates."""
        fact = facts.require(TraitFact(path[0], dates=(path[1:],)))
        return fact.slot, fact.dates.index(path[1:])

    @property
    def key(self) -> Key:
        return TraitFact, self.name, self.group

    @property
    def names(self) -> Names:
        return frozenset({IDENTIFY})

    @property
    def bytes_most(self) -> int:
        return _VALUE_BYTES

    @staticmethod
    def slots(profile: Profile) -> list[AttributeValue | None]:
        return profile.traits

    @staticmethod
    def empty() -> None:
        return None

    def widened(self, wish: TraitFact) -> TraitFact:
        tests, dates = including(self.tests, wish.tests), including(self.dates, wish.dates)
        return msgspec.structs.replace(self, tests=tests, dates=dates)

    def apply(self, profile: Profile, event: Event) -> bool:
        traits = event.traits.fields
        before = profile.traits[self.slot]
        message_id = short_id(event.id)
        if self.name not in traits or not attributes.stands(before, event.time, message_id, first=False):
            return False
        value = traits[self.name]
        met = sum(1 << bit for bit, (path, test) in enumerate(self.tests) if test.meets(resolve_path(value, path)))
        dates = tuple(parse_date(text(resolve_path(value, path))) for path in self.dates)
        words = shown(value)
        newest = AttributeValue(
            event.time, message_id, met, None if words is None else attributes.shortened(words), dates
        )
        profile.traits[self.slot] = newest
        return not newest.answers(before)

    def merge(self, profile: Profile, other: Profile) -> None:
        profile.traits[self.slot] = attributes.merge(profile.traits[self.slot], other.traits[self.slot], first=False)

    def carrying(self, former: Former) -> Carry | None:
        """Carry over which tests the value met: it is not stored itself, so former facts must have had the tests."""
        facts = self._former(former)
        if not facts:
            return None
        former_tests = [(fact.slot, fact.tests) for fact in facts]
        former_dates = [(fact.slot, fact.dates) for fact in facts]
        tests = [_source(test, former_tests) for test in self.tests]
        dates = [_source(path, former_dates) for path in self.dates]

        def carry(old: Profile, new: Profile) -> None:
            value = old.traits[facts[0].slot]
            if value is None:
                return
            values = _values(old.traits, facts)
            moments = tuple(_date(source, values) for source in dates)
            met = _met(tests, values)
            new.traits[self.slot] = AttributeValue(value.time, value.id, met, value.shown, moments)

        return carry

    def missing_history(self, former: Former) -> Window | bool:
        facts = self._former(former)
        tests = {test for fact in facts for test in fact.tests}
        dates = {path for fact in facts for path in fact.dates}
        is_covered = bool(facts) and tests >= set(self.tests) and dates >= set(self.dates)
        return False if is_covered else None

    def _former(self, former: Former) -> list[TraitFact]:
        return [fact for fact in former.values() if isinstance(fact, TraitFact) and fact.name == self.name]


class TouchFact(SlottedFact, frozen=True):
    """The attribute in the first or last event whose context has it.

    ``group``: counts the facts of one attribute; ``own_hosts``: the shop's, where the attribute depends on them.
    """

    attribute: str
    first: bool
    tests: tuple[ValueTest, ...] = ()
    group: int = 0
    own_hosts: frozenset[str] = NO_HOSTS

    @staticmethod
    def require_test(
        facts: FactRegistry, attribute: str, test: ValueTest, *, first: bool, own_hosts: frozenset[str] = NO_HOSTS
    ) -> tuple[int, int]:
        """Require a test of a context's attribute. Returns its slot and the bit of the answer."""
        hosts = own_hosts if attribute in OF_REFERRER else NO_HOSTS
        fact = facts.require(_with_room(facts, TouchFact(attribute, first, (test,), own_hosts=hosts)))
        return fact.slot, fact.tests.index(test)

    @property
    def key(self) -> Key:
        return TouchFact, self.attribute, self.first, self.group

    @property
    def names(self) -> None:
        return None

    @property
    def bytes_most(self) -> int:
        return _VALUE_BYTES

    @staticmethod
    def slots(profile: Profile) -> list[AttributeValue | None]:
        return profile.touches

    @staticmethod
    def empty() -> None:
        return None

    def widened(self, wish: TouchFact) -> TouchFact:
        return msgspec.structs.replace(self, tests=including(self.tests, wish.tests))

    def apply(self, profile: Profile, event: Event) -> bool:
        before = profile.touches[self.slot]
        if self.first and before is not None and event.time > before.time:
            return False
        value, kind = self._value(event)
        if value is None:
            return False
        message_id = short_id(event.id)
        if not attributes.stands(before, event.time, message_id, first=self.first):
            return False
        if before is not None and value == before.shown and kind in (None, value) and len(value) < SHOWN_MAX_CHARS:
            profile.touches[self.slot] = AttributeValue(event.time, message_id, before.met, value)
            return False  # the same text again, which is the usual case
        met = sum(1 << bit for bit, test in enumerate(self.tests) if _meets(test, value, kind))
        newest = AttributeValue(event.time, message_id, met, attributes.shortened(value))
        profile.touches[self.slot] = newest
        return not newest.answers(before)

    def _value(self, event: Event) -> tuple[str | None, str | None]:
        """The attribute of an event, and its kind if it is a device or software."""
        if self.attribute not in KIND_OF_TEXT:
            return event.context.get(self.attribute, self.own_hosts), None
        kinded = event.context.with_kind(self.attribute)
        return (None, None) if kinded is None else (kinded.text, kinded.kind)

    def merge(self, profile: Profile, other: Profile) -> None:
        mine, theirs = profile.touches[self.slot], other.touches[self.slot]
        profile.touches[self.slot] = attributes.merge(mine, theirs, first=self.first)

    def carrying(self, former: Former) -> Carry | None:
        facts = self._former(former)
        if not facts:
            return None
        former_tests = [(fact.slot, fact.tests) for fact in facts]
        tests = [_source(test, former_tests) for test in self.tests]
        is_device, kind_of_text = self.attribute == DEVICE, KIND_OF_TEXT.get(self.attribute)

        def carry(old: Profile, new: Profile) -> None:
            value = old.touches[facts[0].slot]
            if value is None:
                return
            met = _met(tests, _values(old.touches, facts))
            if value.shown is not None and len(value.shown) < SHOWN_MAX_CHARS:
                # The whole text is stored, so every test can be answered again; but a device's kind may have come of
                # more than its name, so that an answer which is stored stays.
                kind = None if kind_of_text is None else kind_of_text(value.shown)
                again = (bit for bit, source in enumerate(tests) if source is None or not is_device)
                answers = {bit: _meets(self.tests[bit], value.shown, kind) for bit in again}
                met = sum(1 << bit for bit in range(len(tests)) if answers.get(bit, bool(met >> bit & 1)))
            new.touches[self.slot] = AttributeValue(value.time, value.id, met, value.shown)

        return carry

    def missing_history(self, former: Former) -> Window | bool:
        # A value of events that were read with other hosts is carried over; for how long it stands is not known.
        facts = self._former(former)
        return False if facts and facts[0].own_hosts == self.own_hosts else None

    def _former(self, former: Former) -> list[TouchFact]:
        return [
            fact
            for fact in former.values()
            if isinstance(fact, TouchFact) and (fact.attribute, fact.first) == (self.attribute, self.first)
        ]


AttributeFactT = TypeVar("AttributeFactT", TraitFact, TouchFact)
_Source = tuple[int, int]


def _with_room(facts: FactRegistry, wish: AttributeFactT) -> AttributeFactT:
    """The wish for one test, in the first group that has this test or room for it."""
    while True:
        shared = facts.by_key.get(wish.key)
        if not isinstance(shared, TraitFact | TouchFact):
            return wish
        if wish.tests[0] in shared.tests or len(shared.tests) < BITS_MAX:
            return wish
        wish = msgspec.structs.replace(wish, group=wish.group + 1)


def _meets(test: ValueTest, value: str, kind: str | None) -> bool:
    """Whether a text meets a test, or its kind does; what the test excludes, neither may be."""
    if kind is None or kind == value:
        return test.meets(value)
    excluding = ValueTest(not_in=test.not_in, not_contains=test.not_contains)
    if not (excluding.meets(value) and excluding.meets(kind)):
        return False
    return test.meets(value) or test.meets(kind)


def _values(slots: Sequence[AttributeValue | None], facts: Iterable[SlottedFact]) -> dict[int, AttributeValue]:
    """The stored values of the attribute in these facts, by slot."""
    values = {fact.slot: slots[fact.slot] for fact in facts}
    return {slot: value for slot, value in values.items() if value is not None}


def _source(wanted: object, facts: Iterable[tuple[int, tuple[object, ...]]]) -> _Source | None:
    """The slot of the fact that has a test or date, and its index there."""
    return next(((slot, members.index(wanted)) for slot, members in facts if wanted in members), None)


def _date(source: _Source | None, values: Mapping[int, AttributeValue]) -> int | None:
    if source is None:
        return None
    slot, index = source
    return values[slot].dates[index]


def _met(tests: Sequence[_Source | None], values: Mapping[int, AttributeValue]) -> int:
    """The bits of the tests that the values in these slots meet."""
    return sum(
        1 << bit for bit, source in enumerate(tests) if source is not None and values[source[0]].met >> source[1] & 1
    )
