"""Tests of a customer's traits that suppress messages, or that they need.

The one rule: what protects people fails closed. Whatever a trait holds, a message goes out only where it is clear that
it may: a value that cannot be read as the test asks (a word for a flag, a text for a number, no date for an age), and
one of which a part was left out for its size, suppresses and gives no consent.

See also: `streams.triggers.policy`, which asks.
"""

from __future__ import annotations

from typing import TypeVar

import msgspec

from rules.due_times import AgeRange, Years
from rules.forms import value_test_parsing
from rules.times import parse_date
from rules.value_tests import Number, Shown, ValueTest
from rules.values import Json, number, path_of, resolve_path, text
from streams.triggers.traits import TRAIT_MAX_CHARS, Trait

T = TypeVar("T")


class PersonTest(msgspec.Struct, frozen=True):
    """A test of a trait's value, of its age as a date, or both."""

    value: ValueTest | None
    age: AgeRange | Years | None

    def suppresses(self, trait: Trait | None, name: str, now: int) -> bool:
        """Whether a trait of this (dotted) name suppresses at ``now`` (ms). One that is not stated does not."""
        stated = value_of(trait, name)
        if _is_partial(trait, stated):
            return True
        if stated is None and self.value is None:
            return False
        return all((self._may_meet(stated), self._may_be_of_age(stated, now)))

    def consents(self, trait: Trait | None, name: str, now: int) -> bool:
        """Whether a trait of this (dotted) name is all that the test asks for at ``now`` (ms)."""
        stated = value_of(trait, name)
        if _is_partial(trait, stated):
            return False
        return self._meets(stated) and (self.age is None or _is_of_age(self.age, stated, now))

    def _may_meet(self, stated: Json) -> bool:
        """Whether a value meets the test, or cannot be read."""
        test = self.value
        if test is None:
            return True
        if flags := _all_of(bool, test):
            return stated is not None and not any(_is_clearly(stated, not flag) for flag in flags)
        members = stated if isinstance(stated, list) else [stated]
        asks_for_number = test.numbers is not None or bool(_all_of(Number, test))
        if asks_for_number and any(member is not None and number(member) is None for member in members):
            return True
        return test.meets(stated)

    def _may_be_of_age(self, stated: Json, now: int) -> bool:
        if self.age is None:
            return True
        born = _born(stated)
        # A date that lies ahead, which may be today elsewhere, tells no age.
        return born is None or born > now or _is_of_age(self.age, stated, now)

    def _meets(self, stated: Json) -> bool:
        test = self.value
        if test is None:
            return True
        return _is_clearly(stated, test.equals) if isinstance(test.equals, bool) else test.meets(stated)

    @property
    def shown(self) -> Shown:
        """The test as it stands in a file."""
        test = None if self.value is None else self.value.test
        if self.age is None:
            return test
        return {**(test or {}), "age": self.age.test}


def _all_of(kind: type[T], test: ValueTest) -> list[T]:
    """The values that a test looks for, if all of them are of this kind."""
    scalars: list[object] = [value for value in (test.equals, test.contains, *(test.in_ or ())) if value is not None]
    of_kind = [value for value in scalars if isinstance(value, kind)]
    return of_kind if len(of_kind) == len(scalars) else []


def parse(written: object) -> PersonTest:
    """Parse a test as it stands in a file. Raises `ValueError`."""
    return PersonTest(*value_test_parsing.trait_test(written))


def value_of(trait: Trait | None, name: str) -> Json:
    """The value at a dotted name, whose first part is the trait's; ``None``: there is none."""
    _, *rest = path_of(name)
    return resolve_path(None if trait is None else trait.value, tuple(rest))


def _is_partial(trait: Trait | None, stated: Json) -> bool:
    """Whether a part of the value was left out for its size, so that the rest does not tell what it says."""
    if trait is None or not trait.is_cut:
        return False
    return stated is None or isinstance(stated, list | dict) or len(str(stated)) >= TRAIT_MAX_CHARS


def _is_clearly(stated: Json, wanted: bool) -> bool:
    """Whether a value is clearly true, or clearly false: a list is neither, as it may hold both."""
    return not isinstance(stated, list) and ValueTest(equals=wanted).meets(stated)


def _born(stated: Json) -> int | None:
    return parse_date(text(stated))


def _is_of_age(age: AgeRange | Years, stated: Json, now: int) -> bool:
    born = _born(stated)
    return born is not None and age.decide(born, now)[0]
