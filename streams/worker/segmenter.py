"""The segmenter: one step of one partition, from readings or due times to a save.

The one rule is the order of durability:

1. load the customers of the step,
2. advance them: pure rules, in memory,
3. save customers, due times, outbox, positions and clock, all or nothing,
4. publish what the save put into the outbox (`streams.runtime.outbox`), acknowledged,
5. trim the outbox,
6. commit the positions to Kafka, for lag monitors only.

It knows neither Kafka nor Redis: readings come in, records go out, the store is a contract.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from itertools import islice
from typing import TypeGuard

import msgspec

from rules import published_ahead
from rules.engine import Engine
from rules.events import UNNAMED, WITHOUT_EFFECT, Event
from rules.identity.events import Misaddressed
from rules.identity.links import Decider, Refusal
from rules.identity.resolution import is_effective, is_plain, process
from rules.sentences import LANGUAGES
from rules.standing import Change, Customer
from rules.times import format_instant
from streams.defects import no_pseudonym
from streams.failpoints import reach, reach_record
from streams.runtime.merge import MergedBatch
from streams.runtime.meter import NULL_METER, DecidedChanges, Meter, MeteredStep
from streams.state.contract import PartitionState, Store
from streams.state.definition_versions import DefinitionVersions
from streams.wire import changes, customers, merges
from streams.wire.records import InputRecord, OutRecord, dead_letter_record, said_row, sent_record, told_records
from streams.worker.customer_loader import Loaded
from streams.worker.dead_letter_limit import DeadLetterLimit, DeadLetterRatio
from streams.worker.recovered_customers import RecoveredCustomers

# Where dead letters were read: topic and offset of an input.
PublishedDeadLetters = set[tuple[str, int]]


class StepResult:
    """What the records of a step come to, before it is saved."""

    def __init__(self, made: list[DecidedChanges]) -> None:
        """``made``: changes that were made before the first record."""
        self.made = made
        self.dead: list[tuple[InputRecord, str]] = []
        self.without_effect: list[str] = []
        self.sent: list[Event] = []
        self.refused: list[Refusal] = []

    def send(self, events: Sequence[Event], record: InputRecord) -> None:
        """Note what goes to other ids; an event that fits into no record is a dead letter here, where it is whole."""
        for event in events:
            if merges.fits(event):
                self.sent.append(event)
            else:
                self.dead.append((record, "too_large_to_forward"))


class Segmenter(RecoveredCustomers):
    """One partition's steps under one claim. Not for concurrent use: a partition has one writer.

    ``letters``: dead letters that are published although the store does not know it; what is
    read again and saved is taken out.
    """

    def __init__(  # noqa: PLR0913 (each is one thing that a step needs)
        self,
        engine: Engine,
        store: Store,
        partition: int,
        token: str,
        state: PartitionState,
        *,
        now_ms: Callable[[], int],
        belongs: Callable[[str], bool],
        ceiling: DeadLetterLimit,
        languages: Sequence[str] = LANGUAGES,
        letters: PublishedDeadLetters | None = None,
        pseudonym: Callable[[str], str] = no_pseudonym,
        meter: Meter = NULL_METER,
        epochs: DefinitionVersions | None = None,
        links: bool = True,
        skips_unknown: bool = False,
    ) -> None:
        """``links``: whether ids of one person are brought together. Others: as of `CustomerLoader`."""
        super().__init__(
            engine, store, partition, token, state, belongs=belongs, epochs=epochs, skips_unknown=skips_unknown
        )
        self._links = links
        self._cursor = 0
        self._is_clean, self._is_listed = True, False
        self._now_ms = now_ms
        self._dead_share = DeadLetterRatio(partition, ceiling)
        self._languages = languages
        self._pseudonym = pseudonym
        self._meter = meter
        self._letters = set() if letters is None else letters
        self._gone: set[str] = set()  # who was erased by a step, whatever came after it

    @property
    def dead_share_near(self) -> float:
        """As of `Checkpointer`."""
        return self._dead_share.near

    async def advance(self, taken: MergedBatch, clock: int, caught_up: int = 0) -> list[OutRecord]:
        """Apply merged readings and save; the records to publish. ``caught_up``: see `streams.state.contract.Save`."""
        began = time.perf_counter()
        loaded = await self._load({reading[3].customer for reading in taken.readings if self._acts(reading[3])})
        reach("after_load")
        reach_record("mid_apply", (one[4].value for one in taken.readings if not isinstance(one[3], str)))
        misplaced = {customer for customer, (_, due) in loaded.items() if due < 0}
        result = StepResult(self._taken_over())
        for reading in taken.readings:
            self._process(reading[3], reading[4], loaded, misplaced, result)
        for customer_id in misplaced:
            del loaded[customer_id]
        reach("after_compute")
        dead = result.dead
        self._dead_share.read(len(taken.readings), len(dead))
        letters = [dead_letter_record(*one, self._partition) for one in dead if _place(one[0]) not in self._letters]
        others = [sent_record(event) for event in result.sent] + letters
        out = await self._save(loaded, result.made, others, taken.starts, taken.positions, clock, caught_up)
        self._letters.difference_update(_place(record) for record, _ in dead)
        reasons = [(record.topic, reason) for record, reason in dead]
        took_s = time.perf_counter() - began
        self._meter.stepped(MeteredStep(taken.readings, reasons, result.without_effect, took_s, result.refused))
        return out

    def _process(
        self, what: Event | str, record: InputRecord, loaded: Loaded, misplaced: Collection[str], result: StepResult
    ) -> None:
        """One record of a step, in memory."""
        if isinstance(what, str):
            result.dead.append((record, what))
        elif isinstance(what, Misaddressed):
            self._send_on(what, record, result)
        elif not self._acts(what):
            result.without_effect.append(record.topic)
        elif what.customer in misplaced:
            result.dead.append((record, "wrong_partition"))
        else:
            customer = loaded[what.customer][0]
            if is_plain(what, customer):
                changes = self._apply(what, customer, record)
            else:
                changes = self._act(what, customer, record, result)
            if changes:
                result.made.append(DecidedChanges(changes, record.timestamp))

    def _send_on(self, what: Misaddressed, record: InputRecord, result: StepResult) -> None:
        """An event of a customer of another partition goes there, where it is known which that is."""
        if self._links:
            result.send([what.forwarded(record.value or b"", record.timestamp)], record)
        else:
            result.dead.append((record, "wrong_key"))

    async def fire(self, clock: int, limit: int) -> list[OutRecord]:
        """Fire due times ≤ ``clock`` of at most ``limit`` customers, oldest first, and save."""
        ready = await self._store.due(self._partition, clock, limit)
        if not ready:
            self.next_due = await self._store.next_due(self._partition)
            return []
        loaded = await self._load(ready)
        reach("after_load")
        fired = [DecidedChanges(self._fire(customer_id, loaded[customer_id][0], clock), 0) for customer_id in ready]
        reach("after_fire")
        out = await self._save(loaded, self._taken_over() + fired, [], self.positions, self.positions, clock)
        self.next_due = await self._store.next_due(self._partition)
        return out

    async def pass_time(self, clock: int, caught_up: int = 0) -> None:
        """Save the clock alone."""
        await self._save({}, [], [], self.positions, self.positions, clock, caught_up)

    @property
    def is_settled(self) -> bool:
        """As of `Checkpointer`."""
        return self._epochs.is_settled

    async def sweep(self, _limit: int) -> list[OutRecord]:
        """Decide about so many customers again whom former definitions decided last; the records to publish.

        Done when a pass over all of them has found none: one in which Redis was restarted may miss some. After the
        first come those whom only the events know, read again (`CustomerLoader.follow`).
        """
        loaded: Loaded = {}
        if self._anew and self._is_listed:
            loaded = await self._load(list(islice(self._anew, _limit)))
        else:
            self._cursor, found = await self._store.scan(self._partition, self._cursor, _limit)
            for customer_id, value in found:
                customer = customers.decode(value)
                if customer.by != self._epoch:
                    loaded[customer_id] = self._adopt(customer_id, customer)
            self._is_listed = not self._cursor
        made = self._taken_over()
        out = await self._save(loaded, made, [], self.positions, self.positions, self.clock) if loaded else []
        self._swept += len(loaded)
        self._is_clean = self._is_clean and not loaded
        if not self._cursor:
            if self._is_clean and not self._anew:
                self._epochs.settle(None if self._anew is None else self._now_ms())
                await self.save((), (), self.positions, self.positions, self.clock, files=self._epochs.listing())
            self._is_clean = True
        await self._tell_sweep()
        return out

    def _acts(self, what: Event | str) -> TypeGuard[Event]:
        """Whether a reading may change anything."""
        return not isinstance(what, str) and (is_effective(what) if self._links else what.name not in WITHOUT_EFFECT)

    def _act(self, what: Event, customer: Customer, record: InputRecord, result: StepResult) -> list[Change]:
        """What concerns an id beside the customer's, or is no event of the customer; the changes that it made."""
        if not self._links and what.link is not None:
            what = msgspec.structs.replace(what, link=None)
        # A profile that cannot be translated is passed over: it is made again of what is read again.
        decider = Decider(
            lambda event, of: self._apply(event, of, record), self._engine.definitions.fingerprint, self._translated
        )
        acted = process(what, customer, decider, record.value or b"", record.timestamp)
        result.send(acted.sent, record)
        if acted.is_lost:
            result.dead.append((record, "bad_value"))
        if acted.refused is not None:
            result.refused.append(acted.refused)
        if what.name == UNNAMED and customer.is_gone:
            self._gone.add(what.customer)
        return acted.changes

    def _apply(self, event: Event, customer: Customer, record: InputRecord) -> list[Change]:
        try:
            if customer.ahead is None:
                return self._engine.apply(event.customer, customer, event)
            return self._caught_up(
                event.customer, customer, published_ahead.apply(self._engine, event.customer, customer, event)
            )
        except Exception as error:
            place = f"{record.topic}-{self._partition}, offset {record.offset}"
            error.add_note(f"with {place}, of {self._pseudonym(event.customer)}")
            raise

    def _fire(self, customer_id: str, customer: Customer, until: int) -> list[Change]:
        try:
            if customer.ahead is None:
                return self._engine.fire(customer_id, customer, until)
            return self._caught_up(
                customer_id, customer, published_ahead.fire(self._engine, customer_id, customer, until)
            )
        except Exception as error:
            error.add_note(f"with due times of partition {self._partition}, of {self._pseudonym(customer_id)}")
            raise

    def _caught_up(self, customer_id: str, customer: Customer, changes: list[Change]) -> list[Change]:
        """What of one who was ahead is to be published; who turns out to be erased has no row then."""
        if customer.is_gone:
            self._gone.add(customer_id)
        return changes

    async def _save(
        self,
        loaded: Mapping[str, tuple[Customer, int]],
        made: Sequence[DecidedChanges],
        others: Sequence[OutRecord],
        starts: Mapping[str, int],
        positions: Mapping[str, int],
        clock: int,
        caught_up: int = 0,
    ) -> list[OutRecord]:
        """``others``: records beside the changes."""
        emitted_at = format_instant(self._now_ms())
        told = [changes.of(change, emitted_at, self._languages) for one in made for change in one.changes]
        gone, self._gone = self._gone, set()
        rows = told_records(told, gone, lambda customer_id: loaded[customer_id][0].is_erased)
        out = [*(said_row(*one) for one in self._said_again().items()), *rows, *others]
        stored = [self._stored(customer_id, *known) for customer_id, known in loaded.items()]
        await self.save(stored, out, starts, positions, clock, caught_up)
        if out:
            self._meter.decided(made)
        return out


def _place(record: InputRecord) -> tuple[str, int]:
    return record.topic, record.offset
