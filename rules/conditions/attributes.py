"""Who a customer is and where from: `trait`, `context`, `in_segment`, `sample`."""

from __future__ import annotations

from hashlib import sha256

import msgspec

from rules.conditions.base import NEVER, CustomerView, Decision, until
from rules.conditions.boolean import combined
from rules.conditions.recency import Ago
from rules.profile.attributes import AttributeValue
from rules.reasons import Observed, Reason
from rules.times import birthday, format_instant
from rules.value_tests import NumberTest, Shown, ValueTest
from rules.values import MICRO, shown_number


class Years(msgspec.Struct, frozen=True):
    """Completed years since a day: from ``first`` on and before ``end`` (``None``: open)."""

    first: int
    end: int | None
    asked: NumberTest

    def decide(self, moment: int, now: int) -> Decision:
        """For a day that may lie ahead; before it nobody has an age."""
        opens = birthday(moment, self.first)
        if opens is None:
            return False, NEVER
        if now < opens:
            return False, opens
        closes = None if self.end is None else birthday(moment, self.end)
        if closes is None:
            return True, NEVER
        return (True, closes) if now < closes else (False, NEVER)

    @property
    def test(self) -> dict[str, Shown]:
        """As it stands in a definition."""
        return self.asked.test


class TraitTest(msgspec.Struct, frozen=True):
    """A trait is what is asked for: by the answer to a test, by an age, or both.

    ``slot``: where the trait is kept; ``bit``: the answer; ``date``: the date's place.
    """

    name: str
    slot: int
    test: ValueTest | None
    bit: int
    age: Ago | Years | None
    date: int

    def decide(self, touch: AttributeValue | None, now: int) -> Decision:
        """For what was told last, if anything was."""
        if self.test is not None:
            met = self.test.meets(None) if touch is None else bool(touch.met >> self.bit & 1)
            if not met or self.age is None:
                return met, NEVER
        assert self.age is not None
        born = None if touch is None else touch.dates[self.date]
        return (False, NEVER) if born is None else self.age.decide(born, now)

    @property
    def asked(self) -> Shown:
        """As it stands in a definition."""
        if self.age is None:
            return self.test.test if self.test else {}
        told = self.test.test if self.test else {}
        age: dict[str, Shown] = dict(self.age.test)
        return {**told, "age": age} if isinstance(told, dict) else {"age": age}


class TraitIs(msgspec.Struct, frozen=True):
    """Every one of these traits is what is asked for."""

    tests: tuple[TraitTest, ...]

    def decide(self, who: CustomerView, now: int) -> Decision:
        traits = who.profile.traits
        return combined((test.decide(traits[test.slot], now) for test in self.tests), turned_by=False)

    def reason(self, who: CustomerView, now: int) -> Reason:
        holding, due = self.decide(who, now)
        told = {test.name: _shown(who.profile.traits[test.slot]) for test in self.tests}
        asked = {test.name: test.asked for test in self.tests}
        return Reason(holding, condition="trait", observed=Observed(values=told), test=asked, until=until(due))


class ContextTest(msgspec.Struct, frozen=True):
    """An attribute meets a test: where it is kept, and the bit that answers."""

    attribute: str
    test: ValueTest
    slot: int
    bit: int


class ContextIs(msgspec.Struct, frozen=True):
    """Every one of these attributes, of the first or last event that carries it, is what is asked for."""

    tests: tuple[ContextTest, ...]
    first: bool

    def decide(self, who: CustomerView, now: int) -> Decision:  # noqa: ARG002
        for asked in self.tests:
            touch = who.profile.touches[asked.slot]
            if not (asked.test.meets(None) if touch is None else touch.met >> asked.bit & 1):
                return False, NEVER
        return True, NEVER

    def reason(self, who: CustomerView, now: int) -> Reason:
        told = {asked.attribute: _shown(who.profile.touches[asked.slot]) for asked in self.tests}
        return Reason(
            self.decide(who, now)[0],
            condition="context",
            observed=Observed(values=told),
            test={asked.attribute: asked.test.test for asked in self.tests},
            touch="first" if self.first else "last",
        )


class InSegment(msgspec.Struct, frozen=True):
    """The customer is in another segment, decided before this one in the same decision."""

    key: str
    at: int

    def decide(self, who: CustomerView, now: int) -> Decision:  # noqa: ARG002
        return self.at in who.since, NEVER

    def reason(self, who: CustomerView, now: int) -> Reason:
        since = who.since.get(self.at)
        observed = Observed(since=None if since is None else format_instant(since))
        return Reason(self.decide(who, now)[0], condition="in_segment", observed=observed, test={}, segment=self.key)


class Sample(msgspec.Struct, frozen=True):
    """A stable share of the customers; ``percent`` in 10⁻⁶."""

    percent: int
    salt: str

    def decide(self, who: CustomerView, now: int) -> Decision:  # noqa: ARG002
        digest = sha256(f"{self.salt}\0{who.id}".encode()).digest()
        return int.from_bytes(digest[:8], "big") * 100 * MICRO < self.percent << 64, NEVER

    def reason(self, who: CustomerView, now: int) -> Reason:
        test: dict[str, Shown] = {"percent": shown_number(self.percent), "salt": self.salt}
        return Reason(self.decide(who, now)[0], condition="sample", observed=Observed(), test=test)


def _shown(touch: AttributeValue | None) -> str | None:
    return None if touch is None else touch.shown
