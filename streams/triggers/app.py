"""The composition root of triggers: a Faust app beside the worker's, which consumes what the worker publishes.

Its consumer group, its Redis keys and its topics are its own; the segmenter's store is only read.

See also `streams.runtime.faust_app`, which assembles the app of either process.
"""

from __future__ import annotations

import logging
import os
import sys
from collections import Counter
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import faust

from rules.definitions.segments_file import Definitions
from streams.kafka import admin
from streams.kafka.partitioner import partition_of
from streams.rights.process_rights import NEEDS, TRIGGERS_PROCESS
from streams.runtime.faust_app import assemble, now_ms, pace
from streams.settings import Settings, definitions_file, of_triggers
from streams.state.redis import RedisStore
from streams.stop import REBUILD, stop
from streams.triggers import config_file as triggers_file
from streams.triggers.action_decisions import FRESH_MS
from streams.triggers.channels import factory
from streams.triggers.claim import TriggersConfig, claim_partitions
from streams.triggers.counts import Counts
from streams.triggers.endpoint import Endpoint
from streams.triggers.inputs import INPUTS
from streams.triggers.linked_ids import LinkedIds
from streams.triggers.membership_lookup import MembershipLookup
from streams.wire.topics import TRIGGER_OUTPUTS

# The format of what triggers store in Redis; a change of the format takes a new number.
STORED_FORMAT = "triggers-1"
_COUNTED_EVERY_S = 60.0

log = logging.getLogger(__name__)


def build(settings: Settings, path: Path, *, rebuild: bool = False) -> faust.App:
    """Build the Faust app. Raises `Stop` or `DefinitionsError` if it cannot start."""
    definitions = definitions_file.load(settings.definitions)
    file = triggers_file.load(path, definitions)
    topics = admin.verify(settings, NEEDS[TRIGGERS_PROCESS].topics)
    own_settings = of_triggers(settings)
    channels = factory.channels(file, path, definitions, os.environ, sys.stdout)
    identity = topics.identity(own_settings, STORED_FORMAT)
    # Counters exist from the start, at 0: an alert on an increase needs a value before the first one.
    counts = Counts(Counter({(key, kind): 0 for key in file.steps for kind in ("sent", "failed")}))
    config = TriggersConfig(
        topics=[settings.topic_prefix + name for name in INPUTS],
        outputs=TRIGGER_OUTPUTS,
        identity=identity,
        pace=pace(own_settings, 0),
        rebuild=rebuild,
        exact_ends=settings.broker == "kafka",
        now_ms=now_ms,
        stop=partial(_stop, own_settings.redis_prefix),
        file=file,
        placeholders=definitions.placeholders,
        endpoints={key: Endpoint(channel_config, channels[key]) for key, channel_config in file.channels.items()},
        memberships=_memberships(settings, definitions, identity.partitions),
        counts=counts,
        fresh_ms=settings.grace_ms + FRESH_MS,
    )
    app = assemble(own_settings, config, partial(claim_partitions, config), counts.metrics, config.endpoints)
    app.timer(_COUNTED_EVERY_S)(_log_counts(counts))
    return app


def _memberships(settings: Settings, definitions: Definitions, partitions: int) -> MembershipLookup:
    store = RedisStore.of(settings)
    linked = None
    if settings.partitioner == "murmur2":  # else the segmenter links no ids: it cannot tell an id's partition
        linked = LinkedIds(store, partial(partition_of, partitions=partitions), now_ms, settings.grace_ms)
    return MembershipLookup(store, definitions, linked)


def _stop(redis_prefix: str, sentence: str) -> NoReturn:
    stop(sentence_of_triggers(redis_prefix, sentence))


def sentence_of_triggers(redis_prefix: str, sentence: str) -> str:
    """The sentence with which shared code stops, reworded from the worker to triggers.

    The advice differs: triggers start again by removing their own keys. A fresh Redis would be one for the worker, too.
    """
    rebuild = f"remove the keys under {redis_prefix} in Redis and start `segmenter triggers --rebuild`"
    return sentence.replace(REBUILD, rebuild).replace("the worker", "triggers")


def _log_counts(counts: Counts) -> Callable[..., Awaitable[None]]:
    async def log_counts(_app: Any = None) -> None:
        if fields := counts.log_fields:
            log.info("totals since start: decisions, waits, given-back attempts", extra=fields)

    return log_counts
