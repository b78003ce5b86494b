"""The composition root of triggers: a Faust app of their own, beside the workers' and after it.

The one rule: as of `streams.app`. Its group, its Redis keys and its topics are its own; the segmenter's
store is only looked at.
"""

from __future__ import annotations

import logging
import os
import sys
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import faust

from streams import definitions_file, rights, topics
from streams.app import assemble, now_ms, pace
from streams.redis_store import RedisStore
from streams.settings import Settings, of_triggers
from streams.stop import stop
from streams.triggers import file as triggers_file
from streams.triggers.channels import made
from streams.triggers.endpoints import Endpoint
from streams.triggers.owning import OUTPUTS, TriggersClaiming, TriggersPlan
from streams.triggers.reading import INPUTS
from streams.triggers.standings import Standings

# What triggers keep in Redis; another number when it is stored otherwise.
STORED_FORMAT = "triggers-1"
_COUNTED_EVERY_S = 60.0

log = logging.getLogger(__name__)


def build(settings: Settings, path: Path) -> faust.App:
    """The Faust app. Raises what keeps it from starting (`Stop`, `DefinitionsError`)."""
    definitions = definitions_file.load(settings.definitions)
    file = triggers_file.load(path, definitions)
    found = topics.verify(settings, rights.NEEDS[rights.TRIGGERS_PROCESS].topics)
    ours = of_triggers(settings)
    channels = made.channels(file, path, os.environ, sys.stdout)
    plan = TriggersPlan(
        topics=[settings.topic_prefix + name for name in INPUTS],
        outputs=OUTPUTS,
        identity=found.identity(ours, STORED_FORMAT),
        pace=pace(ours, 0),
        rebuild=False,
        exact_ends=settings.broker == "kafka",
        now_ms=now_ms,
        stop=stop,
        file=file,
        placeholders=definitions.placeholders,
        endpoints={key: Endpoint(way, channels[key]) for key, way in file.channels.items()},
        standings=Standings(RedisStore.of(settings), definitions),
        counts=Counter(),
    )
    app = assemble(ours, plan, TriggersClaiming, plan.counts)
    app.timer(_COUNTED_EVERY_S)(_counted(plan.counts))
    return app


def _counted(counts: Counter[tuple[str, str]]) -> Callable[..., Awaitable[None]]:
    async def tell(_app: Any = None) -> None:
        if counts:
            told = {f"{trigger} {kind}": number for (trigger, kind), number in sorted(counts.items())}
            log.info("decided since the start", extra={"decisions": told})

    return tell
