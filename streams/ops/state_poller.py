"""Polls Redis for the page: the clocks of the partitions and the members of the segments; customers on request.

The one rule: nothing is written. Members are counted at a bounded pace, so that the worker's own calls do not wait.

See also: `streams.ops.status`, which shows the result, and `streams.offline.explain`, which explains a customer.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Mapping

from rules.engine import Engine
from rules.sentences.reason_sentence import embedded
from rules.times import format_instant
from streams.errors import RightMissing, StoreFailed
from streams.kafka.partitioner import places
from streams.offline.explain import FIELDS, Explanation, SegmentExplanation, explained, explanation
from streams.ops.metrics import OpsMetrics
from streams.ops.responses import CustomerState, SegmentMembership
from streams.settings import Settings
from streams.state import definition_list
from streams.state.definition_versions import DefinitionVersions
from streams.state.redis import RedisStore
from streams.stop import stop
from streams.wire import customer_codec

log = logging.getLogger(__name__)

CLOCKS_EVERY_S = 1.0
COUNT_EVERY_S = 30.0
# After so many customers comes a pause of twice the time that they took, so counting takes a third of a core at most.
_COUNTED_TOGETHER = 500
_PAUSES = 2.0
# The fields of a partition's metadata that are read every second.
_FIELDS = ("definitions", "epoch", "clock")


class StatePoller:
    """The state in Redis as of the last poll."""

    def __init__(
        self, settings: Settings, store: RedisStore, engine: Engine, partitions: int, metrics: OpsMetrics,
        now_ms: Callable[[], int],
    ) -> None:  # fmt: skip
        self._settings = settings
        self._store = store
        self._engine = engine
        self.partitions = partitions
        self.metrics = metrics
        self._now_ms = now_ms
        self.clocks: dict[int, int] = {}
        self._metas: dict[int, Mapping[str, str]] = {}
        self.polled_ms = 0
        self.members: Mapping[str, int] | None = None
        self.counted_ms = 0

    async def poll(self) -> None:
        """Read the clocks and Redis's memory every second until cancelled."""
        while True:
            try:
                await self._poll()
                self.polled_ms = self._now_ms()
            except RightMissing as missing:
                stop(str(missing))
            except StoreFailed:
                pass  # `polled_ms` grows old, and the page says so
            await asyncio.sleep(CLOCKS_EVERY_S)

    async def _poll(self) -> None:
        for partition in range(self.partitions):
            meta = await self._store.meta(partition, _FIELDS)
            self._metas[partition] = meta
            clock = int(meta.get("clock", 0))
            if clock:
                self._set_clock(partition, clock)
        used, limit = await self._store.memory()
        self.metrics.redis_used.set(used)
        self.metrics.redis_max.set(limit)

    def _set_clock(self, partition: int, clock: int) -> None:
        if partition not in self.clocks:
            # A function and not a value: while Redis does not answer, the partition falls further behind.
            self.metrics.behind.labels(str(partition)).set_function(
                lambda: (self._now_ms() - self.clocks[partition]) / 1000
            )
        self.clocks[partition] = clock

    async def count(self) -> None:
        """Count the members of all segments again and again until cancelled."""
        while True:
            try:
                await self._count()
            except RightMissing as missing:
                stop(str(missing))
            except StoreFailed as error:
                log.warning("counting members failed; retrying", extra={"error": str(error)})
            await asyncio.sleep(COUNT_EVERY_S)

    async def _count(self) -> None:
        counts: Counter[str] = Counter()
        for partition in range(self.partitions):
            await self._count_partition(partition, counts)
        members = {segment.key: counts[segment.key] for segment in self._engine.definitions.segments}
        for key, count in members.items():
            self.metrics.members.labels(key).set(count)
        self.members, self.counted_ms = members, self._now_ms()

    async def _count_partition(self, partition: int, counts: Counter[str]) -> None:
        """Add the members of each segment in a partition to ``counts``, with pauses."""
        loop = asyncio.get_running_loop()
        keys = [segment.key for segment in self._engine.definitions.segments]
        snapshot = await self._store.snapshot(partition, [], FIELDS, documents=True)
        versions = DefinitionVersions.read(snapshot.meta, snapshot.documents, self._engine)
        count, began = 0, loop.time()
        async for _, value in self._store.customers(partition):
            customer = customer_codec.decode(value)
            if customer.definition_version == versions.number:
                counts.update([keys[index] for index in customer.since])
            else:  # an earlier version decided the customer, and its segments may be others
                counts.update(versions.engine_of(customer).membership(customer))
            count += 1
            if count % _COUNTED_TOGETHER == 0:
                await asyncio.sleep(_PAUSES * (loop.time() - began))
                began = loop.time()

    async def customer(self, customer_id: str, language: str, behind_s: float) -> CustomerState | None:
        """Read and explain a customer; `None` if it is not stored. Raises `Stop` and `StoreFailed`.

        `Stop`: its partition was written under other definitions. ``behind_s``: further behind, the state is stale.
        """
        for partition in places(self._settings, customer_id, self.partitions):
            (value,) = await self._store.load(partition, [customer_id])
            if value is not None:
                explained_customer = await self._explanation(customer_id, partition, value)
                if explained_customer is not None:
                    return self._state(explained_customer, language, behind_s)
        return None

    async def _explanation(self, customer_id: str, partition: int, value: bytes) -> Explanation | None:
        """Explain a stored value; `None` if an earlier version decided the customer, which was erased meanwhile."""
        # The metadata of the last second's poll: reading it again would make the answer a third slower.
        meta = self._metas.get(partition) or await self._store.meta(partition, _FIELDS)
        if definition_list.is_current(customer_codec.decode(value), meta):
            return explanation(self._engine, customer_id, partition, value, meta, {})
        return await explained(self._engine, self._store, [partition], customer_id)

    def _state(self, customer: Explanation, language: str, behind_s: float) -> CustomerState:
        return CustomerState(
            customer_id=customer.customer_id,
            partition=customer.partition,
            instant=customer.instant,
            sequence=customer.sequence,
            clock=customer.clock,
            next_due=customer.next_due,
            stale=self.behind_s(customer.partition) > behind_s,
            segments=[_membership(segment, language) for segment in customer.segments],
            changes=[],
            changes_since=format_instant(0),
        )

    def partition_of(self, customer_id: str) -> int:
        """The first partition in which a customer may be."""
        return places(self._settings, customer_id, self.partitions)[0]

    def behind_s(self, partition: int) -> float:
        """Seconds by which the clock of the last poll is behind the wall clock, beyond the grace."""
        return max(0, self._now_ms() - self._settings.grace_ms - self.clocks.get(partition, 0)) / 1000


def _membership(segment: SegmentExplanation, language: str) -> SegmentMembership:
    return SegmentMembership(
        segment=segment.segment,
        title=segment.title,
        member=segment.member,
        said={language: embedded(segment.reason, language)},
        held=segment.held,
        since=segment.since,
        due_at=segment.due_at,
    )
