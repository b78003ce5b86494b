"""``segmenter export``: everything that is held of a customer, as one JSON document.

The one rule: what is stored is given as it is stored, by names where there are some; nothing is left out.
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

from rules.engine import Engine
from rules.events import INPUTS
from rules.standing import Customer, Linkage
from rules.times import format_instant
from streams import rights
from streams.cli.input_files import visible, with_progress
from streams.definitions_file import load
from streams.kafka import admin
from streams.kafka.client import answering
from streams.kafka.log_reader import Logs
from streams.kafka.partitioner import places
from streams.offline.customer_records import InRedis, everywhere, records
from streams.offline.explain import explained
from streams.settings import Settings, of_triggers
from streams.state.stored_customers import opened
from streams.wire.topics import WORKERS


def run(settings: Settings, customer_id: str) -> int:
    """Exit code 1 when nothing is held. Raises `Stop`."""
    use = rights.NEEDS["export"].topics
    found = admin.find(settings, use)
    count = admin.verify(settings, use.of(WORKERS)).partitions[INPUTS[0]]
    stored = asyncio.run(everywhere(settings, customer_id, count))
    known = asyncio.run(everywhere(of_triggers(settings), customer_id, count))
    with answering(settings), closing(Logs(settings)) as logs:
        on_topics = {
            name: [_record(one) for one in records(settings, logs, name, customer_id, partitions, with_progress)]
            for name, partitions in found.partitions.items()
        }
    document = {
        "customer_id": customer_id,
        "segments": asyncio.run(_segments(settings, customer_id, count)),
        "redis": [_stored(one) for one in stored if one.value or one.erased],
        "triggers": [_by_name(one.person) for one in known if one.person is not None],
        "topics": {name: own for name, own in on_topics.items() if own},
    }
    if not (document["redis"] or document["triggers"] or document["topics"]):
        print(f"segmenter export: nothing is held of {visible(customer_id)}", file=sys.stderr)
        return 1
    print(json.dumps(document, ensure_ascii=False, indent=2))
    return 0


async def _segments(settings: Settings, customer_id: str, count: int) -> Any:
    engine = Engine(load(settings.definitions))
    async with opened(settings) as store:
        found = await explained(engine, store, places(settings, customer_id, count), customer_id)
    return None if found is None else msgspec.to_builtins(found)


def _stored(one: InRedis) -> Any:
    customer = one.customer
    document = {"partition": one.partition, "waiting_to_be_published": one.waiting}
    if customer is None:
        return document | {"erased": True} | (_links(one.standing) if one.standing is not None else {})
    profile = customer.profile
    return document | {
        "instant": format_instant(customer.instant),
        "sequence": customer.sequence,
        "next_due": format_instant(one.due) if one.due else None,
        "late": customer.late,
        **_links(customer),
        "profile": _by_name(profile),
    }


def _links(customer: Customer) -> dict[str, Any]:
    """The links of a customer's id to others, and which it was parted from."""
    linkage = customer.linkage or Linkage()
    return {
        "identified": customer.identified,
        "known_as": None if customer.into is None else customer.into[0],
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
    """JSON as such, text as text, and other bytes in base64."""
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
