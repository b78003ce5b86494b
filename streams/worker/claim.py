"""What the worker does with a claimed partition: definitions, erasures, recovery, and the runner that goes on.

See also `streams.runtime.assignment` for the order of a claim.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from functools import cached_property

import msgspec
from faust.types import TP

from rules.engine import Engine
from streams.defects import no_pseudonym
from streams.runtime.assignment import Assignment, OwnerConfig
from streams.runtime.background import BackgroundBudget
from streams.runtime.input_buffer import reader
from streams.runtime.merge import Merge
from streams.runtime.outbox import Outbox
from streams.runtime.partition_runner import PartitionRunner
from streams.runtime.partition_task import PartitionTask
from streams.state import definition_versions
from streams.state.contract import Claim, Files, PartitionState
from streams.state.definition_versions import DefinitionVersions
from streams.wire.records import encode_entry
from streams.wire.topics import DEAD_LETTERS
from streams.worker import erasure_scan, placement
from streams.worker.dead_letter_limit import DeadLetterLimit
from streams.worker.rebuild import Rebuild, RebuildProcess, RebuildRequest, RebuildResult, Recomputation, Recompute
from streams.worker.recovery import OwnedWorkerPartition, recover
from streams.worker.segmenter import PublishedDeadLetters, Segmenter

log = logging.getLogger(__name__)


class WorkerConfig(OwnerConfig, frozen=True, kw_only=True):
    """And of the worker that segments."""

    engine: Engine
    ceiling: DeadLetterLimit
    languages: Sequence[str]
    belongs: Callable[[str, int], bool]
    pseudonym: Callable[[str], str] = no_pseudonym
    sweeping: BackgroundBudget = msgspec.field(default_factory=BackgroundBudget)
    links: bool = True  # whether ids of one person are brought together, for which their partitions must be known
    placed: set[int] = msgspec.field(default_factory=set)  # partitions whose first records were seen to belong to them
    started_ms: int = 0  # what was rebuilt since then is not rebuilt again
    recompute: Recompute = RebuildProcess.start
    rebuilding: asyncio.Lock = msgspec.field(default_factory=asyncio.Lock)


class WorkerAssignment(Assignment[WorkerConfig, OwnedWorkerPartition]):
    """Of the worker that segments."""

    _follows = True

    def _files_of(self, _partition: int, _state: PartitionState) -> Files | None:
        config = self._config
        if not _state.positions:
            known = definition_versions.first(config.engine, _state.clock, config.now_ms() if config.rebuild else 0)
        elif self._is_to_be_rebuilt(known := definition_versions.kept(_state, config.engine)):
            self._epochs[_partition] = known
            return known.files() if not _state.epochs else None
        else:
            known = definition_versions.of(_state, config.engine)
        self._epochs[_partition] = known
        return known.files()

    def _is_to_be_rebuilt(self, known: DefinitionVersions) -> bool:
        return self._config.rebuild and known.rebuilt < self._config.started_ms

    @cached_property
    def _epochs(self) -> dict[int, DefinitionVersions]:
        return {}

    async def _check_placement(self) -> None:
        config = self._config
        if unread := self.unread - config.placed:
            others = {*range(config.identity.partitions)} - unread - config.placed
            config.placed.update(await placement.check(self._outputs, unread, others, config.belongs))

    async def _recover(self) -> None:
        for partition in sorted(self.unread):
            self.claimed[partition] = await self._forget(self.claimed[partition])
        await recover(self.claimed, self._outputs, self._config.now_ms)

    async def _forget(self, claimed: OwnedWorkerPartition) -> OwnedWorkerPartition:
        """Who asks to be erased, before anything of theirs is read; with what is to be published of it."""
        state = claimed.state
        known = self._config.engine.definitions.placeholders
        found = await erasure_scan.find(self._outputs, claimed.claim.partition, state.outputs, known)
        entries = [encode_entry(out) async for out in claimed.segmenter.forget(found.erased, found.along)]
        if found.positions:
            await claimed.outbox.trim(0, found.positions)
        return msgspec.structs.replace(claimed, state=msgspec.structs.replace(state, outbox=[*state.outbox, *entries]))

    def _claimed(self, claim: Claim, state: PartitionState) -> OwnedWorkerPartition:
        config, partition = self._config, claim.partition
        letters: PublishedDeadLetters = set()
        meter, known = config.meter(), self._epochs[partition]
        segmenter = Segmenter(
            known.engine,
            self._store,
            partition,
            claim.token,
            state,
            now_ms=config.now_ms,
            belongs=lambda customer: config.belongs(customer, partition),
            ceiling=config.ceiling,
            languages=config.languages,
            letters=letters,
            pseudonym=config.pseudonym,
            meter=meter,
            epochs=known,
            links=config.links,
            skips_unknown=config.rebuild
            and known.number == 0
            and known.rebuilt > 0,  # those that sent it send it again
        )
        outbox = Outbox(
            self._store,
            self._publisher,
            partition,
            claim.token,
            state,
            saved=lambda: segmenter.save_number,
            held={DEAD_LETTERS: letters},
            meter=meter,
        )
        return OwnedWorkerPartition(claim, state, segmenter, outbox, letters)

    def _runner(self, claimed: OwnedWorkerPartition) -> PartitionRunner:
        config, consumer, partition = self._config, self._consumer, claimed.claim.partition
        shard = PartitionTask(
            partition,
            Merge(config.topics, claimed.state.positions),
            claimed.segmenter,
            claimed.outbox,
            heard=lambda topic: consumer.heard(TP(topic, partition)),
            now_ms=config.now_ms,
            pace=config.pace,
            monotonic=config.monotonic,
            reading=reader(config.engine.definitions.placeholders),
            sweeping=config.sweeping,
            trials=self._trials(claimed.claim),
            rebuild=self._rebuild(claimed) if self._is_to_be_rebuilt(claimed.segmenter.epochs) else None,
        )
        return PartitionRunner(claimed.claim, shard, claimed.outbox, self._store, config.stop)

    def _rebuild(self, claimed: OwnedWorkerPartition) -> Rebuild:
        config, claim, segmenter = self._config, claimed.claim, claimed.segmenter
        ours, told = config.engine.definitions.fingerprint, {"partition": claim.partition}

        async def recompute() -> Recomputation:
            log.info("all events are read again, beside what Redis holds", extra=told)
            known, documents = segmenter.epochs.encoded().decode(), segmenter.epochs.documents
            return await config.recompute(
                RebuildRequest(claim.partition, config.identity.partitions, ours, known, documents)
            )

        async def follow(made: RebuildResult) -> None:
            known = segmenter.epochs.followed_by(config.engine, segmenter.clock)
            count = len(made.customers)
            await segmenter.follow(known, made, claim)
            log.info("all events are read again; going on from them", extra={**told, "customers": count})

        return Rebuild(recompute, lambda: dict(segmenter.positions), follow, config.rebuilding, config.monotonic)
