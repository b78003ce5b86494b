"""Explains a stored customer: its segments, since when, why, and when that may change.

The one rule: the stored customer is decided again at its own instant by the definitions that decided it, so the
explanation is what the worker decided. If the partition was written under other definitions, there is no explanation.

See also: `rules.reasons`, what a reason consists of; `rules.sentences.reason_sentence`, which puts it into words.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from rules.conditions.base import CustomerView
from rules.customer import Customer
from rules.engine import Engine
from rules.reasons import Reason
from rules.times import format_instant
from streams.state import definition_list
from streams.state.definition_versions import DefinitionVersions
from streams.state.redis import RedisStore
from streams.stop import Stop
from streams.wire import customer_codec

# The fields of a partition's metadata that an explanation needs.
FIELDS = ("definitions", "epoch", "epochs", "clock")


class SegmentExplanation(msgspec.Struct, frozen=True, omit_defaults=True):
    """One segment of a customer: ``since`` when it is a member, and ``due_at``, when time alone may change that.

    ``data``: what a change of a member's segment would carry now, where its definition includes something.
    ``held``: the condition no longer holds, but the segment's minimum stay is not over.
    """

    segment: str
    title: str
    member: bool
    reason: Reason
    held: bool = False
    since: str | None = None
    due_at: str | None = None
    data: Mapping[str, object] = {}


class Explanation(msgspec.Struct, frozen=True):
    """A stored customer; ``clock``: the time up to which the partition's due times have fired.

    ``known_as``: the id of the same person to which everything of this id was moved. ``segments``: empty if nothing is
    decided of the id.
    """

    customer_id: str
    partition: int
    instant: str
    sequence: int
    clock: str
    next_due: str | None
    segments: list[SegmentExplanation]
    known_as: str | None = None


async def explained(engine: Engine, store: RedisStore, places: Iterable[int], customer_id: str) -> Explanation | None:
    """Look a customer up in these partitions, and explain it; `None` if none of them stores it.

    Raises `Stop` if the partition was written under other definitions, and `StoreFailed`.
    """
    for partition in places:
        snapshot = await store.snapshot(partition, [customer_id], FIELDS, documents=True)
        value = snapshot.values[customer_id]
        if value is not None:
            return explanation(engine, customer_id, partition, value, snapshot.meta, snapshot.documents)
    return None


def explanation(
    engine: Engine,
    customer_id: str,
    partition: int,
    value: bytes,
    meta: Mapping[str, str],
    documents: Mapping[int, bytes],
) -> Explanation:
    """Explain a customer from its stored ``value``. Raises `Stop` if other definitions wrote its partition.

    ``meta``: the `FIELDS` of the partition. ``documents``: its definition versions, needed only for a customer which an
    earlier version decided.
    """
    if meta["definitions"] != engine.definitions.fingerprint:
        raise Stop("Redis was written under other definitions; name their file in SEGMENTER_DEFINITIONS")
    customer = customer_codec.decode(value)
    if not definition_list.is_current(customer, meta):
        engine = DefinitionVersions.read(meta, documents, engine).engine_of(customer)
    return Explanation(
        customer_id=customer_id,
        partition=partition,
        instant=format_instant(customer.instant),
        sequence=customer.sequence,
        clock=format_instant(int(meta.get("clock", 0))),
        next_due=format_instant(customer.due) if customer.due else None,
        # Nothing is decided of an id that was moved to another, that has no event yet, or none since it was unlinked.
        segments=[] if customer.merged_into or customer.is_blank else _segments(engine, customer_id, customer),
        known_as=None if customer.merged_into is None else customer.merged_into[0],
    )


def _segments(engine: Engine, customer_id: str, customer: Customer) -> list[SegmentExplanation]:
    """Explain all segments of a customer at its own instant, by key."""
    view = CustomerView(customer_id, customer.profile, customer.since)
    explained = []
    for index, segment in enumerate(engine.definitions.segments):
        since, due = customer.since.get(index), customer.dues.get(index)
        reason = segment.when.reason(view, customer.instant)
        # Only a minimum stay lets a customer remain a member when the condition no longer holds.
        assert (since is not None) == reason.holds or segment.hold
        explained.append(
            SegmentExplanation(
                segment=segment.key,
                title=segment.title,
                member=since is not None,
                held=since is not None and not reason.holds,
                reason=reason,
                since=format_instant(since) if since else None,
                due_at=format_instant(due) if due else None,
                data=segment.include.data(view, customer.instant) if segment.include and since is not None else {},
            )
        )
    return sorted(explained, key=lambda entry: entry.segment)
