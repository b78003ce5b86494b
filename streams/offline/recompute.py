"""Recomputes the customers of one partition from its input topics.

The one rule: of all that the worker saved, only its positions are used. The rules are the worker's, as they define the
result; fetching, merging, claims and saves are not shared, so their faults show.

One partition is in memory at a time: its customers, and one fetch of each input.

See also: `streams.cli.verify`, which compares the result with Redis, and `streams.offline.rebuild_process`, which puts
it in place of what Redis holds.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from rules.customer import Customer
from rules.engine import Engine
from rules.events import Event, Origin
from rules.identity.dispatch import is_effective, process
from rules.identity.events import CascadedErasure, ProfileMerge
from rules.identity.resolution import Apply, Decider
from rules.placeholders import Placeholders
from streams.kafka.log_reader import Log
from streams.wire import identity_records
from streams.wire.dead_letters import Undecodable
from streams.wire.event_decoder import read
from streams.wire.topics import MERGES


class RecomputedPartition:
    """The customers of a partition that follow from its events, stage by stage."""

    def __init__(
        self,
        logs: Mapping[str, Log],
        engine: Engine,
        partition: int,
        belongs: Callable[[str, int], bool],
        translated: Callable[[ProfileMerge], ProfileMerge | None],
        *,
        erases_later: bool = False,
    ) -> None:
        """``logs``: by the full names of the topics, in their reading order.

        ``translated``: carries a profile that came from another partition over to these definitions, if it can; see
        `streams.state.definition_versions.DefinitionVersions.translated`. ``erases_later``: for `erased_until`, events
        of customers that came again after an erasure stay in memory.
        """
        self.customers: dict[str, Customer] = {}
        # Customers with two events of one millisecond on two inputs: the worker may have read either first.
        self.at_one_instant: set[str] = set()
        # Ids that were erased with a person: the worker may have read newer events before the erasure.
        self.erased_along: set[str] = set()
        self.events = 0
        # Of customers that were erased and came again: their events since, if they are needed.
        self._since_erasure: dict[str, list[Event]] = {}
        self._erases_later = erases_later
        self._engine = engine
        self._belongs = belongs
        apply: Apply = lambda event, customer: engine.apply(event.customer, customer, event)  # noqa: E731
        self._decider = Decider(apply, engine.definitions.fingerprint, translated)
        self._placeholders = engine.definitions.placeholders
        self._touched: set[str] = set()
        self._partition = partition
        self._newest: dict[str, tuple[int, int]] = {}
        self._behind = [0] * len(logs)
        self._logs = logs

    def check(self, positions: Mapping[str, int]) -> int:
        """The number of offsets to read. Raises `Stop` if a log is not the one that the worker has read."""
        for topic, log in self._logs.items():
            log.check(positions[topic])
        return sum(positions.values())

    def steps(self, positions: Mapping[str, int]) -> Iterator[None]:
        """Apply the records before these positions that were not applied yet, one by one in the order of event time.

        The worker merges its inputs in the same order when it has all of them; see `streams.runtime.input_merge`.
        """
        inputs = [log.upto(positions[topic]) for topic, log in self._logs.items()]
        for rank, event in merged(inputs, self._partition, self._behind, self._placeholders):
            self.events += 1
            if event is not None and is_effective(event):
                self._apply(event, rank)
            yield

    def take_touched(self) -> list[str]:
        """The customers that had an event since the last call."""
        touched, self._touched = self._touched, set()
        return list(touched)

    def _apply(self, event: Event, rank: int) -> None:
        customer = self.customers.get(event.customer)
        if customer is None:
            if not self._belongs(event.customer, self._partition):
                return  # a producer used another partitioner; the worker makes a dead letter of it
            customer = self.customers[event.customer] = self._engine.new()
        self._touched.add(event.customer)
        if isinstance(event, CascadedErasure):
            self.erased_along.add(event.customer)
        newest, newest_rank = self._newest.get(event.customer, (0, rank))
        if newest == event.time and newest_rank != rank:
            self.at_one_instant.add(event.customer)
        self._newest[event.customer] = event.time, rank
        process(event, customer, self._decider)
        if self._erases_later:
            self._remember(event, customer)

    def _remember(self, event: Event, customer: Customer) -> None:
        if customer.is_erased:
            self._since_erasure[event.customer] = []
        elif customer.erased:
            self._since_erasure.setdefault(event.customer, []).append(event)

    def erased_until(self, name: str, until: int) -> Customer:
        """The customer as it is where its last erasure deleted all up to ``until`` (ms)."""
        customer = self._engine.new()
        customer.erased = customer.instant = until
        customer.identified = self.customers[name].identified
        for event in self._since_erasure.get(name, ()):
            process(event, customer, self._decider)
        return customer


def merged(
    inputs: Sequence[Iterator[Any]], partition: int, behind: list[int], placeholders: Placeholders
) -> Iterator[tuple[int, Event | None]]:
    """Merge inputs, given in their reading order, by event time; yield each event with the rank of its input.

    `None` stands for a dead letter. ``behind``: by rank, the latest time (ms) read of each input so far, which this
    function updates. A record that is older than it counts as of that time, so records of one input stay in order.
    """

    def timed(rank: int, records: Iterator[Any]) -> Iterator[tuple[int, int, int, Event | None]]:
        for record in records:
            event = _event(record, partition, placeholders)
            if event is not None and event.time > behind[rank]:
                behind[rank] = event.time
            yield behind[rank], rank, record.offset, event  # the first three are unique

    for _, rank, _, event in heapq.merge(*(timed(rank, records) for rank, records in enumerate(inputs))):
        yield rank, event


def _event(record: Any, partition: int, placeholders: Placeholders) -> Event | None:
    """Decode a record as the worker does; `None` if it makes a dead letter of it."""
    if record.topic.endswith(MERGES):
        event = identity_records.read(record.value, record.key, placeholders)
    else:
        origin = Origin(record.topic, partition, record.offset)
        event = read(record.value, record.key, record.timestamp, origin, placeholders)
    return None if isinstance(event, Undecodable) else event
