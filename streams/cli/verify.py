"""``segmenter verify``: recompute everybody from Kafka, and compare with Redis and with what was published.

The one rule: it only looks on, so it may run beside workers. Redis is read first, in slices of one
moment each; the recomputation then passes the positions of each slice in turn, and the customers
of a slice are compared there. So what moves meanwhile is never taken for a difference.

The rules themselves are used again, since they are what is recomputed by; all that stands between
the topics and Redis is not (see `streams.offline.recompute`). One partition is in memory at a time.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from typing import Any

from rules.engine import Engine
from streams import rights
from streams.cli.input_files import visible
from streams.cli.terminal import show
from streams.definitions_file import load
from streams.kafka import admin
from streams.kafka.client import answering
from streams.kafka.log_reader import Log, Logs
from streams.kafka.partitioner import belonging
from streams.offline.changelog_fold import ChangelogFold
from streams.offline.partition_snapshot import PartitionSnapshot, read, stored_now
from streams.offline.persons import PersonInputs, Persons
from streams.offline.recompute import Recomputed
from streams.offline.verification import NOTHING, Comparison, Difference, by_what, missing, order_counts
from streams.settings import Settings
from streams.state import definition_list
from streams.state.contract import Identity
from streams.state.definition_versions import DefinitionVersions
from streams.wire.topics import CHANGES

_PROGRESS_EVERY_S = 2.0
# Ids that are named in the summary.
_ENDED_SHOWN = 10


def run(settings: Settings, first: int) -> int:
    """Exit code 1 when there is a difference; the first so many are told. Raises `Stop` when nothing can be said."""
    engine = Engine(load(settings.definitions))
    found = admin.verify(settings, rights.NEEDS["verify"].topics)
    ours = found.identity(settings, engine.definitions.fingerprint)
    logs = Logs(settings)
    verification = Verification(settings, engine, ours, logs)
    differences: list[Difference] = []
    with answering(settings), closing(logs):
        for partition in range(ours.partitions):
            differences += verification.partition(partition)
        differences += verification.persons()
    for one in differences[:first]:
        print(line(one))
    if len(differences) > first:
        print(f"… and {len(differences) - first:,} more")
    show(verification.summary(differences))
    return 1 if differences else 0


def line(one: Difference) -> str:
    """A difference in words: who, what, and what each says of it that has something to say."""
    says = {"recomputed": one.recomputed, "Redis": one.stored, "topic": one.folded}
    told = "; ".join(f"{who}: {visible(what)}" for who, what in says.items() if what)
    return f"{visible(one.customer)}  {one.what}  {told}"


class Verification:
    """All partitions, one after the other."""

    def __init__(self, settings: Settings, engine: Engine, ours: Identity, logs: Logs) -> None:
        self._settings = settings
        self._logs = logs
        self._engine = engine
        self._ours = ours
        self._belongs = belonging(ours.partitions, settings.partitioner)
        self._comparison = Comparison(engine)
        self._persons = Persons(engine)
        self._person_inputs = PersonInputs(logs, settings.topic_prefix, self._belongs, engine.definitions.placeholders)
        self._not_of_persons = ""  # why persons of several ids cannot be compared
        self._short: frozenset[str] = frozenset()
        self._changes = self._repeats = self._events = self._moved = 0
        self._began = self._shown = time.monotonic()

    def partition(self, partition: int) -> Iterator[Difference]:
        """What differs in a partition."""
        kept = asyncio.run(read(self._settings, self._ours, partition, partial(self._progress, partition, "customers")))
        fold = self._folded(partition, kept)
        known = DefinitionVersions.read(kept.meta, kept.documents, self._engine)
        if kept.waits_for_ids:
            self._not_of_persons = "something of them waits to be published"
        elif known.number:
            self._not_of_persons = "the definitions were changed, and a profile that moved before lacks what they ask"
        self._person_inputs.note(partition, kept.slices[-1].positions)
        self._comparison.short = short = definition_list.short(kept.meta)
        self._short |= short
        recomputed = Recomputed(self._logs.inputs(partition), self._engine, partition, self._belongs, known.translated)
        yield from self._compare(partition, kept, fold, recomputed)
        self._events += recomputed.events
        self._changes += fold.changes
        self._repeats += fold.repeats

    def persons(self) -> Iterator[Difference]:
        """What differs of persons of several ids, once all partitions are compared. See `streams.offline.persons`."""
        unclaimed = self._short | order_counts(self._engine.definitions.segments)
        if not self._not_of_persons:
            yield from self._persons.differences(self._person_inputs, unclaimed)

    def _folded(self, partition: int, kept: PartitionSnapshot) -> ChangelogFold:
        """The topic, which is read after Redis, then what Redis held back: so nothing falls between the two."""
        fold = ChangelogFold(kept.sequences())
        fold.read(self._values(partition, self._logs.open(CHANGES, partition).needed_whole()))
        fold.read(kept.waiting)
        return fold

    def _values(self, partition: int, log: Log) -> Iterator[Any]:
        for number, record in enumerate(log.whole(), 1):
            self._progress(partition, "changes", number, log.end)
            yield record.value

    def _compare(
        self, partition: int, kept: PartitionSnapshot, fold: ChangelogFold, recomputed: Recomputed
    ) -> Iterator[Difference]:
        total = recomputed.check(kept.slices[-1].positions)
        listed = {name for part in kept.slices for name in part.stored}
        for number, part in enumerate(kept.slices):
            for _ in recomputed.steps(part.positions):
                self._progress(partition, "events", recomputed.events, total)
            if not number:  # all of these were saved before Redis was asked for its customers
                # An erasure that was read after newer events took them along, so whoever was erased may be gone.
                there = {name for name, known in recomputed.customers.items() if not known.erased}
                for name in sorted(there - listed):
                    yield missing(name, fold.customers.get(name, NOTHING), recomputed=True)
            for name, stored in part.stored.items():
                self._persons.note(name, stored, part.clock)
                right, said = recomputed.customers.get(name), fold.customers.get(name, NOTHING)
                tied, along = name in recomputed.tied, name in recomputed.erased_along
                yield from self._comparison.compare(
                    name, right, stored, said, part.clock, tied=tied, erased_along=along
                )
        yield from self._strangers(
            partition, fold, sorted(fold.customers.keys() - listed - recomputed.customers.keys())
        )

    def _strangers(self, partition: int, fold: ChangelogFold, names: list[str]) -> Iterator[Difference]:
        """Those of whom only the topic knows; they may have come since Redis was read."""
        came = asyncio.run(stored_now(self._settings, partition, names))
        self._moved += len(came)
        for name in names:
            if name not in came:
                yield missing(name, fold.customers[name], recomputed=False)

    def _progress(self, partition: int, what: str, done: int, total: int) -> None:
        if (now := time.monotonic()) - self._shown >= _PROGRESS_EVERY_S:
            self._shown = now
            share = f"partition {partition} of {self._ours.partitions}: {done:,} of {total:,} {what}"
            print(f"{share}, {now - self._began:.0f} s", file=sys.stderr)

    def summary(self, differences: list[Difference]) -> list[str]:
        """How much was compared, and what differs."""
        comparison = self._comparison
        read = (
            f"{self._events:,} records recomputed, {self._changes:,} changes folded, {self._repeats:,} repeats dropped"
        )
        told = [f"{comparison.count:,} customers, {self._ours.partitions} partitions, {read}"]
        if comparison.unclaimed:
            told.append(
                f"{comparison.unclaimed:,} customers met something out of its order: membership alone is claimed"
            )
        if self._short:
            names = ", ".join(sorted(self._short))
            told.append(f"not compared with the events, of which they were not asked before: {names}")
        persons = self._persons
        if persons.compared or persons.unclaimed:
            told.append(
                f"{persons.compared:,} persons of several ids compared with the events of all of them; "
                f"{persons.unclaimed:,} not, as their links depend on the order of reading or are new"
            )
        if self._not_of_persons and persons.has_any:
            told.append(f"persons of several ids were not compared by all their events: {self._not_of_persons}")
        if persons.ended:
            names = ", ".join(visible(name) for name in sorted(persons.ended)[:_ENDED_SHOWN])
            more = f" and {len(persons.ended) - _ENDED_SHOWN:,} more" if len(persons.ended) > _ENDED_SHOWN else ""
            told.append(
                f"{len(persons.ended):,} ids were linked and are of their own again; what moved before stays where it "
                f"is: {names}{more}"
            )
        if comparison.overdue:
            told.append(f"{comparison.overdue:,} customers had a due time that was about to fire")
        if comparison.ahead:
            told.append(f"{comparison.ahead:,} customers are ahead: more was published than Redis knows of, for now")
        if self._moved:
            told.append(f"{self._moved:,} customers came meanwhile and were not compared")
        who = len({one.customer for one in differences})
        told.append(
            f"{len(differences):,} differences of {who:,} customers: {by_what(differences)}" if who else "equal"
        )
        return told
