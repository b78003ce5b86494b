"""Reads the partitions that the sink writes, each from where the database says that reading stopped.

The one rule: positions come from the database and go back to it. Kafka stores none of them.

See also: `streams.sink.process`, which decides what is read when.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Collection, Mapping
from typing import Any

import msgspec
from kafka import KafkaConsumer, TopicPartition

from streams.kafka.client import connect
from streams.kafka.log_batches import bound_log_batches
from streams.settings import Settings
from streams.sink.records import TOMBSTONES_MS, SinkRecord, content_of
from streams.sink.tables import Place, ReadingProgress
from streams.stop import Stop
from streams.wire.topics import MEMBERSHIPS

log = logging.getLogger(__name__)

# Records of one transaction. A change takes 128 KiB at most.
RECORDS_MAX = 2_000


class ReadRecords(msgspec.Struct):
    """Records that were read together, and how far each partition was read by them: from where, and to where."""

    records: list[SinkRecord]
    moves: dict[Place, tuple[int, int]]


class SinkReader:
    """Reads all partitions of these topics, which are named without prefix. Close it at the end."""

    def __init__(self, settings: Settings, partitions: Mapping[str, int]) -> None:
        bound_log_batches()
        self._checks_ends = settings.broker == "kafka"  # another broker may not know them exactly
        self.names = {settings.topic_prefix + name: name for name in partitions}
        places = {
            name: [TopicPartition(settings.topic_prefix + name, number) for number in range(count)]
            for name, count in partitions.items()
        }
        self.rows = places.pop(MEMBERSHIPS)
        self.others = [tp for of_topic in places.values() for tp in of_topic]
        self._positions: dict[TopicPartition, int] = {}
        self._first_ends: dict[TopicPartition, int | None] = {}
        # It reads nothing: the ends that it sees include records of transactions that are still open.
        self._looking: Any = connect(settings, KafkaConsumer, enable_auto_commit=False)
        self._consumer: Any = connect(
            settings, KafkaConsumer, enable_auto_commit=False, auto_offset_reset="none",
            isolation_level="read_committed", max_poll_records=RECORDS_MAX,
        )  # fmt: skip

    def close(self) -> None:
        """Close the connections."""
        self._looking.close()
        self._consumer.close()

    def ends(self, places: Collection[TopicPartition]) -> dict[TopicPartition, int]:
        """The ends of these partitions by now."""
        return dict(self._looking.end_offsets(list(places)))

    def unread(self) -> dict[TopicPartition, ReadingProgress]:
        """Each partition as it is for a sink that has read nothing."""
        firsts = self._looking.beginning_offsets([*self.others, *self.rows])
        ends = self.ends(self.others) | self.ends(self.rows)
        return {tp: ReadingProgress(firsts[tp], end) for tp, end in ends.items()}

    def begin(self, unread: Mapping[TopicPartition, ReadingProgress], saved: Mapping[Place, ReadingProgress]) -> None:
        """Go on as it was saved. Raises `Stop` if a partition is not the one that was read before."""
        self._consumer.assign([*self.others, *self.rows])
        for tp, fresh in unread.items():
            progress = saved[place_of(tp)]
            self._check(tp, progress.next_offset, fresh)
            self._positions[tp], self._first_ends[tp] = progress.next_offset, progress.first_end
            self._consumer.seek(tp, max(progress.next_offset, fresh.next_offset))

    def _check(self, tp: TopicPartition, position: int, fresh: ReadingProgress) -> None:
        name = f"{tp.topic}-{tp.partition}"
        if self._checks_ends and position > (fresh.first_end or 0):
            raise Stop(
                f"{name} ends at {fresh.first_end} but records up to {position} were already written; the topic was "
                "deleted and recreated: give SEGMENTER_POSTGRES_SCHEMA another name, and the sink reads all anew"
            )
        if position < fresh.next_offset:
            missing = fresh.next_offset - position
            log.warning("records were deleted before they were written", extra={"log": name, "missing": missing})

    def first_ends(self, places: Collection[TopicPartition]) -> dict[TopicPartition, int]:
        """The ends to which the first reading of these partitions goes; without those where it is over."""
        ends = {tp: self._first_ends[tp] for tp in places}
        return {tp: end for tp, end in ends.items() if end is not None}

    def end_first_reading(self, tp: TopicPartition) -> None:
        """Note that a partition was read to the end that it had at first."""
        self._first_ends[tp] = None

    def has_written(self, ends: Mapping[TopicPartition, int]) -> bool:
        """Whether everything before these ends was written."""
        return all(self._positions[tp] >= end for tp, end in ends.items())

    def behind(self) -> int:
        """How many records are not written yet."""
        ends = self.ends([*self.others, *self.rows])
        return sum(max(end - self._positions[tp], 0) for tp, end in ends.items())

    def pause_rows(self, *, paused: bool) -> None:
        """Read no rows of the membership table for now, or read them again."""
        (self._consumer.pause if paused else self._consumer.resume)(*self.rows)

    def poll(self, timeout_ms: int) -> tuple[ReadRecords, ReadRecords]:
        """Read the next records: those of all topics but the membership table, and its rows."""
        records = self._consumer.poll(timeout_ms=timeout_ms)
        return self._batch(records, self.others), self._batch(records, self.rows)

    def _batch(self, records: Mapping[TopicPartition, Any], places: Collection[TopicPartition]) -> ReadRecords:
        batch = ReadRecords([], {})
        for tp in places:
            name, first_end = self.names[tp.topic], self._first_ends[tp] or 0
            old = time.time() * 1000 - TOMBSTONES_MS
            batch.records += [
                SinkRecord(
                    tp.topic, tp.partition, each.offset, content_of(name, each),
                    each.offset < first_end and each.timestamp < old,
                )
                for each in records.get(tp, ())
            ]  # fmt: skip
            # Positions also pass what is no record, such as the end of a transaction.
            before, after = self._positions[tp], self._consumer.position(tp)
            if after > before:
                batch.moves[place_of(tp)] = (before, after)
        return batch

    def written(self, batch: ReadRecords) -> None:
        """Note that a batch was written."""
        for (topic, partition), (_, after) in batch.moves.items():
            self._positions[TopicPartition(topic, partition)] = after


def place_of(tp: TopicPartition) -> Place:
    """A partition as the database names it."""
    return tp.topic, tp.partition
