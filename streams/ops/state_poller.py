"""What Redis holds, looked at for the page: clocks and members, now and then, and customers when asked for.

The one rule: nothing is written. Members are counted at a bounded pace, so that the worker's own calls do not wait.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Mapping

from rules.engine import Engine
from rules.sentences import embedded
from rules.times import format_instant
from streams.errors import RightMissing, StoreFailed
from streams.kafka.partitioner import places
from streams.offline.explain import FIELDS, Explained, Explanation, explained, explanation
from streams.ops.metrics import OpsMetrics
from streams.ops.responses import CustomerState, Membership
from streams.settings import Settings
from streams.state import definition_list
from streams.state.definition_versions import DefinitionVersions
from streams.state.redis import RedisStore
from streams.stop import stop
from streams.wire import customers

log = logging.getLogger(__name__)

CLOCKS_EVERY_S = 1.0
COUNT_EVERY_S = 30.0
# So many customers, then a pause as long as twice what they took: a third of one core at most.
_COUNTED_TOGETHER = 500
_PAUSES = 2.0
# What is needed of a partition every second.
_FIELDS = ("definitions", "epoch", "clock")


class Looking:
    """Redis as it was last seen."""

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
        self.seen_ms = 0
        self.members: Mapping[str, int] | None = None
        self.counted_ms = 0

    async def look(self) -> None:
        """Read the clocks every second until cancelled."""
        while True:
            try:
                for partition in range(self.partitions):
                    self._metas[partition] = meta = await self._store.meta(partition, _FIELDS)
                    if clock := int(meta.get("clock", 0)):
                        self._saw(partition, clock)
                self.metrics.redis_used.set((memory := await self._store.memory())[0])
                self.metrics.redis_max.set(memory[1])
                self.seen_ms = self._now_ms()
            except RightMissing as missing:
                stop(str(missing))
            except StoreFailed:
                pass  # what was seen last grows old, and is said to be
            await asyncio.sleep(CLOCKS_EVERY_S)

    def _saw(self, partition: int, clock: int) -> None:
        if partition not in self.clocks:
            # Asked for and not set: while Redis does not answer, the last clock that was seen grows older.
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
                log.warning("members could not be counted", extra={"error": str(error)})
            await asyncio.sleep(COUNT_EVERY_S)

    async def _count(self) -> None:
        loop = asyncio.get_running_loop()
        keys = [segment.key for segment in self._engine.definitions.segments]
        found: Counter[str] = Counter()
        for partition in range(self.partitions):
            at, began = 0, loop.time()
            held = await self._store.snapshot(partition, [], FIELDS, documents=True)
            known = DefinitionVersions.read(held.meta, held.documents, self._engine)
            async for _, value in self._store.customers(partition):
                customer = customers.decode(value)
                if customer.by == known.number:
                    found.update([keys[place] for place in customer.since])
                else:
                    found.update(known.engine_of(customer).membership(customer))
                at += 1
                if at % _COUNTED_TOGETHER == 0:
                    await asyncio.sleep(_PAUSES * (loop.time() - began))
                    began = loop.time()
        members = {key: found[key] for key in keys}
        for key, count in members.items():
            self.metrics.members.labels(key).set(count)
        self.members, self.counted_ms = members, self._now_ms()

    async def customer(self, customer_id: str, language: str, behind_s: float) -> CustomerState | None:
        """A customer as stored. Raises `Stop` under other definitions, and `StoreFailed`."""
        for partition in places(self._settings, customer_id, self.partitions):
            (value,) = await self._store.load(partition, [customer_id])
            if value is not None:
                # The partition as it was within the last second: a second round trip would be a third of the time.
                meta = self._metas.get(partition) or await self._store.meta(partition, _FIELDS)
                if definition_list.is_current(customers.decode(value), meta):
                    found = explanation(self._engine, customer_id, partition, value, meta, {})
                elif (other := await explained(self._engine, self._store, [partition], customer_id)) is not None:
                    found = other
                else:
                    continue  # erased meanwhile
                return self._state(found, language, behind_s)
        return None

    def _state(self, found: Explanation, language: str, behind_s: float) -> CustomerState:
        return CustomerState(
            customer_id=found.customer_id,
            partition=found.partition,
            instant=found.instant,
            sequence=found.sequence,
            clock=found.clock,
            next_due=found.next_due,
            stale=self.behind_s(found.partition) > behind_s,
            segments=[_membership(one, language) for one in found.segments],
            changes=[],
            changes_since=format_instant(0),
        )

    def partition_of(self, customer_id: str) -> int:
        """The first partition in which a customer may be."""
        return places(self._settings, customer_id, self.partitions)[0]

    def behind_s(self, partition: int) -> float:
        """How far the clock that was last seen is behind the wall clock, beyond the grace."""
        return max(0, self._now_ms() - self._settings.grace_ms - self.clocks.get(partition, 0)) / 1000


def _membership(one: Explained, language: str) -> Membership:
    said = {language: embedded(one.reason, language)}
    return Membership(one.segment, one.title, one.member, said, one.held, one.since, one.due_at)
