"""``segmenter export``: writes everything that is stored of a customer as one JSON document.

The one rule: nothing is left out, and values are written as they are stored, under the names of their fields.

See also: `streams.offline.customer_records`, which reads it.
"""

from __future__ import annotations

import asyncio
import base64
import json
import sys
from collections.abc import Mapping
from contextlib import closing
from typing import Any

import msgspec

from rules.customer import Customer, Linkage
from rules.engine import Engine
from rules.event_names import INPUTS
from rules.times import format_instant
from streams.cli.input_files import visible, with_progress
from streams.kafka import admin
from streams.kafka.admin import ClusterTopics
from streams.kafka.client import answering
from streams.kafka.log_reader import Logs
from streams.kafka.partitioner import places
from streams.offline.customer_records import InRedis, everywhere, records
from streams.offline.explain import explained
from streams.rights.process_rights import NEEDS
from streams.settings import Settings, of_triggers
from streams.settings.definitions_file import load
from streams.state.readonly_store import opened
from streams.wire.topics import WORKERS


def run(settings: Settings, customer_id: str) -> int:
    """Print the document; exit code 1 when nothing is stored. Raises `Stop`."""
    use = NEEDS["export"].topics
    topics = admin.find(settings, use)
    count = admin.verify(settings, use.of(WORKERS)).partitions[INPUTS[0]]
    by_segmenter = asyncio.run(everywhere(settings, customer_id, count))
    by_triggers = asyncio.run(everywhere(of_triggers(settings), customer_id, count))
    on_topics = _on_topics(settings, customer_id, topics)
    document = {
        "customer_id": customer_id,
        "segments": asyncio.run(_segments(settings, customer_id, count)),
        "redis": [_stored(part) for part in by_segmenter if part.value or part.erased],
        "triggers": [_by_name(part.person) for part in by_triggers if part.person is not None],
        "topics": on_topics,
    }
    if not (document["redis"] or document["triggers"] or document["topics"]):
        print(f"segmenter export: nothing is stored of {visible(customer_id)}", file=sys.stderr)
        return 1
    print(json.dumps(document, ensure_ascii=False, indent=2))
    return 0


def _on_topics(settings: Settings, customer_id: str, topics: ClusterTopics) -> dict[str, list[Any]]:
    """The records of a customer by topic, without the topics that have none."""
    by_topic: dict[str, list[Any]] = {}
    with answering(settings), closing(Logs(settings)) as logs:
        for name, count in topics.partitions.items():
            own = [_record(record) for record in records(settings, logs, name, customer_id, count, with_progress)]
            if own:
                by_topic[name] = own
    return by_topic


async def _segments(settings: Settings, customer_id: str, count: int) -> Any:
    engine = Engine(load(settings.definitions))
    async with opened(settings) as store:
        explanation = await explained(engine, store, places(settings, customer_id, count), customer_id)
    return None if explanation is None else msgspec.to_builtins(explanation)


def _stored(part: InRedis) -> Any:
    """The state of a customer in one partition; of one that was erased, only its links stay."""
    customer = part.customer
    document = {"partition": part.partition, "waiting_to_be_published": part.waiting}
    if customer is None:
        links = {} if part.standing is None else _links(part.standing)
        return document | {"erased": True} | links
    return document | {
        "instant": format_instant(customer.instant),
        "sequence": customer.sequence,
        "next_due": format_instant(part.due) if part.due else None,
        "late": customer.out_of_order,
        **_links(customer),
        "profile": _by_name(customer.profile),
    }


def _links(customer: Customer) -> dict[str, Any]:
    """The links of a customer's id to others, and the ids that it was unlinked from."""
    linkage = customer.linkage or Linkage()
    return {
        "identified": customer.identified,
        "known_as": None if customer.merged_into is None else customer.merged_into[0],
        "other_ids": _times(customer.links or {}),
        "aliases": _times(linkage.aliases),
        "parted_from": _times(linkage.separated),
        "arriving_profiles": [_by_name(arriving) for arriving in linkage.arriving.values()],
    }


def _times(ids: Mapping[str, int]) -> dict[str, str]:
    return {other: format_instant(at) for other, at in ids.items()}


def _by_name(record: msgspec.Struct) -> dict[str, Any]:
    return {name: msgspec.to_builtins(getattr(record, name)) for name in record.__struct_fields__}


def _record(record: Any) -> Any:
    return {
        "partition": record.partition,
        "offset": record.offset,
        "time": format_instant(record.timestamp),
        "value": _value(record.value),
    }


def _value(value: bytes | None) -> Any:
    """The value of a record: JSON as such, other text as text, and other bytes in base64."""
    if value is None:
        return None
    try:
        return json.loads(value)
    except ValueError:
        pass
    try:
        return value.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(value).decode()}
