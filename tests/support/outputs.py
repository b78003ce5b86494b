"""Output topics of their own on a broker, for the tests of what is published and read back."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from itertools import count

from local.servers import Kafka, Tansu
from streams.kafka import admin
from streams.kafka.output_reader import KafkaOutputReader
from streams.kafka.publisher import FencedPublisher
from streams.settings import Settings
from streams.wire.records import OutRecord
from streams.wire.topics import OUTPUTS

CHANGES, LETTERS = "segment-changes", "dead-letters"
_numbers = count(1)


def records(*values: bytes, topic: str = CHANGES) -> list[OutRecord]:
    return [OutRecord(topic, b"u1", value, [("ce_id", value)]) for value in values]


class Place:
    """Output topics of their own on a broker."""

    def __init__(self, broker: Kafka | Tansu, *, partitions: int = 2, prefix: str = "") -> None:
        self.brokers = broker.address
        self.client = {"bootstrap_servers": self.brokers}
        self.prefix = prefix or f"outputs{next(_numbers)}-"
        admin.create(Settings(brokers=self.brokers, topic_prefix=self.prefix, partitions=partitions))

    @asynccontextmanager
    async def publisher(self, **more: float) -> AsyncIterator[FencedPublisher]:
        """A publisher that has claimed both partitions."""
        made = FencedPublisher(self.client, self.prefix, "group", OUTPUTS, 2, **more)
        await made.claim([0, 1])
        yield made
        await made.close()

    async def read(self, positions: Mapping[tuple[str, int], int | None]) -> dict[tuple[str, int], list[bytes | None]]:
        """Read the values from there on; where the reading ended, another one begins."""
        values: dict[tuple[str, int], list[bytes | None]] = {}
        after: dict[tuple[str, int], int | None] = {}
        reader = KafkaOutputReader(self.client, self.prefix)
        async for chunk in reader.read(positions):
            values.setdefault((chunk.topic, chunk.partition), []).extend(record.value for record in chunk.records)
            after[chunk.topic, chunk.partition] = chunk.position
        assert not after or [chunk async for chunk in reader.read(after)] == []
        return values


async def values_of(place: Place) -> list[bytes | None]:
    return (await place.read({(CHANGES, 0): None})).get((CHANGES, 0), [])
