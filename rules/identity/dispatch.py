"""Dispatches an event to the function of identity that processes it, and forwards the events of redirects.

An event between ids (`Link`, `Unlink`, an erasure) is for the id itself. Any other event is for the person behind the
id: a redirect forwards it, along its path, and a ring of redirects is cut at its smallest id.

See also: `rules.identity.resolution` (the rules, and which link is made), `rules.identity.profile_merge`.
"""

from __future__ import annotations

import msgspec

from rules.customer import Customer
from rules.event_names import ERASE, WITHOUT_EFFECT
from rules.events import Event
from rules.identity.erasure import erase, erase_along
from rules.identity.events import (
    CascadedErasure,
    ErasureNotice,
    ForwardedEvent,
    Link,
    Misaddressed,
    ProfileMerge,
    Unlink,
    Unlinked,
    fields_of,
)
from rules.identity.profile_merge import drop_parts, join, note_taken
from rules.identity.resolution import (
    Decider,
    IdentityResult,
    become_redirect,
    drop_link,
    identify,
    linkage_of,
    links_of,
    nothing,
    restart,
    unlink,
)

HOPS_MAX = 32

# Tuples, as a union would be made anew for each event.
_ANSWERED_ELSEWHERE = (Misaddressed, ErasureNotice)
_PASSED_ON = (ProfileMerge, ForwardedEvent)


def is_effective(event: Event) -> bool:
    """Whether an event may change its customer, or needs an answer from it."""
    if isinstance(event, _ANSWERED_ELSEWHERE):
        return False
    return event.name not in WITHOUT_EFFECT or event.link is not None or event.identifies


def is_plain(event: Event, customer: Customer) -> bool:
    """Whether an event concerns this customer alone, as nearly every event does, and so needs only the engine."""
    if customer.merged_into is not None or event.name == ERASE or event.name in WITHOUT_EFFECT:
        return False
    if event.identifies and not customer.identified:
        return False
    if event.link is None or (customer.links is not None and event.link in customer.links):
        return True
    return customer.linkage is not None and event.link in customer.linkage.aliases


def process(
    event: Event, customer: Customer, decider: Decider, value: bytes = b"", appended_ms: int = 0
) -> IdentityResult:
    """Process one event of any kind. ``value``, ``appended_ms`` (ms): of its record."""
    if event.name == ERASE and (result := _between_ids(event, customer, decider)) is not None:
        return result
    sent = identify(event, customer)
    if customer.merged_into is not None and _is_end_of_ring(event, customer):
        _cut_ring(customer)
    if customer.merged_into is not None:
        if isinstance(event, ProfileMerge) and event.part + 1 == event.parts:
            note_taken(linkage_of(customer), {event.move: event.linked})  # it is the person's; see `Linkage.taken`
        forwarded = _forward(event, customer, value, appended_ms)
        return IdentityResult([], sent + forwarded.sent, forwarded.is_lost)
    if isinstance(event, ProfileMerge):
        return _merge_profile(event, customer, decider)
    changes = decider.apply(event, customer) if event.name not in WITHOUT_EFFECT else []
    links, refused = links_of(event, customer, appended_ms)
    return IdentityResult(changes, sent + links, refused=refused)


def _between_ids(event: Event, customer: Customer, decider: Decider) -> IdentityResult | None:
    """Process an event on the id itself, redirect or not; ``None``: the event is for the person behind the id."""
    if isinstance(event, Link):
        return become_redirect(event, customer, decider)
    if isinstance(event, Unlinked):
        drop_link(customer, event.former, event.time)
        return nothing()
    if isinstance(event, Unlink):
        return unlink(event, customer)
    if isinstance(event, CascadedErasure):
        return erase_along(event, customer, decider.apply)
    if isinstance(event, ErasureNotice):
        return nothing()
    return erase(event, customer, decider.apply) if event.is_erasure else None


# --- profiles that move --------------------------------------------------------------------------


def _merge_profile(event: ProfileMerge, customer: Customer, decider: Decider) -> IdentityResult:
    """Merge a profile once all of its parts are there, unless it was taken in before."""
    linkage = linkage_of(customer)
    if event.move in linkage.taken:
        return nothing()
    # Older than the oldest move on the list: it may have been taken in and dropped from the list since.
    if event.linked <= linkage.taken_since:
        drop_parts(linkage, event.move)
        return IdentityResult([], [], refused="too_late")
    whole = join(event, linkage)
    if whole is None:
        return nothing()
    drop_parts(linkage, event.move)
    moved = decider.translate(whole)
    if moved is None:
        return nothing()
    note_taken(linkage, {**whole.taken, event.move: event.linked})
    return IdentityResult(decider.apply(moved, customer), [])


# --- forwarding ----------------------------------------------------------------------------------


def _path(event: Event) -> tuple[str, ...]:
    return event.path if isinstance(event, _PASSED_ON) else ()


def _is_end_of_ring(event: Event, customer: Customer) -> bool:
    """Whether the event came round a ring that is to be cut at this id, the smallest of it."""
    assert customer.merged_into is not None
    path = (*_path(event), event.customer)
    if customer.merged_into[0] not in path:
        return False
    ring = path[path.index(customer.merged_into[0]) :]
    return event.customer == min(ring)


def _cut_ring(customer: Customer) -> None:
    assert customer.merged_into is not None
    into, since = customer.merged_into
    restart(customer)
    linkage_of(customer).cut = since, into


def _forward(event: Event, customer: Customer, value: bytes, appended_ms: int) -> IdentityResult:
    assert customer.merged_into is not None
    path = (*_path(event), event.customer)
    if len(path) > HOPS_MAX:
        return IdentityResult([], [], is_lost=True)
    into, since = customer.merged_into
    customer.out_of_order += event.time < since  # read in order, it would have been decided here
    if isinstance(event, _PASSED_ON):
        return IdentityResult([], [msgspec.structs.replace(event, customer=into, path=path)])
    fields = fields_of(event) | {"customer": into, "identifies": False}
    return IdentityResult([], [ForwardedEvent(**fields, path=path, value=value, appended_ms=appended_ms)])
