"""The interface of facts: data of events, its place and bounds in a profile, and its migration to the next file.

All parts of a kind are in its module. To add one: its class in a module of this package, its place as a new last
field of `rules.profile.profile.Profile`, and a condition that requires it from the `rules.facts.registry.FactRegistry`.

See also: `rules.profile`, which has the data of each kind and the functions that keep it within its bounds.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Hashable, Mapping
from typing import Any, Protocol, Self

import msgspec

from rules.events import Event
from rules.profile.profile import Profile

Names = frozenset[str]
Window = int | None  # in ms; None: for ever
Key = tuple[Hashable, ...]
# Copies a fact from a profile of a former file into one of the next file.
Carry = Callable[[Profile, Profile], None]

UNPLACED = -1


class Fact(Protocol):
    """A fact that the definitions need: its kind, with its parameters."""

    @property
    def key(self) -> Key:
        """The key that identifies the fact, without its place and width; its class comes first."""

    @property
    def names(self) -> Names | None:
        """The names of events that change the fact; ``None``: any may."""

    @property
    def bytes_most(self) -> int:
        """About how many bytes the fact takes in a stored customer at its bound.

        Measured on msgpack with message ids of 36 characters and other ids of 10.
        """

    def apply(self, profile: Profile, event: Event) -> bool:
        """Apply an event to a profile; whether a decision may now be another. A repeat changes nothing."""

    def merge(self, profile: Profile, other: Profile) -> None:
        """Merge ``other`` into ``profile``, as if all events of both had been applied to it."""

    def placed(self, slot: int) -> Self:
        """Return this fact in a slot: the number of facts of its kind that were placed before it."""

    def widened(self, wish: Self) -> Self:
        """Return this fact, widened so that it also serves another requirement of the same key."""

    def make_room(self, profile: Profile) -> None:
        """Add the place of this fact to a new profile. Called for all facts in the order of their slots."""

    def carrying(self, former: Former) -> Carry | None:
        """A function that copies the fact from a profile of former definitions; ``None``: they did not have it."""

    def missing_history(self, former: Former) -> Window | bool:
        """How long (ms) it matters that former definitions did not store all of the fact.

        ``None``: for ever. ``False``: they stored all that is needed.
        """


# The facts of a former file, by their keys.
Former = Mapping[Key, Fact]


class SlottedFact(msgspec.Struct, frozen=True, kw_only=True):
    """A fact that has one slot of a list in the profile, and is copied to the next file unchanged."""

    slot: int = UNPLACED

    @property
    @abstractmethod
    def key(self) -> Key:
        """See `Fact.key`."""

    @staticmethod
    @abstractmethod
    def slots(profile: Profile) -> list[Any]:
        """The list of the profile in which facts of this kind have their slots."""

    @staticmethod
    @abstractmethod
    def empty() -> object:
        """The content of a slot before the first event."""

    def placed(self, slot: int) -> Self:
        return msgspec.structs.replace(self, slot=slot)

    def widened(self, wish: Self) -> Self:  # noqa: ARG002 (the key says all; a kind that can be wider says how)
        return self

    def make_room(self, profile: Profile) -> None:
        self.slots(profile).append(self.empty())

    def carrying(self, former: Former) -> Carry | None:
        was: Any = former.get(self.key)  # a fact of the same class, which is a part of the key
        if was is None:
            return None
        source, target = was.slot, self.slot

        def carry(old: Profile, new: Profile) -> None:
            self.slots(new)[target] = self.slots(old)[source]

        return carry


def longer(window: Window, other: Window) -> Window:
    """The longer of two windows."""
    return None if window is None or other is None else max(window, other)


def covers(window: Window, needed: Window) -> bool:
    """Whether a window is at least as long as another one."""
    return window is None or (needed is not None and needed <= window)


def including(members: tuple[Any, ...], others: tuple[Any, ...]) -> tuple[Any, ...]:
    """The members, then those of the others that are not among them."""
    return members + tuple(member for member in dict.fromkeys(others) if member not in members)
