"""The inputs of one partition in memory: fetched, decoded a slice at a time, merged.

A batch of a few kilobytes may unpack to many megabytes, and decoding takes time of the event loop. So fetched records
are buffered undecoded, and count as in hand, until the partition's writer decodes them: in slices between which the
loop turns, or, with care, one record at a time, each under a trial of its own (`streams.runtime.poison_pills`).

Backpressure: an input with enough records in hand is full (`InputBuffer.is_full`). Batches that were fetched for it
stay in the client (`streams.kafka.faust_transport`), which then requests no more of it.

See also `streams.runtime.input_merge` for the order of records, and `rules.engine` for events that come late.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable

from rules.events import Event, Origin
from rules.placeholders import BUILT_IN, Placeholders
from streams.failpoints import reach_record
from streams.kafka.fetch import Batch
from streams.kafka.fetch_queue import FetchQueue, QueuedSlice
from streams.runtime.input_merge import Merge
from streams.runtime.poison_pills import Trials
from streams.wire import identity_records
from streams.wire.dead_letters import Undecodable, undecodable
from streams.wire.event_decoder import read
from streams.wire.records import InputRecord
from streams.wire.topics import MERGES

# Bytes that are decoded between two turns of the loop: 2 ms of work for ordinary records, 5 ms for hostile ones.
SLICE_MAX_COST = 256 * 1024
# Bytes of one input in hand. The count alone is no bound, as a record may be as large as a MiB.
IN_HAND_MAX_BYTES = 16 * 1024 * 1024

RecordReader = Callable[[InputRecord, Batch], Event | Undecodable]


class InputBuffer:
    """Buffers batches, and passes their decoded records to a merge.

    ``topics``: its inputs. ``in_hand_max``: how many records of one input may wait before it is full.
    """

    def __init__(
        self,
        topics: Iterable[str],
        merge: Merge,
        in_hand_max: int,
        monotonic: Callable[[], float],
        reading: RecordReader | None = None,
        trials: Trials | None = None,
    ) -> None:
        """``reading``: decodes a record to an event, or to the reason why it is a dead letter."""
        self._topics = list(topics)
        self._merge = merge
        self._in_hand_max = in_hand_max
        self._queue = FetchQueue({topic: merge.fetched(topic) for topic in self._topics})
        self._monotonic = monotonic
        self._reading = reading or read_record
        self._poison = None if trials is None else trials.poison

    def receive(self, batch: Batch) -> int | None:
        """Take a batch. Returns the position to seek back to if records before it are missing.

        What was already received is skipped, so a batch may come twice.
        """
        awaited = self._queue.fetched(batch.topic)
        if batch.start > awaited:
            return awaited
        if batch.end > awaited:
            self._queue.add(batch, self._monotonic())
        return None

    def fetched(self, topic: str) -> int:
        """The position from which the next batch of this input is awaited."""
        return self._queue.fetched(topic)

    def count(self, topic: str) -> int:
        """How many records of this input wait, decoded or not."""
        return self._merge.in_hand(topic) + self._queue.count(topic)

    def size(self, topic: str) -> int:
        """How many bytes of keys and values of this input wait."""
        return self._merge.bytes_in_hand(topic) + self._queue.size(topic)

    def is_full(self, topic: str) -> bool:
        """Whether this input has enough in hand, so that it should take no more batches."""
        return self.count(topic) >= self._in_hand_max or self.size(topic) >= IN_HAND_MAX_BYTES

    async def decode(self) -> None:
        """Decode all records that wait."""
        cost = 0
        for topic in self._topics:
            while (piece := self._queue.take(topic, SLICE_MAX_COST)) is not None:
                self._add(piece)
                cost += piece.cost
                if cost >= SLICE_MAX_COST:
                    cost = 0
                    await asyncio.sleep(0)

    async def try_decode(self, trials: Trials) -> None:
        """Decode the first record of each input that has none decoded, one after the other."""
        for topic in self._topics:
            while not self._merge.in_hand(topic) and (piece := self._queue.take(topic, 1)) is not None:
                async with contextlib.AsyncExitStack() as trial:
                    for record in piece.records:
                        await trial.enter_async_context(trials.of(record))
                    self._add(piece)

    def _add(self, piece: QueuedSlice) -> None:
        batch = piece.batch
        reading = self._reading if self._poison is None else self._read_but_poison
        readings = ((reading(record, batch), record) for record in piece.records)
        reach_record(
            "mid_decode", (record.value for record in piece.records if (batch.topic, record.offset) != self._poison)
        )
        self._merge.add(batch.topic, piece.end, readings, piece.arrived_at)

    def _read_but_poison(self, record: InputRecord, batch: Batch) -> Event | Undecodable:
        """Decode a record, unless it is the one that has killed the process; that becomes a dead letter unread."""
        if (batch.topic, record.offset) == self._poison:
            return undecodable("poison")
        return self._reading(record, batch)


def reader(placeholders: Placeholders) -> RecordReader:
    """A function that decodes a record of the inputs: to an event, or to the reason why it is a dead letter."""

    def read_input(record: InputRecord, batch: Batch) -> Event | Undecodable:
        if batch.topic.endswith(MERGES):
            return identity_records.read(record.value, record.key, placeholders)
        origin = Origin(batch.topic, batch.partition, record.offset)
        return read(record.value, record.key, record.timestamp, origin, placeholders)

    return read_input


read_record = reader(BUILT_IN)
