"""The customers of one partition, made again from its input topics.

The one rule: nothing that the worker saved is used but how far it had read. The rules decide
again, since they are what is recomputed by; fetching, merging, claims and saves are not shared.

One partition is in memory at a time: its customers, and one fetch of each input.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from rules.engine import Engine
from rules.events import Event, Origin
from rules.identity.events import CascadedErasure, ProfileMerge
from rules.identity.links import Apply, Decider
from rules.identity.resolution import is_effective, process
from rules.placeholders import Placeholders
from rules.standing import Customer
from streams.kafka.log_reader import Log
from streams.wire import merges
from streams.wire.decode import read
from streams.wire.topics import MERGES


class Recomputed:
    """The customers of a partition as the events make them, stage by stage."""

    def __init__(
        self,
        logs: Mapping[str, Log],
        engine: Engine,
        partition: int,
        belongs: Callable[[str, int], bool],
        translated: Callable[[ProfileMerge], ProfileMerge | None],
    ) -> None:
        """``logs``: by the full names of the topics, in their reading order.

        ``translated``: a profile that came from another partition, as these definitions keep it, if that can be said
        (`streams.state.definition_versions.DefinitionVersions.translated`).
        """
        self.customers: dict[str, Customer] = {}
        # Who has two events of one millisecond on two inputs: either may have been read first.
        self.tied: set[str] = set()
        # Ids which were erased with a person: the worker may have read newer events before it learned of that.
        self.erased_along: set[str] = set()
        self.events = 0
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
        """How many offsets there are to read. Raises `Stop` when a log is not the one that was read."""
        for topic, log in self._logs.items():
            log.check(positions[topic])
        return sum(positions.values())

    def steps(self, positions: Mapping[str, int]) -> Iterator[None]:
        """Apply what stands before these positions and was not applied yet, record by record in the order of its times.

        As the worker merges it with all of it in hand; within an input records keep their order.
        """
        inputs = [log.upto(positions[topic]) for topic, log in self._logs.items()]
        for rank, event in merged(inputs, self._partition, self._behind, self._placeholders):
            self.events += 1
            if event is not None and is_effective(event):
                self._apply(event, rank)
            yield

    def taken(self) -> list[str]:
        """Who had an event since this was asked last."""
        touched, self._touched = self._touched, set()
        return list(touched)

    def _apply(self, event: Event, rank: int) -> None:
        customer = self.customers.get(event.customer)
        if customer is None:
            if not self._belongs(event.customer, self._partition):
                return
            customer = self.customers[event.customer] = self._engine.new()
        self._touched.add(event.customer)
        if isinstance(event, CascadedErasure):
            self.erased_along.add(event.customer)
        newest, of_rank = self._newest.get(event.customer, (0, rank))
        if newest == event.time and of_rank != rank:
            self.tied.add(event.customer)
        self._newest[event.customer] = event.time, rank
        process(event, customer, self._decider)


def merged(
    inputs: Sequence[Iterator[Any]], partition: int, behind: list[int], placeholders: Placeholders
) -> Iterator[tuple[int, Event | None]]:
    """The records of inputs, given in their reading order, in the order of their times, each with its input's rank.

    `None` stands for a dead letter. ``behind``: by rank, the latest time (ms) read of each input so far, kept up here:
    within an input records keep their order.
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
    """`None`: a dead letter, here as there."""
    if record.topic.endswith(MERGES):
        what = merges.read(record.value, record.key, placeholders)
    else:
        origin = Origin(record.topic, partition, record.offset)
        what = read(record.value, record.key, record.timestamp, origin, placeholders)
    return None if isinstance(what, str) else what
