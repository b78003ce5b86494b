"""Publishers on Kafka, which send the records of the outbox as ready-made batches.

The one rule: publishing is idempotent, and acknowledged by all in-sync replicas. Faust's own producer is not
idempotent, and its sends are not awaited, so it is not used.

- `FencedPublisher`: one producer per claimed partition. After the claim Kafka refuses requests of former owners.
- `UnfencedPublisher`: one producer for all partitions, for a broker without transactions. A request of a former
  owner may arrive at any time.

**Fencing.** Each claim makes a fence for its partition (`streams.kafka.producer_fence`). `merges` is not fenced: its
receivers count each record once.

Kafka forgets fences: a leader forgets a producer that wrote nothing for a day (`producer.id.expiration.ms`), the
coordinator an id that was not used for seven days (`transactional.id.expiration.ms`). So an owner renews its fence
every `RENEW_S`, and publishes nothing more if it could not for `FENCE_MAX_S`. After making a fence an owner must
check that its claim still stands: a process that was suspended meanwhile would fence the newer owner.

aiokafka itself repeats what may be repeated. A batch that fails finally is not sent again here either: aiokafka
counts a failed batch as sent, so all later batches would be out of order. The worker stops, and the next claim reads
back which records arrived.

See also: `streams.runtime.outbox` (the contract `Publisher`, and its caller),
`streams.kafka.output_batches` (sends the records, and waits until Kafka acknowledged them).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError

from streams.errors import NotRenewed, ProducerFenced, PublishFailed
from streams.failpoints import reach
from streams.kafka import output_batches, producer_fence
from streams.kafka import producer as producers
from streams.kafka.producer import PRODUCERS_MAX, processes_needed
from streams.kafka.producer_fence import Fence
from streams.kafka.transactional_ids import transactional_id
from streams.stop import Stop
from streams.wire.records import OutRecord

log = logging.getLogger(__name__)

# How long a process with more partitions than it can own stays in its group, so that others can join, which ends its
# claim. If each left at once, no two of them would ever be members at the same time.
OTHERS_WAIT_S = 20.0
_STARTING_MAX = 16
# By default Kafka remembers an idle producer for a day.
RENEW_S = 6 * 3600.0
FENCE_MAX_S = 18 * 3600.0


class UnfencedPublisher:
    """Publishes with one aiokafka producer (batches have 8 × the rate of ``send`` per record)."""

    def __init__(self, client: Mapping[str, Any], prefix: str) -> None:
        """``client``: options of the client, such as brokers and login."""
        self._options = producers.options(client)
        self._prefix = prefix
        self._started: asyncio.Future[AIOKafkaProducer] | None = None

    async def _producer(self) -> AIOKafkaProducer:
        """The producer, started at first use: it belongs to the loop that is running then."""
        if not self._is_started:
            self._started = asyncio.ensure_future(producers.start(self._options))
        assert self._started is not None
        return await asyncio.shield(self._started)

    @property
    def _is_started(self) -> bool:
        """Whether the producer is started or being started; after a failure it is started again at its next use."""
        started = self._started
        return started is not None and not (started.done() and (started.cancelled() or started.exception()))

    async def claim(self, partitions: Sequence[int]) -> None:  # noqa: ARG002  # one producer for all
        """Wait until records on their way are on the topics, or have failed. See `streams.runtime.outbox.Publisher`."""
        if self._is_started:
            await (await self._producer()).flush()

    async def publish(self, partition: int, records: Sequence[OutRecord]) -> Mapping[str, int]:
        """Publish records. See `streams.runtime.outbox.Publisher`."""
        try:
            return await output_batches.publish(await self._producer(), self._prefix, partition, records)
        except KafkaError as error:
            raise producer_fence.failure(error) from error

    renew_s: float | None = None

    async def renew(self, partition: int) -> None:
        """Do nothing: without fences there is nothing to renew. See `streams.runtime.outbox.Publisher`."""

    async def release(self) -> None:
        """Do nothing: the producer serves later claims, too. See `streams.runtime.outbox.Publisher`."""

    async def close(self) -> None:
        """Flush and stop, within a bound."""
        if self._is_started:
            with suppress(KafkaError):  # a start that fails meanwhile
                await producers.close(await self._producer())


class FencedPublisher:
    """Publishes with one aiokafka producer for each claimed partition, from claim to release."""

    def __init__(
        self,
        client: Mapping[str, Any],
        prefix: str,
        group: str,
        outputs: Sequence[str],
        partitions: int,
        renew_s: float = RENEW_S,
    ) -> None:
        """``client``: options of the client, such as brokers and login; ``outputs``: topics to which owners publish.

        ``partitions``: how many these topics have; ``renew_s``: shorter for brokers which forget sooner.
        """
        self.renew_s: float | None = renew_s
        self._fence_max_s = FENCE_MAX_S / RENEW_S * renew_s
        self._options = producers.options(client)
        self._prefix = prefix
        self._group = group
        self._outputs = outputs
        self._partitions = partitions
        self._fences: dict[int, Fence] = {}
        self._starting = asyncio.Semaphore(_STARTING_MAX)

    async def claim(self, partitions: Sequence[int]) -> None:
        """Fence these partitions. See `streams.runtime.outbox.Publisher`. Raises `Stop` for too many partitions."""
        if len(partitions) > PRODUCERS_MAX:
            log.warning("too many partitions; waiting for others to join the group", extra={"count": len(partitions)})
            await asyncio.sleep(OTHERS_WAIT_S)
            raise Stop(
                f"this process was assigned {len(partitions)} of {self._partitions} partitions but can own at most "
                f"{PRODUCERS_MAX}; run at least {processes_needed(self._partitions)} processes at the same time"
            )
        await asyncio.gather(*(self._fence(partition) for partition in partitions))

    async def renew(self, partition: int) -> None:
        """Replace a partition's fence by a new one. See `streams.runtime.outbox.Publisher`.

        Raises `PublishFailed` also if the former fence is so old that Kafka may have forgotten it.
        """
        former = self._fence_of(partition)
        try:
            await self._fence(partition)
        except NotRenewed:
            self._check_age(former)
            raise
        await producers.close(former.producer)

    async def _fence(self, partition: int) -> None:
        id_of_partition = transactional_id(self._group, self._prefix, partition)
        places = [TopicPartition(self._prefix + topic, partition) for topic in self._outputs]
        async with self._starting:
            reach("before_fence")
            self._fences[partition] = await producer_fence.make(self._options, id_of_partition, places)
            reach("after_fence")

    async def publish(self, partition: int, records: Sequence[OutRecord]) -> Mapping[str, int]:
        """Publish records of a claimed partition. See `streams.runtime.outbox.Publisher`.

        Raises `PublishFailed` also if the fence is so old that Kafka may have forgotten it.
        """
        current = self._fence_of(partition)
        self._check_age(current)
        try:
            return await output_batches.publish(current.producer, self._prefix, partition, records)
        except KafkaError as error:
            raise producer_fence.failure(error) from error

    def _fence_of(self, partition: int) -> Fence:
        if partition not in self._fences:
            raise ProducerFenced("its partition was released")
        return self._fences[partition]

    def _check_age(self, current: Fence) -> None:
        """Refuse a fence that Kafka may have forgotten. Raises `PublishFailed`."""
        age_s = current.begun_at.age_s()
        if age_s > self._fence_max_s:
            raise PublishFailed(
                f"this process stood still, or could not renew its fence, for {age_s / 3600:.1f} h, which may be "
                "longer than Kafka remembers it; start the worker again"
            )

    async def release(self) -> None:
        """Close the producers. See `streams.runtime.outbox.Publisher`.

        A transaction that is still open ends when the next owner makes its fence, or by its timeout.
        """
        fences, self._fences = self._fences, {}
        await asyncio.gather(*(producers.close(each.producer) for each in fences.values()))

    async def close(self) -> None:
        """Release all partitions: nothing else is open."""
        await self.release()
