"""Claims the partitions which the Kafka group assigned to this process, in the order that keeps them safe.

1. The claim in the store: from then on no other owner can save.
2. The fence of the publisher: from then on Kafka takes nothing more of a former owner.
3. A look whether the claim still stands: a process which stood still between 1 and 2 would fence the newer owner.
4. Recovery: what is on the output topics is read back. Only then anything new is read.

See also `streams.worker.claim` and `streams.triggers.claim` for what each process does with a claimed partition, and
`streams.kafka.fence` for the second step.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Generic, Protocol, TypeVar

import msgspec
from faust.types import TP

from streams.errors import Fenced, LowerGeneration, StaleAssignment
from streams.failpoints import reach
from streams.kafka.faust_transport import Consumer
from streams.kafka.fetch import Offsets, OutputReader
from streams.runtime import poison_pills, preflight
from streams.runtime.meter import NULL_METER, Meter
from streams.runtime.outbox import Publisher
from streams.runtime.partition_runner import PartitionRunner
from streams.runtime.partition_task import Pace
from streams.runtime.poison_pills import DEATHS_MAX, Attempt, Care, Trials
from streams.state.contract import Claim, Files, Identity, PartitionState, Store

log = logging.getLogger(__name__)


class OwnerConfig(msgspec.Struct, frozen=True, kw_only=True):
    """What does not change while a process runs that owns partitions.

    ``topics``: the inputs in reading order; ``outputs``: topics of which a partition's owner alone may publish, without
    prefix.
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
    claimed: Callable[[float], None] = lambda _: None  # an assignment is claimed
    let_go: Callable[[], None] = lambda: None  # and let go of
    trial_deaths_max: int = DEATHS_MAX  # a simulation kills for no reason, far more often


class OwnedPartition(Protocol):
    """A claimed partition that is not read on yet. The positions of ``state`` are those from which to read."""

    @property
    def claim(self) -> Claim: ...
    @property
    def state(self) -> PartitionState: ...


H = TypeVar("H", bound=OwnedPartition)
G = TypeVar("G", bound=OwnerConfig)


class Assignment(Generic[G, H]):
    """One assignment while it is being claimed; what becomes of a claimed partition its kinds say."""

    def __init__(
        self, config: G, store: Store, publisher: Publisher, outputs: OutputReader, generation: int, consumer: Consumer
    ) -> None:
        self._config = config
        self._store = store
        self._publisher = publisher
        self._outputs = outputs
        self._generation = generation
        self._consumer = consumer
        self.claimed: dict[int, H] = {}
        self._attempts: dict[int, Attempt] = {}
        self.unread: set[int] = set()  # partitions of which nothing was ever read
        self.is_reading_back = False

    async def take(self, tps: frozenset[TP]) -> None:
        """Claim the partitions of an assignment, read back what was published, and publish what is left.

        Raises `StaleAssignment`, and what store, publisher and Kafka raise.
        """
        config = self._config
        partitions = preflight.check_complete(tps, config.topics, config.identity.partitions)
        if not partitions:
            return
        await self._store.verify(config.now_ms)
        offsets = await self._consumer.offsets(tps)
        for partition in partitions:
            self.claimed[partition] = self._claimed(*await self._claim(partition, offsets))
        await self._publisher.claim(partitions)
        # Whoever was overtaken before it came here would keep the newer owner from publishing, and set rows back.
        await asyncio.gather(*(self._see_that_it_stands(claimed) for claimed in self.claimed.values()))
        await self._check_placement()
        self.is_reading_back = True
        await self._recover()
        self.is_reading_back = False

    async def _see_that_it_stands(self, claimed: H) -> None:
        """Raises `Fenced` when another has claimed the partition since."""
        claim, state = claimed.claim, claimed.state
        if not await self._store.trim(claim.partition, claim.token, state.trimmed, {}, state.save_number):
            raise Fenced

    def runners(self) -> dict[int, PartitionRunner]:
        """What was claimed, ready to be started."""
        return {partition: self._runner(claimed) for partition, claimed in self.claimed.items()}

    @cached_property
    def _care(self) -> Care:
        careful = [partition for partition, attempt in self._attempts.items() if attempt.needs_care]
        if careful:
            log.warning(
                "the process died again and again where these partitions are; going record by record for a while",
                extra={"partitions": careful, "generation": self._generation},
            )
        return Care(careful, 3 * self._config.pace.in_hand_max, self._config.monotonic)

    def _trials(self, claim: Claim) -> Trials:
        attempt, deaths_max = self._attempts[claim.partition], self._config.trial_deaths_max
        return Trials(self._store, claim.partition, claim.token, attempt, self._care, deaths_max)

    _follows = False

    def _files_of(self, _partition: int, _state: PartitionState) -> Files | None:
        """The definitions, to be stored with the partition; none. Raises `ClaimRefused`."""
        return None

    def _claimed(self, claim: Claim, state: PartitionState) -> H:
        raise NotImplementedError

    async def _check_placement(self) -> None:
        """Refuse what is not to be read at all. Raises `Stop`."""

    async def _recover(self) -> None:
        """Bring together what is published and what is known, and publish the rest."""
        raise NotImplementedError

    def _runner(self, claimed: H) -> PartitionRunner:
        raise NotImplementedError

    async def _claim(self, partition: int, offsets: Offsets) -> tuple[Claim, PartitionState]:
        config, generation, consumer = self._config, self._generation, self._consumer
        claim = Claim(partition, generation, secrets.token_hex(16), config.identity, follows=self._follows)
        tps = [TP(topic, partition) for topic in config.topics]
        reach("before_claim")
        try:
            state = await self._store.claim(claim)
        except LowerGeneration as lower:
            # The group was deleted, or has moved on without this worker: only the group itself can tell.
            if consumer.generation != generation:
                raise StaleAssignment from None
            if not await consumer.proves_generation({tp: offsets.committed.get(tp, 0) for tp in tps}):
                raise StaleAssignment from None
            claim = msgspec.structs.replace(claim, proven_over=lower.token)
            try:
                state = await self._store.claim(claim)
            except LowerGeneration:  # of a claim that came meanwhile
                raise StaleAssignment from None
        reach("after_claim")
        positions = preflight.positions(tps, state, offsets, config)
        if all(position == offsets.first[tp] for tp, position in positions.items()):
            self.unread.add(partition)
        by_topic = {tp.topic: position for tp, position in positions.items()}
        if not await self._store.begin(claim, by_topic, self._files_of(partition, state), state.save_number):
            raise Fenced
        self._attempts[partition] = attempt = poison_pills.judge(state.attempt, by_topic)
        if not await self._store.set_attempt(partition, claim.token, poison_pills.encode(attempt)):
            raise Fenced
        reach("after_begin")
        return claim, msgspec.structs.replace(state, positions=by_topic)
