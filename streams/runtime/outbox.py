"""The transactional outbox: records that are saved with a step, on their way to Kafka.

The one rule: entries are published in the order in which they were saved. An entry is trimmed only after Kafka has
acknowledged it, together with the positions after its records. A crash in between leaves records beyond those
positions, where the next claim finds them (`streams.worker.output_recovery`).

See also: `streams.kafka.publisher` (the publishers), and `streams.runtime.read_back` (reads the published records of a
claim).
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
from streams.wire.records import OutRecord, size_of

log = logging.getLogger(__name__)

# Entries (one per save) that may wait before the partition stops computing more.
WAITING_MAX = 64
# The same in bytes; one more entry may exceed it: an entry of dead letters may be 4 MiB.
WAITING_MAX_BYTES = 16 * 1024 * 1024
# Entries up to this many records are published with one round trip.
_TOGETHER_MAX = 4_000
# A renewal that failed is tried again after this share of the interval: 5 min of 6 h.
_AGAIN_SHARE = 1 / 72
# The same (s) where nothing may be published until it succeeds.
AGAIN_S = 5.0
_GOLDEN_RATIO = (5**0.5 - 1) / 2


def renewal_s(partition: int, at_most_s: float) -> float:
    """The renewal interval (s) of a partition: the intervals are spread evenly over the second half of the time."""
    return at_most_s * (1 - partition * _GOLDEN_RATIO % 1 / 2)


class Publisher(Protocol):
    """The contract of a publisher, which sends records to the output topics."""

    async def claim(self, partitions: Sequence[int]) -> None:
        """Prepare for claimed partitions, before their topics are read back.

        Afterwards no earlier record of this publisher is still on its way to them, and, if the broker can fence, no
        record of another publisher. Raises `PublishFailed`.
        """

    async def publish(self, partition: int, records: Sequence[OutRecord]) -> Mapping[str, int]:
        """Publish records, those of one topic in order. Returns, once acknowledged, the position after them by topic.

        A topic whose position Kafka did not say is left out. Raises `PublishFailed`, or
        `ProducerFenced` when the partition was claimed by another publisher.
        """

    @property
    def renew_s(self) -> float | None:
        """How often (s) a claim's fence must be renewed; ``None``: this publisher has no fences."""

    async def renew(self, partition: int) -> None:
        """Renew the fence. Before anything is published, the claim must be checked, also after a renewal that failed.

        Raises `PublishFailed`, or `ProducerFenced`; for a cause that may pass `NotRenewed`.
        """

    async def release(self) -> None:
        """Release the claimed partitions."""


class Outbox:
    """The outbox of one partition while it is claimed.

    ``saved``: gives the number of the newest save that the store has confirmed. ``blocked_by``: a collection for some
    outputs; the stored position of such an output is advanced only while its collection is empty.
    """

    def __init__(
        self,
        store: Store,
        publisher: Publisher,
        partition: int,
        fencing_token: str,
        state: PartitionState,
        saved: Callable[[], int],
        blocked_by: Mapping[str, Collection[object]] | None = None,
        meter: Meter = NULL_METER,
    ) -> None:
        self._store = store
        self._publisher = publisher
        self._partition = partition
        self._fencing_token = fencing_token
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
        """Queue the records of a saved entry; waits while too many entries wait. For one writer."""
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
        """The number of entries that are not yet known to be published, and the bytes of their records."""
        return self._waiting.qsize(), self._waiting_bytes

    async def drained(self) -> None:
        """Wait until every queued entry is published and trimmed."""
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
            # Small entries go together, as each publish costs a round trip.
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
        """Renew the fence; ``False`` after a failure which the former fence has survived.

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
                "renewing a fence failed; retrying",
                extra={"partition": self._partition, "error": str(failed), "has_begun": failed.has_begun},
            )
            return failed
        return None

    async def publish(self, entries: Sequence[Sequence[OutRecord]]) -> None:
        """Publish the next entries, and trim them.

        An entry of a former claim contains only those of its records that are not on their topic yet.
        """
        records = [record for entry in entries for record in entry]
        reach("before_publish")
        positions = await self._publisher.publish(self._partition, records) if records else {}
        reach("after_publish")
        await self.trim(len(entries), positions)
        reach("after_trim")

    async def repeat(self, records: Sequence[OutRecord]) -> None:
        """Publish saved records again which may not have been published; this trims nothing."""
        if records:
            await self._publisher.publish(self._partition, records)

    async def _check_claim(self) -> None:
        """Raise `Fenced` when the partition has another owner by now."""
        await self.trim(0, {})

    async def trim(self, count: int, positions: Mapping[str, int]) -> None:
        """Drop the next entries, which are on the topics. Raises `Fenced`.

        ``positions``: up to where the store knows the records on the output topics.
        """
        self._trimmed += count
        self._positions |= positions
        positions = {topic: position for topic, position in self._positions.items() if not self._blocked_by.get(topic)}
        if not await self._store.trim(self._partition, self._fencing_token, self._trimmed, positions, self._saved()):
            raise Fenced


def _size(records: Sequence[OutRecord]) -> int:
    return sum(map(size_of, records))
