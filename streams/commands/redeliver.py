"""``segmenter redeliver``: messages that failed for good are tried again, with attempts of their own.

The one rule: nothing is decided here. What failed goes once more to the triggers, under its former key, and
is sent only to who is still in the segment.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

from kafka import KafkaConsumer, KafkaProducer, TopicPartition

from streams import rights, topics
from streams.settings import Settings
from streams.triggers.decisions import LETTERS, REPLAYS
from streams.triggers.reading import replayed


def run(settings: Settings, trigger: str | None, since_ms: int) -> int:
    """All dead letters of a trigger (``None``: of all) that were published at or after a time; exit code 0."""
    topics.verify(settings, rights.NEEDS["redeliver"].topics)
    with topics.answering(settings):
        consumer = topics.client(settings, KafkaConsumer, enable_auto_commit=False, isolation_level="read_committed")
        idempotent = settings.broker == "kafka"
        producer = topics.client(settings, KafkaProducer, acks="all", enable_idempotence=idempotent)
        count = 0
        try:
            for record in _letters(consumer, settings.topic_prefix + LETTERS):
                name = _trigger_of(record)
                if name and trigger in (None, name) and record.timestamp >= since_ms:
                    producer.send(
                        settings.topic_prefix + REPLAYS,
                        key=record.key,
                        value=replayed(name, record.value),
                        partition=record.partition,
                    )
                    count += 1
            producer.flush()
        finally:
            producer.close()
            consumer.close()
    print(f"{count} messages are tried again", file=sys.stderr)
    return 0


def _letters(consumer: Any, topic: str) -> Iterator[Any]:
    """Everything that the topic holds now."""
    places = [TopicPartition(topic, at) for at in sorted(consumer.partitions_for_topic(topic) or ())]
    consumer.assign(places)
    consumer.seek_to_beginning(*places)
    ends = consumer.end_offsets(places)
    while any(consumer.position(place) < ends[place] for place in places):
        for batch in consumer.poll(timeout_ms=500).values():
            yield from batch


def _trigger_of(record: Any) -> str:
    return next((value.decode() for name, value in record.headers if name == "trigger"), "") if record.value else ""
