"""Erasures: all data of a customer is removed, under all of its ids.

    ann    erase {userId: ann}      1. ann leaves its segments, its profile is dropped, `CascadedErasure` goes to phone
    phone                           2. its owner erases the redirect, and sends `ErasureNotice` for a later rebuild

The one rule: an event at or before the time of an erasure never counts for the customer again, also if it comes late.

See also: `rules.engine`, in which the customer leaves its segments; `streams.worker.step_writer`, which stores the
time of the erasure; and `streams.worker.erasure_scan`, which finds erasures in records that are still unread when
everything is read again.
"""

from __future__ import annotations

from rules.customer import Customer, Linkage
from rules.event_names import ERASE
from rules.events import Event
from rules.identity.events import CascadedErasure, ErasureNotice, Link, Unlinked
from rules.identity.resolution import Apply, IdentityResult, erased_by, nothing, refusal_of


def erase(event: Event, customer: Customer, apply: Apply) -> IdentityResult:
    """Erase a customer, and send an erasure to each id that is linked to it. A repeat changes nothing."""
    if event.time <= customer.erased:
        return nothing()
    aliases = customer.linkage.aliases if customer.linkage is not None else {}
    linked = sorted({**(customer.links or {}), **aliases})
    changes = apply(event, customer)
    return IdentityResult(changes, [erased_by(event, former, event.time) for former in linked])


def erases(event: CascadedErasure, erased: int, into: tuple[str, int] | None) -> bool:
    """Whether an erasure applies to an id, last erased at ``erased`` (ms) and linked ``into`` an id (since ms)."""
    if not event.linked:
        return into is not None and into[0] == event.into
    return event.linked > erased and (into is None or (into[1], into[0]) <= (event.linked, event.into))


def erase_along(event: CascadedErasure, customer: Customer, apply: Apply) -> IdentityResult:
    """Erase an id that is linked to an erased person. Does nothing if that link is gone.

    The events that this makes between owners have the name `ERASE`, which is `rules.event_names.UNNAMED`: no track
    call can have it. Their class says what each is; only a plain `Event` of that name is an erasure
    (`Event.is_erasure`).
    """
    into = customer.merged_into
    if not erases(event, customer.erased, into):
        return nothing()
    if event.linked and (into is None or into[0] != event.into):
        # There is no such link yet: the link of the erasure is checked as if it came now.
        linkage = customer.linkage or Linkage()
        link = Link(event.customer, ERASE, event.linked, event.id, into=event.into, vouched=event.vouched)
        if refused := refusal_of(link, customer, linkage):
            return IdentityResult([], [], refused=refused)
    if event.time <= customer.erased:
        return nothing()
    vouched = event.vouched if event.linked else customer.linkage is not None and customer.linkage.vouched
    before = customer.erased
    result = erase(Event(event.customer, ERASE, event.time, event.id, origin=event.origin), customer, apply)
    if not vouched:
        customer.linkage = Linkage(erased_along=True, erased_before=before)
    notice = ErasureNotice(event.customer, ERASE, event.time, event.id, origin=event.origin, vouched=vouched)
    sent = [*result.sent, notice]
    if into is not None and into[0] != event.into:
        since = max(event.time, into[1])
        sent.append(Unlinked(into[0], ERASE, since, event.id, origin=event.origin, former=event.customer))
    return IdentityResult(result.changes, sent)
