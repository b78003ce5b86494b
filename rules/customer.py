"""A customer: the profile, its standing (what was decided from it), and its links to other ids.

The one rule: decisions never go back. The instant only grows, every change takes the next sequence number, and entered
and exited of one segment alternate.

See also `rules.changes` for a change of a segment, and `streams.wire.customer_codec` for the stored bytes.
"""

from __future__ import annotations

import msgspec

from rules.profile.profile import Profile


class Ahead(msgspec.Struct, array_like=True, gc=False):
    """The published changes of a customer that are not in its standing; see `rules.published_ahead`.

    ``waiting``: ids of published changes that were not decided again yet. ``newest`` (ms): when
    the latest published change occurred. ``wake`` (ms): when the wait for them ends, even if
    nothing happens. ``segments``: the membership after the last published change, sorted.
    """

    waiting: set[str]
    newest: int
    wake: int
    segments: tuple[str, ...]


class ArrivingProfile(msgspec.Struct, array_like=True, gc=False):
    """A profile of a former id of which not all parts have come. Fields: see `rules.identity.events.ProfileMerge`."""

    digest: bytes
    definitions: str
    count: int
    time: int
    id: str
    linked: int
    path: tuple[str, ...]
    move: int
    taken: dict[int, int] = {}
    chunks: dict[int, bytes] = {}


class Linkage(msgspec.Struct, array_like=True, gc=False):
    """The links of an id, as far as they need more than `Customer` has; see `rules.identity.resolution`.

    ``vouched``: the redirect of this id is by an `alias` on `profiles`. ``left`` (ms): the instant at which a redirect
    ended, up to which nothing was decided of the customer that the id is since; 0: none did. ``cut``: time (ms) and
    person of the link that ended a ring. ``aliases``: former ids by an `alias` on `profiles`, and when (ms).
    ``separated``: ids that were parted from this one, and when (ms). ``taken``: moves of profiles that were taken in,
    each with the time of its link (ms); those up to ``taken_since`` (ms) count as taken in. ``arriving``: by content,
    profiles of which not all parts have come. ``erased_along``: the id was erased with a person to which it was linked
    by an `anonymousId`; from the first event that identifies it the id is of its own. ``erased_before`` (ms): when it
    was erased itself before that; 0: never. ``linked_ms``: when the newest new ids were linked by an `anonymousId`, by
    the times of the records. ``shared``: more than one person had the id, so what came of it lies with several.
    """

    vouched: bool = False
    left: int = 0
    cut: tuple[int, str] | None = None
    aliases: dict[str, int] = {}
    separated: dict[str, int] = {}
    taken: dict[int, int] = {}
    taken_since: int = 0
    arriving: dict[int, ArrivingProfile] = {}
    erased_along: bool = False
    shared: bool = False
    erased_before: int = 0
    linked_ms: list[int] = []


class Customer(msgspec.Struct, array_like=True, gc=False):
    """A customer: the standing and the profile that it was decided from.

    ``instant`` (ms): the latest moment at which this customer was decided. ``since`` (ms): by place of a segment, when
    it was entered, for those that the customer is in. ``dues`` (ms): by place, when time alone may next change it,
    where it may; ``due``: the next of them, 0 = none. ``published_ahead``: what was published that this standing does
    not know, nearly always nothing. ``out_of_order``: how often something came out of its order: an event after its
    time, a link that ended, or a change that was not decided as it had been published. With 0, what was decided follows
    from the events alone. ``erased`` (ms): when everything known of the customer was erased; nothing at or before it
    counts. 0 = never. ``definition_version``: the number, in the partition's list of definitions, of the version that
    decided last (`streams.state.definition_versions`). ``merged_into``: of an id that was linked to another, which, and
    when (ms). ``links``: ids that were linked to this one, and when (ms). ``identified``: an event named the id as
    `userId`. ``linkage``: what else is known of its links, mostly nothing.
    """

    instant: int
    sequence: int
    since: dict[int, int]
    dues: dict[int, int]
    profile: Profile
    due: int = 0
    published_ahead: Ahead | None = None
    out_of_order: int = 0
    erased: int = 0
    definition_version: int = 0
    merged_into: tuple[str, int] | None = None
    links: dict[str, int] | None = None
    identified: bool = False
    linkage: Linkage | None = None

    def become(self, other: Customer) -> None:
        """Take over all fields of another customer, in place, for callers that hold this object."""
        for name in self.__struct_fields__:
            setattr(self, name, getattr(other, name))

    @property
    def is_blank(self) -> bool:
        """Whether nothing was decided yet, or nothing since an erasure or the end of a redirect."""
        return self.instant <= self.erased or (self.linkage is not None and self.instant <= self.linkage.left)

    @property
    def is_erased(self) -> bool:
        """Whether only the fact of an erasure is stored of the customer."""
        return self.erased > 0 and self.instant <= self.erased

    @property
    def is_gone(self) -> bool:
        """Whether the customer is erased, and the store knows all changes that were published since."""
        return self.published_ahead is None and self.is_erased
