"""A fence: a producer after which Kafka refuses everything that former producers of its partition still send.

The fence stands once the leaders of the output partitions know its epoch, and not before.

    worker A owns the partition, with a producer of epoch 3; a batch that A sends is delayed on the way
    worker B claims it: its producer gets epoch 4 from the coordinator; the leaders know epoch 3 alone, and would
    still append the batch of A
    B commits two transactions without a record: their markers carry epoch 4 to each leader, and the fence stands
    the batch of A arrives: each leader refuses it; B reads back what is on the topics, then publishes

A producer with a transactional id gets a new epoch when it starts, and the coordinator refuses former epochs. Leaders
learn an epoch from a batch or a commit marker. The second transaction begins only when the markers of the first are
written. Afterwards batches are sent under that epoch, but outside transactions, which costs nothing.

An attempt that fails after the coordinator was asked for an epoch may have reached some of the leaders. Those
refuse the partition's present producer from then on. So nothing may be published until another attempt has succeeded:
aiokafka counts a refused batch as sent, and could not send it again before the batches that come after it.

Sources: KIP-98 (idempotence and transactions), KIP-360 (what a leader forgets), the broker's configuration.

See also: `streams.kafka.publisher` (one fence per partition), `streams.runtime.outbox` (when it is renewed).

See also ``streams/state/lua/claim.lua`` and ``save.lua``, which do the same for Redis, and `streams.runtime.assignment`
for the order of both.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Self

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka import errors as kafka_errors
from aiokafka.client import CoordinationType
from aiokafka.errors import KafkaError

from streams.errors import NotRenewed, ProducerFenced, PublishFailed
from streams.failpoints import reach
from streams.kafka import producer as producers
from streams.kafka.refusals import missing_right

# Kafka ends a transaction after this time, so it is longer than a fence may take.
TRANSACTION_MAX_MS = 30_000
# A claim may take 30 s in all (`streams.runtime.rebalance_listener.CLAIM_MAX_S`).
FENCE_WAIT_S = 20.0
_EMPTY_TRANSACTIONS = 2
_ADDED_LOOK_S = 0.001
_WHEN_BACK = "when Kafka is back, start the worker again"
_TAKEN = (kafka_errors.ProducerFenced, kafka_errors.InvalidProducerEpoch)
_FORGOTTEN = (kafka_errors.InvalidProducerIdMapping, kafka_errors.UnknownProducerId)


class _Instant(NamedTuple):
    """A moment (s) by the monotonic and by the wall clock: while a machine is suspended, either of them may stop."""

    monotonic: float
    wall: float

    @classmethod
    def now(cls) -> Self:
        return cls(time.monotonic(), time.time())

    def age_s(self) -> float:
        """The seconds since this instant, by whichever of the two clocks shows more."""
        now = self.now()
        return max(now.monotonic - self.monotonic, now.wall - self.wall)


class Fence(NamedTuple):
    """A producer whose epoch the leaders know, and when its making began."""

    producer: AIOKafkaProducer
    begun_at: _Instant


async def make(options: Mapping[str, Any], transactional_id: str, places: Sequence[TopicPartition]) -> Fence:
    """Fence these partitions of topics with a new producer of the transactional id.

    Raises as `streams.runtime.outbox.Publisher.renew`.
    """
    begun_at = _Instant.now()
    producer = AIOKafkaProducer(**options, transactional_id=transactional_id, transaction_timeout_ms=TRANSACTION_MAX_MS)
    has_begun = False
    try:
        async with asyncio.timeout(FENCE_WAIT_S):
            await producer.client.bootstrap()
            await producer._sender._find_coordinator(CoordinationType.TRANSACTION, transactional_id)
            has_begun = True
            await producer._sender.start()
            reach("mid_fence")
            await _carry_epoch(producer, places)
    except BaseException as error:
        await producers.close(producer)
        if not isinstance(error, (TimeoutError, KafkaError, AssertionError)):
            raise
        raise _failure(error, has_begun=has_begun) from error
    return Fence(producer, begun_at)


async def _carry_epoch(producer: AIOKafkaProducer, places: Sequence[TopicPartition]) -> None:
    """Carry the producer's epoch to the leaders by commit markers; afterwards it sends outside transactions.

    aiokafka adds a partition to a transaction only with a record, so its transaction manager is used directly.
    """
    manager = producer._txn_manager  # see above
    for place in places:
        await producer.partitions_for(place.topic)
    for _ in range(_EMPTY_TRANSACTIONS):
        await producer.begin_transaction()
        for place in places:
            manager.maybe_add_partition_to_txn(place)
        while manager.partitions_to_add():  # noqa: ASYNC110  # aiokafka has no event for it
            await asyncio.sleep(_ADDED_LOOK_S)
        if not manager.is_in_transaction():  # the coordinator refused: the wait raises its error
            await manager.wait_for_transaction_end()
        await producer.commit_transaction()
    manager.transactional_id = None  # without it aiokafka sends the epoch, but begins no transaction


# --- errors ------------------------------------------------------------------------------------


def _failure(error: Exception, *, has_begun: bool) -> Exception:
    """The error to raise for a failed attempt; `NotRenewed` if its cause may pass."""
    if isinstance(error, TimeoutError):
        return NotRenewed(
            f"Kafka kept no transaction within {FENCE_WAIT_S:.0f} s; see that it is up, and that "
            "transaction.state.log.replication.factor is at most the number of its brokers, then start the "
            "worker again",
            has_begun=has_begun,
        )
    failed = failure(error)
    # Kafka gives the same error for a newer producer and for a transaction that it ended by its timeout.
    if isinstance(failed, ProducerFenced):
        return ProducerFenced(
            "another producer has its transactional id, or this process stood still and Kafka ended its transaction"
        )
    if getattr(_cause(error), "retriable", False):
        return NotRenewed(str(failed), has_begun=has_begun)
    return failed


def failure(error: Exception) -> PublishFailed | ProducerFenced:
    """Translate an error of aiokafka into those that `streams.runtime.outbox.Publisher` raises."""
    cause = _cause(error)
    if isinstance(cause, _TAKEN):
        return ProducerFenced()
    sentence = missing_right(cause, "WRITE")
    if sentence:
        return PublishFailed(sentence)
    if isinstance(cause, _FORGOTTEN):
        return PublishFailed(
            f"Kafka has forgotten this producer ({cause!r}); see that transactional.id.expiration.ms and "
            "producer.id.expiration.ms of the brokers are 18 hours or more, then start the worker again"
        )
    return PublishFailed(f"{cause!r}; {_WHEN_BACK}")


def _cause(error: Exception) -> Exception:
    """The error, or its cause where aiokafka has wrapped an unexpected one into a plain `KafkaError`."""
    is_plain = type(error) is KafkaError
    return error.__cause__ if is_plain and isinstance(error.__cause__, KafkaError) else error
