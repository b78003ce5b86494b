"""``segmenter explain``: a customer's segments, since when, why, and when that may change."""

from __future__ import annotations

import asyncio
import json
import sys

import msgspec

from rules.engine import Engine
from rules.sentences import embedded
from streams.cli.input_files import visible
from streams.cli.terminal import show
from streams.definitions_file import load
from streams.kafka.partitioner import places
from streams.offline.explain import Explanation, explained
from streams.settings import Settings
from streams.state.stored_customers import stored


def run(settings: Settings, customer_id: str, *, as_json: bool, language: str = "en") -> int:
    """Exit code 1 when the customer is not known."""
    found = asyncio.run(explain(settings, customer_id))
    if found is None:
        print(f"segmenter explain: no customer {visible(customer_id)}", file=sys.stderr)
        return 1
    if as_json:
        print(json.dumps(msgspec.to_builtins(found), ensure_ascii=False, indent=2))
    else:
        show(lines(found, language))
    return 0


async def explain(settings: Settings, customer_id: str) -> Explanation | None:
    """Read the customer from Redis and decide it again at its own instant."""
    engine = Engine(load(settings.definitions))
    async with stored(settings) as (store, first):
        return await explained(engine, store, places(settings, customer_id, int(first["partitions"])), customer_id)


def lines(found: Explanation, language: str) -> list[str]:
    """In words, the reasons in a language of `rules.sentences`."""
    inside = [one for one in found.segments if one.member]
    lines = [
        f"customer   {visible(found.customer_id)}",
        f"segments   {', '.join(one.segment for one in inside) or 'none'}",
        f"decided    {found.instant}, change number {found.sequence}",
        f"next due   {found.next_due or 'never: only an event can change anything'}",
        f"clock      {found.clock} (partition {found.partition})",
    ]
    if found.known_as is not None:
        lines.insert(1, f"known as   {visible(found.known_as)}: everything is there")
    elif not found.segments:
        lines[2] = "decided    nothing: no event has come under this id, or none since it was parted or erased"
    for one in found.segments:
        state = f"in since {one.since}" if one.member else "not in"
        state += ", held for its minimum stay" if one.held else ""
        due = f"; may change by time at {one.due_at}" if one.due_at else ""
        lines += ["", f"{one.segment} ({one.title}): {state}{due}", f"  because {embedded(one.reason, language)}"]
    return lines
