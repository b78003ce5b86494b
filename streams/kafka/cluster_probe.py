"""What a Kafka cluster is and what it allows its user, for ``segmenter doctor``.

The one rule: nothing is written, and nothing is created: the requests which try a right name a member of a group and
a transaction that do not exist, and go to any broker, as to look for a coordinator creates its topic.
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
from streams.kafka.admin import BATCH_SIZE, FoundTopics, TopicUse
from streams.settings import Settings

CLEANUP, RETENTION = "cleanup.policy", "retention.ms"
# A cluster that does not answer is waited for so often (`streams.kafka.client.TRY_MS`), then each request so long.
_TRIES = 2
_REQUEST_MS = 4_000
_READ_CONFIGS = "DESCRIBE_CONFIGS"
_NO_PRODUCER = -1


class ClusterReport(msgspec.Struct, frozen=True, kw_only=True):
    """``found``: the topics that exist. ``lacking``: rights without which the process does not run, in words.

    ``unread``: the right without which settings of topics are not checked; ``configs``: of those topics that say them.
    """

    version: str
    is_tansu: bool
    latency_ms: float
    found: FoundTopics
    missing: tuple[str, ...]
    lacking: tuple[str, ...]
    unread: str | None
    configs: Mapping[str, Mapping[str, str]]

    @property
    def kind(self) -> str:
        """The product, as far as its answers tell it."""
        return "Tansu" if self.is_tansu else "Kafka"


def examine(settings: Settings, use: TopicUse, group: str) -> ClusterReport:
    """Look at the cluster and at these topics. Raises `Stop` when it does not answer, or does not let us in.

    ``group``: that of the process, which publishes under transactional ids that begin with it.
    """
    with admin.administration(settings, tries=_TRIES, request_ms=_REQUEST_MS) as client:
        began = time.monotonic()
        described = admin.describe(client, settings, use)
        latency_ms = (time.monotonic() - began) * 1000
        found = admin.existing(client, settings, use, described)
        is_tansu = "tansu" in found.cluster.lower()
        rights = admin.lacking_rights(settings, use, described)
        unread = rights.pop(_READ_CONFIGS, None)
        lacking = list(rights.values())
        if not is_tansu:  # which authorizes nobody, and drops the connection on such a request
            lacking += _lacking_beside_topics(client, settings, group)
        return ClusterReport(
            version=".".join(map(str, client._manager.broker_version)),
            is_tansu=is_tansu,
            latency_ms=latency_ms,
            found=found,
            missing=tuple(settings.topic_prefix + name for name in _missing(settings, use, described)),
            lacking=tuple(lacking),
            unread=unread,
            configs=_configs(client, settings, found, described),
        )


def _missing(settings: Settings, use: TopicUse, described: Mapping[str, Any]) -> Iterator[str]:
    """Topics that do not exist; of one which the user may not see it is unknown."""
    for name in use.names:
        topic = described.get(settings.topic_prefix + name)
        if topic is None or (topic["error_code"] and admin.allows(topic, "DESCRIBE")):
            yield name


def _lacking_beside_topics(client: Any, settings: Settings, group: str) -> Iterator[str]:
    """Rights on the group and on the transactional ids of its process."""
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
    client: Any, settings: Settings, found: FoundTopics, described: Mapping[str, Any]
) -> Mapping[str, Mapping[str, str]]:
    """Of the topics whose settings this user may read."""
    readable = [
        name for name in found.partitions if admin.allows(described[settings.topic_prefix + name], _READ_CONFIGS)
    ]
    if not readable:
        return {}
    told = admin.configs_of(client, settings, readable, (CLEANUP, RETENTION, BATCH_SIZE))
    return {
        name: {key: str(entry["value"]) for key, entry in values.items() if entry.get("value") is not None}
        for name, values in told.items()
        if values
    }
