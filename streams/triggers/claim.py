"""Claims and recovers partitions for triggers.

The one rule: a decision that is on ``trigger-decisions`` stands. A claim reads the topic back from the position of the
last trim. Decisions that the store does not know are saved before anything new is read, so that no action is decided
again and no message is sent again.

See also `streams.runtime.assignment` for the order of a claim.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from contextlib import aclosing
from functools import partial

import msgspec
from faust.types import TP

from rules.placeholders import Placeholders
from streams.kafka.fetch import OutputChunk, OutputReader
from streams.runtime.assignment import Assignment, ClaimedPartition, OwnerConfig
from streams.runtime.input_buffer import RecordReader
from streams.runtime.outbox import Outbox
from streams.runtime.partition_runner import PartitionRunner
from streams.runtime.partition_task import PartitionTask, TaskContext
from streams.runtime.poison_pills import Care
from streams.runtime.read_back import ReadBack, ReadBackEntry
from streams.state.contract import PartitionState
from streams.triggers import decision_log
from streams.triggers.config import TriggersFile
from streams.triggers.counts import Counts
from streams.triggers.decision_log import Decision
from streams.triggers.dispatcher import Dispatcher
from streams.triggers.endpoint import Endpoint
from streams.triggers.inputs import reading
from streams.triggers.membership_lookup import MembershipLookup
from streams.wire.records import OutRecord, decode_entry
from streams.wire.topics import TRIGGER_DECISIONS, TRIGGER_OUTPUTS

# Time between two looks. Each begins at most a slice of due times, so this bounds the attempts of a partition a second.
_LOOK_S = 0.035


class TriggersConfig(OwnerConfig, frozen=True, kw_only=True):
    """Configuration of triggers: what every owner needs, plus the file, its endpoints by channel, and the counters.

    ``placeholders``: texts that are no customer ids, the same as for the segmenter. ``fresh_ms``: see `Dispatcher`.
    """

    file: TriggersFile
    placeholders: Placeholders
    endpoints: Mapping[str, Endpoint]
    memberships: MembershipLookup
    counts: Counts
    fresh_ms: int


class OwnedTriggersPartition(msgspec.Struct, frozen=True):
    """A claimed partition whose inputs are not read on yet."""

    state: PartitionState
    dispatcher: Dispatcher
    outbox: Outbox


async def claim_partitions(
    config: TriggersConfig, assignment: Assignment, tps: frozenset[TP]
) -> dict[int, PartitionRunner]:
    """Claim the partitions of an assignment, and recover them. Returns runners that are ready to be started.

    Raises what `Assignment.claim` and the recovery raise.
    """
    claimed = {entry.claim.partition: entry for entry in await assignment.claim(tps)}
    owned = {number: _own(config, assignment, entry) for number, entry in claimed.items()}
    with assignment.reading_back():
        await _recover(owned, assignment.outputs)
    care = assignment.begin_care(claimed.values())
    return {
        number: _runner(config, assignment, claimed[number], partition, care) for number, partition in owned.items()
    }


def _own(config: TriggersConfig, assignment: Assignment, claimed: ClaimedPartition) -> OwnedTriggersPartition:
    """The parts of a claimed partition. The outbox sends only entries which the checkpointer has saved."""
    claim, state, store = claimed.claim, claimed.state, assignment.store
    dispatcher = Dispatcher(
        config.file, config.endpoints, config.memberships, store, claim.partition, claim.fencing_token, state,
        now_ms=config.now_ms, counts=config.counts, fresh_ms=config.fresh_ms,
    )  # fmt: skip
    checkpointer = dispatcher.checkpointer
    outbox = Outbox(
        store,
        assignment.publisher,
        claim.partition,
        claim.fencing_token,
        state,
        saved=lambda: checkpointer.save_number,
    )
    return OwnedTriggersPartition(state, dispatcher, outbox)


async def _recover(owned: Mapping[int, OwnedTriggersPartition], outputs: OutputReader) -> None:
    """Compare the output topics with the store: save decisions that it lacks, publish records that the topics lack."""
    recoveries = {number: _DecisionRecovery(partition) for number, partition in owned.items()}
    positions = {
        (topic, number): partition.state.outputs.get(topic)
        for number, partition in owned.items()
        for topic in TRIGGER_OUTPUTS
    }
    async with aclosing(outputs.read(positions)) as chunks:
        async for chunk in chunks:
            await recoveries[chunk.partition].read(chunk)
    for recovery in recoveries.values():
        await recovery.publish_rest()


def _runner(
    config: TriggersConfig,
    assignment: Assignment,
    claimed: ClaimedPartition,
    owned: OwnedTriggersPartition,
    care: Care,
) -> PartitionRunner:
    read_record = partial(reading, placeholders=config.placeholders)
    task = TriggersTask(assignment.task_context(claimed, care), owned.dispatcher, owned.outbox, read_record)
    return PartitionRunner(claimed.claim, task, owned.outbox, assignment.store, config.stop)


class TriggersTask(PartitionTask):
    """The step loop of one partition: settles ended attempts and begins due actions beside applying what is read.

    Attempts are settled every `_LOOK_S` and not each at its end, so that those which end meanwhile share one save.
    """

    def __init__(self, context: TaskContext, dispatcher: Dispatcher, outbox: Outbox, read_record: RecordReader) -> None:
        super().__init__(context, dispatcher, outbox, read_record=read_record)
        self.dispatcher = dispatcher
        self._read_to = 0

    def release(self) -> None:
        super().release()
        self.dispatcher.is_released = True

    async def _fire(self) -> bool:
        await self._settle()
        self._read_to = max(self._read_to, self.time.caught_up_until())
        decisions = await self.dispatcher.fire(self._read_to, self._pace.timers_per_step)
        if decisions:
            await self._outbox.put(decisions)
        return False

    async def _settle(self) -> None:
        settled = await self.dispatcher.settle()
        if settled:
            await self._outbox.put(settled)

    def _wait_s(self) -> float:
        return _LOOK_S

    async def run(self) -> None:
        """Run until the release, as `PartitionTask.run`; then wait for attempts that are under way and settle them."""
        await super().run()
        await self.dispatcher.landed()
        await self._settle()


class _Entry(ReadBackEntry):
    """One entry of the outbox of triggers. All its records can be read back."""

    def __init__(self, entry: bytes) -> None:
        records = [decision_log.bounded(record) for record in decode_entry(entry)]
        super().__init__(records, map(_identity, records))

    def unpublished(self) -> list[OutRecord]:
        """The records that still must be published."""
        return [record for record in self.records if _identity(record) in self.missing]


class _DecisionRecovery:
    """Reads back what a former owner published of a partition, and publishes the rest."""

    def __init__(self, owned: OwnedTriggersPartition) -> None:
        self._dispatcher = owned.dispatcher
        self._outbox = owned.outbox
        self._read_back = ReadBack(owned.outbox, map(_Entry, owned.state.outbox))

    async def read(self, chunk: OutputChunk) -> None:
        """Take in published records: none is published again, and decisions that the store does not know are saved."""
        self._read_back.find(decision_log.identity(chunk.topic, record.headers) for record in chunk.records)
        if chunk.topic == TRIGGER_DECISIONS:
            await self._dispatcher.note(_by_customer(chunk))
        await self._read_back.advance(chunk.topic, chunk.position)

    async def publish_rest(self) -> None:
        """Publish the outbox entries that are not on the topics, in order."""
        for entry in self._read_back.entries:
            await self._outbox.publish([entry.unpublished()])


def _identity(record: OutRecord) -> tuple[str, bytes]:
    return decision_log.identity(record.topic, record.headers)


def _by_customer(chunk: OutputChunk) -> Mapping[str, list[Decision]]:
    by_customer: dict[str, list[Decision]] = defaultdict(list)
    for decision in _decoded(chunk):
        if decision.is_final:
            by_customer[decision.customer_id].append(decision)
    return by_customer


def _decoded(chunk: OutputChunk) -> Iterable[Decision]:
    for record in chunk.records:
        try:
            yield decision_log.decode(record.value or b"")
        except msgspec.DecodeError:
            continue  # another program wrote to the topic
