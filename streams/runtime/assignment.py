"""Claims the partitions which the Kafka group assigned to this process, in the order that keeps them safe.

1. The claim in the store: from then on no other owner can save.
2. The fence of the publisher: from then on Kafka accepts nothing more from a former owner.
3. A check that the claim still stands: a process which was suspended between 1 and 2 would fence the newer owner.
4. Recovery: the output topics are read back. Only then anything new is read.

See also `streams.worker.claim` and `streams.triggers.claim` for recovery and the steps after it in each process, and
`streams.kafka.producer_fence` for the second step.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence

import msgspec
from faust.types import TP

from streams.errors import Fenced, LowerGeneration, StaleAssignment
from streams.failpoints import reach
from streams.kafka.faust_transport import Consumer
from streams.kafka.fetch import Offsets, OutputReader
from streams.runtime import poison_pills, preflight
from streams.runtime.input_merge import Merge
from streams.runtime.meter import NULL_METER, Meter
from streams.runtime.outbox import Publisher
from streams.runtime.partition_runner import PartitionRunner
from streams.runtime.partition_task import Pace, TaskContext
from streams.runtime.poison_pills import DEATHS_MAX, Attempt, Care, Trials
from streams.state.contract import Claim, EncodedVersions, Identity, PartitionState, Store

log = logging.getLogger(__name__)


class OwnerConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Configuration of a process that owns partitions; it does not change while the process runs.

    ``topics``: the inputs in reading order; ``outputs``: topics, without prefix, to which only the owner of a partition
    may publish.
    """

    topics: Sequence[str]
    outputs: Sequence[str]
    identity: Identity
    pace: Pace
    rebuild: bool
    exact_ends: bool
    segments: Sequence[str] = ()  # their keys, for the metrics
    now_ms: Callable[[], int]
    stop: Callable[[str], None]
    monotonic: Callable[[], float] = time.monotonic
    meter: Callable[[], Meter] = lambda: NULL_METER  # one for each claimed partition
    claimed: Callable[[float], None] = lambda _: None  # called after a claim, with its duration (s)
    let_go: Callable[[], None] = lambda: None  # called when the partitions are released
    trial_deaths_max: int = DEATHS_MAX  # a simulation sets more: it kills often, and not because of a record


class ClaimedPartition(msgspec.Struct, frozen=True):
    """A partition that is claimed and fenced. Reading begins at the positions of ``state``.

    ``is_unread``: nothing of its inputs was ever read. ``attempt``: with the deaths of former owners.
    """

    claim: Claim
    state: PartitionState
    is_unread: bool
    attempt: Attempt


def no_files(_partition: int, _state: PartitionState) -> EncodedVersions | None:
    """The definitions of a process that stores none."""
    return None


# The definition files to store with a claimed partition, by its number and what the store has of it.
FilesOf = Callable[[int, PartitionState], EncodedVersions | None]


class Assignment:
    """One assignment of the Kafka group while its partitions are claimed."""

    def __init__(
        self,
        config: OwnerConfig,
        store: Store,
        publisher: Publisher,
        outputs: OutputReader,
        generation: int,
        consumer: Consumer,
    ) -> None:
        self.store = store
        self.publisher = publisher
        self.outputs = outputs
        self.is_reading_back = False
        self._config = config
        self._generation = generation
        self._consumer = consumer

    async def claim(
        self, tps: frozenset[TP], files_of: FilesOf = no_files, *, follows: bool = False
    ) -> list[ClaimedPartition]:
        """Claim and fence the partitions of the assignment; steps 1 to 3 of the head.

        ``follows``: whether the process may go on from other definitions than those stored. Raises `StaleAssignment`,
        and what store, publisher and Kafka raise.
        """
        config = self._config
        partitions = preflight.check_complete(tps, config.topics, config.identity.partitions)
        if not partitions:
            return []
        await self.store.verify(config.now_ms)
        offsets = await self._consumer.offsets(tps)
        claimed = [await self._claim(partition, offsets, files_of, follows=follows) for partition in partitions]
        await self.publisher.claim(partitions)
        # An owner that was replaced before this point would fence the newer owner, and publish older rows.
        await asyncio.gather(*(self._check_stands(partition) for partition in claimed))
        return claimed

    async def _check_stands(self, claimed: ClaimedPartition) -> None:
        """Raise `Fenced` if another process has claimed a partition meanwhile."""
        claim, state = claimed.claim, claimed.state
        if not await self.store.trim(claim.partition, claim.fencing_token, state.trimmed, {}, state.save_number):
            raise Fenced

    def meter(self) -> Meter:
        """A meter for one claimed partition."""
        return self._config.meter()

    @contextlib.contextmanager
    def reading_back(self) -> Iterator[None]:
        """Mark step 4 of the head; a claim that runs out of time in it goes on from there at the next attempt."""
        self.is_reading_back = True
        yield
        self.is_reading_back = False  # only on success: the sentence on a failed claim depends on it

    def task_context(self, claimed: ClaimedPartition, care: Care) -> TaskContext:
        """The context for the task of a claimed partition. ``care``: the process's, see `begin_care`."""
        config, claim = self._config, claimed.claim
        return TaskContext(
            partition=claim.partition,
            merge=Merge(config.topics, claimed.state.positions),
            pace=config.pace,
            fetch_status=lambda topic: self._consumer.heard(TP(topic, claim.partition)),
            now_ms=config.now_ms,
            monotonic=config.monotonic,
            trials=Trials(
                self.store, claim.partition, claim.fencing_token, claimed.attempt, care, config.trial_deaths_max
            ),
        )

    def begin_care(self, claimed: Iterable[ClaimedPartition]) -> Care:
        """Begin to work record by record if former owners died; after the recovery, as the time of care is limited."""
        careful = [partition.claim.partition for partition in claimed if partition.attempt.needs_care]
        if careful:
            log.warning(
                "former owners died several times at the same positions of these partitions; their records are "
                "processed one by one for a while, to find the one at fault",
                extra={"partitions": careful, "generation": self._generation},
            )
        return Care(careful, 3 * self._config.pace.in_hand_max, self._config.monotonic)

    async def _claim(self, partition: int, offsets: Offsets, files_of: FilesOf, *, follows: bool) -> ClaimedPartition:
        """Claim one partition, then begin at its positions. Raises `Fenced` if a newer owner comes in between."""
        config = self._config
        claim = Claim(partition, self._generation, secrets.token_hex(16), config.identity, follows=follows)
        tps = [TP(topic, partition) for topic in config.topics]
        reach("before_claim")
        claim, state = await self._claim_in_store(claim, tps, offsets)
        reach("after_claim")
        positions = preflight.positions(tps, state, offsets, config)
        # At the first record of each input: all that the inputs still hold is unread.
        is_unread = all(position == offsets.first[tp] for tp, position in positions.items())
        by_topic = {tp.topic: position for tp, position in positions.items()}
        if not await self.store.begin(claim, by_topic, files_of(partition, state), state.save_number):
            raise Fenced
        attempt = poison_pills.judge(state.attempt, by_topic)
        if not await self.store.set_attempt(partition, claim.fencing_token, poison_pills.encode(attempt)):
            raise Fenced
        reach("after_begin")
        return ClaimedPartition(claim, msgspec.structs.replace(state, positions=by_topic), is_unread, attempt)

    async def _claim_in_store(self, claim: Claim, tps: Sequence[TP], offsets: Offsets) -> tuple[Claim, PartitionState]:
        """Claim a partition, also over a claim of a higher generation if Kafka proves that this one is over."""
        consumer = self._consumer
        try:
            return claim, await self.store.claim(claim)
        except LowerGeneration as lower:
            # The group was deleted, or has moved on without this worker: only the group itself can tell.
            if consumer.generation != self._generation:
                raise StaleAssignment from None
            if not await consumer.proves_generation({tp: offsets.committed.get(tp, 0) for tp in tps}):
                raise StaleAssignment from None
            claim = msgspec.structs.replace(claim, proven_over=lower.fencing_token)
        try:
            return claim, await self.store.claim(claim)
        except LowerGeneration:  # another process has claimed meanwhile
            raise StaleAssignment from None


# A function that claims an assignment's partitions for one kind of process, and returns runners ready to be started.
ClaimPartitions = Callable[[Assignment, frozenset[TP]], Awaitable[dict[int, PartitionRunner]]]
