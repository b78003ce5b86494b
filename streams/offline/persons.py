"""Checks persons of several ids by the input topics alone.

Which ids are one person is published on the internal topic `merges`, so a comparison that reads `merges` would repeat
whatever went wrong there: a profile that was counted twice, an event that was never sent on. Here each person is
recomputed from the events of all its ids under one name, as if it always had one id. Facts do not depend on the order
of events, so the owners of the partitions must have come to the same membership.

    Redis   phone: redirect to ann · ann: in `buyer`
    inputs  phone: Order Completed · ann: Order Completed    → one customer `ann` of two orders: in `buyer`

A person is not compared if its links depend on the order in which they were read: one of its ids belonged to several
persons, was unlinked or erased, or may still have records that another partition has not read yet.

See also: `streams.offline.recompute`, which recomputes each id, with `merges` as an input.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping

import msgspec

from rules.customer import Customer
from rules.engine import Engine
from rules.event_names import INPUTS, UNNAMED, WITHOUT_EFFECT
from rules.events import Event
from rules.identity.events import Misaddressed
from rules.placeholders import Placeholders
from streams.kafka.log_reader import Logs
from streams.offline.recompute import merged
from streams.offline.verification import Difference, StoredValue, is_in
from streams.wire import customer_codec

# A person is compared if its newest event is older than the clocks by this much: by then every partition has read what
# the others sent it of that event.
QUIET_MS = 60_000
# Persons in memory at once; more are recomputed in further passes over the topics.
PASS_MAX = 100_000


class StoredPerson(msgspec.Struct, frozen=True):
    """A customer to which other ids were linked, as stored in Redis at ``clock`` (ms)."""

    segments: frozenset[str]
    clock: int
    moves: frozenset[int]  # the times (ms) of the links whose profiles it took in


class PersonInputs:
    """The input topics without `merges`, up to the positions at which the customers of each partition were read."""

    def __init__(
        self, logs: Logs, prefix: str, belongs: Callable[[str, int], bool], placeholders: Placeholders
    ) -> None:
        self._logs = logs
        self._prefix = prefix
        self._belongs = belongs
        self._placeholders = placeholders
        self._positions: dict[int, Mapping[str, int]] = {}

    def note(self, partition: int, positions: Mapping[str, int]) -> None:
        """Remember the positions of a partition, by the full names of its inputs."""
        self._positions[partition] = positions

    def events(self) -> Iterator[Event]:
        """Read all events, one partition after the other. Raises `Stop`."""
        for partition, positions in self._positions.items():
            inputs = [
                self._logs.open(name, partition).needed_whole().upto(positions[self._prefix + name]) for name in INPUTS
            ]
            for _, event in merged(inputs, partition, [0] * len(inputs), self._placeholders):
                if event is None:
                    continue
                # The worker sends an event under the key of another customer on to the partition of its own.
                if isinstance(event, Misaddressed) or self._belongs(event.customer, partition):
                    yield event


class Persons:
    """Collects persons of several ids from Redis, and compares them with the inputs."""

    def __init__(self, engine: Engine) -> None:
        self.compared = 0
        self.uncompared = 0
        self.ended: set[str] = set()  # ids that were linked and then unlinked
        self._engine = engine
        self._redirects: dict[str, tuple[str, int]] = {}
        self._persons: dict[str, StoredPerson] = {}
        self._uncertain: set[str] = set()  # ids whose links depend on the order of reading
        self._clock = 0

    @property
    def has_any(self) -> bool:
        """Whether an id was linked to another."""
        return bool(self._redirects)

    def note(self, name: str, stored: StoredValue, clock: int) -> None:
        """Remember a stored customer; ``clock``: of the partition when it was read (ms)."""
        customer = customer_codec.decode(stored.value)
        self._clock = min(self._clock or clock, clock)
        if _is_uncertain(customer):
            self._uncertain.add(name)
        if customer.merged_into is None and customer.linkage is not None and customer.linkage.left:
            self.ended.add(name)
        if customer.merged_into is not None:
            self._redirects[name] = customer.merged_into
        elif customer.links or customer.linkage is not None:
            moves = frozenset(customer.linkage.taken.values() if customer.linkage is not None else ())
            self._engine.fire(name, customer, clock)
            self._persons[name] = StoredPerson(frozenset(self._engine.membership(customer)), clock, moves)

    def differences(self, inputs: PersonInputs, uncompared: Collection[str]) -> Iterator[Difference]:
        """Yield what follows from the inputs otherwise than it is stored. Raises `Stop`.

        ``uncompared``: the segments that are not compared, by key.
        """
        persons = self._comparable()
        names = sorted(persons)
        for start in range(0, len(names), PASS_MAX):
            part = names[start : start + PASS_MAX]
            yield from self._compare({name: persons[name] for name in part}, inputs, uncompared)

    def _comparable(self) -> Mapping[str, frozenset[str]]:
        """By person, all of its ids; without the persons whose links depend on the order of reading."""
        ids: dict[str, set[str]] = {}
        for former in self._redirects:
            ids.setdefault(self._root(former), {former}).add(former)
        comparable: dict[str, frozenset[str]] = {}
        for name, formers in ids.items():
            person = self._persons.get(name)
            links = {self._redirects[former][1] for former in formers}
            is_certain = not self._uncertain & {name, *formers}
            if person is not None and is_certain and person.moves <= links:
                comparable[name] = frozenset({name, *formers})
            else:
                self.uncompared += 1
        return comparable

    def _root(self, name: str) -> str:
        """Follow the chain of redirects from an id to its end."""
        passed = {name}
        while name in self._redirects:
            name = self._redirects[name][0]
            if name in passed:
                break  # the ids redirect in a ring for now, so none of them is a person; see `_comparable`
            passed.add(name)
        return name

    def _compare(
        self, persons: Mapping[str, frozenset[str]], inputs: PersonInputs, uncompared: Collection[str]
    ) -> Iterator[Difference]:
        recomputed, newest = self._recompute(persons, inputs)
        for name, customer in recomputed.items():
            if newest[name] > self._clock - QUIET_MS:
                self.uncompared += 1
                continue
            self.compared += 1
            yield from self._compare_person(name, customer, uncompared)

    def _recompute(
        self, persons: Mapping[str, frozenset[str]], inputs: PersonInputs
    ) -> tuple[dict[str, Customer], dict[str, int]]:
        """By person, the customer of all events of its ids, and the time (ms) of the newest of them."""
        person_of = {customer_id: name for name, ids in persons.items() for customer_id in ids}
        recomputed: dict[str, Customer] = {}
        newest: dict[str, int] = {}
        for event in inputs.events():
            name = person_of.get(event.customer)
            if name is None:
                continue
            customer = recomputed.setdefault(name, self._engine.new())
            newest[name] = max(newest.get(name, 0), event.time)
            if event.name not in WITHOUT_EFFECT and event.name != UNNAMED:
                self._engine.apply(name, customer, event)
        return recomputed, newest

    def _compare_person(self, name: str, recomputed: Customer, uncompared: Collection[str]) -> Iterator[Difference]:
        person = self._persons[name]
        self._engine.fire(name, recomputed, person.clock)
        by_events = set(self._engine.membership(recomputed))
        for key in sorted((by_events ^ person.segments) - set(uncompared)):
            text = {True: is_in(0), False: is_in(None)}
            yield Difference(name, f"{key}, by all ids", text[key in by_events], text[key in person.segments], "")


def _is_uncertain(customer: Customer) -> bool:
    """Whether the order of reading may have decided what belongs to this customer."""
    linkage = customer.linkage
    if customer.erased or customer.published_ahead is not None:
        return True
    return linkage is not None and bool(
        linkage.left or linkage.shared or linkage.separated or linkage.arriving or linkage.taken_since
    )
