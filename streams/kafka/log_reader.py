"""Partitions of a topic, read once from the first record to the end, for commands which recompute customers."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any, Self

from kafka import KafkaConsumer, TopicPartition

from streams.kafka.client import connect
from streams.kafka.log_batches import bound_log_batches
from streams.settings import Settings
from streams.stop import Stop, created_anew
from streams.wire.topics import READ


class Logs:
    """The topics, each with one consumer that reads one partition after the other. Close it at the end."""

    def __init__(self, settings: Settings) -> None:
        bound_log_batches()
        self._settings = settings
        self._consumers: dict[str, Any] = {}

    def open(self, name: str, partition: int) -> Log:
        """A partition of the topic of this name, without prefix; the one opened before is done with."""
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
        """All that workers read of a partition, by full name, in the reading order. Raises `Stop` as `needed_whole`."""
        prefix = self._settings.topic_prefix
        return {prefix + name: self.open(name, partition).needed_whole() for name in READ}

    def close(self) -> None:
        """Close the connections."""
        for consumer in self._consumers.values():
            consumer.close()


class Log:
    """One partition of a topic, read once from the first record that it holds; ``first``: the offset of that."""

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
        """The same. Raises `Stop` where its first records are gone."""
        if self.first:
            raise Stop(
                f"{self.name} begins at {self.first}: all records are needed, and those before are gone; give topics "
                "a longer retention before more of them go"
            )
        return self

    def check(self, position: int) -> None:
        """Refuse a log that ends before what was read of it."""
        if self._exact and position > self.end:
            raise created_anew(self.name, self.end, position)

    def whole(self) -> Iterator[Any]:
        """All records up to the end; where ends are not exact, until none comes any more."""
        yield from self.upto(self.end)
        while not self._exact and (self._waiting or self._polled(_QUIET_MS)):
            yield self._waiting.popleft()

    def upto(self, end: int) -> Iterator[Any]:
        """The records before ``end`` that were not read yet. Offsets may have holes, also at the end."""
        heard = time.monotonic()
        while True:
            while self._waiting and self._waiting[0].offset < end:
                yield self._waiting.popleft()
                heard = time.monotonic()
            before = self._consumer.position(self._tp)
            if self._waiting or before >= end:
                return
            self._polled(_POLL_MS)
            if self._consumer.position(self._tp) > before:
                heard = time.monotonic()
            elif time.monotonic() - heard > SILENT_MAX_S:
                raise Stop(f"Kafka gave nothing of {self.name} from {before} on in {SILENT_MAX_S:.0f} s; try again")

    def _polled(self, timeout_ms: int) -> bool:
        """Whether records came."""
        for records in self._consumer.poll(timeout_ms=timeout_ms).values():
            self._waiting.extend(records)
        return bool(self._waiting)


# So long may Kafka give nothing of what is known to be there.
SILENT_MAX_S = 30.0
_POLL_MS = 500
# On a broker that does not know its ends: nothing more for so long is the end.
_QUIET_MS = 1_000
# Handed out at once: each may be a few megabytes once it is unpacked.
_POLL_RECORDS = 50
