"""The outbox: what was decided and saved, on its way to Kafka.

The one rule: published in the order in which it was saved, acknowledged, and only then trimmed,
together with the positions after it. A crash in between leaves records beyond those positions,
where the next claim finds them (`streams.worker.recovery`).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Protocol

from streams.errors import Fenced, NotRenewed
from streams.failpoints import reach
from streams.runtime.meter import NULL_METER, Meter
from streams.state.contract import PartitionState, Store
from streams.wire.records import OutRecord

log = logging.getLogger(__name__)

# Entries (one per save) that may wait before the partition stops computing more.
WAITING_MAX = 64
# Or so many bytes of them, and the entry that passes it: an entry of dead letters may be 4 MiB.
WAITING_MAX_BYTES = 16 * 1024 * 1024
# Records whose entries are published with one round trip.
_TOGETHER_MAX = 4_000
# What could not be renewed is tried again after this share of the time: 5 min of 6 h.
_AGAIN_SHARE = 1 / 72
# Or after so long (s), where nothing may be published until it is.
AGAIN_S = 5.0
_GOLDEN_RATIO = (5**0.5 - 1) / 2


def renewal_s(partition: int, at_most_s: float) -> float:
    """After how long a partition renews: each after a time of its own, spread evenly over the second half."""
    return at_most_s * (1 - partition * _GOLDEN_RATIO % 1 / 2)


class Publisher(Protocol):
    """Where records go."""

    async def claim(self, partitions: Sequence[int]) -> None:
        """Make ready for partitions that are claimed, before what is on their topics is read.

        From here on nothing that was given before to this publisher is still on its way to them,
        nor, where it can be kept from it, what was given to another. Raises `PublishFailed`.
        """

    async def publish(self, partition: int, records: Sequence[OutRecord]) -> Mapping[str, int]:
        """Return once all are acknowledged, those of one topic in order: the position after them, by topic.

        A topic whose position Kafka did not say is left out. Raises `PublishFailed`, or
        `ProducerFenced` when the partition was claimed by another publisher.
        """

    @property
    def renew_s(self) -> float | None:
        """How often what a claim keeps from others must be renewed (s); ``None``: it keeps nothing from them."""

    async def renew(self, partition: int) -> None:
        """Renew it. Afterwards the claim must be seen to stand, before anything is published, also where it failed.

        Raises `PublishFailed`, or `ProducerFenced`; for a cause that may pass `NotRenewed`.
        """

    async def release(self) -> None:
        """Let go of what was claimed."""


class Outbox:
    """The outbox of one partition while it is claimed.

    ``saved``: gives the number of the newest save that the store has confirmed. ``blocked_by``: by output, something
    that must be empty before the position of the output is advanced.
    """

    def __init__(
        self,
        store: Store,
        publisher: Publisher,
        partition: int,
        token: str,
        state: PartitionState,
        saved: Callable[[], int],
        blocked_by: Mapping[str, Collection[object]] | None = None,
        meter: Meter = NULL_METER,
    ) -> None:
        self._store = store
        self._publisher = publisher
        self._partition = partition
        self._token = token
        self._trimmed = state.trimmed
        self._positions = dict(state.outputs)
        self._saved = saved
        self._blocked_by = blocked_by or {}
        self._meter = meter
        self._waiting: asyncio.Queue[Sequence[OutRecord]] = asyncio.Queue(WAITING_MAX)
        self._waiting_bytes = 0
        self._room = asyncio.Event()
        self._room.set()

    async def put(self, records: Sequence[OutRecord]) -> None:
        """The records of an entry that is saved; waits while too many do. For one writer."""
        await self._room.wait()
        await self._waiting.put(records)
        self._weigh(_size(records))

    def _weigh(self, change_bytes: int) -> None:
        self._waiting_bytes += change_bytes
        if self._waiting_bytes < WAITING_MAX_BYTES:
            self._room.set()
        else:
            self._room.clear()

    @property
    def waiting(self) -> tuple[int, int]:
        """Entries that are not yet known to be published, and the bytes of their records."""
        return self._waiting.qsize(), self._waiting_bytes

    async def drained(self) -> None:
        """Until everything put is published and trimmed."""
        await self._waiting.join()

    async def run(self) -> None:
        """Publish until cancelled."""
        loop = asyncio.get_running_loop()
        renew_at = self._renew_at()
        while True:
            if renew_at is not None and loop.time() >= renew_at:
                renew_at = self._renew_at(is_renewed=await self.renew())
            try:
                async with asyncio.timeout_at(renew_at):
                    entries = [await self._waiting.get()]
            except TimeoutError:
                continue
            count = len(entries[0])
            while not self._waiting.empty() and count < _TOGETHER_MAX:
                entries.append(self._waiting.get_nowait())
                count += len(entries[-1])
            await self.publish(entries)
            self._meter.published(len(entries))
            for entry in entries:
                self._weigh(-_size(entry))
                self._waiting.task_done()

    def _renew_at(self, *, is_renewed: bool = True) -> float | None:
        at_most_s = self._publisher.renew_s
        if at_most_s is None:
            return None
        after_s = renewal_s(self._partition, at_most_s) if is_renewed else at_most_s * _AGAIN_SHARE
        return asyncio.get_running_loop().time() + after_s

    async def renew(self) -> bool:
        """Keep others from publishing for longer; if not, what kept them until now still does.

        Raises `Fenced` when the partition has another owner by now.
        """
        may_publish = True
        while True:
            failed = await self._try_to_renew()
            await self._check_claim()
            if failed is None:
                return True
            may_publish = may_publish and not failed.has_begun
            if may_publish:
                return False
            await asyncio.sleep(AGAIN_S)

    async def _try_to_renew(self) -> NotRenewed | None:
        try:
            await self._publisher.renew(self._partition)
        except NotRenewed as failed:
            log.warning(
                "a fence could not be renewed; it is tried again",
                extra={"partition": self._partition, "error": str(failed), "has_begun": failed.has_begun},
            )
            return failed
        return None

    async def publish(self, entries: Sequence[Sequence[OutRecord]]) -> None:
        """Publish the next entries, and trim them; of an entry of a former claim, what is left to be published."""
        records = [record for entry in entries for record in entry]
        reach("before_publish")
        positions = await self._publisher.publish(self._partition, records) if records else {}
        reach("after_publish")
        await self.trim(len(entries), positions)
        reach("after_trim")

    async def repeat(self, records: Sequence[OutRecord]) -> None:
        """Publish what was saved before and may not have been published; nothing is trimmed by it."""
        if records:
            await self._publisher.publish(self._partition, records)

    async def _check_claim(self) -> None:
        """Raise `Fenced` when the partition has another owner by now."""
        await self.trim(0, {})

    async def trim(self, count: int, positions: Mapping[str, int]) -> None:
        """Drop the next entries, which are on the topics. Raises `Fenced`.

        ``positions``: up to where the store knows what is on the output topics.
        """
        self._trimmed += count
        self._positions |= positions
        positions = {topic: position for topic, position in self._positions.items() if not self._blocked_by.get(topic)}
        if not await self._store.trim(self._partition, self._token, self._trimmed, positions, self._saved()):
            raise Fenced


def _size(records: Sequence[OutRecord]) -> int:
    return sum(len(record.value or b"") + len(record.key or b"") for record in records)
