"""The registry of facts that a set of definitions requires.

Equal requirements share one fact, which is as wide as the widest of them, and the registry knows the segments that
depend on each fact. A fact gets its place in the profile when it is first required.

See also: `rules.facts.base`, which says what a kind of fact brings along.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from rules.facts.base import Fact, Key
from rules.profile.profile import Profile

FactT = TypeVar("FactT", bound=Fact)

BITS_MAX = 60  # answers that one stored number holds


class TooMany(ValueError):
    """A file requires more facts than can be stored; ``args[0]`` says of what, and how many there may be."""


class FactRegistry:
    """Collects facts. ``segment`` is the index of the segment whose conditions are being read.

    ``currency``: that of the file.
    """

    def __init__(self, currency: str | None = None) -> None:
        self.currency = currency
        self.segment = 0
        self.baseless = 0  # bit i: segment i has a condition that is decided without any fact
        self._facts: dict[Key, Fact] = {}
        self._segments: dict[Key, int] = {}

    def require_nothing(self) -> None:
        """Note a condition that is decided without any fact, such as one of the date."""
        self.baseless |= 1 << self.segment

    def require(self, wish: FactT) -> FactT:
        """Require a fact for the segment. Returns the shared fact, in its place."""
        key = wish.key
        shared = self._facts.get(key)
        if shared is None:
            fact = wish.placed(sum(other[0] is key[0] for other in self._facts))
        else:
            assert isinstance(shared, type(wish))
            fact = shared.widened(wish)
        self._facts[key] = fact
        self._segments[key] = self._segments.get(key, 0) | 1 << self.segment
        return fact

    @property
    def by_key(self) -> Mapping[Key, Fact]:
        """The facts by their keys."""
        return self._facts

    def with_segments(self) -> list[tuple[Fact, int]]:
        """The facts with the segments that depend on each (bit i: segment i), once all are required."""
        return [(fact, self._segments[key]) for key, fact in self._facts.items()]

    def empty(self) -> Profile:
        """A profile without events, with a place for every fact."""
        profile = Profile()
        for fact in self._facts.values():
            fact.make_room(profile)
        return profile
