"""A reader that reads the output topics back, for a claim.

The one rule: read up to the end that is in the response to a fetch of this reader. A request for end offsets may give
the end of the committed records alone, which an open transaction of a former owner holds back; here that transaction
is waited for instead, as long as a claim may take.

See also: `streams.worker.output_recovery` (what is made of the records), `streams.kafka.producer_fence` (why none come
later).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Collection, Mapping
from contextlib import aclosing
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import TopicAuthorizationFailedError

from streams.kafka import aiokafka_hooks
from streams.kafka.fetch import OutputChunk, TopicAndPartition
from streams.kafka.record_batches import bound_batches
from streams.kafka.refusals import missing_right
from streams.stop import Stop

# Records of all partitions together that are handed out at once. `streams.kafka.record_batches` bounds the bytes of
# each partition.
CHUNK_MAX = 5_000
# How long the broker may hold a fetch without records: mostly there are none, and a claim waits for the response.
_FETCH_WAIT_MS = 10
_LOOK_MS = 20
# Bytes of a partition in one response if its first records are enough. A larger batch comes whole, but only one in a
# response (KIP-74).
_PEEK_BYTES = 128 * 1024


class KafkaOutputReader:
    """Reads output topics of Kafka. See `streams.kafka.fetch.OutputReader`."""

    def __init__(self, client: Mapping[str, Any], prefix: str) -> None:
        """``client``: options of the client, such as brokers and login."""
        self._client = client
        self._prefix = prefix

    async def read(self, positions: Mapping[TopicAndPartition, int | None]) -> AsyncGenerator[OutputChunk, None]:
        """Read from the positions to the end. Raises `KafkaError`, and `Stop` for a topic this user may not read."""
        consumer = self._consumer(isolation_level="read_committed")
        async with aclosing(self._chunks(consumer, positions, lambda _: True)) as chunks:
            async for chunk in chunks:
                yield chunk

    async def peek(
        self, places: Collection[TopicAndPartition], wanted: Callable[[TopicAndPartition], bool]
    ) -> AsyncGenerator[OutputChunk, None]:
        """Read the first records, also those of open transactions. Raises as `read`."""
        consumer = self._consumer(isolation_level="read_uncommitted", max_partition_fetch_bytes=_PEEK_BYTES)
        async with aclosing(self._chunks(consumer, dict.fromkeys(places), wanted)) as chunks:
            async for chunk in chunks:
                yield chunk

    def _consumer(self, **options: Any) -> AIOKafkaConsumer:
        bound_batches()
        return AIOKafkaConsumer(
            **self._client,
            enable_auto_commit=False,
            # If retention has passed a position, or the topic was created again, reading begins at the first record.
            auto_offset_reset="earliest",
            fetch_max_wait_ms=_FETCH_WAIT_MS,
            **options,
        )

    async def _chunks(
        self,
        consumer: AIOKafkaConsumer,
        positions: Mapping[TopicAndPartition, int | None],
        wanted: Callable[[TopicAndPartition], bool],
    ) -> AsyncGenerator[OutputChunk, None]:
        places = {TopicPartition(self._prefix + topic, number): (topic, number) for topic, number in positions}
        try:
            await consumer.start()
            aiokafka_hooks.absorb_cancellations(consumer)
            consumer.assign(list(places))
            for place, name_and_number in places.items():
                position = positions[name_and_number]
                if position is not None:
                    consumer.seek(place, position)
            unread = set(places)
            while unread:
                fetched = await consumer.getmany(*unread, timeout_ms=_LOOK_MS, max_records=CHUNK_MAX)
                for place, records in fetched.items():
                    if records:
                        yield OutputChunk(*places[place], records, await consumer.position(place))
                finished = [place for place in unread if not wanted(places[place]) or await _is_read(consumer, place)]
                for place in finished:
                    unread.discard(place)
                    consumer.pause(place)
                await asyncio.sleep(0)  # records that are fetched already come without a turn of the loop
        except TopicAuthorizationFailedError as error:
            raise Stop(missing_right(error, "READ") or str(error)) from None
        finally:
            await consumer.stop()


async def _is_read(consumer: AIOKafkaConsumer, place: TopicPartition) -> bool:
    """Whether all is read up to the end that a fetch has given; before the first response there is no such end."""
    end = consumer.highwater(place)
    return end is not None and await consumer.position(place) >= end
