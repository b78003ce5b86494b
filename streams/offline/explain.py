"""Explains a stored customer: its segments, since when, why, and when that may change.

The one rule: the customer is decided again at its own instant from what is stored, by the file that decided it, so the
explanation is what the worker decided. Where the partition goes by other definitions, it refuses.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from rules.conditions import CustomerView
from rules.engine import Engine
from rules.reasons import Reason
from rules.standing import Customer
from rules.times import format_instant
from streams.state import definition_list
from streams.state.definition_versions import DefinitionVersions
from streams.state.redis import RedisStore
from streams.stop import Stop
from streams.wire import customers

# What is needed of a partition.
FIELDS = ("definitions", "epoch", "epochs", "clock")


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
    """A customer as stored; ``clock``: up to when the partition's due times have fired.

    ``known_as``: the id of the same person under which everything is now. Without segments nothing is decided of it.
    """

    customer_id: str
    partition: int
    instant: str
    sequence: int
    clock: str
    next_due: str | None
    segments: list[Explained]
    known_as: str | None = None


async def explained(engine: Engine, store: RedisStore, places: Iterable[int], customer_id: str) -> Explanation | None:
    """Look a customer up in these partitions. Raises `Stop` where other definitions wrote, and `StoreFailed`."""
    for partition in places:
        found = await store.snapshot(partition, [customer_id], FIELDS, documents=True)
        if (value := found.values[customer_id]) is not None:
            return explanation(engine, customer_id, partition, value, found.meta, found.documents)
    return None


def explanation(
    engine: Engine,
    customer_id: str,
    partition: int,
    found: bytes,
    meta: Mapping[str, str],
    documents: Mapping[int, bytes],
) -> Explanation:
    """Of a stored customer, under what is known of its partition. Raises `Stop` where other definitions wrote.

    ``meta``: `FIELDS` of it; ``documents``: of its definitions, needed only where a former file decided the customer.
    """
    if meta["definitions"] != engine.definitions.fingerprint:
        raise Stop("Redis was written under other definitions; name their file in SEGMENTER_DEFINITIONS")
    customer = customers.decode(found)
    if not definition_list.is_current(customer, meta):
        engine = DefinitionVersions.read(meta, documents, engine).engine_of(customer)
    return Explanation(
        customer_id=customer_id,
        partition=partition,
        instant=format_instant(customer.instant),
        sequence=customer.sequence,
        clock=format_instant(int(meta.get("clock", 0))),
        next_due=format_instant(customer.due) if customer.due else None,
        # Nothing is decided of a former id, nor of an id that nothing came for, or nothing since it was parted.
        segments=[] if customer.into or customer.is_blank else _segments(engine, customer_id, customer),
        known_as=None if customer.into is None else customer.into[0],
    )


def _segments(engine: Engine, customer_id: str, customer: Customer) -> list[Explained]:
    who = CustomerView(customer_id, customer.profile, customer.since)
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
