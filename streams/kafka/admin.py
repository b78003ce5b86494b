"""Creates topics, and checks at start that they exist, that rights are given, and that their settings fit.

The one rule: all inputs and outputs have the same number of partitions, so that a customer has the
same partition number in each of them.

See also: `streams.rights.process_rights` (the topics that each process uses), `streams.runtime.preflight` (offsets).
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import msgspec
from kafka import KafkaAdminClient
from kafka.admin import ConfigResource, ConfigResourceType, NewTopic
from kafka.errors import (
    AuthorizationError,
    KafkaError,
    TopicAlreadyExistsError,
    TopicAuthorizationFailedError,
)

from rules.event_names import INPUTS
from rules.times import DAY_MS
from streams.kafka import producer
from streams.kafka.client import answering, connect
from streams.settings import Settings
from streams.state.contract import Identity
from streams.stop import COPY, RIGHTS, Stop
from streams.wire.records import batch_size_needed
from streams.wire.topics import MEMBERSHIPS, OUTPUTS, TRIGGER_OUTPUTS, TRIGGERS, WORKERS, WRITTEN

log = logging.getLogger(__name__)

# Topics to which only the owner of a partition publishes.
_OWNED = frozenset({*OUTPUTS, *TRIGGER_OUTPUTS})
# The newest record of each key stays for ever, a tombstone for 30 days: who stops for longer misses erasures.
_COMPACTED = {"cleanup.policy": "compact", "delete.retention.ms": str(30 * DAY_MS)}
# Settings of topics that are not Kafka's defaults.
CONFIGS: Mapping[str, Mapping[str, str]] = {MEMBERSHIPS: _COMPACTED}
_RETENTION = ("cleanup.policy", "retention.ms")
_COPIED = ("retention.ms", "retention.bytes", "max.message.bytes")
BATCH_SIZE = "max.message.bytes"


class TopicUse(msgspec.Struct, frozen=True, kw_only=True):
    """The topics that a process uses, by what it does with them, which takes rights. Names are without prefix.

    ``limited``: topics whose settings it reads. The right to read or write a topic includes that to describe it.
    """

    read: tuple[str, ...] = ()
    written: tuple[str, ...] = ()
    described: tuple[str, ...] = ()
    limited: tuple[str, ...] = ()
    created: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all topics that are used, each once."""
        return tuple(dict.fromkeys((*self.read, *self.written, *self.described, *self.created)))

    def of(self, names: Sequence[str]) -> TopicUse:
        """The use of these topics alone."""
        uses = msgspec.structs.asdict(self).items()
        return TopicUse(**{use: tuple(name for name in used if name in names) for use, used in uses})

    def rights(self) -> Mapping[str, tuple[str, ...]]:
        """The topics of each operation, as Kafka calls it."""
        return {
            "READ": self.read,
            "WRITE": self.written,
            "DESCRIBE": self.described,
            "DESCRIBE_CONFIGS": self.limited,
            "CREATE": self.created,
        }


class ClusterTopics(msgspec.Struct, frozen=True):
    """The id of a cluster, and the number of partitions of each topic that exists; names are without prefix."""

    cluster: str
    partitions: Mapping[str, int]

    def identity(self, settings: Settings, definitions: str) -> Identity:
        """The identity of a store whose state comes from these topics; ``definitions``: their fingerprint."""
        count = self.partitions[INPUTS[0]]
        return Identity(self.cluster, settings.group, count, definitions, settings.topic_prefix)


class Retention(msgspec.Struct, frozen=True):
    """How long a topic keeps a record after its time (ms), to within a log segment; ``None``: for ever."""

    for_ms: int | None


@contextmanager
def administration(settings: Settings, *, tries: int | None = None, request_ms: int = 10_000) -> Iterator[Any]:
    """A client of kafka-python for topics. Raises `Stop` when the cluster does not answer, then or later."""
    admin = connect(settings, KafkaAdminClient, tries=tries, request_timeout_ms=request_ms)
    with answering(settings):
        try:
            yield admin
        finally:
            admin.close()


def find(settings: Settings, use: TopicUse) -> ClusterTopics:
    """Look up which of these topics exist.

    Raises `Stop` when the cluster does not answer, or does not allow the use.
    """
    with administration(settings) as admin:
        return _find(admin, settings, use)


def _find(admin: Any, settings: Settings, use: TopicUse) -> ClusterTopics:
    described = describe(admin, settings, use)
    _check_rights(settings, use, described)
    return existing(admin, settings, use, described)


def describe(admin: Any, settings: Settings, use: TopicUse) -> Mapping[str, Any]:
    """Kafka's description of these topics, by their full names."""
    return {topic["name"]: topic for topic in admin.describe_topics(_full(settings, use.names))}


def existing(admin: Any, settings: Settings, use: TopicUse, described: Mapping[str, Any]) -> ClusterTopics:
    """The cluster's id, and those of these topics that exist."""
    partitions: dict[str, int] = {}
    for name in use.names:
        topic = described.get(settings.topic_prefix + name)
        if topic is not None and not topic["error_code"]:
            partitions[name] = len(topic["partitions"])
    # Every answer has brought the cluster's id. A request for it would need a right over the whole cluster, and
    # the broker's audit log would show it as refused.
    return ClusterTopics(str(admin._manager.cluster.cluster_id or ""), partitions)


def _full(settings: Settings, names: Sequence[str]) -> list[str]:
    return [settings.topic_prefix + name for name in names]


def _check_rights(settings: Settings, use: TopicUse, described: Mapping[str, Any]) -> None:
    """Name all missing rights at once, before the process begins to work. Raises `Stop`."""
    lacking = lacking_rights(settings, use, described)
    if unread := lacking.pop("DESCRIBE_CONFIGS", None):
        log.warning("Kafka does not allow this user %s, so these topics are not checked: see %s", unread, RIGHTS)
    if lacking:
        raise Stop(f"Kafka does not allow this user {'; '.join(lacking.values())}: see {RIGHTS}, then start again")


def lacking_rights(settings: Settings, use: TopicUse, described: Mapping[str, Any]) -> dict[str, str]:
    """The rights that are missing, in words, by their operation."""
    lacking: dict[str, str] = {}
    for operation, names in use.rights().items():
        refused = [name for name in _full(settings, names) if not allows(described.get(name), operation)]
        if refused and operation != "CREATE":  # a topic to be created has no rights yet
            lacking[operation] = f"{operation} of {', '.join(refused)}"
    return lacking


def allows(topic: Mapping[str, Any] | None, operation: str) -> bool:
    """Whether Kafka allows this user an operation on a topic, as it described it."""
    if topic is None or topic["error_code"] == TopicAuthorizationFailedError.errno:
        return topic is None
    # Brokers name no operations for a topic that does not exist, and some test brokers name none at all.
    operations = topic["authorized_operations"]
    return not operations or operation in operations


def retention(settings: Settings, topics: Sequence[str]) -> Mapping[str, Retention]:
    """The retention of these topics; a topic whose settings the broker does not give is left out. Raises `Stop`."""
    with administration(settings) as admin:
        configs = configs_of(admin, settings, topics, _RETENTION)
    retentions = {name: _retention_of(values) for name, values in configs.items()}
    return {name: retention for name, retention in retentions.items() if retention is not None}


def configs_of(
    admin: Any, settings: Settings, topics: Sequence[str], keys: Sequence[str]
) -> Mapping[str, Mapping[str, Any]]:
    """Read these settings of topics; a topic whose settings the broker does not give has none."""
    resources = [
        ConfigResource(ConfigResourceType.TOPIC, settings.topic_prefix + name, dict.fromkeys(keys)) for name in topics
    ]
    try:
        described = admin.describe_configs(resources, config_filter="all")
    except KafkaError:  # some test brokers do not know this request
        return {}
    by_name = {name: values for by_kind in described.values() for name, values in by_kind.items()}
    return {name: by_name.get(settings.topic_prefix + name, {}) for name in topics}


def settings_of(settings: Settings, topics: Sequence[str]) -> Mapping[str, Mapping[str, str]]:
    """The retention and batch size of these topics, as far as the broker gives them. Raises `Stop`."""
    with administration(settings) as admin:
        configs = configs_of(admin, settings, topics, _COPIED)
    return {name: values_of(entries) for name, entries in configs.items()}


def values_of(entries: Mapping[str, Any]) -> dict[str, str]:
    """The values of a topic's settings, without those that the broker does not give."""
    return {key: str(entry["value"]) for key, entry in entries.items() if entry.get("value") is not None}


def _retention_of(values: Mapping[str, Any]) -> Retention | None:
    policy, for_ms = (values.get(name, {}).get("value") for name in _RETENTION)
    if policy is None or for_ms is None:
        return None
    is_for_ever = "delete" not in policy or int(for_ms) < 0
    return Retention(None if is_for_ever else int(for_ms))


def create(
    settings: Settings, topics: Sequence[str] = WORKERS, configs: Mapping[str, Mapping[str, str]] | None = None
) -> list[str]:
    """Create the topics that are missing, and give their names. ``configs``: settings that differ from the defaults.

    Raises `Stop`.
    """
    with administration(settings) as admin:
        created = []
        for name in topics:
            own = {**CONFIGS.get(name, {}), **(configs or {}).get(name, {})}
            topic = NewTopic(settings.topic_prefix + name, settings.partitions, settings.replication, topic_configs=own)
            if _create_topic(admin, topic):
                created.append(topic.name)
        # The broker answers before a new topic can be found, so it is waited for.
        admin.wait_for_topics(created)
        return created


def _create_topic(admin: Any, topic: NewTopic) -> bool:
    """Create a topic; ``False`` if it exists already. Raises `Stop`."""
    try:
        admin.create_topics([topic])
    except TopicAlreadyExistsError:
        return False
    except AuthorizationError as error:
        refused = f"Kafka does not allow this user CREATE of {topic.name} ({type(error).__name__})"
        raise Stop(f"{refused}: see {RIGHTS}, or create it as another user") from None
    except KafkaError as error:
        settings_named = "see SEGMENTER_PARTITIONS and SEGMENTER_REPLICATION"
        raise Stop(f"topic {topic.name} could not be created ({error}); {settings_named}") from None
    return True


def verify(settings: Settings, use: TopicUse) -> ClusterTopics:
    """Check that a process with this use of topics can run, and give the topics. Raises `Stop`."""
    with administration(settings) as admin:
        topics = _find(admin, settings, use)
        missing = [settings.topic_prefix + name for name in use.names if name not in topics.partitions]
        if missing:
            of = " --triggers" if set(use.names) & set(TRIGGERS) else ""
            raise Stop(f"topics are missing: {', '.join(missing)}; run `segmenter topics create{of}`")
        if len(set(topics.partitions.values())) > 1:
            counts = ", ".join(f"{name} {count}" for name, count in sorted(topics.partitions.items()))
            raise Stop(
                f"topics differ in their number of partitions ({counts}); where those with fewer hold nothing yet, add "
                f"partitions to them; else, {COPY}"
            )
        _warn_of_many(settings, use, max(topics.partitions.values(), default=0))
        limited = [name for name in use.limited if name in WRITTEN]
        if limited:
            _check_batch_sizes(settings, configs_of(admin, settings, limited, [BATCH_SIZE]))
        return topics


def _warn_of_many(settings: Settings, use: TopicUse, partitions: int) -> None:
    """Warn if one process cannot own all partitions (`streams.kafka.producer.PRODUCERS_MAX`).

    Without enough processes each would stop in turn, after it was given the partitions of the one that stopped before.
    """
    needed = producer.processes_needed(partitions)
    if needed > 1 and settings.broker == "kafka" and (use.created or _OWNED & set(use.written)):
        log.warning(
            "%d partitions need at least %d workers at any time, and as many processes of triggers, if any: each holds "
            "%d at most",
            partitions,
            needed,
            producer.PRODUCERS_MAX,
        )


def _check_batch_sizes(settings: Settings, configs: Mapping[str, Mapping[str, Any]]) -> None:
    """Refuse topics that accept only smaller batches than are published. Raises `Stop`.

    A topic whose setting the broker does not give is accepted: publishing will show whether it fits.
    """
    limits = {name: (values.get(BATCH_SIZE) or {}).get("value") for name, values in configs.items()}
    if small := [
        f"{limit} of {settings.topic_prefix}{name} (set it to {batch_size_needed(name)} or more)"
        for name, limit in sorted(limits.items())
        if limit is not None and int(limit) < batch_size_needed(name)
    ]:
        raise Stop(f"topics take only smaller batches than are published: max.message.bytes is {', '.join(small)}")
