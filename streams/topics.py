"""The topics: create them, and see that they are what the worker needs.

The one rule: all inputs and outputs have the same number of partitions, so that partition and
shard are one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, cast

import msgspec
from kafka import KafkaAdminClient
from kafka.admin import NewTopic
from kafka.errors import KafkaError, TopicAlreadyExistsError

from rules.events import INPUTS
from streams.segmenter import CHANGES, DEAD_LETTERS
from streams.settings import Settings
from streams.stop import Stop

OUTPUTS = (CHANGES, DEAD_LETTERS)


class Found(msgspec.Struct, frozen=True):
    """A cluster and the partition counts of those of our topics that exist, without prefix."""

    cluster: str
    partitions: Mapping[str, int]


@contextmanager
def answering(settings: Settings) -> Iterator[None]:
    """What Kafka's client raises here, at the start or later, is a `Stop` that names the setting."""
    try:
        yield
    except KafkaError as error:
        raise Stop(f"Kafka at {settings.brokers} does not answer ({error}); see SEGMENTER_BROKERS") from None


@contextmanager
def _admin(settings: Settings) -> Iterator[Any]:
    with answering(settings):
        admin = KafkaAdminClient(bootstrap_servers=settings.brokers.split(","), request_timeout_ms=10_000)
        try:
            yield admin
        finally:
            admin.close()


def find(settings: Settings) -> Found:
    """Ask the cluster. Raises `Stop` when it does not answer."""
    with _admin(settings) as admin:
        names = {settings.topic_prefix + name: name for name in (*INPUTS, *OUTPUTS)}
        known = set(cast(list[str], admin.list_topics()))
        described = admin.describe_topics([full for full in names if full in known]) if known else []
        partitions = {names[topic["name"]]: len(topic["partitions"]) for topic in described if topic["name"] in names}
        return Found(str(admin.describe_cluster().get("cluster_id") or ""), partitions)


def create(settings: Settings) -> list[str]:
    """Create what is missing; the names created."""
    with _admin(settings) as admin:
        made = []
        for name in (*INPUTS, *OUTPUTS):
            topic = NewTopic(settings.topic_prefix + name, settings.partitions, settings.replication)
            try:
                admin.create_topics([topic])
            except TopicAlreadyExistsError:
                continue
            except KafkaError as error:
                settings_named = "see SEGMENTER_PARTITIONS and SEGMENTER_REPLICATION"
                raise Stop(f"topic {topic.name} could not be created ({error}); {settings_named}") from None
            made.append(topic.name)
        return made


def verify(settings: Settings) -> Found:
    """What was found, if the worker can run on it. Raises `Stop`."""
    found = find(settings)
    missing = [settings.topic_prefix + name for name in (*INPUTS, *OUTPUTS) if name not in found.partitions]
    if missing:
        raise Stop(f"topics are missing: {', '.join(missing)}; run `segmenter topics create`")
    if len(set(found.partitions.values())) > 1:
        counts = ", ".join(f"{name} {count}" for name, count in sorted(found.partitions.items()))
        raise Stop(f"topics differ in their number of partitions ({counts}); they need the same")
    return found
