"""``segmenter redeliver``: messages that failed for good are tried again, with attempts of their own.

The one rule: nothing is decided here. What failed goes once more to the triggers, under its former key, and
is sent only to who is still in the segment.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import closing
from typing import Any

from kafka import KafkaConsumer, TopicPartition

from streams import rights
from streams.cli.delivery import Sender
from streams.kafka import admin
from streams.kafka.client import answering, connect
from streams.settings import Settings
from streams.triggers.inputs import replayed
from streams.wire.topics import TRIGGER_DEAD_LETTERS, TRIGGER_REPLAYS


def run(settings: Settings, trigger: str | None, since_ms: int) -> int:
    """All dead letters of a trigger (``None``: of all) that were published at or after a time.

    Exit code 1 when Kafka refused one of them. Raises `Stop`.
    """
    admin.verify(settings, rights.NEEDS["redeliver"].topics)
    with answering(settings):
        consumer = connect(settings, KafkaConsumer, enable_auto_commit=False, isolation_level="read_committed")
        sender = Sender(settings)
        with closing(consumer), closing(sender):
            for number, record in enumerate(_letters(consumer, settings.topic_prefix + TRIGGER_DEAD_LETTERS)):
                name = _trigger_of(record)
                if name and trigger in (None, name) and record.timestamp >= since_ms:
                    sender.send(
                        number,
                        settings.topic_prefix + TRIGGER_REPLAYS,
                        key=record.key,
                        value=replayed(name, record.value),
                        partition=record.partition,
                    )
    print(f"{sender.acknowledged} messages are tried again", file=sys.stderr)
    for why in sender.refused.values():
        print(f"{settings.topic_prefix}{TRIGGER_REPLAYS} did not take one: {why}", file=sys.stderr)
    return 1 if sender.refused else 0


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
