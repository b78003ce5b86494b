"""The checks of ``segmenter doctor`` on Kafka: whether it answers, rights, topics and their settings.

See also: `streams.cli.doctor`, and `streams.kafka.cluster_probe`, which asks Kafka.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from rules.event_names import INPUTS
from rules.times import DAY_MS
from streams.cli.findings import Finding, ok, problem, warning
from streams.kafka import cluster_probe
from streams.kafka.admin import BATCH_SIZE, CONFIGS, ClusterTopics, TopicUse
from streams.kafka.cluster_probe import CLEANUP, RETENTION, ClusterReport
from streams.settings import Settings
from streams.stop import COPY, RIGHTS, Stop
from streams.wire.records import batch_size_needed
from streams.wire.topics import TRIGGERS, WRITTEN

_SLOW_MS = 500
# A process that is down for a weekend must still find the records that came meanwhile.
_RETENTION_LEAST_MS = 3 * DAY_MS


def look(settings: Settings, use: TopicUse) -> tuple[list[Finding], ClusterTopics | None]:
    """The findings on Kafka, and the topics if all of them exist and may be used."""
    try:
        report = cluster_probe.examine(settings, use, settings.group)
    except Stop as error:
        return [problem("Kafka", str(error))], None
    findings = [*_cluster(settings, report), *_rights(report), *_topics(settings, use, report)]
    return findings, None if report.missing or report.lacking else report.topics


def _cluster(settings: Settings, report: ClusterReport) -> Iterator[Finding]:
    text = f"{report.kind} at {settings.brokers}, protocol {report.version}, cluster {report.topics.cluster}"
    if report.is_tansu and settings.broker == "kafka":
        yield problem("Kafka", f"{text}; Tansu has no transactions: set SEGMENTER_BROKER=tansu, or use Apache Kafka")
    elif not report.is_tansu and settings.broker == "tansu":
        yield warning("Kafka", f"{text}; with SEGMENTER_BROKER=tansu nothing is fenced: set it to kafka")
    elif report.latency_ms > _SLOW_MS:
        yield warning("Kafka", f"{text}; it answered in {report.latency_ms:.0f} ms: see its load and the network")
    else:
        yield ok("Kafka", f"{text}, {report.latency_ms:.0f} ms")


def _rights(report: ClusterReport) -> Iterator[Finding]:
    user = "Kafka does not allow this user"
    for right in report.lacking:
        yield problem("Kafka rights", f"{user} {right}: give it, see {RIGHTS}")
    if report.unread:
        yield warning("Kafka rights", f"{user} {report.unread}, so these topics are not checked: see {RIGHTS}")
    if not report.lacking and not report.unread:
        yield ok("Kafka rights", "Tansu checks none" if report.is_tansu else "all that the process needs")


def _topics(settings: Settings, use: TopicUse, report: ClusterReport) -> Iterator[Finding]:
    partitions = report.topics.partitions
    if report.missing:
        of = " --triggers" if set(use.names) & set(TRIGGERS) else ""
        yield problem("topics", f"missing: {', '.join(report.missing)}; run `segmenter topics create{of}`")
    if len(set(partitions.values())) > 1:
        counts = ", ".join(f"{settings.topic_prefix}{name} {count}" for name, count in sorted(partitions.items()))
        yield problem(
            "topics",
            f"different numbers of partitions ({counts}); add partitions to those with fewer if they hold nothing yet; "
            f"otherwise, {COPY}",
        )
    elif partitions and not report.missing:
        yield ok("topics", f"{len(partitions)} topics, {max(partitions.values())} partitions each")
    yield from _configs(settings, report.configs)


def _configs(settings: Settings, configs: Mapping[str, Mapping[str, str]]) -> Iterator[Finding]:
    wrong = [
        finding
        for name, values in sorted(configs.items())
        for finding in (
            *_cleanup(settings.topic_prefix + name, name, values),
            *_retention(settings.topic_prefix + name, name, values),
            *_batch_size(settings.topic_prefix + name, name, values),
        )
    ]
    yield from wrong
    if configs and not wrong:
        yield ok("topic settings", f"{CLEANUP}, {RETENTION} and {BATCH_SIZE} of {_named(settings, sorted(configs))}")


def _named(settings: Settings, names: Sequence[str]) -> str:
    return ", ".join(settings.topic_prefix + name for name in names)


def _cleanup(topic: str, name: str, values: Mapping[str, str]) -> Iterator[Finding]:
    expected = CONFIGS.get(name, {}).get(CLEANUP, "delete")
    policies = values.get(CLEANUP, expected).replace(" ", "").split(",")
    if expected == "compact" and policies != ["compact"]:
        yield warning("topic settings", f"{topic} loses rows of customers that do not change: set {CLEANUP}=compact")
    if expected == "delete" and "compact" in policies:
        yield problem("topic settings", f"{topic} loses all but the newest record of a key: set {CLEANUP}=delete")


def _retention(topic: str, name: str, values: Mapping[str, str]) -> Iterator[Finding]:
    retention_ms = int(values.get(RETENTION, -1))
    if name in INPUTS and 0 <= retention_ms < _RETENTION_LEAST_MS:
        yield warning(
            "topic settings",
            f"{topic} deletes events after {retention_ms / DAY_MS:.1f} days, read or not: set {RETENTION} to "
            f"{_RETENTION_LEAST_MS} (three days) or more",
        )


def _batch_size(topic: str, name: str, values: Mapping[str, str]) -> Iterator[Finding]:
    limit = values.get(BATCH_SIZE)
    if name in WRITTEN and limit is not None and int(limit) < batch_size_needed(name):
        yield problem(
            "topic settings",
            f"{topic} takes only smaller batches than are published: set {BATCH_SIZE} to {batch_size_needed(name)} "
            "or more",
        )
