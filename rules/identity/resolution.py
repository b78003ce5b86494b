"""Identity resolution: several ids of one person, and the events between their owners.

Each id has one owner, that of its partition, which alone changes it. Whatever concerns another id is sent to its owner
as an event of that id (`streams.wire.identity_records` writes it), so that every change is a step of one partition.
Such a record may come twice and in any order: it counts once.

An event that names two ids links the former one, an anonymous or previous id, to its customer:

    phone  Product Added
    ann    page {userId: ann, anonymousId: phone}    1. ann's owner notes the link and sends `Link` to phone
    phone                                            2. leaves its segments, becomes a redirect, sends `ProfileMerge`
    ann                                              3. takes the profile in, once
    phone  Order Completed                           4. sent on as `Forwarded`; it counts at its own time

**Which links are made.** A browser can send any id, so an id that names a customer must not be taken over by an event:

- An id is *identified* once an event names it as `userId` (`Event.identifies`). The mark outlives an erasure.
- An identified id never becomes a former id through an `anonymousId`. Where such a link came first, it ends at the
  first event that identifies the id: from there the id is a customer of its own; facts that moved stay where they are.
- Two identified ids become one by an `alias` on `profiles` alone (`Event.vouched`). An event that identifies
  the former id does not end such a redirect.
- `NEW_LINKS_MAX` new ids are linked to a person by `anonymousId` within `NEW_LINKS_WINDOW_MS`.
- `Unlink`, from `profiles`, parts two ids: neither an `anonymousId` nor an older `alias` links them again.

`Refusal` lists the reasons against a link. No refusal is sent back, as each repeat of the link would make a record.

**Special cases.**

- **Chains** (a → b → c): an event of a goes to b, and on to c; through `HOPS_MAX` ids at most.
- **Links that come before any event of the former id** leave a redirect; its events are forwarded then.
- **Rings** (a → b and b → a): the first event that comes round cuts the ring at its smallest id, which is the person
  from then on.
- **A shared device** (one anonymous id, two customers): the newer link wins for later events, and no fact moves back.
  The customer that had the device gets `Unlinked`, so that its next event with that id links it again.
- **An erasure** of a customer erases the ids that are linked to it (`CascadedErasure`), and of a redirect the redirect.
  The owner that carries out a `CascadedErasure` notes so on `merges` (`ErasureNotice`), for a rebuild, which reads
  everything again.

**The two owners of a link.** The owner that reads a link first decides whether it is sent (`links_of`). The owner of
the former id makes or refuses it (`become_redirect`).

See also: `rules.identity.dispatch` (which function an event goes to, and forwarding), `rules.identity.erasure`,
`rules.identity.profile_merge` (profiles in parts, taken in once), and `streams.wire.identity_records` (the records).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

import msgspec

from rules.changes import Change
from rules.customer import Customer, Linkage
from rules.event_names import ERASE
from rules.events import Event
from rules.identity.events import CascadedErasure, Link, ProfileMerge, Unlink, Unlinked
from rules.identity.profile_merge import profiles_of
from rules.profile.short_ids import hashed_id

# The most former ids of each kind in a customer; the next event with an older one links it again, which is harmless.
LINKS_MAX = 64
# The most new ids of a person in a window: a person has a few devices; more come from a shared id, or an attack.
NEW_LINKS_MAX = 64
NEW_LINKS_WINDOW_MS = 30 * 24 * 3600 * 1000

Refusal = Literal["identified", "too_many", "unlinked", "too_late"]

Apply = Callable[[Event, Customer], list[Change]]
Sent = list[Event]


def _as_it_is(moved: ProfileMerge) -> ProfileMerge | None:
    return moved


class Decider(msgspec.Struct, frozen=True):
    """The functions that decide customers of a partition.

    ``apply``: the engine; ``definitions``: the fingerprint of its file. ``translate``: translates a profile made under
    other definitions to these; ``None``: it is skipped.
    """

    apply: Apply
    definitions: str
    translate: Callable[[ProfileMerge], ProfileMerge | None] = _as_it_is


class IdentityResult(msgspec.Struct, frozen=True, gc=False):
    """The result of one event: changes, events to send to other ids, and the link that was refused, if any.

    ``is_lost``: the event went through too many ids.
    """

    changes: list[Change]
    sent: Sent
    is_lost: bool = False
    refused: Refusal | None = None


def nothing() -> IdentityResult:
    """The result of an event that changed nothing."""
    return IdentityResult([], [])


def identify(event: Event, customer: Customer) -> Sent:
    """Mark a customer that the event names as `userId`, and end a redirect of it by an `anonymousId`."""
    if not event.identifies:
        return []
    customer.identified = True
    if customer.linkage is not None and customer.linkage.erased_along:
        # That link gives no right to the events of this id from here on. Events before stay erased.
        linkage = customer.linkage
        linkage.erased_along, linkage.left = False, customer.instant
        customer.erased = max(linkage.erased_before, min(customer.erased, event.time - 1))
    if customer.merged_into is None or linkage_of(customer).vouched:
        return []
    return [end_link(event, customer)]


def links_of(event: Event, customer: Customer, appended_ms: int = -1) -> tuple[Sent, Refusal | None]:
    """Make the link to the other id, or give the reason against it. A link from before an erasure erases that id, too.

    ``appended_ms``: when the event's record was written; -1: not known.
    """
    former, into = event.link, event.customer
    if former is None or former == into:
        return [], None
    linkage = customer.linkage or Linkage()
    at = appended_ms if appended_ms > 0 else event.time
    if event.time <= customer.erased:
        if not event.vouched and not _counted(customer, former, at):
            return [], "too_many"
        return [erased_by(event, former, customer.erased, linked=event.time)], None
    if former in linkage.aliases or (former in (customer.links or ()) and not event.vouched):
        return [], None
    if event.vouched:
        if event.time <= linkage.separated.get(former, 0):
            return [], "unlinked"
        _note_alias(customer, former, event.time)
    else:
        if former in linkage.separated:
            return [], "unlinked"
        if not _counted(customer, former, at):
            return [], "too_many"
        customer.links = _newest({**(customer.links or {}), former: event.time}, LINKS_MAX)
    link = Link(former, ERASE, event.time, event.id, origin=event.origin, into=into, vouched=event.vouched)
    return [link], None


def _note_alias(customer: Customer, former: str, at: int) -> None:
    linkage = linkage_of(customer)
    linkage.separated.pop(former, None)
    linkage.aliases = _newest({**linkage.aliases, former: at}, LINKS_MAX)
    if customer.links is not None:
        customer.links.pop(former, None)


def _counted(customer: Customer, former: str, at: int) -> bool:
    """Count a new id of a person at ``at`` (ms); whether it is within the bound.

    An id counts once, however often it is linked again: a message may come many times, and a shared device goes from
    one person to the other at each visit. The times of records count, as the sender of an event writes its time as it
    likes.
    """
    linkage, since, ident = linkage_of(customer), at - NEW_LINKS_WINDOW_MS, hashed_id(former)
    recent = {linked: ms for linked, ms in linkage.linked_ids.items() if ms > since}
    if ident in recent:
        return True
    linkage.linked_ms = [ms for ms in linkage.linked_ms if ms > since]
    if len(recent) + len(linkage.linked_ms) >= NEW_LINKS_MAX:
        return False
    linkage.linked_ids = {**recent, ident: at}
    return True


def become_redirect(event: Link, customer: Customer, decider: Decider) -> IdentityResult:
    """Make a customer a redirect, or refuse the link."""
    linkage = customer.linkage or Linkage()
    if event.time <= customer.erased or event.into == event.customer:
        return nothing()
    if linkage.cut is not None and (event.time, event.into) <= linkage.cut:
        return nothing()  # the link was made before, and ended a ring
    if refused := refusal_of(event, customer, linkage):
        return IdentityResult([], [], refused=refused)
    if customer.merged_into is not None:
        return _link_again(event, customer, customer.merged_into)
    if _is_unknown(customer):  # as nearly always: a browser names both ids from its first event on
        customer.instant, customer.merged_into = event.time, (event.into, event.time)
        _leave(customer, vouched=event.vouched)
        return nothing()
    sent: Sent = [*profiles_of(event, customer, decider.definitions)]
    changes = decider.apply(event, customer)
    customer.merged_into = event.into, event.time
    _leave(customer, vouched=event.vouched)
    return IdentityResult(changes, sent)


def _is_unknown(customer: Customer) -> bool:
    """Whether no event of any kind was applied to an id, so that nothing can leave or move."""
    return not customer.instant and customer.linkage is None and customer.published_ahead is None


def refusal_of(event: Link, customer: Customer, linkage: Linkage) -> Refusal | None:
    """Why an id must not become a former id by this link."""
    if not event.vouched and customer.identified:
        return "identified"
    parted = linkage.separated.get(event.into)
    if parted is not None and (not event.vouched or event.time <= parted):
        return "unlinked"
    return None


def _leave(customer: Customer, *, vouched: bool) -> None:
    """Note whether the redirect is vouched for. Profiles taken in stay noted, as they may arrive again after it."""
    if customer.linkage is not None:
        customer.linkage.arriving = {}  # these parts are forwarded with the profile
    if vouched or customer.linkage is not None:
        linkage_of(customer).vouched = vouched


def _link_again(event: Link, customer: Customer, redirect: tuple[str, int]) -> IdentityResult:
    """Apply another link of a redirect. One that is vouched for precedes any other; of two alike, the newer does."""
    into, since = redirect
    vouched = customer.linkage is not None and customer.linkage.vouched
    if event.into == into:
        if event.vouched:
            linkage_of(customer).vouched = True
        return nothing()
    if vouched and not event.vouched:
        return IdentityResult([], [], refused="identified")
    is_stronger = event.vouched and not vouched
    if not is_stronger and (event.time, event.into) < (since, into):
        return nothing()
    customer.merged_into = event.into, max(since, event.time)
    linkage_of(customer).vouched, linkage_of(customer).shared = event.vouched, True
    customer.out_of_order += 1  # the events of this id now lie with two persons
    unlinked = Unlinked(into, ERASE, customer.merged_into[1], event.id, origin=event.origin, former=event.customer)
    return IdentityResult([], [unlinked])


def drop_link(customer: Customer, former: str, until: int) -> None:
    """Forget a link up to ``until`` (ms): a newer one stays."""
    for links in (customer.links, None if customer.linkage is None else customer.linkage.aliases):
        if links is not None and links.get(former, until + 1) <= until:
            del links[former]


def end_link(event: Event, customer: Customer) -> Unlinked:
    """End a redirect: from here on the id is a new customer of its own."""
    assert customer.merged_into is not None
    into, since = customer.merged_into
    restart(customer)
    return Unlinked(into, ERASE, since, event.id, origin=event.origin, former=event.customer)


def restart(customer: Customer) -> None:
    linkage = linkage_of(customer)
    customer.merged_into, linkage.vouched, linkage.left = None, False, customer.instant
    # Facts that moved stay where they are, so the membership no longer follows from the events of this id alone.
    customer.out_of_order += 1


def unlink(event: Unlink, customer: Customer) -> IdentityResult:
    """Part two ids, whichever of them is the former one."""
    sent: Sent = []
    drop_link(customer, event.other, event.time)
    if (
        customer.merged_into is not None
        and customer.merged_into[0] == event.other
        and customer.merged_into[1] <= event.time
    ):
        sent.append(end_link(event, customer))
    linkage = linkage_of(customer)
    parted = max(event.time, linkage.separated.get(event.other, 0))
    linkage.separated = _newest({**linkage.separated, event.other: parted}, LINKS_MAX)
    if not event.is_relayed:
        relayed = msgspec.structs.replace(event, customer=event.other, other=event.customer, is_relayed=True)
        sent.append(relayed)
    return IdentityResult([], sent)


def erased_by(event: Event, former: str, at: int, linked: int = 0) -> CascadedErasure:
    """The event to send to a former id when its person is erased at ``at`` (ms)."""
    return CascadedErasure(
        former, ERASE, at, event.id, origin=event.origin, into=event.customer, linked=linked, vouched=event.vouched
    )


def linkage_of(customer: Customer) -> Linkage:
    if customer.linkage is None:
        customer.linkage = Linkage()
    return customer.linkage


def _newest(links: Mapping[str, int], most: int) -> dict[str, int]:
    """The newest ``most`` links, by their times (ms), then by their ids."""
    if len(links) <= most:
        return dict(links)
    return dict(sorted(links.items(), key=lambda link: (link[1], link[0]))[-most:])
