"""A probe of a Kafka cluster, for ``segmenter doctor``: its product and version, its topics, and its user's rights.

Nothing is written or created. Requests that try a right name a group member and a transaction which do
not exist. They go to any broker, as a request for the coordinator would create its internal topic.

See also: `streams.kafka.admin` (topics and rights), `streams.state.redis_probe` (the same for Redis).
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
from kafka.errors import GroupAuthorizationFailedError, TransactionalIdAuthorizationFailedError
from kafka.protocol.consumer import HeartbeatRequest
from kafka.protocol.producer import EndTxnRequest

from streams.kafka import admin, transactional_ids
from streams.kafka.admin import BATCH_SIZE, ClusterTopics, TopicUse
from streams.settings import Settings

CLEANUP, RETENTION = "cleanup.policy", "retention.ms"
# How often a connection is tried (each for `streams.kafka.client.TRY_MS`), and how long a request may take.
_TRIES = 2
_REQUEST_MS = 4_000
_READ_CONFIGS = "DESCRIBE_CONFIGS"
_NO_PRODUCER = -1


class ClusterReport(msgspec.Struct, frozen=True, kw_only=True):
    """The result of a probe. ``topics``: those that exist; ``missing``: those that do not.

    ``lacking``: missing rights without which the process does not run, in words. ``unread``: the missing right to read
    settings of topics, if so; ``configs``: the settings of topics that could be read.
    """

    version: str
    is_tansu: bool
    latency_ms: float
    topics: ClusterTopics
    missing: tuple[str, ...]
    lacking: tuple[str, ...]
    unread: str | None
    configs: Mapping[str, Mapping[str, str]]

    @property
    def kind(self) -> str:
        """The product, recognised by its answers."""
        return "Tansu" if self.is_tansu else "Kafka"


def examine(settings: Settings, use: TopicUse, group: str) -> ClusterReport:
    """Probe the cluster and these topics. Raises `Stop` when it does not answer, or refuses the login.

    ``group``: the process's group, with which its transactional ids begin.
    """
    with admin.administration(settings, tries=_TRIES, request_ms=_REQUEST_MS) as client:
        began = time.monotonic()
        described = admin.describe(client, settings, use)
        latency_ms = (time.monotonic() - began) * 1000
        topics = admin.existing(client, settings, use, described)
        is_tansu = "tansu" in topics.cluster.lower()
        rights = admin.lacking_rights(settings, use, described)
        unread = rights.pop(_READ_CONFIGS, None)
        lacking = list(rights.values())
        if not is_tansu:  # Tansu has no authorization, and drops the connection on such requests
            lacking += _lacking_beside_topics(client, settings, group)
        return ClusterReport(
            version=".".join(map(str, client._manager.broker_version)),
            is_tansu=is_tansu,
            latency_ms=latency_ms,
            topics=topics,
            missing=tuple(settings.topic_prefix + name for name in _missing(settings, use, described)),
            lacking=tuple(lacking),
            unread=unread,
            configs=_configs(client, settings, topics, described),
        )


def _missing(settings: Settings, use: TopicUse, described: Mapping[str, Any]) -> Iterator[str]:
    """The topics that do not exist; those that the user may not describe are left out, as nothing is known of them."""
    for name in use.names:
        topic = described.get(settings.topic_prefix + name)
        if topic is None or (topic["error_code"] and admin.allows(topic, "DESCRIBE")):
            yield name


def _lacking_beside_topics(client: Any, settings: Settings, group: str) -> Iterator[str]:
    """The missing rights on the process's group and transactional ids, in words."""
    beat = HeartbeatRequest(group_id=group, generation_id=-1, member_id="")
    if _answer(client, beat) == GroupAuthorizationFailedError.errno:
        yield f"READ of the group {group}"
    beginning = transactional_ids.beginning(group, settings.topic_prefix)
    end = EndTxnRequest(
        transactional_id=f"{beginning}doctor",
        producer_id=_NO_PRODUCER,
        producer_epoch=_NO_PRODUCER,
        committed=False,
    )
    if _answer(client, end) == TransactionalIdAuthorizationFailedError.errno:
        yield f"WRITE of transactional ids that begin with {beginning}"


def _answer(client: Any, request: Any) -> int:
    answer = client._manager.run(client._manager.send, request)
    return int(answer.error_code)


def _configs(
    client: Any, settings: Settings, topics: ClusterTopics, described: Mapping[str, Any]
) -> Mapping[str, Mapping[str, str]]:
    """The settings of the topics whose settings this user may read."""
    readable = [
        name for name in topics.partitions if admin.allows(described[settings.topic_prefix + name], _READ_CONFIGS)
    ]
    if not readable:
        return {}
    configs = admin.configs_of(client, settings, readable, (CLEANUP, RETENTION, BATCH_SIZE))
    return {name: admin.values_of(entries) for name, entries in configs.items() if entries}
