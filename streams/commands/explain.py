"""``segmenter explain``: a customer's segments, since when, why, and when that may change."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Mapping

import msgspec

from rules.conditions import Subject
from rules.engine import Engine
from rules.reasons import Reason
from rules.sentences import embedded
from rules.standing import Customer
from rules.times import format_instant
from streams.commands.stored import stored
from streams.definitions_file import load
from streams.partitioning import partition_of
from streams.settings import Settings
from streams.stop import Stop
from streams.wire import customers


class Explained(msgspec.Struct, frozen=True, omit_defaults=True):
    """One segment of a customer; ``since`` when in it, ``due_at`` when time alone may change it.

    ``held``: the condition no longer holds, but the segment's minimum stay is not over.
    """

    segment: str
    title: str
    member: bool
    reason: Reason
    held: bool = False
    since: str | None = None
    due_at: str | None = None


class Explanation(msgspec.Struct, frozen=True):
    """A customer as stored; ``clock``: up to when the partition's due times have fired."""

    customer_id: str
    partition: int
    instant: str
    sequence: int
    clock: str
    next_due: str | None
    segments: list[Explained]


def run(settings: Settings, customer_id: str, *, as_json: bool, language: str = "en") -> int:
    """Exit code 1 when the customer is not known."""
    found = asyncio.run(explain(settings, customer_id))
    if found is None:
        print(f"segmenter explain: no customer {customer_id}", file=sys.stderr)
        return 1
    if as_json:
        print(json.dumps(msgspec.to_builtins(found), ensure_ascii=False, indent=2))
    else:
        print("\n".join(lines(found, language)))
    return 0


async def explain(settings: Settings, customer_id: str) -> Explanation | None:
    """Read the customer from Redis and decide it again at its own instant."""
    engine = Engine(load(settings.definitions))
    async with stored(settings) as (store, first):
        for partition in _places(settings, customer_id, int(first["partitions"])):
            (found,) = await store.load(partition, [customer_id])
            if found is not None:
                return _explain(engine, customer_id, partition, found, await store.meta(partition))
    return None


def _places(settings: Settings, customer_id: str, count: int) -> range:
    if settings.partitioner == "none":
        return range(count)
    place = partition_of(customer_id, count)
    return range(place, place + 1)


def _explain(engine: Engine, customer_id: str, partition: int, found: bytes, meta: Mapping[str, str]) -> Explanation:
    if meta["definitions"] != engine.definitions.fingerprint:
        raise Stop("Redis was written under other definitions; name their file in SEGMENTER_DEFINITIONS")
    customer = customers.decode(found)
    return Explanation(
        customer_id=customer_id,
        partition=partition,
        instant=format_instant(customer.instant),
        sequence=customer.sequence,
        clock=format_instant(int(meta.get("clock", 0))),
        next_due=format_instant(customer.due) if customer.due else None,
        segments=_segments(engine, customer_id, customer),
    )


def _segments(engine: Engine, customer_id: str, customer: Customer) -> list[Explained]:
    who = Subject(customer_id, customer.profile, customer.since)
    explained = []
    for at, segment in enumerate(engine.definitions.segments):
        since, due = customer.since.get(at), customer.dues.get(at)
        reason = segment.when.reason(who, customer.instant)
        # Only a minimum stay keeps somebody in whom the condition no longer holds.
        assert (since is not None) == reason.holds or segment.hold
        explained.append(
            Explained(
                segment=segment.key,
                title=segment.title,
                member=since is not None,
                held=since is not None and not reason.holds,
                reason=reason,
                since=format_instant(since) if since else None,
                due_at=format_instant(due) if due else None,
            )
        )
    return sorted(explained, key=lambda one: one.segment)


def lines(found: Explanation, language: str) -> list[str]:
    """In words, the reasons in a language of `rules.sentences`."""
    inside = [one for one in found.segments if one.member]
    lines = [
        f"customer   {found.customer_id}",
        f"segments   {', '.join(one.segment for one in inside) or 'none'}",
        f"decided    {found.instant}, change number {found.sequence}",
        f"next due   {found.next_due or 'never: only an event can change anything'}",
        f"clock      {found.clock} (partition {found.partition})",
    ]
    for one in found.segments:
        state = f"in since {one.since}" if one.member else "not in"
        state += ", held for its minimum stay" if one.held else ""
        due = f"; may change by time at {one.due_at}" if one.due_at else ""
        lines += ["", f"{one.segment} ({one.title}): {state}{due}", f"  because {embedded(one.reason, language)}"]
    return lines
