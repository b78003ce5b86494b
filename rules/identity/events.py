"""The events that ids of one person send to one another. See also `rules.identity.dispatch`, which processes them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rules.events import Event


def fields_of(event: Event) -> dict[str, Any]:
    """The fields that every event has, of one event."""
    return {name: getattr(event, name) for name in Event.__struct_fields__}


class Link(Event, frozen=True, gc=False, kw_only=True):
    """The customer and ``into`` are one person, known as the latter; `Event.vouched`: by an `alias` on `profiles`."""

    into: str


class Unlinked(Event, frozen=True, gc=False, kw_only=True):
    """``former`` is no longer linked to this customer by a link from before the event's time."""

    former: str


class Unlink(Event, frozen=True, gc=False, kw_only=True):
    """The customer and ``other`` are two persons. ``is_relayed``: the other's owner has carried it out."""

    other: str
    is_relayed: bool = False


class ProfileMerge(Event, frozen=True, gc=False, kw_only=True):
    """A profile that arrives from a former id, encoded in the places of the definitions with this fingerprint.

    ``path``: ids it went through, from the profile's own on. ``move``: the name of this move, so that it counts
    once; ``linked`` (ms): the time of the link that caused it. ``taken``: the moves that are part of the profile.
    ``parts``: of how many records it is made, of which this is number ``part`` from 0; ``digest``: of the whole.
    """

    profile: bytes
    definitions: str
    path: tuple[str, ...]
    move: int
    linked: int
    taken: Mapping[int, int] = {}  # msgspec copies it for each event
    part: int = 0
    parts: int = 1
    digest: bytes = b""


class ForwardedEvent(Event, frozen=True, gc=False, kw_only=True):
    """An event of another id; ``path``: ids it went through. ``value`` and ``appended_ms``: of its first record."""

    path: tuple[str, ...]
    value: bytes
    appended_ms: int


class Misaddressed(Event, frozen=True, gc=False, kw_only=True):
    """An event whose record has another of its ids as the key: the owner of that partition forwards it."""

    key: str

    def forwarded(self, value: bytes, appended_ms: int) -> ForwardedEvent:
        """The event to send to the owner of the customer; the arguments are those of the record."""
        return ForwardedEvent(**fields_of(self), path=(self.key,), value=value, appended_ms=appended_ms)


class CascadedErasure(Event, frozen=True, gc=False, kw_only=True):
    """The person to which the customer was linked is erased; ``linked`` (ms): when, if no link was made of it."""

    into: str
    linked: int = 0


class ErasureNotice(Event, frozen=True, gc=False, kw_only=True):
    """The customer was erased along with the person to which it was linked; only readers of everything need it.

    `Event.vouched`: the link was by an alias on `profiles`.
    """
