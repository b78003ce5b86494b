"""The outbox: what was decided and saved, on its way to Kafka.

The one rule: published in the order in which it was saved, acknowledged, and only then trimmed.
A crash in between publishes again; the same change then carries the same id.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Protocol

import msgspec

from streams.failpoints import reach
from streams.store import Fenced, Store
from streams.wire.changes import Header

# Entries (one per save) that may wait before the partition stops computing more.
WAITING_MAX = 64
# Or so many bytes of them, and the entry that passes it: an entry of dead letters may be 4 MiB.
WAITING_MAX_BYTES = 16 * 1024 * 1024
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
    """Where records go."""

    async def publish(self, partition: int, records: Sequence[OutRecord]) -> None:
        """Return once all are acknowledged, those of one topic in order. Raises `PublishFailed`."""


class PublishFailed(Exception):
    """Kafka did not take records that are saved; when it is back, start the worker again."""


class Outbox:
    """The outbox of one partition while it is claimed."""

    def __init__(self, store: Store, publisher: Publisher, partition: int, token: str, trimmed: int) -> None:
        self._store = store
        self._publisher = publisher
        self._partition = partition
        self._token = token
        self._published = trimmed
        self._waiting: asyncio.Queue[Sequence[OutRecord]] = asyncio.Queue(WAITING_MAX)
        self._waiting_bytes = 0
        self._room = asyncio.Event()
        self._room.set()

    async def put(self, records: Sequence[OutRecord]) -> None:
        """The records of an entry that is saved; waits while too many do. For one writer."""
        await self._room.wait()
        await self._waiting.put(records)
        self._weigh(_size(records))

    def _weigh(self, change_bytes: int) -> None:
        self._waiting_bytes += change_bytes
        if self._waiting_bytes < WAITING_MAX_BYTES:
            self._room.set()
        else:
            self._room.clear()

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
            for entry in entries:
                self._weigh(-_size(entry))
                self._waiting.task_done()

    async def _publish(self, entries: Sequence[Sequence[OutRecord]]) -> None:
        reach("before_publish")
        await self._publisher.publish(self._partition, [record for entry in entries for record in entry])
        reach("after_publish")
        self._published += len(entries)
        if not await self._store.trim(self._partition, self._token, self._published):
            raise Fenced
        reach("after_trim")


def _size(records: Sequence[OutRecord]) -> int:
    return sum(len(record.value or b"") + len(record.key or b"") for record in records)
