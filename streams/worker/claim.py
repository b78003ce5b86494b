"""Claims partitions for the worker: definitions, placement, erasures, recovery, and the runners that go on.

See also `streams.runtime.assignment` for the order of a claim, in which former owners are fenced in Kafka and in Redis.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence

import msgspec
from faust.types import TP

from rules.engine import Engine
from streams.defects import no_pseudonym
from streams.runtime.assignment import Assignment, ClaimedPartition, OwnerConfig
from streams.runtime.backfill_pacer import BackfillPacer, Background
from streams.runtime.input_buffer import reader
from streams.runtime.outbox import Outbox
from streams.runtime.partition_runner import PartitionRunner
from streams.runtime.partition_task import PartitionTask, TaskContext
from streams.state.contract import EncodedVersions, PartitionState
from streams.state.definition_versions import DefinitionVersions
from streams.wire.records import encode_entry
from streams.wire.topics import DEAD_LETTERS
from streams.worker import erasure_scan, placement
from streams.worker.dead_letter_limit import DeadLetterLimit
from streams.worker.output_recovery import OwnedWorkerPartition, recover
from streams.worker.partition import WorkerPartition
from streams.worker.rebuild_handover import (
    Rebuild,
    RebuildProcess,
    RebuildRequest,
    RebuildResult,
    Recomputation,
    Recompute,
)
from streams.worker.segmenter import SegmenterConfig

log = logging.getLogger(__name__)


class WorkerConfig(OwnerConfig, frozen=True, kw_only=True):
    """Configuration of the segmenting worker: what every owner needs, plus rules and background work.

    ``belong``: whether each of these customers belongs to a partition. ``placed``: partitions whose first records were
    checked to belong to them. ``started_ms``: a partition that was rebuilt after this time is not rebuilt again.
    ``rebuilding``: the lock of the rebuild that runs, as a process runs one at a time.
    """

    engine: Engine
    dead_letter_limit: DeadLetterLimit
    languages: Sequence[str]
    belong: Callable[[Sequence[str], int], Sequence[bool]]
    pseudonym: Callable[[str], str] = no_pseudonym
    background: BackfillPacer = msgspec.field(default_factory=BackfillPacer)
    links: bool = True  # whether ids of one person are linked, which needs a known partitioner
    placed: set[int] = msgspec.field(default_factory=set)
    started_ms: int = 0
    recompute: Recompute = RebuildProcess.start
    rebuilding: asyncio.Lock = msgspec.field(default_factory=asyncio.Lock)


async def claim_partitions(
    config: WorkerConfig, assignment: Assignment, tps: frozenset[TP]
) -> dict[int, PartitionRunner]:
    """Claim the partitions of an assignment, and recover them. Returns runners that are ready to be started.

    Raises what `Assignment.claim` and the recovery raise.
    """
    versions: dict[int, DefinitionVersions] = {}

    def files_of(partition: int, state: PartitionState) -> EncodedVersions | None:
        versions[partition], files = _definitions(config, state)
        return files

    claimed = {entry.claim.partition: entry for entry in await assignment.claim(tps, files_of, follows=True)}
    unread = {partition for partition, entry in claimed.items() if entry.is_unread}
    await _check_placement(config, assignment, unread)
    owned = {number: _own(config, assignment, entry, versions[number]) for number, entry in claimed.items()}
    with assignment.reading_back():
        for number in sorted(unread):
            owned[number].entries += await _erase(config, assignment, owned[number])
        await recover(owned, assignment.outputs, config.now_ms)
    care = assignment.begin_care(claimed.values())
    return {
        number: _runner(config, assignment, partition, assignment.task_context(claimed[number], care))
        for number, partition in owned.items()
    }


def _definitions(config: WorkerConfig, state: PartitionState) -> tuple[DefinitionVersions, EncodedVersions | None]:
    """The versions under which a partition goes on, and those that must be stored with the claim."""
    if not state.positions:
        rebuilt = config.now_ms() if config.rebuild else 0
        versions = DefinitionVersions.initial(config.engine, state.clock, rebuilt)
        return versions, versions.files()
    versions = DefinitionVersions.loaded(state, config.engine)
    if _awaits_rebuild(config, versions):
        # The rebuild makes the engine's file the newest once it is ready.
        return versions, None if state.definition_versions else versions.files()
    versions = versions.for_engine(config.engine, state.clock)
    return versions, versions.files()


def _awaits_rebuild(config: WorkerConfig, versions: DefinitionVersions) -> bool:
    return config.rebuild and versions.rebuilt < config.started_ms


async def _check_placement(config: WorkerConfig, assignment: Assignment, unread: set[int]) -> None:
    """Refuse topics whose records are not on the partitions that the partitioner chooses. Raises `Stop`."""
    if unchecked := unread - config.placed:
        others = {*range(config.identity.partitions)} - unchecked - config.placed
        config.placed.update(await placement.check(assignment.outputs, unchecked, others, config.belong))


def _own(
    config: WorkerConfig, assignment: Assignment, claimed: ClaimedPartition, versions: DefinitionVersions
) -> OwnedWorkerPartition:
    claim, meter = claimed.claim, assignment.meter()
    of_partition = SegmenterConfig(
        now_ms=config.now_ms,
        belong=lambda customers: config.belong(customers, claim.partition),
        dead_letter_limit=config.dead_letter_limit,
        languages=config.languages,
        pseudonym=config.pseudonym,
        links=config.links,
        # A partition that began with the rebuild of a fresh store: partitions that sent it profiles send them again.
        skips_unknown_profiles=config.rebuild and versions.number == 0 and versions.rebuilt > 0,
    )
    part = WorkerPartition(assignment.store, claim, claimed.state, versions, of_partition, meter)
    outbox = Outbox(
        assignment.store,
        assignment.publisher,
        claim.partition,
        claim.fencing_token,
        claimed.state,
        saved=lambda: part.checkpointer.save_number,
        blocked_by={DEAD_LETTERS: part.published_dead_letters},
        meter=meter,
    )
    return OwnedWorkerPartition(part, outbox, list(claimed.state.outbox))


async def _erase(config: WorkerConfig, assignment: Assignment, owned: OwnedWorkerPartition) -> list[bytes]:
    """Apply the erasure requests that are still unread, before recovery reads those customers.

    Returns the resulting entries of the outbox.
    """
    part = owned.part
    erasures = await erasure_scan.find(
        assignment.outputs, part.claim.partition, part.state.outputs, config.engine.definitions.placeholders
    )
    saves = erasure_scan.apply_erasures(part.loader, part.checkpointer, erasures.erased, erasures.along)
    entries = [encode_entry(out) async for out in saves]
    if erasures.positions:
        await owned.outbox.trim(0, erasures.positions)
    return entries


def _runner(
    config: WorkerConfig, assignment: Assignment, owned: OwnedWorkerPartition, context: TaskContext
) -> PartitionRunner:
    part = owned.part
    rebuild = _rebuild(config, part) if _awaits_rebuild(config, part.loader.versions) else None
    task = PartitionTask(
        context,
        part.segmenter,
        owned.outbox,
        read_record=reader(config.engine.definitions.placeholders),
        background=Background(part.backfill, config.background, rebuild),
    )
    return PartitionRunner(part.claim, task, owned.outbox, assignment.store, config.stop)


def _rebuild(config: WorkerConfig, part: WorkerPartition) -> Rebuild:
    log_fields = {"partition": part.claim.partition}

    async def recompute() -> Recomputation:
        log.info("rebuild started: reading all retained events", extra=log_fields)
        versions = part.loader.versions
        return await config.recompute(
            RebuildRequest(
                part.claim.partition,
                config.identity.partitions,
                config.engine.definitions.fingerprint,
                versions.encoded().decode(),
                versions.documents,
            )
        )

    async def follow(result: RebuildResult) -> None:
        count = len(result.customers)
        # A new version, also of an unchanged file: so every customer counts as one of a former version, to be migrated.
        versions = part.loader.versions.with_next(config.engine, part.checkpointer.clock)
        await part.loader.use_rebuilt(versions, result, part.claim)
        log.info("rebuild result in use; customers are replaced as they load", extra={**log_fields, "customers": count})

    return Rebuild(recompute, lambda: dict(part.checkpointer.positions), follow, config.rebuilding, config.monotonic)
