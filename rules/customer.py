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

    ``waiting``: ids of published changes that were not decided again yet. ``newest`` (ms): when the latest published
    change occurred. ``wake`` (ms): when the wait for them ends, even without an event. ``segments``: the membership
    after the last published change, sorted.
    """

    waiting: set[str]
    newest: int
    wake: int
    segments: tuple[str, ...]


class ArrivingProfile(msgspec.Struct, array_like=True, gc=False):
    """An incomplete profile of a former id. See `rules.identity.events.ProfileMerge` for the fields."""

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
    """The data about an id's links that few ids have; see `rules.identity.resolution`.

    ``vouched``: the redirect of this id is by an `alias` on `profiles`. ``left`` (ms): when the last redirect of this
    id ended, 0: none did; the customer that the id is since then has no decisions up to that time. ``cut``: time (ms)
    and person of the link that ended a ring. ``aliases``: former ids by an `alias` on `profiles`, with the times (ms).
    ``separated``: ids that were unlinked from this one, with the times (ms). ``taken``: moves of profiles that were
    taken in, with the times of their links (ms); moves of links up to ``taken_since`` (ms) count as taken in.
    ``arriving``: incomplete profiles, by content. ``erased_along``: the id was erased with a person to which it was
    linked by an `anonymousId`; from the first event that identifies it, the id is a customer of its own.
    ``erased_before`` (ms): when the id itself was erased before that; 0: never. ``shared``: the id was linked to more
    than one person, so its events count for several. ``linked_ids``: when (ms) the newest new ids were linked by an
    `anonymousId`, by the times of the records, each under the hash of the id. ``linked_ms``: such times without ids, as
    former versions stored them.
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
    linked_ids: dict[int, int] = {}


class Customer(msgspec.Struct, array_like=True, gc=False):
    """A customer: its standing, and the profile from which that was decided.

    ``instant`` (ms): the latest moment at which this customer was decided. ``since`` (ms): when each segment was
    entered that the customer is in, by the segment's index. ``dues`` (ms): when time alone may next change a segment,
    by its index; ``due``: the next of them, 0 = none. ``published_ahead``: published changes that this standing lacks,
    nearly always none. ``out_of_order``: how often the order mattered: an event came after its time, a link ended, or a
    change was not decided as it had been published. With 0, the membership follows from the events alone. ``erased``
    (ms): when the customer was erased, 0 = never; events at or before it do not count. ``definition_version``: the
    number of the version that decided last, in the partition's list (`streams.state.definition_versions`).
    ``merged_into``: the id to which this one redirects, and since when (ms). ``links``: ids that were linked to this
    one, with the times (ms). ``identified``: an event named the id as `userId`. ``linkage``: further data about links,
    mostly none.
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
