"""Batches for the output topics: records of an outbox, sent together and awaited together.

A batch exceeds `BATCH_MAX_BYTES` only if its single record does: aiokafka accepts a first record of any size.
Changes, rows and dead letters are far smaller (`streams.wire.changes`, `streams.wire.dead_letters`); an event that is
forwarded over `merges` may be twice as large. `streams.kafka.admin.verify` checks at start that the topics accept
such batches.

See also: `streams.kafka.publisher`, which sends them.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from typing import Any, NamedTuple

from aiokafka import AIOKafkaProducer
from aiokafka import errors as kafka_errors

from streams.errors import PublishFailed
from streams.kafka.partitioner import partitions_of_keys
from streams.wire.records import BY_KEY, OutRecord, batch_size_needed

_TOO_LARGE = (
    kafka_errors.MessageSizeTooLargeError,
    kafka_errors.RecordListTooLargeError,
    kafka_errors.RecordTooLargeError,
)


async def publish(
    producer: AIOKafkaProducer, prefix: str, partition: int, records: Sequence[OutRecord]
) -> dict[str, int]:
    """Send records of a partition's outbox, and give the positions after them, by topic.

    Raises `KafkaError` and `PublishFailed`.
    """
    by_place: defaultdict[tuple[str, int], list[OutRecord]] = defaultdict(list)
    for record, number in zip(records, await _partitions_for(producer, prefix, partition, records), strict=True):
        by_place[record.topic, number].append(record)
    sent: list[SentBatch] = []
    for (topic, number), records_of_place in by_place.items():
        sent += await _send(producer, prefix + topic, number, records_of_place)
    # All answers are awaited: an exception that is never retrieved would be logged when its future is collected.
    answers: list[Any] = await asyncio.gather(*(batch.answer for batch in sent), return_exceptions=True)
    _raise_failure(prefix, sent, answers)
    positions: dict[str, int] = {}
    for batch, answer in zip(sent, answers, strict=True):
        topic = batch.topic.removeprefix(prefix)
        # The offset is -1 if the broker has the batch already, from an earlier attempt, and no longer knows where.
        if answer.offset >= 0 and topic not in BY_KEY:
            positions[topic] = answer.offset + batch.records
    return positions


def _raise_failure(prefix: str, sent: Sequence[SentBatch], answers: Sequence[Any]) -> None:
    """Raise the error that says most, if a batch has failed: that a batch is too large, else the first one.

    aiokafka fails the batches after a refused one with errors of its own, which do not name the cause.
    """
    failed = [(batch, answer) for batch, answer in zip(sent, answers, strict=True) if isinstance(answer, BaseException)]
    for batch, error in failed:
        if isinstance(error, _TOO_LARGE):
            needed = batch_size_needed(batch.topic.removeprefix(prefix))
            raise _too_large(batch.topic, batch.size, needed, error) from error
    if failed:
        raise failed[0][1]


async def _partitions_for(
    producer: AIOKafkaProducer, prefix: str, partition: int, records: Sequence[OutRecord]
) -> list[int]:
    """The partition of each record: that of the outbox, or of its key, as Kafka's producers choose it by default."""
    numbers = [partition] * len(records)
    by_key: defaultdict[str, list[int]] = defaultdict(list)
    for index, record in enumerate(records):
        if record.topic in BY_KEY:
            by_key[record.topic].append(index)
    for topic, indices in by_key.items():
        count = len(await producer.partitions_for(prefix + topic))
        keys = [_key_of(records[index]) for index in indices]
        for index, number in zip(indices, partitions_of_keys(keys, count), strict=True):
            numbers[index] = number
    return numbers


def _key_of(record: OutRecord) -> bytes:
    assert record.key is not None, "a record that is placed by its key has one"
    return record.key


class SentBatch(NamedTuple):
    """A batch on its way: the full name of its topic, its number of records and bytes, and Kafka's answer."""

    topic: str
    records: int
    size: int
    answer: asyncio.Future[Any]


async def _send(
    producer: AIOKafkaProducer, topic: str, partition: int, records: Sequence[OutRecord]
) -> list[SentBatch]:
    """Send the records of one partition in as few batches as they fit into, in order."""

    async def send(batch: Any) -> SentBatch:
        count, size = batch.record_count(), batch.size()
        return SentBatch(topic, count, size, await producer.send_batch(batch, topic, partition=partition))

    # `send_batch` keeps the order of the calls, and gives a future: the next batch does not wait for the answer.
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
    # aiokafka's batch refuses a record without key and value, so an empty value stands for none.
    value = b"" if record.key is None and record.value is None else record.value
    added = batch.append(timestamp=None, key=record.key, value=value, headers=record.headers)
    return added is not None


def _too_large(topic: str, size: int, needed: int, error: BaseException) -> PublishFailed:
    most = max(size, needed)
    return PublishFailed(
        f"{topic} does not take a batch of {size:,} bytes ({type(error).__name__}); set max.message.bytes of the "
        f"topic, or message.max.bytes of the brokers, to {most} or more, then start the worker again"
    )
