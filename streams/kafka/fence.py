"""A fence: a producer of which Kafka takes what it sends, and nothing more of those before it.

The one rule: it stands once the leaders of the output partitions know its epoch, and not before.

A producer with a transactional id gets a new epoch when it starts, and the coordinator refuses the epochs before. The
leaders do not know of it yet: they would take what a former owner sends outside a transaction. A commit marker carries
the epoch to them. So two transactions without a record are committed over the outputs of the partition: the second
begins only when the markers of the first are written. From then on batches are sent under that epoch, outside
transactions, which costs nothing.

An attempt that fails after the coordinator was asked for an epoch may have carried it to some of the leaders: they
refuse the producer before it from then on, so that nothing may be published with it until another attempt has come
through. aiokafka counts a failed batch as sent, so what a refusal has torn apart could not be sent again.

Sources: KIP-98 (idempotence and transactions), KIP-360 (what a leader forgets), the broker's configuration.
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

# Longer than a fence may take, or Kafka would end its transactions meanwhile. There is no record in them.
TRANSACTION_MAX_MS = 30_000
# A claim may take 30 s in all (`streams.runtime.ownership.CLAIM_MAX_S`).
FENCE_WAIT_S = 20.0
_EMPTY_TRANSACTIONS = 2
_ADDED_LOOK_S = 0.001
_WHEN_BACK = "when Kafka is back, start the worker again"
_TAKEN = (kafka_errors.ProducerFenced, kafka_errors.InvalidProducerEpoch)
_FORGOTTEN = (kafka_errors.InvalidProducerIdMapping, kafka_errors.UnknownProducerId)


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


class Fence(NamedTuple):
    """A producer under an epoch that the leaders know, and since when."""

    producer: AIOKafkaProducer
    made: _Instant


async def make(options: Mapping[str, Any], transactional_id: str, places: Sequence[TopicPartition]) -> Fence:
    """A fence of the id over the places. Raises as `streams.runtime.outbox.Publisher.renew`."""
    made = _Instant.now()
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
    return Fence(producer, made)


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


# --- why it failed -----------------------------------------------------------------------------


def _failure(error: Exception, *, has_begun: bool) -> Exception:
    """Of an attempt at a fence."""
    if isinstance(error, TimeoutError):
        return NotRenewed(
            f"Kafka kept no transaction within {FENCE_WAIT_S:.0f} s; see that it is up, and that "
            "transaction.state.log.replication.factor is at most the number of its brokers, then start the "
            "worker again",
            has_begun=has_begun,
        )
    failed = failure(error)
    if isinstance(failed, ProducerFenced):
        return ProducerFenced(
            "another producer has its transactional id, or this process stood still and Kafka ended its transaction"
        )
    if getattr(_cause(error), "retriable", False):
        return NotRenewed(str(failed), has_begun=has_begun)
    return failed


def failure(error: Exception) -> PublishFailed | ProducerFenced:
    """What aiokafka raised, as `streams.runtime.outbox.Publisher` says it."""
    cause = _cause(error)
    if isinstance(cause, _TAKEN):
        return ProducerFenced()
    if sentence := missing_right(cause, "WRITE"):
        return PublishFailed(sentence)
    if isinstance(cause, _FORGOTTEN):
        return PublishFailed(
            f"Kafka has forgotten this producer ({cause!r}); see that transactional.id.expiration.ms and "
            "producer.id.expiration.ms of the brokers are 18 hours or more, then start the worker again"
        )
    return PublishFailed(f"{cause!r}; {_WHEN_BACK}")


def _cause(error: Exception) -> Exception:
    """aiokafka raises a plain error over one that it did not expect."""
    is_plain = type(error) is KafkaError
    return error.__cause__ if is_plain and isinstance(error.__cause__, KafkaError) else error
