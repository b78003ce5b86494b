"""The process ``segmenter sink`` for the tests, and topics that a worker and triggers would have written."""

from __future__ import annotations

from typing import Any

from kafka import KafkaAdminClient, KafkaProducer, TopicPartition

from local.processes import Worker
from local.servers import Kafka
from streams.kafka import admin
from streams.settings import Settings
from streams.wire.records import OutRecord
from streams.wire.topics import CHANGES, MEMBERSHIPS, TRIGGER_DECISIONS
from tests.support.commands import partition_of
from tests.support.sink_history import SinkHistory

PARTITIONS = 2
_STEPS_AT_ONCE = 5


class SinkProcess(Worker):
    """One ``segmenter sink``."""

    command = "sink"
    options = ()
    ready = "reads from Kafka and writes to PostgreSQL"


class SinkTopics:
    """The topics that the sink reads, written step by step in transactions."""

    def __init__(self, kafka: Kafka, prefix: str, *, decisions: bool = True) -> None:
        self.settings = Settings(brokers=kafka.address, topic_prefix=prefix, partitions=PARTITIONS)
        self._names = (CHANGES, MEMBERSHIPS, *((TRIGGER_DECISIONS,) if decisions else ()))
        admin.create(self.settings, self._names)
        self._producer: Any = KafkaProducer(bootstrap_servers=kafka.address, transactional_id=f"{prefix}writer")
        self._producer.init_transactions()

    def publish(self, records: list[OutRecord], *, commit: bool = True) -> None:
        """Publish records in one transaction; without ``commit`` it is aborted."""
        self._producer.begin_transaction()
        for record in (each for each in records if each.topic in self._names):
            self._producer.send(
                self.settings.topic_prefix + record.topic, key=record.key, value=record.value,
                headers=record.headers, partition=partition_of(record.key or b"") % PARTITIONS,
            )  # fmt: skip
        if commit:
            self._producer.commit_transaction()
        else:
            self._producer.flush()
            self._producer.abort_transaction()

    def publish_history(self, history: SinkHistory, first: int, end: int) -> None:
        """Publish some steps of a history, and between them transactions that are aborted."""
        for number in range(first, end, _STEPS_AT_ONCE):
            if number % 7 == 0:
                self.publish(history.steps[(number * 13) % len(history.steps)].records, commit=False)
            steps = history.steps[number : min(number + _STEPS_AT_ONCE, end)]
            self.publish([record for step in steps for record in step.records])

    def delete_before(self, topic: str, offsets: dict[int, int]) -> None:
        """Delete the first records of a topic's partitions, as retention does."""
        client: Any = KafkaAdminClient(bootstrap_servers=self.settings.brokers)
        name = self.settings.topic_prefix + topic
        client.delete_records({TopicPartition(name, number): offset for number, offset in offsets.items()})
        client.close()

    def close(self) -> None:
        """Close the connection."""
        self._producer.close()
