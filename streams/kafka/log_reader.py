"""Logs of topics' partitions, each read once from its first record to its end, for commands which recompute customers.

See also: `streams.kafka.output_reader` (the same for a claim, without blocking), `streams.offline.recompute`.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any, Self

from kafka import KafkaConsumer, TopicPartition

from streams.kafka.client import connect
from streams.kafka.log_batches import bound_log_batches
from streams.settings import Settings
from streams.stop import Stop, recreated_topic
from streams.wire.topics import READ


class Logs:
    """Opens logs: each topic has one consumer, which reads one partition after the other. Close it at the end."""

    def __init__(self, settings: Settings) -> None:
        bound_log_batches()
        self._settings = settings
        self._consumers: dict[str, Any] = {}

    def open(self, name: str, partition: int) -> Log:
        """Open a partition of a topic, by its name without prefix; the topic's former log must not be read any more."""
        if name not in self._consumers:
            self._consumers[name] = connect(
                self._settings,
                KafkaConsumer,
                isolation_level="read_committed",
                enable_auto_commit=False,
                max_poll_records=_POLL_RECORDS,
            )
        place = TopicPartition(self._settings.topic_prefix + name, partition)
        return Log(self._consumers[name], place, exact=self._settings.broker == "kafka")

    def inputs(self, partition: int) -> Mapping[str, Log]:
        """Open all inputs of a worker's partition, by full name, in reading order. Raises `Stop` as `needed_whole`."""
        prefix = self._settings.topic_prefix
        return {prefix + name: self.open(name, partition).needed_whole() for name in READ}

    def close(self) -> None:
        """Close the connections."""
        for consumer in self._consumers.values():
            consumer.close()


class Log:
    """One partition of a topic, read once; ``first``: the offset of the first record that is still there."""

    def __init__(self, consumer: Any, tp: TopicPartition, *, exact: bool) -> None:
        """``exact``: whether the broker knows its end offsets exactly."""
        self.name = f"{tp.topic}-{tp.partition}"
        self._consumer, self._tp, self._exact = consumer, tp, exact
        consumer.assign([tp])
        self.first: int = consumer.beginning_offsets([tp])[tp]
        self.end: int = consumer.end_offsets([tp])[tp]
        consumer.seek(tp, self.first)
        self._waiting: deque[Any] = deque()

    def needed_whole(self) -> Self:
        """Check that no record is missing, and give this log. Raises `Stop` if retention has deleted the first ones."""
        if self.first:
            raise Stop(
                f"{self.name} begins at {self.first}: all records are needed, and those before are gone; give topics "
                "a longer retention before more of them go"
            )
        return self

    def check(self, position: int) -> None:
        """Refuse a log which ends before a position that was once read. Raises `Stop`."""
        if self._exact and position > self.end:
            raise recreated_topic(self.name, self.end, position)

    def whole(self) -> Iterator[Any]:
        """All records up to the end; where ends are not exact, until no more come. Raises `Stop` as `upto`."""
        yield from self.upto(self.end)
        while not self._exact and (self._waiting or self._polled(_QUIET_MS)):
            yield self._waiting.popleft()

    def upto(self, end: int) -> Iterator[Any]:
        """The records before ``end`` that were not read yet. Raises `Stop` if Kafka gives nothing for too long.

        The consumer's position shows the end, and not the records: offsets may have holes, also at the end.
        """
        progress_at = time.monotonic()
        while True:
            while self._waiting and self._waiting[0].offset < end:
                yield self._waiting.popleft()
                progress_at = time.monotonic()
            before = self._consumer.position(self._tp)
            if self._waiting or before >= end:
                return
            self._polled(_POLL_MS)
            if self._consumer.position(self._tp) > before:
                progress_at = time.monotonic()
            elif time.monotonic() - progress_at > SILENT_MAX_S:
                raise Stop(f"Kafka gave nothing of {self.name} from {before} on in {SILENT_MAX_S:.0f} s; try again")

    def _polled(self, timeout_ms: int) -> bool:
        """Poll for so long, and tell whether records wait."""
        for records in self._consumer.poll(timeout_ms=timeout_ms).values():
            self._waiting.extend(records)
        return bool(self._waiting)


# How long Kafka may give no record before the known end of a log.
SILENT_MAX_S = 30.0
_POLL_MS = 500
# On a broker that does not know its ends: how long no record may come before the log counts as read to its end.
_QUIET_MS = 1_000
# Few records at once: each may have a few megabytes once it is unpacked.
_POLL_RECORDS = 50
