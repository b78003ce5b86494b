"""The publishers on Kafka: records of the outbox as ready-made batches.

The one rule: idempotent and acknowledged by all in-sync replicas, with producers of our own.
Faust's is not idempotent, and its sends are not awaited.

- `IdempotentPublisher` (at_least_once): one producer for all partitions.
- `TransactionalPublisher` (exactly_once): one producer per claimed partition, each publish one
  transaction. Its transactional id is that of the partition, so that starting it ends what a
  former owner began and keeps that owner from publishing anything more.

aiokafka tries again by itself whatever may be tried again. Of what fails for good neither is tried
again here: aiokafka counts a failed batch as sent, so everything after it would be out of order. The
worker stops, and the next claim reads what came of it.

A batch is never larger than `BATCH_MAX_BYTES` unless one record is: aiokafka always takes the first.
No change, row or dead letter comes near it (`streams.wire.changes`, `streams.wire.dead_letters`); an event that is
sent on over `merges` may be twice as large. `streams.topics.verify` sees at the start that the topics take such
batches.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from aiokafka import AIOKafkaProducer
from aiokafka import errors as kafka_errors
from aiokafka.errors import KafkaError

from streams.failpoints import reach
from streams.outbox import BATCH_MAX_BYTES, BY_KEY, OutRecord, ProducerFenced, PublishFailed, batch_size_needed
from streams.partitioning import partition_of
from streams.stop import Stop
from streams.wire import merges

log = logging.getLogger(__name__)

# The largest batch of all: one record of `merges`. (aiokafka 0.14 checks it for `send` alone, not for `send_batch`.)
REQUEST_MAX_BYTES = merges.BATCH_MAX_BYTES
# As Kafka Streams has it: an owner that died holds up readers of what is committed so long, if nobody follows it.
TRANSACTION_MAX_MS = 10_000
# Each has connections of its own to the coordinator and to the leaders of its partition.
PRODUCERS_MAX = 200
_STARTING_MAX = 16
_REFUSALS = (
    kafka_errors.TopicAuthorizationFailedError,
    kafka_errors.ClusterAuthorizationFailedError,
    kafka_errors.TransactionalIdAuthorizationFailed,
)
_TOO_LARGE = (
    kafka_errors.MessageSizeTooLargeError,
    kafka_errors.RecordListTooLargeError,
    kafka_errors.RecordTooLargeError,
)
_WHEN_BACK = "when Kafka is back, start the worker again"
_CLOSE_MAX_S = 2.0


class IdempotentPublisher:
    """One aiokafka producer (batches have 8 × the rate of ``send`` per record)."""

    def __init__(self, client: Mapping[str, Any], prefix: str, *, idempotent: bool) -> None:
        """``client``: where the brokers are, and who we are to them."""
        self._options = {**_options(client), "enable_idempotence": idempotent}
        self._prefix = prefix
        self._started: asyncio.Future[AIOKafkaProducer] | None = None

    async def _producer(self) -> AIOKafkaProducer:
        """The producer, started at first use: it belongs to the loop that is running then."""
        if self._started is None:
            self._started = asyncio.ensure_future(_start(self._options))
        return await asyncio.shield(self._started)

    async def claim(self, partitions: Sequence[int]) -> None:  # noqa: ARG002  # one producer for all
        """As `streams.outbox.Publisher`: what a release did not wait for is on the topics afterwards, or has failed."""
        if self._started is not None:
            await (await self._producer()).flush()

    async def publish(self, partition: int, records: Sequence[OutRecord]) -> Mapping[str, int]:
        """As `streams.outbox.Publisher`."""
        try:
            return await _publish(await self._producer(), self._prefix, partition, records)
        except KafkaError as error:
            raise _failed(error) from error

    async def release(self) -> None:
        """As `streams.outbox.Publisher`."""

    async def close(self) -> None:
        """Flush and stop."""
        if self._started is not None:
            await (await self._started).stop()


class TransactionalPublisher:
    """An aiokafka producer for each claimed partition, from claim to release."""

    def __init__(self, client: Mapping[str, Any], prefix: str, group: str) -> None:
        """``client``: where the brokers are, and who we are to them."""
        self._options = {**_options(client), "transaction_timeout_ms": TRANSACTION_MAX_MS}
        self._prefix = prefix
        self._id = f"{group}-{prefix}segment-changes"
        self._producers: dict[int, AIOKafkaProducer] = {}

    async def claim(self, partitions: Sequence[int]) -> None:
        """As `streams.outbox.Publisher`. Raises `Stop` for more partitions than there may be producers."""
        if len(partitions) > PRODUCERS_MAX:
            raise Stop(
                f"this worker was given {len(partitions)} partitions; exactly_once needs a producer for each, and "
                f"{PRODUCERS_MAX} at most: start more workers"
            )
        starting = asyncio.Semaphore(_STARTING_MAX)

        async def start(partition: int) -> None:
            async with starting:
                reach("before_fence")
                options = {**self._options, "transactional_id": f"{self._id}-{partition}"}
                self._producers[partition] = await _start(options)
                reach("after_fence")

        await asyncio.gather(*(start(partition) for partition in partitions))

    async def publish(self, partition: int, records: Sequence[OutRecord]) -> Mapping[str, int]:
        """As `streams.outbox.Publisher`: all of it, or nothing that a reader of what is committed would see."""
        producer = self._producers.get(partition)
        if producer is None:
            raise ProducerFenced  # released meanwhile
        try:
            await producer.begin_transaction()
            positions = await _publish(producer, self._prefix, partition, records)
            reach("before_commit")
            await producer.commit_transaction()
        except kafka_errors.ProducerFenced as error:
            raise ProducerFenced from error
        except PublishFailed:
            await _abort(producer)
            raise
        except (KafkaError, AssertionError) as error:  # aiokafka asserts that a producer has not failed before
            await _abort(producer)
            raise _failed(error) from error
        return positions

    async def release(self) -> None:
        """As `streams.outbox.Publisher`. A transaction that is open is ended by the next owner, or by its time."""
        producers, self._producers = self._producers, {}
        await asyncio.gather(*(_close(producer) for producer in producers.values()))

    async def close(self) -> None:
        """Nothing is held once all is released."""
        await self.release()


def _failed(error: Exception) -> PublishFailed:
    if isinstance(error, _REFUSALS):
        return PublishFailed(f"this user may not write: {error!r}; let them, then start the worker again")
    return PublishFailed(f"{error!r}; {_WHEN_BACK}")


def _too_large(topic: str, size: int, needed: int, error: BaseException) -> PublishFailed:
    most = max(size, needed)
    return PublishFailed(
        f"{topic} does not take a batch of {size:,} bytes ({type(error).__name__}); set max.message.bytes of the "
        f"topic, or message.max.bytes of the brokers, to {most} or more, then start the worker again"
    )


def _options(client: Mapping[str, Any]) -> dict[str, Any]:
    return {
        **client,
        "acks": "all",
        "max_batch_size": BATCH_MAX_BYTES,
        "max_request_size": REQUEST_MAX_BYTES,
    }


async def _start(options: Mapping[str, Any]) -> AIOKafkaProducer:
    producer = AIOKafkaProducer(**options)
    try:
        await producer.start()
    except BaseException:  # a cancelled claim too must leave no connection
        await _close(producer)
        raise
    return producer


async def _close(producer: AIOKafkaProducer) -> None:
    """Stop, within a bound: aiokafka waits for what is on its way, which may be for ever."""
    try:
        async with asyncio.timeout(_CLOSE_MAX_S):
            await producer.stop()
    except (KafkaError, TimeoutError) as error:
        log.warning("a producer was left as it was", extra={"error": repr(error)})


async def _abort(producer: AIOKafkaProducer) -> None:
    """So that readers need not wait for the transaction's time to be over; what cannot be aborted ends by it."""
    with contextlib.suppress(KafkaError, AssertionError, TimeoutError):
        async with asyncio.timeout(_CLOSE_MAX_S):
            await producer.abort_transaction()


async def _publish(
    producer: AIOKafkaProducer, prefix: str, partition: int, records: Sequence[OutRecord]
) -> dict[str, int]:
    by_place: dict[tuple[str, int], list[OutRecord]] = {}
    for record in records:
        place = partition if record.topic not in BY_KEY else await _place_of(producer, prefix, record)
        by_place.setdefault((record.topic, place), []).append(record)
    sent = [
        batch
        for (topic, place), of_place in by_place.items()
        for batch in await _send(producer, prefix + topic, place, of_place)
    ]
    # All are awaited: an exception that nobody takes would be logged when its future is collected.
    answers: list[Any] = await asyncio.gather(*(batch.answer for batch in sent), return_exceptions=True)
    failed = [(batch, answer) for batch, answer in zip(sent, answers, strict=True) if isinstance(answer, BaseException)]
    for batch, error in failed:  # what follows in other batches of the producer may say less
        if isinstance(error, _TOO_LARGE):
            needed = batch_size_needed(batch.topic.removeprefix(prefix))
            raise _too_large(batch.topic, batch.size, needed, error) from error
    if failed:
        raise failed[0][1]
    positions: dict[str, int] = {}
    for batch, answer in zip(sent, answers, strict=True):
        topic = batch.topic.removeprefix(prefix)
        # -1 where the broker knows the batch already, but not where it stands
        if answer.offset >= 0 and topic not in BY_KEY:
            positions[topic] = answer.offset + batch.records
    return positions


async def _place_of(producer: AIOKafkaProducer, prefix: str, record: OutRecord) -> int:
    """Its key's partition, as producers choose it by default."""
    assert record.key is not None
    return partition_of(record.key.decode(), len(await producer.partitions_for(prefix + record.topic)))


class SentBatch(NamedTuple):
    """A batch on its way: the full name of its topic, how many records and bytes, and what Kafka answers."""

    topic: str
    records: int
    size: int
    answer: asyncio.Future[Any]


async def _send(
    producer: AIOKafkaProducer, topic: str, partition: int, records: Sequence[OutRecord]
) -> list[SentBatch]:
    async def send(batch: Any) -> SentBatch:
        count, size = batch.record_count(), batch.size()
        return SentBatch(topic, count, size, await producer.send_batch(batch, topic, partition=partition))

    sent = []
    batch = producer.create_batch()
    for record in records:
        if _append(batch, record):
            continue
        sent.append(await send(batch))
        batch = producer.create_batch()
        if not _append(batch, record):
            raise PublishFailed(f"a record for {topic} does not fit into an empty batch; this is a defect")
    sent.append(await send(batch))
    return sent


def _append(batch: Any, record: OutRecord) -> bool:
    # A batch refuses a record that has neither key nor value, so an empty value stands for none.
    value = b"" if record.key is None and record.value is None else record.value
    added = batch.append(timestamp=None, key=record.key, value=value, headers=record.headers)
    return added is not None
