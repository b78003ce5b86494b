"""The changes and dead letters as they come on their topics.

The one rule: looking on costs the shop nothing: no group, no commit, bounded memory. A reader of the stream that
does not keep up loses the oldest and is told how many.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any

import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from streams.kafka import aiokafka_hooks
from streams.kafka.refusals import missing_right
from streams.ops.segment_activity import Counted
from streams.stop import stop
from streams.wire import changes
from streams.wire.changes import SegmentChange
from streams.wire.topics import CHANGES, DEAD_LETTERS

log = logging.getLogger(__name__)

KEPT_CHANGES = 20_000
KEPT_LETTERS = 200
READERS_MAX = 32
_WAITING_MAX = 2_000
_BACK_MS = 3_600_000
_AGAIN_S = 2.0
_LOOK_MS = 200


class FeedLetter(msgspec.Struct, frozen=True):
    """A record of ``dead-letters``."""

    partition: int
    offset: int
    at_ms: int
    key: bytes | None
    value: bytes
    headers: Mapping[str, str]


class Reader:
    """One who follows the stream."""

    def __init__(self) -> None:
        self._waiting: deque[SegmentChange] = deque(maxlen=_WAITING_MAX)
        self._dropped = 0
        self._more = asyncio.Event()

    def put(self, change: SegmentChange) -> None:
        """The oldest goes where too many wait."""
        self._dropped += len(self._waiting) == _WAITING_MAX
        self._waiting.append(change)
        self._more.set()

    async def take(self, within_s: float) -> tuple[list[SegmentChange], int]:
        """What came, and how many were dropped before it; nothing when nothing came in time."""
        try:
            await asyncio.wait_for(self._more.wait(), within_s)
        except TimeoutError:
            return [], 0
        self._more.clear()
        taken, dropped = list(self._waiting), self._dropped
        self._waiting.clear()
        self._dropped = 0
        return taken, dropped


class Feed:
    """Follows both topics, from an hour back."""

    def __init__(self, client: Mapping[str, Any], prefix: str, partitions: int, now_ms: Callable[[], int]) -> None:
        """``client``: where the brokers are, and who we are to them."""
        self._partitions = partitions
        self._client = client
        self._prefix = prefix
        self._now_ms = now_ms
        self.since_ms = now_ms() - _BACK_MS
        self.segments: dict[str, Counted] = defaultdict(Counted)
        self.letters: deque[FeedLetter] = deque(maxlen=KEPT_LETTERS)
        self.heard_ms = 0
        self._changes: deque[SegmentChange] = deque()
        self._by_customer: dict[str, deque[SegmentChange]] = {}
        self._readers: set[Reader] = set()

    def of(self, customer_id: str) -> list[SegmentChange]:
        """What is kept of a customer, oldest first; a repeat once."""
        return list({change.change_id: change for change in self._by_customer.get(customer_id, ())}.values())

    @contextmanager
    def reader(self) -> Iterator[Reader]:
        """Follow the stream from now on. Raises `OverflowError` when too many do."""
        if len(self._readers) >= READERS_MAX:
            raise OverflowError
        reader = Reader()
        self._readers.add(reader)
        try:
            yield reader
        finally:
            self._readers.discard(reader)

    async def run(self) -> None:
        """Follow until cancelled; a Kafka that is away is tried again."""
        while True:
            try:
                await self._follow()
            except KafkaError as error:
                if sentence := missing_right(error, "READ"):
                    stop(sentence)
                log.warning("the changes cannot be followed", extra={"error": repr(error)})
            await asyncio.sleep(_AGAIN_S)

    async def _follow(self) -> None:
        async with _reading(self._client) as consumer:
            topics = (self._prefix + CHANGES, self._prefix + DEAD_LETTERS)
            places = [TopicPartition(topic, at) for topic in topics for at in range(self._partitions)]
            consumer.assign(places)
            ends = await consumer.end_offsets(places)  # before it is asked for times: what comes meanwhile is read
            found = await consumer.offsets_for_times(dict.fromkeys(places, max(self.since_ms, self.heard_ms)))
            for place in places:
                at = found.get(place)
                consumer.seek(place, ends[place] if at is None else at.offset)
            async for record in _records(consumer, self._heard):
                self._read(record)

    def _heard(self) -> None:
        self.heard_ms = self._now_ms()

    def _read(self, record: Any) -> None:
        if record.topic == self._prefix + DEAD_LETTERS:
            headers = {name: value.decode(errors="replace") for name, value in record.headers}
            letter = FeedLetter(
                record.partition, record.offset, record.timestamp, record.key, record.value or b"", headers
            )
            self.letters.append(letter)
            return
        for change in _decoded([record]):
            self.segments[change.segment].add(record.timestamp, entered=change.change == "entered")
            self._keep(change)
            for reader in self._readers:
                reader.put(change)

    def _keep(self, change: SegmentChange) -> None:
        self._changes.append(change)
        self._by_customer.setdefault(change.customer_id, deque()).append(change)
        if len(self._changes) > KEPT_CHANGES:
            oldest = self._changes.popleft().customer_id
            kept = self._by_customer[oldest]
            kept.popleft()
            if not kept:
                del self._by_customer[oldest]


async def _records(consumer: AIOKafkaConsumer, heard: Callable[[], None]) -> AsyncIterator[Any]:
    while True:
        found = await consumer.getmany(timeout_ms=_LOOK_MS, max_records=2_000)
        heard()
        for records in found.values():
            for record in records:
                yield record
        await asyncio.sleep(0)


async def past(client: Mapping[str, Any], topic: str, partition: int, customer_id: str) -> list[SegmentChange]:
    """All changes of a customer that the topic still holds, in their order. Raises `KafkaError`."""
    found: dict[str, SegmentChange] = {}
    place, key = TopicPartition(topic, partition), customer_id.encode()
    async with _reading(client) as consumer:
        consumer.assign([place])
        await consumer.seek_to_beginning(place)
        end = (await consumer.end_offsets([place]))[place]
        while await consumer.position(place) < end:
            records = (await consumer.getmany(place, timeout_ms=_LOOK_MS, max_records=5_000)).get(place, ())
            for change in _decoded(record for record in records if record.key == key):
                found.setdefault(change.change_id, change)
    return sorted(found.values(), key=lambda change: change.sequence)


@asynccontextmanager
async def _reading(client: Mapping[str, Any]) -> AsyncIterator[AIOKafkaConsumer]:
    """A consumer in no group, of what is committed."""
    consumer = AIOKafkaConsumer(
        **client, isolation_level="read_committed", enable_auto_commit=False, auto_offset_reset="earliest"
    )
    try:
        await consumer.start()
        aiokafka_hooks.absorb_cancellations(consumer)
        yield consumer
    finally:
        await consumer.stop()


def _decoded(records: Iterable[Any]) -> Iterator[SegmentChange]:
    for record in records:
        with suppress(msgspec.DecodeError):  # anybody may write to a topic, and `tail` says it
            yield changes.decode(record.value or b"")
