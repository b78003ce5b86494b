"""The segmenter: one step of one partition, from a merged batch or due times to a checkpoint.

The one rule is the order of durability:

1. load the customers of the step (`streams.worker.customer_loader`),
2. decide: pure rules, in memory,
3. save customers, due times, outbox, positions and clock, all or nothing (`streams.worker.step_writer`),
4. publish what the save put into the outbox (`streams.runtime.outbox`), acknowledged,
5. trim the outbox,
6. commit the positions to Kafka, for lag monitors only.

The segmenter depends on neither Kafka nor Redis: records come in, records go out, and the store is a contract.

See also `streams.worker.partition`, which puts the parts of a partition together.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from typing import TypeGuard

import msgspec

from rules import published_ahead
from rules.changes import Change
from rules.customer import Customer
from rules.event_names import UNNAMED, WITHOUT_EFFECT
from rules.events import Event
from rules.identity.dispatch import is_effective, is_plain, process
from rules.identity.events import Misaddressed
from rules.identity.resolution import Decider, Refusal
from rules.sentences.reason_sentence import LANGUAGES
from streams.defects import no_pseudonym
from streams.failpoints import reach, reach_record
from streams.runtime.checkpoint import Checkpointer, Progress
from streams.runtime.input_merge import MergedBatch
from streams.runtime.meter import DecidedChanges, Meter, MeteredStep
from streams.wire import identity_records
from streams.wire.dead_letters import Undecodable, undecodable
from streams.wire.records import InputRecord, OutRecord
from streams.wire.step_records import dead_letter_record, sent_record
from streams.worker.customer_loader import CustomerLoader, Loaded
from streams.worker.dead_letter_limit import DeadLetterLimit, DeadLetterRatio
from streams.worker.step_writer import StepWriter

# Places (topic and offset) of input records that are on the topic of dead letters.
PublishedDeadLetters = set[tuple[str, int]]


class SegmenterConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Configuration of the segmenter; it is the same for all steps.

    ``links``: whether ids of one person are linked. ``pseudonym``: gives the name of a customer in logs.
    ``skips_unknown_profiles``: see `CustomerLoader`.
    """

    now_ms: Callable[[], int]
    belong: Callable[[Sequence[str]], Sequence[bool]]
    dead_letter_limit: DeadLetterLimit
    languages: Sequence[str] = LANGUAGES
    pseudonym: Callable[[str], str] = no_pseudonym
    links: bool = True
    skips_unknown_profiles: bool = False


class StepResult:
    """The result of a step's records, before it is saved."""

    def __init__(self, decided: list[DecidedChanges]) -> None:
        """``decided``: changes of migrations, which come before those of the first record."""
        self.decided = decided
        self.dead_letters: list[tuple[InputRecord, Undecodable]] = []
        self.without_effect: list[str] = []
        self.sent: list[Event] = []
        self.refused: list[Refusal] = []
        self.erased: set[str] = set()  # customers that the step erased, also if a later event of it created them again

    def send(self, events: Sequence[Event], record: InputRecord) -> None:
        """Note events for other ids. One that is too large for a record becomes a dead letter of this partition."""
        for event in events:
            if identity_records.fits(event):
                self.sent.append(event)
            else:
                self.dead_letters.append((record, undecodable("too_large_to_forward")))


class Segmenter:
    """Decides the steps of one partition under one claim. Not for concurrent use: a partition has one writer.

    ``published_dead_letters``: those that are on their topic although the store does not know it. A place is taken
    out once its record is read again and saved.
    """

    def __init__(
        self,
        checkpointer: Checkpointer,
        loader: CustomerLoader,
        writer: StepWriter,
        config: SegmenterConfig,
        meter: Meter,
        published_dead_letters: PublishedDeadLetters,
    ) -> None:
        self.checkpointer = checkpointer
        self._store = checkpointer.store
        self._partition = checkpointer.partition
        self._loader = loader
        self._writer = writer
        self._links = config.links
        self._pseudonym = config.pseudonym
        self._meter = meter
        self._dead_letter_ratio = DeadLetterRatio(self._partition, config.dead_letter_limit)
        self._published_dead_letters = published_dead_letters

    @property
    def dead_letter_load(self) -> float:
        """How near the share of dead letters is to its limit; at 1 the process stops."""
        return self._dead_letter_ratio.near

    async def process_batch(self, batch: MergedBatch, clock: int, caught_up_until: int = 0) -> list[OutRecord]:
        """Apply a merged batch, and save. Returns the records to publish. ``caught_up_until``: see `Save`."""
        began = time.perf_counter()
        # Of each record with an effect the customer, of any other None.
        customers = [decoded.customer if self._has_effect(decoded) else None for _, _, _, decoded, _ in batch.readings]
        loaded = await self._loader.load({customer for customer in customers if customer is not None})
        reach("after_load")
        reach_record(
            "mid_apply",
            (record.value for _, _, _, decoded, record in batch.readings if not isinstance(decoded, Undecodable)),
        )
        misplaced = {customer_id for customer_id, (_, due) in loaded.items() if due < 0}
        result = StepResult(self._loader.take_migration_changes())
        for (_, _, _, decoded, record), customer in zip(batch.readings, customers, strict=True):
            self._process_record(decoded, record, customer is not None, loaded, misplaced, result)
        # A misplaced customer is not saved: its records are dead letters, and its owner is another partition.
        for customer_id in misplaced:
            del loaded[customer_id]
        reach("after_compute")
        self._dead_letter_ratio.read(len(batch.readings), len(result.dead_letters))
        progress = Progress(batch.starts, batch.positions, clock, caught_up_until)
        out = await self._writer.write(loaded, result.decided, self._others(result), result.erased, progress)
        self._published_dead_letters.difference_update(_place(record) for record, _ in result.dead_letters)
        self._meter_step(batch, result, time.perf_counter() - began)
        return out

    def _others(self, result: StepResult) -> list[OutRecord]:
        """The records to publish beside the changes."""
        sent = [sent_record(event) for event in result.sent]
        dead_letters = [
            dead_letter_record(record, why, self._partition)
            for record, why in result.dead_letters
            if _place(record) not in self._published_dead_letters
        ]
        return sent + dead_letters

    def _meter_step(self, batch: MergedBatch, result: StepResult, took_s: float) -> None:
        letters = [(record.topic, why) for record, why in result.dead_letters]
        self._meter.stepped(MeteredStep(batch.readings, letters, result.without_effect, took_s, result.refused))

    def _process_record(
        self,
        decoded: Event | Undecodable,
        record: InputRecord,
        has_effect: bool,
        loaded: Loaded,
        misplaced: Collection[str],
        result: StepResult,
    ) -> None:
        """Process one record of a step, in memory."""
        if isinstance(decoded, Undecodable):
            result.dead_letters.append((record, decoded))
        elif isinstance(decoded, Misaddressed):
            self._forward(decoded, record, result)
        elif not has_effect:
            result.without_effect.append(record.topic)
        elif decoded.customer in misplaced:
            result.dead_letters.append((record, undecodable("wrong_partition")))
        else:
            customer = loaded[decoded.customer][0]
            if is_plain(decoded, customer):
                changes = self._apply(decoded, customer, record, result)
            else:
                changes = self._resolve_identity(decoded, customer, record, result)
            if changes:
                result.decided.append(DecidedChanges(changes, record.timestamp))

    def _forward(self, event: Misaddressed, record: InputRecord, result: StepResult) -> None:
        """Forward an event of another partition's customer, if it is certain which partition that is."""
        if self._links:
            result.send([event.forwarded(record.value or b"", record.timestamp)], record)
        else:
            result.dead_letters.append((record, undecodable("wrong_key", "key")))

    async def fire(self, clock: int, limit: int) -> list[OutRecord]:
        """Fire due times up to ``clock`` (ms) of at most ``limit`` customers, oldest first, and save.

        Returns the records to publish.
        """
        ready = await self._store.due(self._partition, clock, limit)
        if not ready:
            await self._refresh_next_due()
            return []
        loaded = await self._loader.load(ready)
        reach("after_load")
        result = StepResult(self._loader.take_migration_changes())
        for customer_id in ready:
            changes = self._fire(customer_id, loaded[customer_id][0], clock, result)
            result.decided.append(DecidedChanges(changes, 0))
        reach("after_fire")
        here = msgspec.structs.replace(self.checkpointer.here, clock=clock)
        out = await self._writer.write(loaded, result.decided, (), result.erased, here)
        await self._refresh_next_due()
        return out

    async def _refresh_next_due(self) -> None:
        self.checkpointer.next_due = await self._store.next_due(self._partition)

    def _has_effect(self, decoded: Event | Undecodable) -> TypeGuard[Event]:
        """Whether a record may change anything."""
        if isinstance(decoded, Undecodable):
            return False
        return is_effective(decoded) if self._links else decoded.name not in WITHOUT_EFFECT

    def _resolve_identity(
        self, event: Event, customer: Customer, record: InputRecord, result: StepResult
    ) -> list[Change]:
        """Apply an event on a customer's identity, which may concern other ids. Returns the changes that it made."""
        if not self._links and event.link is not None:
            event = msgspec.structs.replace(event, link=None)
        # A profile that cannot be migrated is skipped: its events are read again and make a new one.
        decider = Decider(
            lambda decided, of: self._apply(decided, of, record, result),
            self._loader.engine.definitions.fingerprint,
            self._loader.translate,
        )
        identity_result = process(event, customer, decider, record.value or b"", record.timestamp)
        result.send(identity_result.sent, record)
        if identity_result.is_lost:
            result.dead_letters.append((record, undecodable("bad_value")))
        if identity_result.refused is not None:
            result.refused.append(identity_result.refused)
        if event.name == UNNAMED and customer.is_gone:
            result.erased.add(event.customer)
        return identity_result.changes

    def _apply(self, event: Event, customer: Customer, record: InputRecord, result: StepResult) -> list[Change]:
        try:
            if customer.published_ahead is None:
                return self._loader.engine.apply(event.customer, customer, event)
            changes = published_ahead.apply(self._loader.engine, event.customer, customer, event)
        except Exception as error:
            place = f"{record.topic}-{self._partition}, offset {record.offset}"
            error.add_note(f"with {place}, of {self._pseudonym(event.customer)}")
            raise
        _note_erased(event.customer, customer, result)
        return changes

    def _fire(self, customer_id: str, customer: Customer, until: int, result: StepResult) -> list[Change]:
        try:
            if customer.published_ahead is None:
                return self._loader.engine.fire(customer_id, customer, until)
            changes = published_ahead.fire(self._loader.engine, customer_id, customer, until)
        except Exception as error:
            error.add_note(f"with due times of partition {self._partition}, of {self._pseudonym(customer_id)}")
            raise
        _note_erased(customer_id, customer, result)
        return changes


def _note_erased(customer_id: str, customer: Customer, result: StepResult) -> None:
    """Note an erased customer that was published-ahead, so that the step removes its row."""
    if customer.is_gone:
        result.erased.add(customer_id)


def _place(record: InputRecord) -> tuple[str, int]:
    return record.topic, record.offset
