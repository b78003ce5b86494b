"""``segmenter explain``: prints a customer's segments, since when, why, and when that may change.

See also: `streams.offline.explain`, which explains a stored customer.
"""

from __future__ import annotations

import asyncio
import json
import sys

import msgspec

from rules.engine import Engine
from rules.sentences.reason_sentence import embedded
from streams.cli.input_files import shown_data, visible
from streams.cli.terminal import show
from streams.kafka.partitioner import places
from streams.offline.explain import Explanation, SegmentExplanation, explained
from streams.settings import Settings
from streams.settings.definitions_file import load
from streams.state.readonly_store import stored


def run(settings: Settings, customer_id: str, *, as_json: bool, language: str = "en") -> int:
    """Print the explanation of a customer; exit code 1 if it is not stored. Raises `Stop`."""
    explanation = asyncio.run(explain(settings, customer_id))
    if explanation is None:
        print(f"segmenter explain: no customer {visible(customer_id)}", file=sys.stderr)
        return 1
    if as_json:
        print(json.dumps(msgspec.to_builtins(explanation), ensure_ascii=False, indent=2))
    else:
        show(lines(explanation, language))
    return 0


async def explain(settings: Settings, customer_id: str) -> Explanation | None:
    """Read the customer from Redis and decide it again at its own instant."""
    engine = Engine(load(settings.definitions))
    async with stored(settings) as (store, first):
        partitions = places(settings, customer_id, int(first["partitions"]))
        return await explained(engine, store, partitions, customer_id)


def lines(customer: Explanation, language: str) -> list[str]:
    """The lines of the text; the reasons are in a language of `rules.sentences`."""
    memberships = [segment.segment for segment in customer.segments if segment.member]
    lines = [
        f"customer   {visible(customer.customer_id)}",
        f"segments   {', '.join(memberships) or 'none'}",
        f"decided    {customer.instant}, change number {customer.sequence}",
        f"next due   {customer.next_due or 'never: only an event can change anything'}",
        f"clock      {customer.clock} (partition {customer.partition})",
    ]
    if customer.known_as is not None:
        lines.insert(1, f"known as   {visible(customer.known_as)}, which has all its data")
    elif not customer.segments:
        lines[2] = "decided    nothing: no event has come under this id, or none since it was parted or erased"
    for segment in customer.segments:
        lines += ["", _state(segment), f"  because {embedded(segment.reason, language)}"]
        lines += [f"  carries {shown_data(segment.data)}"] if segment.data else []
    return lines


def _state(segment: SegmentExplanation) -> str:
    state = f"in since {segment.since}" if segment.member else "not in"
    if segment.held:
        state += ", held for its minimum stay"
    if segment.due_at:
        state += f"; may change by time at {segment.due_at}"
    return f"{segment.segment} ({segment.title}): {state}"
