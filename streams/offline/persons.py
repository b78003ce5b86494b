"""Persons of several ids, judged by the input topics alone.

What a person is comes over the internal topic `merges`, so a comparison that reads `merges` would repeat whatever went
wrong there: a profile that was counted twice, an event that was never sent on. Here each person is made again from the
events of all its ids under one name, as if there had been one id ever since. Facts do not depend on their order, so
that is the membership that the owners must have come to.

    Redis   phone: redirect to ann · ann: in `buyer`
    inputs  phone: Order Completed · ann: Order Completed    → one customer `ann` of two orders: in `buyer`

Not claimed is a person whose links depend on the order in which they were read: an id that several persons had, that
is of its own again, was erased or parted, or of which something may still be on its way.

See also: `streams.offline.recompute`, which makes each id again, with `merges` as an input.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping

import msgspec

from rules.engine import Engine
from rules.events import INPUTS, UNNAMED, WITHOUT_EFFECT, Event
from rules.identity.events import Misaddressed
from rules.placeholders import Placeholders
from rules.standing import Customer
from streams.kafka.log_reader import Logs
from streams.offline.recompute import merged
from streams.offline.verification import Difference, StoredValue, is_in
from streams.wire import customers

# What a person's newest event was before the clocks that were read: by then nothing of it is on its way any more.
QUIET_MS = 60_000
# Persons that are in memory at once; more are made again in further passes over the topics.
PASS_MAX = 100_000


class KnownPerson(msgspec.Struct, frozen=True):
    """A customer to which other ids were linked, as Redis holds it at ``clock`` (ms)."""

    segments: frozenset[str]
    clock: int
    moves: frozenset[int]  # the times (ms) of the links whose profiles it took in


class PersonInputs:
    """The input topics without `merges`, up to where each partition had read when its customers were read."""

    def __init__(
        self, logs: Logs, prefix: str, belongs: Callable[[str, int], bool], placeholders: Placeholders
    ) -> None:
        self._logs = logs
        self._prefix = prefix
        self._belongs = belongs
        self._placeholders = placeholders
        self._positions: dict[int, Mapping[str, int]] = {}

    def note(self, partition: int, positions: Mapping[str, int]) -> None:
        """How far a partition had read, by the full names of its inputs."""
        self._positions[partition] = positions

    def events(self) -> Iterator[Event]:
        """All of them, one partition after the other. Raises `Stop`."""
        for partition, positions in self._positions.items():
            inputs = [
                self._logs.open(name, partition).needed_whole().upto(positions[self._prefix + name]) for name in INPUTS
            ]
            for _, event in merged(inputs, partition, [0] * len(inputs), self._placeholders):
                if isinstance(event, Misaddressed) or (event is not None and self._belongs(event.customer, partition)):
                    yield event


class Persons:
    """Gathers what Redis holds of persons of several ids, and compares it with the inputs."""

    def __init__(self, engine: Engine) -> None:
        self.compared = 0
        self.unclaimed = 0
        self.ended: set[str] = set()  # ids that were linked and are of their own again
        self._engine = engine
        self._redirects: dict[str, tuple[str, int]] = {}
        self._persons: dict[str, KnownPerson] = {}
        self._uncertain: set[str] = set()  # ids whose links depend on the order of reading
        self._clock = 0

    @property
    def has_any(self) -> bool:
        """Whether an id was linked to another."""
        return bool(self._redirects)

    def note(self, name: str, stored: StoredValue, clock: int) -> None:
        """One stored customer, at the clock of its moment (ms)."""
        customer = customers.decode(stored.value)
        self._clock = min(self._clock or clock, clock)
        if _is_uncertain(customer):
            self._uncertain.add(name)
        if customer.into is None and customer.linkage is not None and customer.linkage.left:
            self.ended.add(name)
        if customer.into is not None:
            self._redirects[name] = customer.into
        elif customer.links or customer.linkage is not None:
            moves = frozenset(customer.linkage.taken.values() if customer.linkage is not None else ())
            self._engine.fire(name, customer, clock)
            self._persons[name] = KnownPerson(frozenset(self._engine.membership(customer)), clock, moves)

    def differences(self, inputs: PersonInputs, unclaimed: Collection[str]) -> Iterator[Difference]:
        """What the inputs say otherwise; ``unclaimed``: segments of which they say nothing. Raises `Stop`."""
        persons = self._claimed()
        names = sorted(persons)
        for start in range(0, len(names), PASS_MAX):
            part = names[start : start + PASS_MAX]
            yield from self._compare({name: persons[name] for name in part}, inputs, unclaimed)

    def _claimed(self) -> Mapping[str, frozenset[str]]:
        """By person, all ids of it, where nothing of them depends on the order of reading."""
        ids: dict[str, set[str]] = {}
        for former in self._redirects:
            ids.setdefault(self._root(former), {former}).add(former)
        claimed: dict[str, frozenset[str]] = {}
        for name, formers in ids.items():
            person = self._persons.get(name)
            links = {self._redirects[former][1] for former in formers}
            is_certain = not self._uncertain & {name, *formers}
            if person is not None and is_certain and person.moves <= links:
                claimed[name] = frozenset({name, *formers})
            else:
                self.unclaimed += 1
        return claimed

    def _root(self, name: str) -> str:
        """The id that a chain of redirects ends at."""
        passed = {name}
        while name in self._redirects:
            name = self._redirects[name][0]
            if name in passed:
                break  # a ring that nothing has come round yet: no person of it is known
            passed.add(name)
        return name

    def _compare(
        self, persons: Mapping[str, frozenset[str]], inputs: PersonInputs, unclaimed: Collection[str]
    ) -> Iterator[Difference]:
        whose = {one: name for name, ids in persons.items() for one in ids}
        made: dict[str, Customer] = {}
        newest: dict[str, int] = {}
        for event in inputs.events():
            name = whose.get(event.customer)
            if name is not None:
                customer = made.setdefault(name, self._engine.new())
                newest[name] = max(newest.get(name, 0), event.time)
                if event.name not in WITHOUT_EFFECT and event.name != UNNAMED:
                    self._engine.apply(name, customer, event)
        for name, customer in made.items():
            if newest[name] > self._clock - QUIET_MS:
                self.unclaimed += 1
                continue
            self.compared += 1
            yield from self._one(name, customer, unclaimed)

    def _one(self, name: str, customer: Customer, unclaimed: Collection[str]) -> Iterator[Difference]:
        known = self._persons[name]
        self._engine.fire(name, customer, known.clock)
        right = set(self._engine.membership(customer))
        for key in sorted((right ^ known.segments) - set(unclaimed)):
            says = {True: is_in(0), False: is_in(None)}
            yield Difference(name, f"{key}, by all ids", says[key in right], says[key in known.segments], "")


def _is_uncertain(customer: Customer) -> bool:
    linkage = customer.linkage
    if customer.erased or customer.ahead is not None:
        return True
    return linkage is not None and bool(
        linkage.left or linkage.shared or linkage.separated or linkage.arriving or linkage.taken_since
    )
