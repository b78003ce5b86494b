"""Reads the output topics back, for a claim.

The one rule: read up to the end that a fetch answers after the reading began. Asked for its end in another way, a
broker may say where committed records end, which an open transaction holds back. The transaction is waited for
instead, as long as a claim may take.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Collection, Mapping
from contextlib import aclosing
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import TopicAuthorizationFailedError

from streams.kafka import aiokafka_hooks
from streams.kafka.fetch import OutputChunk, Place
from streams.kafka.record_batches import bound_batches
from streams.kafka.refusals import missing_right
from streams.stop import Stop

# Records of all partitions together that are handed out at once; of each partition as many bytes as
# `streams.kafka.record_batches` allows.
CHUNK_MAX = 5_000
# How long the broker may hold a fetch that finds nothing: mostly there is nothing, and a claim waits for it.
_FETCH_WAIT_MS = 10
_LOOK_MS = 20
# Of a partition at once where its first records are enough. A batch that is larger comes as a whole, but of one
# partition in each answer (KIP-74).
_PEEK_BYTES = 128 * 1024


class KafkaOutputReader:
    """As `streams.kafka.fetch.OutputReader`, on Kafka."""

    def __init__(self, client: Mapping[str, Any], prefix: str) -> None:
        """``client``: where the brokers are, and who we are to them."""
        self._client = client
        self._prefix = prefix

    async def read(self, positions: Mapping[Place, int | None]) -> AsyncGenerator[OutputChunk, None]:
        """Read from the positions on. Raises `KafkaError`, and `Stop` for what this user may not read."""
        consumer = self._consumer(isolation_level="read_committed")
        async with aclosing(self._chunks(consumer, positions, lambda _: True)) as chunks:
            async for chunk in chunks:
                yield chunk

    async def peek(
        self, places: Collection[Place], wanted: Callable[[Place], bool]
    ) -> AsyncGenerator[OutputChunk, None]:
        """Read the first records, those of open transactions, too. Raises as `read`."""
        consumer = self._consumer(isolation_level="read_uncommitted", max_partition_fetch_bytes=_PEEK_BYTES)
        async with aclosing(self._chunks(consumer, dict.fromkeys(places), wanted)) as chunks:
            async for chunk in chunks:
                yield chunk

    def _consumer(self, **options: Any) -> AIOKafkaConsumer:
        bound_batches()
        return AIOKafkaConsumer(
            **self._client,
            enable_auto_commit=False,
            # Where retention has passed a position, or the topic was created anew, from what there is.
            auto_offset_reset="earliest",
            fetch_max_wait_ms=_FETCH_WAIT_MS,
            **options,
        )

    async def _chunks(
        self, consumer: AIOKafkaConsumer, positions: Mapping[Place, int | None], wanted: Callable[[Place], bool]
    ) -> AsyncGenerator[OutputChunk, None]:
        places = {TopicPartition(self._prefix + topic, number): (topic, number) for topic, number in positions}
        try:
            await consumer.start()
            aiokafka_hooks.cancellations(consumer)
            consumer.assign(list(places))
            for place, named in places.items():
                position = positions[named]
                if position is not None:
                    consumer.seek(place, position)
            unread = set(places)
            while unread:
                found = await consumer.getmany(*unread, timeout_ms=_LOOK_MS, max_records=CHUNK_MAX)
                for place, records in found.items():
                    if records:
                        yield OutputChunk(*places[place], records, await consumer.position(place))
                for place in [one for one in unread if not wanted(places[one]) or await _is_read(consumer, one)]:
                    unread.discard(place)
                    consumer.pause(place)
                await asyncio.sleep(0)  # what is fetched already is handed out without a turn of the loop
        except TopicAuthorizationFailedError as error:
            raise Stop(missing_right(error, "READ") or str(error)) from None
        finally:
            await consumer.stop()


async def _is_read(consumer: AIOKafkaConsumer, place: TopicPartition) -> bool:
    end = consumer.highwater(place)
    return end is not None and await consumer.position(place) >= end
