"""People: several ids of one person, and what goes from one to the other.

The one rule: each id has one owner, who changes it and nothing else. What concerns another id is sent there as an event
of that id (here it is only made; `streams.wire.merges` writes it), so that everything stays one partition's step.

An event that names two ids links the former one, the anonymous or previous id, to its customer:

1. the customer's owner sends a `Link` to the former id, once;
2. the former id leaves its segments, and in place of a customer there is a redirect; its profile goes on as `Moved`;
3. the customer takes the profile in, which is a fact like any other: twice is as once, late is as in time;
4. what comes of the former id later goes on as `Forwarded`, and counts at its own time.

What becomes of the rest:

- **Chains** (a → b → c): whatever comes to a goes to b, and on to c; through `HOPS_MAX` ids at most.
- **Links that come before anything else** leave a redirect; what comes then is forwarded.
- **Rings** (a → b and b → a): the first thing that comes round cuts the ring at its smallest id, which is the person
  then.
- **A shared device** (one anonymous id, two customers): the newer link wins for what follows, and nothing moves back.
  The one whom it was linked to is told by `Unlinked`, so that their next event with that id links it anew.
- **An erasure** of a customer erases the ids that are linked to it (`Erased`), and of a redirect the redirect.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from rules.events import ERASE, WITHOUT_EFFECT, Event
from rules.standing import Change, Customer

HOPS_MAX = 32
# Former ids that a customer remembers to have linked; the next event with an older one links it again: harmless.
LINKS_MAX = 32


class Link(Event, frozen=True, gc=False, kw_only=True):
    """The customer and ``into`` are one person, known as the latter."""

    into: str


class Unlinked(Event, frozen=True, gc=False, kw_only=True):
    """``former`` was linked to somebody else since."""

    former: str


class Moved(Event, frozen=True, gc=False, kw_only=True):
    """A profile that comes, encoded, as the definitions of this fingerprint keep it; ``path``: ids it went through."""

    profile: bytes
    definitions: str
    path: tuple[str, ...]


class Forwarded(Event, frozen=True, gc=False, kw_only=True):
    """An event of another id; ``path``: ids it went through. ``value`` and ``appended_ms``: of its first record."""

    path: tuple[str, ...]
    value: bytes
    appended_ms: int


class Erased(Event, frozen=True, gc=False, kw_only=True):
    """The person whom the customer was linked to is erased; ``linked`` (ms): when, if no link was made of it."""

    into: str
    linked: int = 0


Apply = Callable[[Event, Customer], list[Change]]
Sent = list[Event]


class Acted(msgspec.Struct, frozen=True, gc=False):
    """What one event came to: changes, and what is to be sent to other ids; ``is_lost``: it went through too many."""

    changes: list[Change]
    sent: Sent
    is_lost: bool = False


def acts(event: Event) -> bool:
    """Whether it may change anything of its customer."""
    return event.name not in WITHOUT_EFFECT or event.link is not None


def is_plain(event: Event, customer: Customer) -> bool:
    """Whether it is the customer's alone, as nearly every event is: then the engine is all that it needs."""
    if customer.into is not None or event.name == ERASE or event.name in WITHOUT_EFFECT:
        return False
    return event.link is None or (customer.links is not None and event.link in customer.links)


def act(
    event: Event, customer: Customer, apply: Apply, definitions: str, value: bytes = b"", appended_ms: int = 0
) -> Acted:
    """One event of a customer, whatever it is. ``apply``: the engine; ``value``, ``appended_ms``: of its record."""
    if isinstance(event, Link):
        return _link(event, customer, apply, definitions)
    if isinstance(event, Unlinked):
        if customer.links is not None:
            customer.links.pop(event.former, None)
        return Acted([], [])
    if isinstance(event, Erased):
        return _erase_along(event, customer, apply)
    if event.is_erasure:
        return _erase(event, customer, apply)
    if customer.into is not None and not _is_end_of_ring(event, customer):
        return _forward(event, customer, value, appended_ms)
    if customer.into is not None:
        customer.into, customer.instant = None, 0  # as somebody new: all that was known has gone round
    changes = apply(event, customer) if event.name not in WITHOUT_EFFECT else []
    return Acted(changes, _links(event, customer))


def _links(event: Event, customer: Customer) -> Sent:
    """The link to the other id, unless it was made; one from before an erasure erases that id too."""
    former, into, origin = event.link, event.customer, event.origin
    known = customer.links or {}
    if former is None or former == into or former in known:
        return []
    if event.time <= customer.erased:
        return [Erased(former, ERASE, customer.erased, event.id, origin=origin, into=into, linked=event.time)]
    newest = sorted(known.items(), key=lambda one: one[1])[1 - LINKS_MAX :]
    customer.links = dict(newest) | {former: event.time}
    return [Link(former, ERASE, event.time, event.id, origin=origin, into=into)]


def _link(event: Link, customer: Customer, apply: Apply, definitions: str) -> Acted:
    if event.time <= customer.erased or event.into == event.customer:
        return Acted([], [])
    if customer.into is not None:
        return _link_again(event, customer, customer.into)
    former = None if customer.is_blank else msgspec.msgpack.encode(customer.profile)
    changes = apply(event, customer)
    customer.into = event.into, event.time
    if former is None:
        return Acted(changes, [])
    moved = Moved(
        event.into, ERASE, customer.instant, event.id, origin=event.origin, profile=former, definitions=definitions,
        path=(event.customer,),
    )  # fmt: skip
    return Acted(changes, [moved])


def _link_again(event: Link, customer: Customer, known: tuple[str, int]) -> Acted:
    into, since = known
    if event.into == into or (event.time, event.into) < (since, into):
        return Acted([], [])
    customer.into = event.into, event.time
    told = Unlinked(into, ERASE, event.time, event.id, origin=event.origin, former=event.customer)
    return Acted([], [told])


def _erase(event: Event, customer: Customer, apply: Apply) -> Acted:
    if event.time <= customer.erased:
        return Acted([], [])
    linked = sorted(customer.links or ())
    changes = apply(event, customer)
    return Acted(
        changes,
        [Erased(one, ERASE, event.time, event.id, origin=event.origin, into=event.customer) for one in linked],
    )


def erases(event: Erased, erased: int, into: tuple[str, int] | None) -> bool:
    """Whether it is of one who was erased last at ``erased`` (ms) and is linked so, to whom and since when (ms)."""
    if not event.linked:
        return into is not None and into[0] == event.into
    return event.linked > erased and (into is None or (into[1], into[0]) <= (event.linked, event.into))


def _erase_along(event: Erased, customer: Customer, apply: Apply) -> Acted:
    into = customer.into
    if not erases(event, customer.erased, into):
        return Acted([], [])
    acted = _erase(Event(event.customer, ERASE, event.time, event.id, origin=event.origin), customer, apply)
    if into is not None and into[0] != event.into:
        acted.sent.append(Unlinked(into[0], ERASE, event.time, event.id, origin=event.origin, former=event.customer))
    return acted


def _path(event: Event) -> tuple[str, ...]:
    return event.path if isinstance(event, Moved | Forwarded) else ()


def _is_end_of_ring(event: Event, customer: Customer) -> bool:
    """Whether this came round, and the ring is to be cut here."""
    assert customer.into is not None
    path = (*_path(event), event.customer)
    if customer.into[0] not in path:
        return False
    ring = path[path.index(customer.into[0]) :]
    return event.customer == min(ring)


def _forward(event: Event, customer: Customer, value: bytes, appended_ms: int) -> Acted:
    assert customer.into is not None
    path = (*_path(event), event.customer)
    if len(path) > HOPS_MAX:
        return Acted([], [], is_lost=True)
    into, since = customer.into
    customer.late += event.time < since  # in its order it would have been decided here
    if isinstance(event, Moved | Forwarded):
        return Acted([], [msgspec.structs.replace(event, customer=into, path=path)])
    fields = {name: getattr(event, name) for name in Event.__struct_fields__} | {"customer": into}
    return Acted([], [Forwarded(**fields, path=path, value=value, appended_ms=appended_ms)])
