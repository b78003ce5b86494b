"""What every kind of fact is: what it remembers of events, where, how much, and how it survives a change of files.

Everything that a kind needs stands with it. To add one: its class in a module of this package, its place as a new last
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
    """One kind of fact that the definitions need, with the parameters that they need it with."""

    @property
    def key(self) -> Key:
        """What tells it from others, whatever its place and however wide it is; its class comes first."""

    @property
    def names(self) -> Names | None:
        """The event names that change it; ``None``: any may."""

    @property
    def bytes_most(self) -> int:
        """About how many bytes of a stored customer it takes at its bound.

        Measured on msgpack with message ids of 36 characters and other ids of 10.
        """

    def apply(self, profile: Profile, event: Event) -> bool:
        """Remember the event; whether a decision may now be another. A repeat changes nothing."""

    def merge(self, profile: Profile, other: Profile) -> None:
        """Make ``profile`` what the events of both would have made."""

    def placed(self, slot: int) -> Self:
        """The same fact in a slot: the number of facts of its kind that were placed before it."""

    def widened(self, wish: Self) -> Self:
        """This fact, so wide that it serves a wish of the same key as well."""

    def make_room(self, profile: Profile) -> None:
        """Give a new profile the place of this fact. Called for all facts in the order of their slots."""

    def carrying(self, former: Former) -> Carry | None:
        """What copies it from a profile of former definitions; ``None``: they did not have it."""

    def missing_history(self, former: Former) -> Window | bool:
        """How long (ms) it makes a difference that former definitions did not keep all of it.

        ``None``: for good. ``False``: they remembered all that is needed.
        """


# The facts of a former file, by their keys.
Former = Mapping[Key, Fact]


class SlottedFact(msgspec.Struct, frozen=True, kw_only=True):
    """A fact that has one slot of a list in the profile, and is carried over as it is."""

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
        """What a slot holds before the first event."""

    def placed(self, slot: int) -> Self:
        return msgspec.structs.replace(self, slot=slot)

    def widened(self, wish: Self) -> Self:  # noqa: ARG002 (the key says all; a kind that can be wider says how)
        return self

    def make_room(self, profile: Profile) -> None:
        self.slots(profile).append(self.empty())

    def carrying(self, former: Former) -> Carry | None:
        was: Any = former.get(self.key)  # of the same class, which is a part of the key
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
    """Whether a window is as long as is needed."""
    return window is None or (needed is not None and needed <= window)


def including(members: tuple[Any, ...], others: tuple[Any, ...]) -> tuple[Any, ...]:
    """The members, then those of the others that are not among them."""
    return members + tuple(member for member in dict.fromkeys(others) if member not in members)
