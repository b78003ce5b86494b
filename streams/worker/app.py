"""The composition root of the worker, which brings its engine, its topics and its claims together."""

from __future__ import annotations

from functools import partial

import faust

from rules.engine import Engine
from streams.defects import Pseudonyms
from streams.kafka import admin
from streams.kafka.admin import ClusterTopics
from streams.kafka.partitioner import belonging_of_each
from streams.rights.process_rights import NEEDS, WORKER
from streams.runtime.faust_app import assemble, now_ms, pace
from streams.settings import Settings
from streams.settings.definitions_file import load
from streams.stop import stop
from streams.wire.topics import OUTPUTS, READ
from streams.worker import step_size
from streams.worker.claim import WorkerConfig, claim_partitions
from streams.worker.dead_letter_limit import DeadLetterLimit


def build(settings: Settings, *, rebuild: bool = False) -> faust.App:
    """Build the worker's Faust app. Raises `Stop` or `DefinitionsError` if it cannot start."""
    engine = Engine(load(settings.definitions))
    topics = admin.verify(settings, NEEDS[WORKER].topics)
    config = _config(settings, engine, topics, rebuild=rebuild)
    return assemble(settings, config, partial(claim_partitions, config))


def _config(settings: Settings, engine: Engine, topics: ClusterTopics, *, rebuild: bool) -> WorkerConfig:
    """The worker's configuration. Ids are linked only where Kafka's own partitioner says where the other id lives."""
    identity = topics.identity(settings, engine.definitions.fingerprint)
    return WorkerConfig(
        topics=[settings.topic_prefix + name for name in READ],
        outputs=OUTPUTS,
        identity=identity,
        engine=engine,
        segments=[segment.key for segment in engine.definitions.segments],
        pace=step_size.bounded(pace(settings, settings.grace_ms), engine.definitions),
        dead_letter_limit=DeadLetterLimit(settings.dead_letter_share, settings.dead_letter_window),
        languages=() if settings.languages == "none" else settings.languages.split(","),
        rebuild=rebuild,
        exact_ends=settings.broker == "kafka",
        belong=belonging_of_each(identity.partitions, settings.partitioner),
        links=settings.partitioner == "murmur2",
        now_ms=now_ms,
        stop=stop,
        pseudonym=Pseudonyms(settings.log_key),
        started_ms=now_ms(),
    )
