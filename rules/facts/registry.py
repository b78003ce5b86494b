"""What a set of definitions asks to be kept of a customer.

The one rule: equal wishes share one fact, which is as wide as the widest of them, and each fact
knows the segments that look at it. A fact takes its place in the profile when it is first wished for.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import TypeVar

from msgspec.structs import replace

from rules.facts import (
    CartFact,
    DistinctFact,
    EventFilter,
    ExtremeFact,
    FirstFact,
    OccurrenceFact,
    OrderFact,
    PropertyReader,
    SessionFact,
    StepFact,
    SumFact,
    TouchFact,
    TraitFact,
)
from rules.profile.occurrences import Occurrences
from rules.profile.orders import TOTAL
from rules.profile.profile import Fact, Profile
from rules.profile.steps import SAME_MAX
from rules.profile.sums import Sum
from rules.value_tests import ValueTest
from rules.values import Path

Names = frozenset[str]
Window = int | None
Key = tuple[Hashable, ...]
FactT = TypeVar("FactT", bound=Fact)
T = TypeVar("T")


BITS_MAX = 60  # answers that one stored number holds


class TooMany(ValueError):
    """A file asks for more than can be kept; ``args[0]`` says what, and how many there may be."""


class FactRegistry:
    """Collects wishes. ``segment`` is the place of the segment whose conditions are being read."""

    def __init__(self) -> None:
        self.segment = 0
        self.baseless = 0  # bit i: segment i asks something that no fact answers
        self._facts: dict[Key, Fact] = {}
        self._segments: dict[Key, int] = {}

    def want_nothing(self) -> None:
        """A question that is answered without any fact, such as the date."""
        self.baseless |= 1 << self.segment

    def want_orders(self, picked: EventFilter, window: Window) -> int:
        """These orders; the place of their view. Raises `TooMany`."""
        fact = self._known((OrderFact,), OrderFact(window, (), ()))
        views, view = _with(fact.views, picked)
        if len(views) > BITS_MAX:
            raise TooMany(f"a file asks for orders in at most {BITS_MAX} different ways (where, currency)")
        self._facts[OrderFact,] = replace(fact, window=_longer(fact.window, window), views=views)
        return view

    def want_completions(self, window: int) -> None:
        """Which orders were completed within ``window`` (ms), for segments with a minimum stay, which an order ends."""
        fact = self._known((OrderFact,), OrderFact(window, (), ()))
        self._facts[OrderFact,] = replace(fact, window=_longer(fact.window, window))

    def want_of_orders(self, reading: PropertyReader) -> int:
        """A property of orders that are wanted; its place as `rules.profile.orders.value_of` takes it."""
        fact = self._known((OrderFact,), OrderFact(0, (), ()))
        readings, place = _with(fact.readings, reading)
        if len(readings) > BITS_MAX:
            raise TooMany(f"a file reads at most {BITS_MAX} different properties of orders")
        self._facts[OrderFact,] = replace(fact, readings=readings)
        return TOTAL + 1 + place

    def want_cart(self, *, prices: bool) -> None:
        """The cart; ``prices``: of its products, too."""
        fact = self._known((CartFact,), CartFact(prices))
        self._facts[CartFact,] = CartFact(fact.prices or prices)

    def want_sessions(self, gap: int, window: int) -> int:
        """Sessions with this gap; their slot."""
        key = (SessionFact, gap)
        fact = self._known(key, SessionFact(self._count(SessionFact), gap, window))
        self._facts[key] = replace(fact, window=max(fact.window, window))
        return fact.slot

    def want_occurrences(self, names: Names, picked: EventFilter, window: Window, keep: int) -> int:
        """The newest ``keep`` of these events; their slot."""
        key = (OccurrenceFact, names, picked)
        fact = self._known(key, OccurrenceFact(self._count(OccurrenceFact), names, picked, window, keep))
        self._facts[key] = replace(fact, window=_longer(fact.window, window), keep=max(fact.keep, keep))
        return fact.slot

    def want_first(self, names: Names, picked: EventFilter) -> int:
        """The earliest of these events; its slot."""
        key = (FirstFact, names, picked)
        return self._known(key, FirstFact(self._count(FirstFact), names, picked)).slot

    def want_sum(self, names: Names, picked: EventFilter, reading: PropertyReader, window: Window) -> int:
        """Sums of a property; their slot."""
        key = (SumFact, names, picked, reading)
        fact = self._known(key, SumFact(self._count(SumFact), names, picked, reading, window))
        self._facts[key] = replace(fact, window=_longer(fact.window, window))
        return fact.slot

    def want_extreme(
        self, names: Names, picked: EventFilter, reading: PropertyReader, window: Window, *, greatest: bool
    ) -> int:
        """The greatest or least of a property; its slot."""
        key = (ExtremeFact, names, picked, reading, window, greatest)
        return self._known(key, ExtremeFact(self._count(ExtremeFact), names, picked, reading, window, greatest)).slot

    def want_distinct(self, names: Names, picked: EventFilter, reading: PropertyReader, window: Window) -> int:
        """The different values of a property; their slot."""
        key = (DistinctFact, names, picked, reading)
        fact = self._known(key, DistinctFact(self._count(DistinctFact), names, picked, reading, window))
        self._facts[key] = replace(fact, window=_longer(fact.window, window))
        return fact.slot

    def want_steps(
        self, steps: tuple[tuple[Names, EventFilter], ...], same: Path | None, window: Window, *, thin: bool
    ) -> int:
        """The events that can be these steps; their slot."""
        key = (StepFact, steps, same, window, thin)
        names = sorted(frozenset[str]().union(*(step_names for step_names, _ in steps)))
        masks = {
            name: tuple((at, picked) for at, (step_names, picked) in enumerate(steps) if name in step_names)
            for name in names
        }
        reading = None if same is None else PropertyReader(same, distinct=True, most=SAME_MAX)
        ends = 1 << (len(steps) - 1) if thin else 0
        return self._known(key, StepFact(self._count(StepFact), masks, reading, window, ends, thin)).slot

    def want_trait(self, path: Path, test: ValueTest) -> tuple[int, int]:
        """A test of a trait; its slot and the bit that answers it."""
        key = self._with_room(TraitFact, path[0], (path[1:], test))
        fact = self._known(key, TraitFact(self._count(TraitFact), path[0], (), ()))
        tests, bit = _with(fact.tests, (path[1:], test))
        self._facts[key] = replace(fact, tests=tests)
        return fact.slot, bit

    def want_date(self, path: Path) -> tuple[int, int]:
        """A trait that is a date; its slot and its place among the dates."""
        key = (TraitFact, path[0], 0)
        fact = self._known(key, TraitFact(self._count(TraitFact), path[0], (), ()))
        dates, at = _with(fact.dates, path[1:])
        self._facts[key] = replace(fact, dates=dates)
        return fact.slot, at

    def want_touch(self, attribute: str, test: ValueTest, *, first: bool) -> tuple[int, int]:
        """A test of a context's attribute; its slot and the bit that answers it."""
        key = self._with_room(TouchFact, (attribute, first), test)
        fact = self._known(key, TouchFact(self._count(TouchFact), attribute, first, ()))
        tests, bit = _with(fact.tests, test)
        self._facts[key] = replace(fact, tests=tests)
        return fact.slot, bit

    @property
    def by_key(self) -> Mapping[Key, Fact]:
        """Each fact by what tells it from others, whatever its place and however wide it is."""
        return self._facts

    def kept(self) -> list[tuple[Fact, int]]:
        """Each fact with the segments that look at it (bit i: segment i), once all has been wished for."""
        return [(fact, self._segments[key]) for key, fact in self._facts.items()]

    def empty(self) -> Profile:
        """A profile without events, with a place for every fact."""
        return Profile(
            sessions=[[] for _ in range(self._count(SessionFact))],
            occurrences=[Occurrences() for _ in range(self._count(OccurrenceFact))],
            firsts=[0] * self._count(FirstFact),
            sums=[Sum() for _ in range(self._count(SumFact))],
            extremes=[[] for _ in range(self._count(ExtremeFact))],
            distincts=[{} for _ in range(self._count(DistinctFact))],
            steps=[[] for _ in range(self._count(StepFact))],
            traits=[None] * self._count(TraitFact),
            touches=[None] * self._count(TouchFact),
        )

    def _known(self, key: Key, new: FactT) -> FactT:
        self._segments[key] = self._segments.get(key, 0) | 1 << self.segment
        known = self._facts.setdefault(key, new)
        assert isinstance(known, type(new))
        return known

    def _with_room(self, kind: type[TraitFact | TouchFact], of: Hashable, test: object) -> Key:
        """The key of the fact that answers this test, or has room for one more."""
        group = 0
        while True:
            known = self._facts.get((kind, of, group))
            if not isinstance(known, TraitFact | TouchFact) or test in known.tests or len(known.tests) < BITS_MAX:
                return (kind, of, group)
            group += 1

    def _count(self, kind: type[Fact]) -> int:
        return sum(key[0] is kind for key in self._facts)


def _with(known: tuple[T, ...], one: T) -> tuple[tuple[T, ...], int]:
    """With one more unless it is among them, and where it is."""
    known = known if one in known else (*known, one)
    return known, known.index(one)


def _longer(window: Window, other: Window) -> Window:
    return None if window is None or other is None else max(window, other)
