"""The customers of one partition, made again from its input topics.

The one rule: nothing that the worker saved is used but how far it had read. The rules decide
again, since they are what is recomputed by; fetching, merging, claims and saves are not shared.

One partition is in memory at a time: its customers, and one fetch of each input.
"""

from __future__ import annotations

import heapq
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Self

from kafka import KafkaConsumer, TopicPartition

from rules.engine import Engine
from rules.events import Event, Origin
from rules.identity_events import Erased, Moved
from rules.links import Apply, Decider
from rules.people import act, acts
from rules.placeholders import Placeholders
from rules.standing import Customer
from streams.log_batches import bound_log_batches
from streams.settings import Settings
from streams.stop import Stop, created_anew
from streams.topics import READ, client
from streams.wire import merges
from streams.wire.decode import read
from streams.wire.merges import MERGES

# So long may Kafka give nothing of what is known to be there.
SILENT_MAX_S = 30.0
_POLL_MS = 500
# On a broker that does not know its ends: nothing more for so long is the end.
_QUIET_MS = 1_000
# Handed out at once: each may be a few megabytes once it is unpacked.
_POLL_RECORDS = 50


class Logs:
    """The topics, each with one consumer that reads one partition after the other. Close it at the end."""

    def __init__(self, settings: Settings) -> None:
        bound_log_batches()
        self._settings = settings
        self._consumers: dict[str, Any] = {}

    def open(self, name: str, partition: int) -> Log:
        """A partition of the topic of this name, without prefix; the one opened before is done with."""
        if name not in self._consumers:
            self._consumers[name] = client(
                self._settings,
                KafkaConsumer,
                isolation_level="read_committed",
                enable_auto_commit=False,
                max_poll_records=_POLL_RECORDS,
            )
        place = TopicPartition(self._settings.topic_prefix + name, partition)
        return Log(self._consumers[name], place, exact=self._settings.broker == "kafka")

    def inputs(self, partition: int) -> Mapping[str, Log]:
        """All that workers read of a partition, by full name, in the reading order. Raises `Stop` as `needed_whole`."""
        prefix = self._settings.topic_prefix
        return {prefix + name: self.open(name, partition).needed_whole() for name in READ}

    def close(self) -> None:
        """Close the connections."""
        for consumer in self._consumers.values():
            consumer.close()


class Log:
    """One partition of a topic, read once from the first record that it holds; ``first``: the offset of that."""

    def __init__(self, consumer: Any, tp: TopicPartition, *, exact: bool) -> None:
        """``exact``: whether the broker knows its end offsets exactly."""
        self.name = f"{tp.topic}-{tp.partition}"
        self._consumer, self._tp, self._exact = consumer, tp, exact
        consumer.assign([tp])
        self.first: int = consumer.beginning_offsets([tp])[tp]
        self.end: int = consumer.end_offsets([tp])[tp]
        consumer.seek(tp, self.first)
        self._waiting: deque[Any] = deque()

    def needed_whole(self) -> Self:
        """The same. Raises `Stop` where its first records are gone."""
        if self.first:
            raise Stop(
                f"{self.name} begins at {self.first}: all records are needed, and those before are gone; give topics "
                "a longer retention before more of them go"
            )
        return self

    def check(self, position: int) -> None:
        """Refuse a log that ends before what was read of it."""
        if self._exact and position > self.end:
            raise created_anew(self.name, self.end, position)

    def whole(self) -> Iterator[Any]:
        """All records up to the end; where ends are not exact, until none comes any more."""
        yield from self.upto(self.end)
        while not self._exact and (self._waiting or self._polled(_QUIET_MS)):
            yield self._waiting.popleft()

    def upto(self, end: int) -> Iterator[Any]:
        """The records before ``end`` that were not read yet. Offsets may have holes, also at the end."""
        heard = time.monotonic()
        while True:
            while self._waiting and self._waiting[0].offset < end:
                yield self._waiting.popleft()
                heard = time.monotonic()
            before = self._consumer.position(self._tp)
            if self._waiting or before >= end:
                return
            self._polled(_POLL_MS)
            if self._consumer.position(self._tp) > before:
                heard = time.monotonic()
            elif time.monotonic() - heard > SILENT_MAX_S:
                raise Stop(f"Kafka gave nothing of {self.name} from {before} on in {SILENT_MAX_S:.0f} s; try again")

    def _polled(self, timeout_ms: int) -> bool:
        """Whether records came."""
        for records in self._consumer.poll(timeout_ms=timeout_ms).values():
            self._waiting.extend(records)
        return bool(self._waiting)


class Recomputed:
    """The customers of a partition as the events make them, stage by stage."""

    def __init__(
        self,
        logs: Mapping[str, Log],
        engine: Engine,
        partition: int,
        belongs: Callable[[str, int], bool],
        translated: Callable[[Moved], Moved | None],
    ) -> None:
        """``logs``: by the full names of the topics, in their reading order.

        ``translated``: a profile that came from another partition, as these definitions keep it, if that can be said
        (`streams.epochs.Epochs.translated`).
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
            if event is not None and acts(event):
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
        if isinstance(event, Erased):
            self.erased_along.add(event.customer)
        newest, of_rank = self._newest.get(event.customer, (0, rank))
        if newest == event.time and of_rank != rank:
            self.tied.add(event.customer)
        self._newest[event.customer] = event.time, rank
        act(event, customer, self._decider)


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
