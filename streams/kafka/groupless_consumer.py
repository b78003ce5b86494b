"""A consumer without a group, which reads committed records and stores no position, for those that only look."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from aiokafka import AIOKafkaConsumer

from streams.kafka import aiokafka_hooks


@asynccontextmanager
async def groupless(client: Mapping[str, Any]) -> AsyncIterator[AIOKafkaConsumer]:
    """Start a consumer, to which partitions are assigned by hand. ``client``: options, such as brokers and login."""
    consumer = AIOKafkaConsumer(
        **client, isolation_level="read_committed", enable_auto_commit=False, auto_offset_reset="earliest"
    )
    try:
        await consumer.start()
        aiokafka_hooks.absorb_cancellations(consumer)
        yield consumer
    finally:
        await consumer.stop()
