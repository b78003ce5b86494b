"""The publishers on Kafka: records of the outbox as ready-made batches.

The one rule: idempotent and acknowledged by all in-sync replicas, with producers of our own.
Faust's is not idempotent, and its sends are not awaited.

- `FencedPublisher`: one producer per claimed partition. From its claim on, Kafka takes nothing more of a former owner.
- `UnfencedPublisher`: one producer for all partitions, for a broker without transactions. A request of a former
  owner may arrive at any time.

**Fencing.** Each claim makes a fence of its partition (`streams.kafka.fence`). `merges` is not fenced: its receivers
count each record once.

Kafka forgets: a leader a producer which wrote nothing for a day (`producer.id.expiration.ms`), the coordinator an id
of which it heard nothing for seven (`transactional.id.expiration.ms`). So an owner fences anew every `RENEW_S`, and
one that could not for `FENCE_MAX_S` publishes nothing more. Whoever fences must look afterwards whether the claim
still stands: a process that was stopped in between would fence the newer owner.

aiokafka tries again by itself whatever may be tried again. Of what fails for good neither is tried
again here: aiokafka counts a failed batch as sent, so everything after it would be out of order. The
worker stops, and the next claim reads what came of it.
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
from streams.kafka import fence, output_batches
from streams.kafka import producer as producers
from streams.kafka.fence import Fence
from streams.kafka.producer import PRODUCERS_MAX, processes_needed
from streams.kafka.transactional_ids import transactional_id
from streams.stop import Stop
from streams.wire.records import OutRecord

log = logging.getLogger(__name__)

# So long a process that was given more partitions than it can hold waits as a member of its group for others to join,
# which ends its claim: if each ended at once, none would ever meet another there.
OTHERS_WAIT_S = 20.0
_STARTING_MAX = 16
# Kafka remembers an idle producer for a day by default.
RENEW_S = 6 * 3600.0
FENCE_MAX_S = 18 * 3600.0


class UnfencedPublisher:
    """One aiokafka producer (batches have 8 × the rate of ``send`` per record)."""

    def __init__(self, client: Mapping[str, Any], prefix: str) -> None:
        """``client``: where the brokers are, and who we are to them."""
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
        """Or is being started; what could not start may be able to later."""
        started = self._started
        return started is not None and not (started.done() and (started.cancelled() or started.exception()))

    async def claim(self, partitions: Sequence[int]) -> None:  # noqa: ARG002  # one producer for all
        """See `streams.runtime.outbox.Publisher`. Records that were on their way are then on the topics, or failed."""
        if self._is_started:
            await (await self._producer()).flush()

    async def publish(self, partition: int, records: Sequence[OutRecord]) -> Mapping[str, int]:
        """As `streams.runtime.outbox.Publisher`."""
        try:
            return await output_batches.publish(await self._producer(), self._prefix, partition, records)
        except KafkaError as error:
            raise fence.failure(error) from error

    renew_s: float | None = None

    async def renew(self, partition: int) -> None:
        """As `streams.runtime.outbox.Publisher`: there is nothing to renew."""

    async def release(self) -> None:
        """As `streams.runtime.outbox.Publisher`."""

    async def close(self) -> None:
        """Flush and stop, within a bound."""
        if self._is_started:
            with suppress(KafkaError):  # of a start that fails meanwhile
                await producers.close(await self._producer())


class FencedPublisher:
    """An aiokafka producer for each claimed partition, from claim to release."""

    def __init__(
        self,
        client: Mapping[str, Any],
        prefix: str,
        group: str,
        outputs: Sequence[str],
        partitions: int,
        renew_s: float = RENEW_S,
    ) -> None:
        """``client``: where the brokers are, and who we are to them; ``outputs``: topics that have one owner.

        ``partitions``: how many these have; ``renew_s``: for brokers which forget sooner.
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
        """See `streams.runtime.outbox.Publisher`. Raises `Stop` for more partitions than there may be producers."""
        if len(partitions) > PRODUCERS_MAX:
            log.warning("too many partitions; waiting for others to join the group", extra={"count": len(partitions)})
            await asyncio.sleep(OTHERS_WAIT_S)
            raise Stop(
                f"this process was given {len(partitions)} of {self._partitions} partitions; it needs a producer for "
                f"each, and may have {PRODUCERS_MAX}: run {processes_needed(self._partitions)} of them or more, "
                "together"
            )
        await asyncio.gather(*(self._fence(partition) for partition in partitions))

    async def renew(self, partition: int) -> None:
        """As `streams.runtime.outbox.Publisher`. Raises `PublishFailed` too when Kafka may have forgotten the fence."""
        former = self._fence_of(partition)
        try:
            await self._fence(partition)
        except NotRenewed:
            self._see_that_kafka_knows(former)
            raise
        await producers.close(former.producer)

    async def _fence(self, partition: int) -> None:
        its_id = transactional_id(self._group, self._prefix, partition)
        places = [TopicPartition(self._prefix + topic, partition) for topic in self._outputs]
        async with self._starting:
            reach("before_fence")
            self._fences[partition] = await fence.make(self._options, its_id, places)
            reach("after_fence")

    async def publish(self, partition: int, records: Sequence[OutRecord]) -> Mapping[str, int]:
        """As `streams.runtime.outbox.Publisher`. Raises `PublishFailed` too when Kafka may have forgotten the fence."""
        known = self._fence_of(partition)
        self._see_that_kafka_knows(known)
        try:
            return await output_batches.publish(known.producer, self._prefix, partition, records)
        except KafkaError as error:
            raise fence.failure(error) from error

    def _fence_of(self, partition: int) -> Fence:
        if partition not in self._fences:
            raise ProducerFenced("its partition was let go of")
        return self._fences[partition]

    def _see_that_kafka_knows(self, known: Fence) -> None:
        age_s = known.made.age_s()
        if age_s > self._fence_max_s:
            raise PublishFailed(
                f"this process stood still, or could not renew its fence, for {age_s / 3600:.1f} h, which may be "
                "longer than Kafka remembers it; start the worker again"
            )

    async def release(self) -> None:
        """See `streams.runtime.outbox.Publisher`. The next owner ends a transaction that is open, or its time does."""
        fences, self._fences = self._fences, {}
        await asyncio.gather(*(producers.close(each.producer) for each in fences.values()))

    async def close(self) -> None:
        """Nothing is held once all is released."""
        await self.release()
