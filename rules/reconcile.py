"""Reconciles what was published of a customer with what is so now, where no decision led from one to the other.

    published    segments a, b
    so now       segments b, c; a former definition file was replaced, or Redis had lost the customer
    reconciled   "exited a" and "entered c", both at one instant

The one rule: one change for each segment in which the two differ, all at one instant, so that a consumer of the changes
ends with the membership.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from rules.conditions import CustomerView
from rules.engine import Engine
from rules.reasons import REMOVED
from rules.standing import Change, Customer


def reconcile(
    engine: Engine,
    customer_id: str,
    customer: Customer,
    told: Iterable[str],
    at: int,
    *,
    since: Mapping[str, int] | None = None,
    late: bool = False,
    backfill: bool = False,
) -> list[Change]:
    """The changes from the segments that were ``told`` to those that the customer is in, counted up, in order.

    ``at``: the instant (ms) at which they are told; ``since`` (ms): when those that were told were entered, if known.
    """
    who = CustomerView(customer_id, customer.profile, customer.since)
    inside, said = set(engine.membership(customer)), set(told)
    definitions, since = engine.definitions, since or {}
    undefined = sorted(said - {segment.key for segment in definitions.segments})
    differing = [(key, REMOVED, definitions.fingerprint) for key in undefined] + [
        (segment.key, segment.when.reason(who, at), segment.fingerprint)
        for segment in definitions.segments
        if (segment.key in inside) != (segment.key in said)
    ]
    changes: list[Change] = []
    for key, reason, fingerprint in differing:
        said ^= {key}
        customer.sequence += 1
        changes.append(
            Change(
                customer=customer_id,
                segment=key,
                kind="entered" if key in inside else "exited",
                occurred_at=at,
                sequence=customer.sequence,
                segments=tuple(sorted(said)),
                event=None,
                reason=reason,
                definition=fingerprint,
                late=late,
                stayed_ms=at - since[key] if key not in inside and key in since else 0,
                backfill=backfill,
            )
        )
    return changes
