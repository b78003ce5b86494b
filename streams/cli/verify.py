"""``segmenter verify``: recomputes all customers from Kafka, and compares them with Redis and with published changes.

The one rule: it only reads, so it may run beside workers.

    1. Redis is read first, in slices; each slice is of one moment, with the positions of the inputs at it.
    2. The changes on their topic are read, then those that Redis still held back.
    3. The recomputation passes the positions of each slice in turn, and the customers of the slice are compared there.

So a customer that changes meanwhile is never taken for a difference. The rules are the worker's, since they define the
result; all other code between the topics and Redis is not shared. One partition is in memory at a time.

See also: `streams.offline.verification`, what is compared; `streams.offline.recompute`, the recomputation.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from contextlib import closing
from functools import partial
from typing import Any

from rules.engine import Engine
from streams.cli.input_files import visible
from streams.cli.terminal import show
from streams.kafka import admin
from streams.kafka.client import answering
from streams.kafka.log_reader import Log, Logs
from streams.kafka.partitioner import belonging
from streams.offline.changelog_fold import ChangelogFold
from streams.offline.partition_snapshot import PartitionSnapshot, SnapshotSlice, read, stored_now
from streams.offline.persons import PersonInputs, Persons
from streams.offline.recompute import RecomputedPartition
from streams.offline.verification import NOTHING, Comparison, Difference, counts_by_subject, missing, order_counts
from streams.rights.process_rights import NEEDS
from streams.settings import Settings
from streams.settings.definitions_file import load
from streams.state import definition_list
from streams.state.contract import Identity
from streams.state.definition_versions import DefinitionVersions
from streams.wire.topics import CHANGES

_PROGRESS_EVERY_S = 2.0
# How many unlinked ids the summary names.
_ENDED_SHOWN = 10


def run(settings: Settings, first: int) -> int:
    """Verify all partitions, and print the ``first`` differences; exit code 1 if there is one. Raises `Stop`."""
    engine = Engine(load(settings.definitions))
    topics = admin.verify(settings, NEEDS["verify"].topics)
    identity = topics.identity(settings, engine.definitions.fingerprint)
    logs = Logs(settings)
    verification = Verification(settings, engine, identity, logs)
    differences: list[Difference] = []
    with answering(settings), closing(logs):
        for partition in range(identity.partitions):
            differences += verification.partition(partition)
        differences += verification.persons()
    for difference in differences[:first]:
        print(line(difference))
    if len(differences) > first:
        print(f"… and {len(differences) - first:,} more")
    show(verification.summary(differences))
    return 1 if differences else 0


def line(difference: Difference) -> str:
    """Describe a difference: the customer, what differs, and what each source says of it."""
    by_source = {"recomputed": difference.recomputed, "Redis": difference.stored, "topic": difference.folded}
    values = "; ".join(f"{source}: {visible(value)}" for source, value in by_source.items() if value)
    return f"{visible(difference.customer)}  {difference.subject}  {values}"


class Verification:
    """Verifies all partitions, one after the other, and sums up."""

    def __init__(self, settings: Settings, engine: Engine, identity: Identity, logs: Logs) -> None:
        self._settings = settings
        self._logs = logs
        self._engine = engine
        self._identity = identity
        self._belongs = belonging(identity.partitions, settings.partitioner)
        self._comparison = Comparison(engine)
        self._persons = Persons(engine)
        self._person_inputs = PersonInputs(logs, settings.topic_prefix, self._belongs, engine.definitions.placeholders)
        self._not_of_persons = ""  # why persons of several ids cannot be compared
        self._short: frozenset[str] = frozenset()
        self._changes = self._repeats = self._events = self._moved = 0
        self._began = self._shown = time.monotonic()

    def partition(self, partition: int) -> Iterator[Difference]:
        """Yield the differences of a partition."""
        progress = partial(self._progress, partition, "customers")
        snapshot = asyncio.run(read(self._settings, self._identity, partition, progress))
        fold = self._folded(partition, snapshot)
        versions = DefinitionVersions.read(snapshot.meta, snapshot.documents, self._engine)
        if snapshot.waits_for_ids:
            self._not_of_persons = "records about them are not published yet"
        elif versions.number:
            self._not_of_persons = "the definitions changed, and profiles that moved before lack facts that they need"
        self._person_inputs.note(partition, snapshot.slices[-1].positions)
        self._comparison.short = definition_list.short(snapshot.meta)
        self._short |= self._comparison.short
        inputs = self._logs.inputs(partition)
        recomputed = RecomputedPartition(
            inputs, self._engine, partition, self._belongs, versions.translated, erases_later=True
        )
        yield from self._compare(partition, snapshot, fold, recomputed)
        self._events += recomputed.events
        self._changes += fold.changes
        self._repeats += fold.repeats

    def persons(self) -> Iterator[Difference]:
        """Yield the differences of persons of several ids, once all partitions are compared.

        See `streams.offline.persons`.
        """
        uncompared = self._short | order_counts(self._engine.definitions.segments)
        if not self._not_of_persons:
            yield from self._persons.differences(self._person_inputs, uncompared)

    def _folded(self, partition: int, snapshot: PartitionSnapshot) -> ChangelogFold:
        """Fold the changes on the topic, then those that the outbox had.

        The topic is read after Redis, so a change that was not in the outbox any more is on the topic by then.
        """
        fold = ChangelogFold(snapshot.sequences())
        fold.read(self._values(partition, self._logs.open(CHANGES, partition).needed_whole()))
        fold.read(snapshot.waiting)
        return fold

    def _values(self, partition: int, log: Log) -> Iterator[Any]:
        for number, record in enumerate(log.whole(), 1):
            self._progress(partition, "changes", number, log.end)
            yield record.value

    def _compare(
        self, partition: int, snapshot: PartitionSnapshot, fold: ChangelogFold, recomputed: RecomputedPartition
    ) -> Iterator[Difference]:
        """Recompute up to the positions of each slice in turn, and compare the slice there."""
        total = recomputed.check(snapshot.slices[-1].positions)
        listed = {name for part in snapshot.slices for name in part.stored}
        for number, part in enumerate(snapshot.slices):
            for _ in recomputed.steps(part.positions):
                self._progress(partition, "events", recomputed.events, total)
            if not number:  # the customers of the first positions were saved before Redis was asked for its customers
                yield from _missing(recomputed, fold, listed)
            yield from self._compare_slice(part, fold, recomputed)
        on_topic_alone = fold.customers.keys() - listed - recomputed.customers.keys()
        yield from self._strangers(partition, fold, sorted(on_topic_alone))

    def _compare_slice(
        self, part: SnapshotSlice, fold: ChangelogFold, recomputed: RecomputedPartition
    ) -> Iterator[Difference]:
        for name, stored in part.stored.items():
            self._persons.note(name, stored, part.clock)
            yield from self._comparison.compare(
                name,
                recomputed.customers.get(name),
                stored,
                fold.customers.get(name, NOTHING),
                part.clock,
                at_one_instant=name in recomputed.at_one_instant,
                erased_along=name in recomputed.erased_along,
                erased_until=partial(recomputed.erased_until, name),
            )

    def _strangers(self, partition: int, fold: ChangelogFold, names: list[str]) -> Iterator[Difference]:
        """Yield the customers that only the topic knows, but for those that were stored since Redis was read."""
        stored_since = asyncio.run(stored_now(self._settings, partition, names))
        self._moved += len(stored_since)
        for name in names:
            if name not in stored_since:
                yield missing(name, fold.customers[name], recomputed=False)

    def _progress(self, partition: int, unit: str, done: int, total: int) -> None:
        now = time.monotonic()
        if now - self._shown >= _PROGRESS_EVERY_S:
            self._shown = now
            share = f"partition {partition} of {self._identity.partitions}: {done:,} of {total:,} {unit}"
            print(f"{share}, {now - self._began:.0f} s", file=sys.stderr)

    def summary(self, differences: list[Difference]) -> list[str]:
        """The lines of the summary: how much was compared, and what differs."""
        lines = [*self._of_customers(), *self._of_persons()]
        if self._comparison.overdue:
            lines.append(f"{self._comparison.overdue:,} customers had a due time that was about to fire")
        if self._comparison.ahead:
            lines.append(
                f"{self._comparison.ahead:,} customers have published changes that Redis lost; the worker is "
                "re-deciding them"
            )
        if self._moved:
            lines.append(f"{self._moved:,} customers were added meanwhile and were not compared")
        count = len({difference.customer for difference in differences})
        if count:
            lines.append(f"{len(differences):,} differences of {count:,} customers: {counts_by_subject(differences)}")
        else:
            lines.append("equal")
        return lines

    def _of_customers(self) -> Iterator[str]:
        """The lines on how much was compared, and on what of it is not compared."""
        yield (
            f"{self._comparison.count:,} customers, {self._identity.partitions} partitions, "
            f"{self._events:,} records recomputed, {self._changes:,} changes folded, {self._repeats:,} repeats dropped"
        )
        if self._comparison.uncompared:
            yield f"{self._comparison.uncompared:,} customers had events out of order: only membership is compared"
        if self._short:
            names = ", ".join(sorted(self._short))
            yield f"segments not compared with the events, as stored history begins later: {names}"

    def _of_persons(self) -> Iterator[str]:
        """The lines on persons of several ids, and on ids that are none of a person any more."""
        persons = self._persons
        if persons.compared or persons.uncompared:
            yield (
                f"{persons.compared:,} persons of several ids compared with the events of all of them; "
                f"{persons.uncompared:,} persons skipped: their links are new or depend on read order"
            )
        if self._not_of_persons and persons.has_any:
            yield f"persons of several ids were not compared by all their events: {self._not_of_persons}"
        if persons.ended:
            shown = [visible(name) for name in sorted(persons.ended)[:_ENDED_SHOWN]]
            rest = len(persons.ended) - len(shown)
            more = f" and {rest:,} more" if rest else ""
            yield (
                f"{len(persons.ended):,} ids were linked and then unlinked; what moved before stays where it is: "
                f"{', '.join(shown)}{more}"
            )


def _missing(recomputed: RecomputedPartition, fold: ChangelogFold, listed: AbstractSet[str]) -> Iterator[Difference]:
    """Yield the recomputed customers that Redis did not list."""
    # An erasure that the worker read after newer events deleted these as well, so an erased customer may be gone.
    expected = {name for name, customer in recomputed.customers.items() if not customer.erased}
    for name in sorted(expected - listed):
        yield missing(name, fold.customers.get(name, NOTHING), recomputed=True)
