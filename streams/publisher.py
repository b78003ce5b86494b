"""The publisher on Kafka: records of the outbox as ready-made batches.

The one rule: idempotent and acknowledged by all in-sync replicas, with a producer of our own.
Faust's is not idempotent, and its sends are not awaited.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from streams.outbox import OutRecord, PublishFailed

BATCH_MAX_BYTES = 512 * 1024
REQUEST_MAX_BYTES = 1024 * 1024


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
        """As `streams.outbox.Publisher`."""
        by_topic: dict[str, list[OutRecord]] = {}
        for record in records:
            by_topic.setdefault(record.topic, []).append(record)
        try:
            sent = [
                future
                for topic, of_topic in by_topic.items()
                for future in await self._send(self._prefix + topic, partition, of_topic)
            ]
            await asyncio.gather(*sent)
        except KafkaError as error:
            raise PublishFailed(repr(error)) from error

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
