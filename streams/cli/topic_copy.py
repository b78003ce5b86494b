"""``segmenter topics copy``: the events on new topics, by the number of partitions that those have.

The one rule: a record keeps its key, bytes, headers and Kafka time, and goes to the partition of its key; records that
lay on different partitions are written by their Kafka times, so that a customer's stay in order.

What was published is copied, too: segment changes, and decisions of triggers. So a worker there decides everything
again, publishes nothing twice, and no message is sent again. So is what ids of one person sent to one another
(``merges``): an id learns of a link at the same point of its events, and an id which was erased along with a person is
gone before anything of it is decided. What follows from the events by itself is not copied: memberships, dead letters.
"""

from __future__ import annotations

import heapq
import sys
from collections.abc import Generator, Iterable
from contextlib import closing
from typing import Any

from kafka.errors import KafkaError

from rules.events import INPUTS
from streams.cli.delivery import Sender
from streams.cli.input_files import with_progress
from streams.kafka import admin
from streams.kafka.client import answering
from streams.kafka.log_reader import Logs
from streams.settings import Settings
from streams.stop import Stop
from streams.wire.topics import ALL, CHANGES, READ, TRIGGER_DECISIONS, WORKERS

SAID = (CHANGES, TRIGGER_DECISIONS)
COPIED = (*READ, *SAID)
_ALL = admin.TopicUse(described=ALL)
# An input may take more than a worker does; it is copied all the same.
_RECORD_MAX_BYTES = 64 * 1024 * 1024


def run(settings: Settings, to: str) -> int:
    """Copy to the topics of the prefix ``to``, which are created. Raises `Stop`."""
    if settings.partitioner != "murmur2":
        raise Stop(
            "which partition a key has is known to your own partitioner alone (SEGMENTER_PARTITIONER=none): copy the "
            "topics with it"
        )
    found = admin.find(settings, _ALL).partitions
    target = settings.model_copy(update={"topic_prefix": to})
    if missing := [settings.topic_prefix + name for name in INPUTS if name not in found]:
        raise Stop(f"topics are missing: {', '.join(missing)}; see SEGMENTER_TOPIC_PREFIX")
    if there := [to + name for name in admin.find(target, _ALL).partitions]:
        raise Stop(f"topics are there already: {', '.join(there)}; delete them, or copy to another prefix")
    created = [name for name in ALL if name in (*WORKERS, *found)]
    admin.create(target, created, admin.settings_of(settings, [name for name in COPIED if name in found]))
    with answering(settings):
        for name in COPIED:
            if name in found:
                with closing(_merged(settings, name, found[name])) as records:
                    count = _copy(target, to + name, records)
                print(f"{to}{name}: {count} records copied", file=sys.stderr)
    return 0


def _copy(settings: Settings, topic: str, records: Iterable[Any]) -> int:
    """Write these records to a topic; how many there were. Raises `Stop` when one of them is not taken."""
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
        failed = error
    why = failed or next(iter(sender.refused.values()), None)
    if why is not None:
        raise Stop(f"{topic} did not take a record ({why}); when Kafka answers, delete the new topics, and copy again")
    return sender.acknowledged


def _merged(settings: Settings, name: str, partitions: int) -> Generator[Any]:
    """The records of all partitions of a topic by Kafka time, each partition in its order."""
    logs = [Logs(settings) for _ in range(partitions)]
    try:
        opened = [one.open(name, partition) for partition, one in enumerate(logs)]
        yield from heapq.merge(*(log.whole() for log in opened), key=lambda record: record.timestamp)
    finally:
        for one in logs:
            one.close()
