"""Reconciles the published membership of a customer with its present one, where no decision led from one to the other.

    published    segments a, b
    present      segments b, c; a former definition file was replaced, or Redis had lost the customer
    reconciled   "exited a" and "entered c", both at one instant
    consumer     had a, b and has b, c, as the customer has

The one rule: one change for each segment in which the two differ, all at one instant, so that a consumer of the changes
ends with the present membership.

See also: `rules.published_ahead` and `rules.definition_migration`, which call this, with the instant.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import NamedTuple

from rules.changes import UNNUMBERED, Change
from rules.conditions.base import CustomerView
from rules.customer import Customer
from rules.engine import Engine
from rules.reasons import REMOVED, Reason


class _Difference(NamedTuple):
    """A segment in which the two differ, the reason for its present state, and the fingerprint of its definition."""

    segment: str
    reason: Reason
    fingerprint: str


def reconcile(
    engine: Engine,
    customer_id: str,
    customer: Customer,
    published: Collection[str],
    instant: int,
    *,
    since: Mapping[str, int] | None = None,
    late: bool = False,
    backfill: bool = False,
) -> list[Change]:
    """The changes from the segments that were ``published`` to those that the customer is in, in order, unnumbered.

    ``instant`` (ms): of all changes; ``since`` (ms): when the published segments were entered, if that is known.
    """
    inside, segments, entered = set(engine.membership(customer)), set(published), since or {}
    changes: list[Change] = []
    for key, reason, fingerprint in _differences(engine, customer_id, customer, segments ^ inside, instant):
        segments ^= {key}
        is_exit = key not in inside
        changes.append(
            Change(
                customer=customer_id,
                segment=key,
                kind="exited" if is_exit else "entered",
                occurred_at=instant,
                sequence=UNNUMBERED,
                segments=tuple(sorted(segments)),
                event=None,
                reason=reason,
                definition=fingerprint,
                late=late,
                stayed_ms=instant - entered[key] if is_exit and key in entered else 0,
                backfill=backfill,
            )
        )
    return changes


def _differences(
    engine: Engine, customer_id: str, customer: Customer, keys: Collection[str], instant: int
) -> Iterator[_Difference]:
    """The differences: first in segments that the file no longer defines, by key; then in the order of decisions."""
    definitions = engine.definitions
    view = CustomerView(customer_id, customer.profile, customer.since)
    for key in sorted(set(keys) - {segment.key for segment in definitions.segments}):
        yield _Difference(key, REMOVED, definitions.fingerprint)
    for segment in definitions.segments:
        if segment.key in keys:
            yield _Difference(segment.key, segment.when.reason(view, instant), segment.fingerprint)
