"""``segmenter topics copy``: copies the events to new topics with another number of partitions.

The one rule: a record keeps its key, bytes, headers and Kafka time, and goes to the partition of its key. Records of
different partitions are written in the order of their Kafka times, so the records of a customer stay in order.

| topic | copied | why |
|---|---|---|
| inputs | yes | everything is decided by them |
| ``merges`` | yes | an id learns of a link, or of the erasure of its person, at the same point of its events |
| changes, decisions of triggers | yes | a worker on the copy publishes no change and sends no message twice |
| memberships, dead letters | no | they follow from the events again |

See also: `streams.kafka.admin`, which creates the topics with the settings of the old ones.
"""

from __future__ import annotations

import heapq
import sys
from collections.abc import Generator, Iterable, Mapping
from contextlib import closing
from typing import Any

from kafka.errors import KafkaError

from rules.event_names import INPUTS
from streams.cli.delivery import Sender
from streams.cli.input_files import with_progress
from streams.kafka import admin
from streams.kafka.client import answering
from streams.kafka.log_reader import Logs
from streams.settings import Settings
from streams.stop import Stop
from streams.wire.topics import ALL, CHANGES, READ, TRIGGER_DECISIONS, WORKERS

PUBLISHED = (CHANGES, TRIGGER_DECISIONS)
COPIED = (*READ, *PUBLISHED)
_ALL = admin.TopicUse(described=ALL)
# An input topic may take larger records than a worker does, and these are copied as well.
_RECORD_MAX_BYTES = 64 * 1024 * 1024


def run(settings: Settings, to: str) -> int:
    """Copy to the topics of the prefix ``to``, which are created. Raises `Stop`."""
    if settings.partitioner != "murmur2":
        raise Stop(
            "SEGMENTER_PARTITIONER=none: only your partitioner knows a key's partition, so copy the topics with a tool "
            "that uses it"
        )
    partitions = admin.find(settings, _ALL).partitions
    target = settings.model_copy(update={"topic_prefix": to})
    _check(settings, target, partitions)
    copied = [name for name in COPIED if name in partitions]
    created = [name for name in ALL if name in (*WORKERS, *partitions)]
    admin.create(target, created, admin.settings_of(settings, copied))
    with answering(settings):
        for name in copied:
            with closing(_merged(settings, name, partitions[name])) as records:
                count = _copy(target, to + name, records)
            print(f"{to}{name}: {count} records copied", file=sys.stderr)
    return 0


def _check(settings: Settings, target: Settings, partitions: Mapping[str, int]) -> None:
    """Raise `Stop` if an input topic is missing, or a topic of the target exists."""
    missing = [settings.topic_prefix + name for name in INPUTS if name not in partitions]
    if missing:
        raise Stop(f"topics are missing: {', '.join(missing)}; see SEGMENTER_TOPIC_PREFIX")
    existing = [target.topic_prefix + name for name in admin.find(target, _ALL).partitions]
    if existing:
        raise Stop(f"topics are there already: {', '.join(existing)}; delete them, or copy to another prefix")


def _copy(settings: Settings, topic: str, records: Iterable[Any]) -> int:
    """Write these records to a topic; give their number. Raises `Stop` when Kafka does not take one of them."""
    sender = Sender(settings, max_request_size=_RECORD_MAX_BYTES)
    failed: KafkaError | None = None
    try:
        with closing(sender):
            for number, record in enumerate(with_progress(records, "copied", "records")):
                sender.send(
                    number,
                    topic,
                    key=record.key,
                    value=record.value,
                    headers=[*record.headers],
                    timestamp_ms=record.timestamp,
                )
    except KafkaError as error:
        if not error.retriable:
            raise
        failed = error
    if sender.refused:
        refusal = next(iter(sender.refused.values()))
        raise Stop(
            f"Kafka refuses to write a record to {topic} ({refusal}); allow it (by max.message.bytes of the topic that "
            "is copied, or by this user's rights), delete the new topics, and copy again"
        )
    if failed is not None:
        raise Stop(
            f"{topic} did not take a record ({failed}); when Kafka answers, delete the new topics, and copy again"
        )
    return sender.acknowledged


def _merged(settings: Settings, name: str, partitions: int) -> Generator[Any]:
    """Merge the records of all partitions of a topic by Kafka time; those of one partition keep their order."""
    # Each partition needs consumers of its own, as the logs are read in turns.
    readers = [Logs(settings) for _ in range(partitions)]
    try:
        logs = [reader.open(name, partition) for partition, reader in enumerate(readers)]
        yield from heapq.merge(*(log.whole() for log in logs), key=lambda record: record.timestamp)
    finally:
        for reader in readers:
            reader.close()
