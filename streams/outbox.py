"""The outbox: what was decided and saved, on its way to Kafka.

The one rule: published in the order in which it was saved, acknowledged, and only then trimmed.
A crash in between publishes again; the same change then carries the same id.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Protocol

import msgspec
from aiokafka import AIOKafkaProducer

from streams.failpoints import reach
from streams.store import Store
from streams.wire.changes import Header

BATCH_MAX_BYTES = 512 * 1024
REQUEST_MAX_BYTES = 1024 * 1024
# Entries (one per save) that may wait before the partition stops computing more.
WAITING_MAX = 64
# Records whose entries are published with one round trip.
_TOGETHER_MAX = 4_000


class OutRecord(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One record to publish: the topic's name without prefix, key, value, headers."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: list[Header]


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(list[OutRecord])


def encode(records: Sequence[OutRecord]) -> bytes:
    """An entry of the outbox: the records of one save."""
    return _encoder.encode(records)


def decode(entry: bytes) -> list[OutRecord]:
    """The records of an entry."""
    return _decoder.decode(entry)


class Publisher(Protocol):
    """Where records go; returns once all of them are acknowledged."""

    async def publish(self, partition: int, records: Sequence[OutRecord]) -> None: ...


class KafkaPublisher:
    """Ready-made batches through an aiokafka producer (8 × the rate of ``send`` per record)."""

    def __init__(self, brokers: str, prefix: str, *, idempotent: bool) -> None:
        self._options: dict[str, Any] = {
            "bootstrap_servers": brokers,
            "acks": "all",
            "enable_idempotence": idempotent,
            "max_batch_size": BATCH_MAX_BYTES,
            "max_request_size": REQUEST_MAX_BYTES,
        }
        self._prefix = prefix
        self._started: asyncio.Future[AIOKafkaProducer] | None = None

    async def _producer(self) -> AIOKafkaProducer:
        """The producer, started at first use: it belongs to the loop that is running then."""
        if self._started is None:
            self._started = asyncio.ensure_future(self._start())
        return await asyncio.shield(self._started)

    async def _start(self) -> AIOKafkaProducer:
        producer = AIOKafkaProducer(**self._options)
        await producer.start()
        return producer

    async def close(self) -> None:
        """Flush and stop."""
        if self._started is not None:
            await (await self._started).stop()

    async def publish(self, partition: int, records: Sequence[OutRecord]) -> None:
        """Records of one topic keep their order. Raises ``aiokafka.errors.KafkaError``."""
        by_topic: dict[str, list[OutRecord]] = {}
        for record in records:
            by_topic.setdefault(record.topic, []).append(record)
        sent = [
            future
            for topic, of_topic in by_topic.items()
            for future in await self._send(self._prefix + topic, partition, of_topic)
        ]
        await asyncio.gather(*sent)

    async def _send(self, topic: str, partition: int, records: Sequence[OutRecord]) -> list[Any]:
        producer = await self._producer()
        sent = []
        batch = producer.create_batch()
        for record in records:
            while not self._append(batch, record):
                sent.append(await producer.send_batch(batch, topic, partition=partition))
                batch = producer.create_batch()
        sent.append(await producer.send_batch(batch, topic, partition=partition))
        return sent

    @staticmethod
    def _append(batch: Any, record: OutRecord) -> bool:
        # A batch refuses a record that has neither key nor value, so an empty value stands for none.
        value = b"" if record.key is None and record.value is None else record.value
        added = batch.append(timestamp=None, key=record.key, value=value, headers=record.headers)
        return added is not None


class Outbox:
    """The outbox of one partition while it is claimed."""

    def __init__(self, store: Store, publisher: Publisher, partition: int, token: str) -> None:
        self._store = store
        self._publisher = publisher
        self._partition = partition
        self._token = token
        self._waiting: asyncio.Queue[Sequence[OutRecord]] = asyncio.Queue(WAITING_MAX)

    async def put(self, records: Sequence[OutRecord]) -> None:
        """The records of an entry that is saved; waits while too many do."""
        await self._waiting.put(records)

    async def drained(self) -> None:
        """Until everything put is published and trimmed."""
        await self._waiting.join()

    async def restore(self, entries: Sequence[bytes]) -> None:
        """Publish what a former claim left; called once, before anything is put."""
        for entry in entries:
            await self._publish([decode(entry)])

    async def run(self) -> None:
        """Publish until cancelled."""
        while True:
            entries = [await self._waiting.get()]
            count = len(entries[0])
            while not self._waiting.empty() and count < _TOGETHER_MAX:
                entries.append(self._waiting.get_nowait())
                count += len(entries[-1])
            await self._publish(entries)
            for _ in entries:
                self._waiting.task_done()

    async def _publish(self, entries: Sequence[Sequence[OutRecord]]) -> None:
        await self._publisher.publish(self._partition, [record for entry in entries for record in entry])
        reach("after_publish")
        await self._store.trim(self._partition, self._token, len(entries))
