"""The topics: create them, and see that they are what the worker needs.

The one rule: all inputs and outputs have the same number of partitions, so that partition and
shard are one. Long because each thing that may be wrong with a topic has its sentence here.
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

from rules.events import INPUTS
from streams.kafka import producer
from streams.kafka.client import answering, connect
from streams.settings import Settings
from streams.state.contract import Identity
from streams.stop import COPY, RIGHTS, Stop
from streams.wire.records import batch_size_needed
from streams.wire.topics import MEMBERSHIPS, OUTPUTS, TRIGGER_OUTPUTS, TRIGGERS, WORKERS, WRITTEN

log = logging.getLogger(__name__)

# What is published by the owners of partitions alone.
_OWNED = frozenset({*OUTPUTS, *TRIGGER_OUTPUTS})
# Of each key the newest is kept for ever.
CONFIGS: Mapping[str, Mapping[str, str]] = {MEMBERSHIPS: {"cleanup.policy": "compact"}}
_RETENTION = ("cleanup.policy", "retention.ms")
_COPIED = ("retention.ms", "retention.bytes", "max.message.bytes")
BATCH_SIZE = "max.message.bytes"


class TopicUse(msgspec.Struct, frozen=True, kw_only=True):
    """What a process does with topics, which it needs the rights for. Names are without prefix.

    ``limited``: topics whose settings it reads. Whatever reads or writes a topic may describe it, too.
    """

    read: tuple[str, ...] = ()
    written: tuple[str, ...] = ()
    described: tuple[str, ...] = ()
    limited: tuple[str, ...] = ()
    created: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Each topic once."""
        return tuple(dict.fromkeys((*self.read, *self.written, *self.described, *self.created)))

    def of(self, names: Sequence[str]) -> TopicUse:
        """The same of these topics alone."""
        fields = msgspec.structs.asdict(self).items()
        return TopicUse(**{field: tuple(name for name in used if name in names) for field, used in fields})

    def rights(self) -> Mapping[str, tuple[str, ...]]:
        """The topics of each operation, as Kafka calls it."""
        return {
            "READ": self.read,
            "WRITE": self.written,
            "DESCRIBE": self.described,
            "DESCRIBE_CONFIGS": self.limited,
            "CREATE": self.created,
        }


class FoundTopics(msgspec.Struct, frozen=True):
    """A cluster and the partition counts of those of our topics that exist, without prefix."""

    cluster: str
    partitions: Mapping[str, int]

    def identity(self, settings: Settings, definitions: str) -> Identity:
        """What state made of these topics belongs to; ``definitions``: their fingerprint."""
        count = self.partitions[INPUTS[0]]
        return Identity(self.cluster, settings.group, count, definitions, settings.topic_prefix)


class Retention(msgspec.Struct, frozen=True):
    """How long a topic keeps a record (ms) after its time, give or take a segment; ``None``: for ever."""

    for_ms: int | None


@contextmanager
def administration(settings: Settings, *, tries: int | None = None, request_ms: int = 10_000) -> Iterator[Any]:
    """kafka-python's client for it. Raises `Stop` when the cluster does not answer, then or later."""
    admin = connect(settings, KafkaAdminClient, tries=tries, request_timeout_ms=request_ms)
    with answering(settings):
        try:
            yield admin
        finally:
            admin.close()


def find(settings: Settings, use: TopicUse) -> FoundTopics:
    """Those of these topics that exist. Raises `Stop` when the cluster does not answer, or does not allow the use."""
    with administration(settings) as admin:
        return _found(admin, settings, use)


def _found(admin: Any, settings: Settings, use: TopicUse) -> FoundTopics:
    described = describe(admin, settings, use)
    _check_rights(settings, use, described)
    return existing(admin, settings, use, described)


def describe(admin: Any, settings: Settings, use: TopicUse) -> Mapping[str, Any]:
    """What Kafka says of these topics, by their full names."""
    return {topic["name"]: topic for topic in admin.describe_topics(_full(settings, use.names))}


def existing(admin: Any, settings: Settings, use: TopicUse, described: Mapping[str, Any]) -> FoundTopics:
    """The cluster and those of these topics that exist."""
    partitions = {
        name: len(topic["partitions"])
        for name in use.names
        if (topic := described.get(settings.topic_prefix + name)) is not None and not topic["error_code"]
    }
    # It came with every answer; to ask for it by itself needs a right over the whole cluster, or is noted as refused.
    return FoundTopics(str(admin._manager.cluster.cluster_id or ""), partitions)


def _full(settings: Settings, names: Sequence[str]) -> list[str]:
    return [settings.topic_prefix + name for name in names]


def _check_rights(settings: Settings, use: TopicUse, described: Mapping[str, Any]) -> None:
    """Name all rights that are missing, before anything is begun. Raises `Stop`."""
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
    operations = topic["authorized_operations"]  # of a topic that is missing, or by a broker for trying out: none
    return not operations or operation in operations


def retention(settings: Settings, topics: Sequence[str]) -> Mapping[str, Retention]:
    """How long these topics keep records; of which the broker does not say it, nothing. Raises `Stop`."""
    with administration(settings) as admin:
        configs = configs_of(admin, settings, topics, _RETENTION)
    return {name: kept for name, values in configs.items() if (kept := _kept(values)) is not None}


def configs_of(
    admin: Any, settings: Settings, topics: Sequence[str], keys: Sequence[str]
) -> Mapping[str, Mapping[str, Any]]:
    """These settings of topics; of a topic of which the broker does not say them, nothing."""
    resources = [
        ConfigResource(ConfigResourceType.TOPIC, settings.topic_prefix + name, dict.fromkeys(keys)) for name in topics
    ]
    try:
        described = admin.describe_configs(resources, config_filter="all")
    except KafkaError:  # a broker for trying out may not know how to say it
        return {}
    by_name = {name: values for by_kind in described.values() for name, values in by_kind.items()}
    return {name: by_name.get(settings.topic_prefix + name, {}) for name in topics}


def settings_of(settings: Settings, topics: Sequence[str]) -> Mapping[str, Mapping[str, str]]:
    """What these topics keep and take, as far as the broker says it. Raises `Stop`."""
    with administration(settings) as admin:
        configs = configs_of(admin, settings, topics, _COPIED)
    return {
        name: {key: str(told["value"]) for key, told in values.items() if told.get("value") is not None}
        for name, values in configs.items()
    }


def _kept(values: Mapping[str, Any]) -> Retention | None:
    policy, for_ms = (values.get(name, {}).get("value") for name in _RETENTION)
    if policy is None or for_ms is None:
        return None
    return Retention(None if "delete" not in policy or int(for_ms) < 0 else int(for_ms))


def create(
    settings: Settings, topics: Sequence[str] = WORKERS, configs: Mapping[str, Mapping[str, str]] | None = None
) -> list[str]:
    """Create what is missing; the names created. ``configs``: of topics that are to be other than by default."""
    with administration(settings) as admin:
        made = []
        for name in topics:
            topic = NewTopic(
                settings.topic_prefix + name,
                settings.partitions,
                settings.replication,
                topic_configs={**CONFIGS.get(name, {}), **(configs or {}).get(name, {})},
            )
            try:
                admin.create_topics([topic])
            except TopicAlreadyExistsError:
                continue
            except AuthorizationError as error:
                refused = f"Kafka does not allow this user CREATE of {topic.name} ({type(error).__name__})"
                raise Stop(f"{refused}: see {RIGHTS}, or create it as another user") from None
            except KafkaError as error:
                settings_named = "see SEGMENTER_PARTITIONS and SEGMENTER_REPLICATION"
                raise Stop(f"topic {topic.name} could not be created ({error}); {settings_named}") from None
            made.append(topic.name)
        # The answer says that they will be; who looks for them at once may not find them yet.
        admin.wait_for_topics(made)
        return made


def verify(settings: Settings, use: TopicUse) -> FoundTopics:
    """What was found, if a process can run on it that uses topics so. Raises `Stop`."""
    with administration(settings) as admin:
        found = _found(admin, settings, use)
        missing = [settings.topic_prefix + name for name in use.names if name not in found.partitions]
        if missing:
            of = " --triggers" if set(use.names) & set(TRIGGERS) else ""
            raise Stop(f"topics are missing: {', '.join(missing)}; run `segmenter topics create{of}`")
        if len(set(found.partitions.values())) > 1:
            counts = ", ".join(f"{name} {count}" for name, count in sorted(found.partitions.items()))
            raise Stop(
                f"topics differ in their number of partitions ({counts}); where those with fewer hold nothing yet, add "
                f"partitions to them; else, {COPY}"
            )
        _warn_of_many(settings, use, max(found.partitions.values(), default=0))
        if limited := [name for name in use.limited if name in WRITTEN]:
            _check_batch_sizes(settings, configs_of(admin, settings, limited, [BATCH_SIZE]))
        return found


def _warn_of_many(settings: Settings, use: TopicUse, partitions: int) -> None:
    """Before too few processes stop one after the other, each with the partitions of the one before."""
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
    """Refuse topics that would not take what is published; what the broker does not say is tried. Raises `Stop`."""
    limits = {name: (values.get(BATCH_SIZE) or {}).get("value") for name, values in configs.items()}
    small = [
        f"{limit} of {settings.topic_prefix}{name} (set it to {batch_size_needed(name)} or more)"
        for name, limit in sorted(limits.items())
        if limit is not None and int(limit) < batch_size_needed(name)
    ]
    if small:
        raise Stop(f"topics take only smaller batches than are published: max.message.bytes is {', '.join(small)}")
