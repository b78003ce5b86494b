"""The publishers on Kafka: records of the outbox as ready-made batches.

The one rule: idempotent and acknowledged by all in-sync replicas, with producers of our own.
Faust's is not idempotent, and its sends are not awaited.

- `FencedPublisher`: one producer per claimed partition. From its claim on, Kafka takes nothing more of a former owner.
- `UnfencedPublisher`: one producer for all partitions, for a broker without transactions. A request of a former
  owner may arrive at any time.

**Fencing.** A producer with a transactional id gets a new epoch when it starts, and the coordinator refuses the epochs
before. The leaders of the output partitions do not know of it yet: they would take what a former owner sends outside a
transaction. A commit marker carries the epoch to them. So a claim commits two transactions without a record over the
outputs of its partition: the second begins only when the markers of the first are written. From then on batches are
sent under that epoch, outside transactions, which costs nothing. `merges` is not fenced: its receivers count each
record once.

Kafka forgets: a leader a producer which wrote nothing for a day (`producer.id.expiration.ms`), the coordinator an id
of which it heard nothing for seven (`transactional.id.expiration.ms`). So an owner fences anew every `RENEW_S`, and
one that could not for `FENCE_MAX_S` publishes nothing more. Whoever fences must look afterwards whether the claim
still stands: a process that was stopped in between would fence the newer owner.

aiokafka tries again by itself whatever may be tried again. Of what fails for good neither is tried
again here: aiokafka counts a failed batch as sent, so everything after it would be out of order. The
worker stops, and the next claim reads what came of it.

Sources: KIP-98 (idempotence and transactions), KIP-360 (what a leader forgets), the broker's configuration.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple, Self

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka import errors as kafka_errors
from aiokafka.errors import KafkaError

from streams import out_batches
from streams import producer as producers
from streams.failpoints import reach
from streams.kafka_refusals import missing_right
from streams.outbox import OutRecord, ProducerFenced, PublishFailed
from streams.stop import Stop
from streams.transactional_ids import transactional_id

log = logging.getLogger(__name__)

# Longer than a fence may take, or Kafka would end its transactions meanwhile. There is no record in them.
TRANSACTION_MAX_MS = 30_000
# Each has connections of its own to the coordinator and to the leaders of its partition.
PRODUCERS_MAX = 200
_STARTING_MAX = 16
# Kafka remembers an idle producer for a day by default.
RENEW_S = 6 * 3600.0
FENCE_MAX_S = 18 * 3600.0
# A claim may take 30 s in all (`streams.ownership.CLAIM_MAX_S`).
FENCE_WAIT_S = 20.0
_EMPTY_TRANSACTIONS = 2
_ADDED_LOOK_S = 0.001
_WHEN_BACK = "when Kafka is back, start the worker again"


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
        """As `streams.outbox.Publisher`: what a release did not wait for is on the topics afterwards, or has failed."""
        if self._is_started:
            await (await self._producer()).flush()

    async def publish(self, partition: int, records: Sequence[OutRecord]) -> Mapping[str, int]:
        """As `streams.outbox.Publisher`."""
        try:
            return await out_batches.publish(await self._producer(), self._prefix, partition, records)
        except KafkaError as error:
            raise _failed(error) from error

    renew_s: float | None = None

    async def renew(self, partition: int) -> None:
        """As `streams.outbox.Publisher`: there is nothing to renew."""

    async def release(self) -> None:
        """As `streams.outbox.Publisher`."""

    async def close(self) -> None:
        """Flush and stop, within a bound."""
        if self._is_started:
            with suppress(KafkaError):  # of a start that fails meanwhile
                await producers.close(await self._producer())


class _Instant(NamedTuple):
    """Now (s), by the clock that only goes forward and by the wall's, of which a paused machine may stop either."""

    monotonic: float
    wall: float

    @classmethod
    def now(cls) -> Self:
        return cls(time.monotonic(), time.time())

    def age_s(self) -> float:
        now = self.now()
        return max(now.monotonic - self.monotonic, now.wall - self.wall)


class _Fence(NamedTuple):
    """A producer under an epoch that the leaders know, and since when."""

    producer: AIOKafkaProducer
    made: _Instant


class FencedPublisher:
    """An aiokafka producer for each claimed partition, from claim to release."""

    def __init__(
        self, client: Mapping[str, Any], prefix: str, group: str, outputs: Sequence[str], renew_s: float = RENEW_S
    ) -> None:
        """``client``: where the brokers are, and who we are to them; ``outputs``: topics that have one owner.

        ``renew_s``: for brokers which forget sooner.
        """
        self.renew_s: float | None = renew_s
        self._fence_max_s = FENCE_MAX_S / RENEW_S * renew_s
        self._options = {**producers.options(client), "transaction_timeout_ms": TRANSACTION_MAX_MS}
        self._prefix = prefix
        self._group = group
        self._outputs = outputs
        self._fences: dict[int, _Fence] = {}

    async def claim(self, partitions: Sequence[int]) -> None:
        """As `streams.outbox.Publisher`. Raises `Stop` for more partitions than there may be producers."""
        if len(partitions) > PRODUCERS_MAX:
            raise Stop(
                f"this process was given {len(partitions)} partitions; it needs a producer for each, and "
                f"{PRODUCERS_MAX} at most: start more of them"
            )
        starting = asyncio.Semaphore(_STARTING_MAX)

        async def fence(partition: int) -> None:
            async with starting:
                reach("before_fence")
                await self._fence(partition)
                reach("after_fence")

        await asyncio.gather(*(fence(partition) for partition in partitions))

    async def renew(self, partition: int) -> None:
        """As `streams.outbox.Publisher`."""
        former = self._fences.get(partition)
        if former is None:
            raise ProducerFenced  # released meanwhile
        await self._fence(partition)
        await producers.close(former.producer)

    async def _fence(self, partition: int) -> None:
        made = _Instant.now()
        places = [TopicPartition(self._prefix + topic, partition) for topic in self._outputs]
        try:
            async with asyncio.timeout(FENCE_WAIT_S):
                producer = await producers.start({**self._options, "transactional_id": transactional_id(self._group, self._prefix, partition)})
                reach("mid_fence")
                try:
                    await _carry_epoch(producer, places)
                except BaseException:
                    await producers.close(producer)
                    raise
        except TimeoutError:
            raise PublishFailed(
                f"Kafka kept no transaction within {FENCE_WAIT_S:.0f} s; see that it is up, and that "
                "transaction.state.log.replication.factor is at most the number of its brokers, then start the "
                "worker again"
            ) from None
        except kafka_errors.ProducerFenced as error:
            raise ProducerFenced from error
        except (KafkaError, AssertionError) as error:  # aiokafka asserts that a producer has not failed before
            raise _failed(error) from error
        self._fences[partition] = _Fence(producer, made)

    async def publish(self, partition: int, records: Sequence[OutRecord]) -> Mapping[str, int]:
        """As `streams.outbox.Publisher`. Raises `PublishFailed` too when Kafka may have forgotten the fence."""
        fence = self._fences.get(partition)
        if fence is None:
            raise ProducerFenced  # released meanwhile
        if fence.made.age_s() > self._fence_max_s:
            raise PublishFailed("this process was stopped for longer than Kafka remembers it; start the worker again")
        try:
            return await out_batches.publish(fence.producer, self._prefix, partition, records)
        except kafka_errors.ProducerFenced as error:
            raise ProducerFenced from error
        except KafkaError as error:
            raise _failed(error) from error

    async def release(self) -> None:
        """As `streams.outbox.Publisher`. A transaction that is open is ended by the next owner, or by its time."""
        fences, self._fences = self._fences, {}
        await asyncio.gather(*(producers.close(fence.producer) for fence in fences.values()))

    async def close(self) -> None:
        """Nothing is held once all is released."""
        await self.release()


async def _carry_epoch(producer: AIOKafkaProducer, places: Sequence[TopicPartition]) -> None:
    """Let the leaders know the producer's epoch, by markers; from then on it sends outside transactions.

    aiokafka has no way to add a partition to a transaction but a record, so its transaction manager is asked itself.
    """
    manager = producer._txn_manager  # see above
    for place in places:
        await producer.partitions_for(place.topic)
    for _ in range(_EMPTY_TRANSACTIONS):
        await producer.begin_transaction()
        for place in places:
            manager.maybe_add_partition_to_txn(place)
        while manager.partitions_to_add():  # noqa: ASYNC110  # aiokafka tells nobody
            await asyncio.sleep(_ADDED_LOOK_S)
        if not manager.is_in_transaction():  # refused
            await manager.wait_for_transaction_end()
        await producer.commit_transaction()
    manager.transactional_id = None


def _failed(error: Exception) -> PublishFailed:
    if sentence := missing_right(error, "WRITE"):
        return PublishFailed(sentence)
    return PublishFailed(f"{error!r}; {_WHEN_BACK}")
