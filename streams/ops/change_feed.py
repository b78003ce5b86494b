"""Follows the topics of changes and of dead letters.

The one rule: it costs the other processes nothing: no consumer group, no commit, bounded memory. A reader of the stream
that does not keep up loses the oldest changes and learns how many.

See also: `streams.ops.api`, which streams the changes to browsers.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from streams.kafka.groupless_consumer import groupless
from streams.kafka.refusals import missing_right
from streams.ops.segment_activity import SegmentActivity
from streams.stop import stop
from streams.wire import changes
from streams.wire.changes import SegmentChange
from streams.wire.topics import CHANGES, DEAD_LETTERS

log = logging.getLogger(__name__)

CHANGES_MAX = 20_000
LETTERS_MAX = 200
READERS_MAX = 32
_WAITING_MAX = 2_000
_BACK_MS = 3_600_000
_AGAIN_S = 2.0
_POLL_MS = 200


class FeedLetter(msgspec.Struct, frozen=True):
    """A record of the topic ``dead-letters``."""

    partition: int
    offset: int
    at_ms: int
    key: bytes | None
    value: bytes
    headers: Mapping[str, str]


class Reader:
    """One follower of the stream, with the changes that it has not taken yet."""

    def __init__(self) -> None:
        self._waiting: deque[SegmentChange] = deque(maxlen=_WAITING_MAX)
        self._dropped = 0
        self._more = asyncio.Event()

    def put(self, change: SegmentChange) -> None:
        """Add a change; if too many wait, the oldest is dropped."""
        self._dropped += len(self._waiting) == _WAITING_MAX
        self._waiting.append(change)
        self._more.set()

    async def take(self, within_s: float) -> tuple[list[SegmentChange], int]:
        """Wait for changes; give them, and how many were dropped before them. Nothing if none came in time."""
        try:
            async with asyncio.timeout(within_s):
                await self._more.wait()
        except TimeoutError:
            return [], 0
        self._more.clear()
        taken, dropped = list(self._waiting), self._dropped
        self._waiting.clear()
        self._dropped = 0
        return taken, dropped


class ChangeFeed:
    """The last changes and dead letters, from an hour before the start on."""

    def __init__(self, client: Mapping[str, Any], prefix: str, partitions: int, now_ms: Callable[[], int]) -> None:
        """``client``: the settings of a Kafka client: brokers and credentials."""
        self._partitions = partitions
        self._client = client
        self._prefix = prefix
        self._now_ms = now_ms
        self.since_ms = now_ms() - _BACK_MS
        self.segments: dict[str, SegmentActivity] = defaultdict(SegmentActivity)
        self.letters: deque[FeedLetter] = deque(maxlen=LETTERS_MAX)
        self.polled_ms = 0
        self._changes: deque[SegmentChange] = deque()
        self._by_customer: dict[str, deque[SegmentChange]] = {}
        self._readers: set[Reader] = set()

    def of(self, customer_id: str) -> list[SegmentChange]:
        """The changes of a customer among the last `CHANGES_MAX`, oldest first, without repeats."""
        by_id = {change.change_id: change for change in self._by_customer.get(customer_id, ())}
        return list(by_id.values())

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
        """Follow the topics until cancelled; if Kafka does not answer, try again."""
        while True:
            try:
                await self._follow()
            except KafkaError as error:
                if sentence := missing_right(error, "READ"):
                    stop(sentence)
                log.warning("cannot read the topic of changes; retrying", extra={"error": repr(error)})
            await asyncio.sleep(_AGAIN_S)

    async def _follow(self) -> None:
        """Read both topics, at first from `since_ms` on, and after an error from where the last poll was."""
        async with groupless(self._client) as consumer:
            topics = (self._prefix + CHANGES, self._prefix + DEAD_LETTERS)
            partitions = [TopicPartition(topic, number) for topic in topics for number in range(self._partitions)]
            consumer.assign(partitions)
            # Ends are requested before offsets by time, so that a record which is appended in between is not skipped.
            ends = await consumer.end_offsets(partitions)
            since_ms = max(self.since_ms, self.polled_ms)
            offsets = await consumer.offsets_for_times(dict.fromkeys(partitions, since_ms))
            for partition in partitions:
                first = offsets.get(partition)  # of a record that is not older than ``since_ms``, if there is any
                consumer.seek(partition, ends[partition] if first is None else first.offset)
            async for record in _records(consumer, self._note_poll):
                self._read(record)

    def _note_poll(self) -> None:
        self.polled_ms = self._now_ms()

    def _read(self, record: Any) -> None:
        """Store a record of either topic, and hand a change to the readers."""
        if record.topic == self._prefix + DEAD_LETTERS:
            headers = {name: value.decode(errors="replace") for name, value in record.headers}
            letter = FeedLetter(
                partition=record.partition,
                offset=record.offset,
                at_ms=record.timestamp,
                key=record.key,
                value=record.value or b"",
                headers=headers,
            )
            self.letters.append(letter)
            return
        for change in _decoded([record]):
            self.segments[change.segment].add(record.timestamp, entered=change.change == "entered")
            self._store(change)
            for reader in self._readers:
                reader.put(change)

    def _store(self, change: SegmentChange) -> None:
        self._changes.append(change)
        self._by_customer.setdefault(change.customer_id, deque()).append(change)
        if len(self._changes) > CHANGES_MAX:
            customer_id = self._changes.popleft().customer_id
            of_customer = self._by_customer[customer_id]
            of_customer.popleft()
            if not of_customer:
                del self._by_customer[customer_id]


async def _records(consumer: AIOKafkaConsumer, on_poll: Callable[[], None]) -> AsyncIterator[Any]:
    while True:
        by_partition = await consumer.getmany(timeout_ms=_POLL_MS, max_records=2_000)
        on_poll()
        for records in by_partition.values():
            for record in records:
                yield record
        await asyncio.sleep(0)  # the other tasks have their turn, also while there are always records


async def past(client: Mapping[str, Any], topic: str, partition: int, customer_id: str) -> list[SegmentChange]:
    """Read all changes of a customer that the topic still holds, by their sequence. Raises `KafkaError`."""
    by_id: dict[str, SegmentChange] = {}
    tp, key = TopicPartition(topic, partition), customer_id.encode()
    async with groupless(client) as consumer:
        consumer.assign([tp])
        await consumer.seek_to_beginning(tp)
        end = (await consumer.end_offsets([tp]))[tp]
        while await consumer.position(tp) < end:
            by_partition = await consumer.getmany(tp, timeout_ms=_POLL_MS, max_records=5_000)
            own = [record for record in by_partition.get(tp, ()) if record.key == key]
            for change in _decoded(own):
                by_id.setdefault(change.change_id, change)
    return sorted(by_id.values(), key=lambda change: change.sequence)


def _decoded(records: Iterable[Any]) -> Iterator[SegmentChange]:
    for record in records:
        with suppress(msgspec.DecodeError):  # another program wrote it; `segmenter tail` reports such a record
            yield changes.decode(record.value or b"")
