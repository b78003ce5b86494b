"""Migrates a customer that a former definition file decided to the file that is in force.

    file 1   "big cart" asks for a total of 100; ann has 150 and is in it since Monday
    file 2   "big cart" asks for 200, "any cart" is new
    ann      exits "big cart" and enters "any cart" at the instant of the change of files, marked ``backfill``
    file 1   is back at the same instant: ann enters "big cart" 1 ms after the change before, so that no id comes twice

The one rule: a migration is no event of the customer. So its instant is that of the change of files, or just after the
customer's own if that is later. Each difference to the published membership becomes a change whose cause is the
definition, marked ``backfill``.

A customer in a segment of the same key stays in it since its entry, if it meets the segment's present condition. A
customer in a segment that no longer exists leaves it.

In a rebuild, the customer as all events make it replaces the stored one (`DefinitionMigration.rebuild`), and only its
differences to the published membership become changes.

See also: `rules.profile_migration` (the profile), `streams.state.definition_versions` (which file decided a customer).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

import msgspec

from rules import published_ahead
from rules.changes import Change, numbered
from rules.customer import Customer
from rules.definitions.segments_file import Definitions
from rules.engine import Engine
from rules.profile.profile import Profile
from rules.profile_migration import carrying, missing_history
from rules.reconcile import reconcile

# The most segments without complete history that are listed although the newest file does not have them.
GONE_SHORT_MAX = 1_000


class DefinitionMigration:
    """The migration of customers from one file to the next. Has no state of any customer."""

    def __init__(self, before: Definitions, engine: Engine) -> None:
        self._before = before
        self._engine = engine
        self._carrying = carrying(before.facts, engine.definitions.facts)
        indices = {segment.key: index for index, segment in enumerate(engine.definitions.segments)}
        # By index in the former file: the index in the next file, and the key.
        self._indices = [indices.get(segment.key) for segment in before.segments]
        self._keys = [segment.key for segment in before.segments]

    def migrate(self, customer_id: str, customer: Customer, instant: int) -> list[Change]:
        """Migrate a customer at an instant (ms), in place. Returns the changes to publish, in order."""
        decided = self._decide(customer_id, customer, instant)
        if customer.published_ahead is None:
            return numbered(customer, decided)
        return published_ahead.after_migration(customer, decided)

    def _decide(self, customer_id: str, customer: Customer, instant: int) -> list[Change]:
        former, customer.profile = customer.profile, self._engine.new().profile
        since, customer.since, customer.dues = customer.since, {}, {}
        customer.due = 0
        if customer.is_blank or customer.merged_into is not None:  # nothing is decided until the next event
            return []
        customer.profile = self.carried(former)
        customer.instant = max(customer.instant + 1, instant)
        customer.out_of_order += 1  # the membership no longer follows from the events alone
        was = self._by_key(since)
        customer.since = self._since(since)
        removed = reconcile(self._engine, customer_id, customer, was, customer.instant, since=was, backfill=True)
        return removed + self._engine.decide_all(customer_id, customer)

    def rebuild(
        self,
        customer_id: str,
        customer: Customer,
        rebuilt: Customer,
        instant: int,
        published: Collection[str] | None = None,
    ) -> list[Change]:
        """Replace a customer at an instant (ms), in place, by ``rebuilt``, the customer as all events make it.

        Returns the changes, in order. Of a customer that is published ahead no change is published until the events
        that are still to come are decided (`rules.published_ahead`). ``published``: the segments that were published
        last of a customer that the store had lost.
        """
        is_outdated = rebuilt.is_blank and rebuilt.erased == customer.erased
        if rebuilt.erased < customer.erased or is_outdated:
            return self.migrate(customer_id, customer, instant)  # the store has all that the events tell
        was, since = self._by_key(customer.since), self._since(customer.since)
        instant = customer.instant if customer.published_ahead is not None else max(customer.instant + 1, instant)
        self._engine.fire(customer_id, rebuilt, instant)
        customer.become(_combined(customer, rebuilt, instant))
        if customer.published_ahead is not None:
            customer.out_of_order += 1
            return published_ahead.after_migration(customer, [])
        segments = was if published is None else published
        changes = numbered(
            customer,
            reconcile(self._engine, customer_id, customer, segments, customer.instant, since=was, backfill=True),
        )
        if since != rebuilt.since or customer.sequence != rebuilt.sequence:
            customer.out_of_order += 1  # the published changes do not follow from the events alone
        return changes

    def _by_key(self, since: Mapping[int, int]) -> dict[str, int]:
        """When the segments of the former file were entered (ms), by key."""
        return {self._keys[index]: entered for index, entered in since.items()}

    def _since(self, since: Mapping[int, int]) -> dict[int, int]:
        """When the segments that both files have were entered (ms), by index in the next file."""
        indices = ((self._indices[former], entered) for former, entered in since.items())
        return {index: entered for index, entered in indices if index is not None}

    def carried(self, former: Profile) -> Profile:
        """Migrate a profile to the next file."""
        profile = self._engine.new().profile
        for carry in self._carrying:
            carry(former, profile)
        return profile


def _combined(stored: Customer, rebuilt: Customer, instant: int) -> Customer:
    """Combine a stored customer with its rebuilt one, at an instant (ms)."""
    erased, latest = rebuilt.erased, max(instant, rebuilt.instant)
    if rebuilt.is_blank:
        # The store did not know of the erasure. Events at or before the customer's instant still do not count.
        latest = erased = instant if stored.instant > erased else erased
    return Customer(
        # the clock
        instant=latest,
        erased=erased,
        # the membership and the facts that it follows from: those of the events
        profile=rebuilt.profile,
        since=rebuilt.since,
        dues=rebuilt.dues,
        due=rebuilt.due,
        # the identity: those of the events; that an id was identified is never forgotten
        merged_into=rebuilt.merged_into,
        links=rebuilt.links,
        linkage=rebuilt.linkage,
        identified=stored.identified or rebuilt.identified,
        # what counts the published changes: the store's
        sequence=stored.sequence,
        published_ahead=stored.published_ahead,
        out_of_order=max(stored.out_of_order, rebuilt.out_of_order),
        definition_version=stored.definition_version,
    )


class HistoryGap(msgspec.Struct, frozen=True):
    """A segment whose history is not complete; ``for_ms``: how long that matters, ``None``: for ever."""

    segment: str
    for_ms: int | None


def history_gaps(before: Definitions, now: Definitions) -> list[HistoryGap]:
    """The segments whose history is not complete, as the former file did not store all facts that they need."""
    gaps = []
    for segment in now.segments:
        window = missing_history(before.facts, now.alone(segment.key).facts)
        if window is not False:
            gaps.append(HistoryGap(segment.key, None if window is None else int(window)))
    return gaps


def together(shorts: Iterable[Mapping[str, int | None]], newest: Definitions, since: int) -> dict[str, int | None]:
    """The segments whose history was not complete at some change of files, and until when (ms); ``None``: for ever.

    Those that end before ``since`` (ms) are left out. Segments that the newest file does not have may come back: of
    these the last `GONE_SHORT_MAX` stay.
    """
    ends: dict[str, int | None] = {}
    for key, end in (item for by_key in shorts for item in by_key.items()):
        before = ends.get(key, since)
        if end is None or before is None:
            ends[key] = None
        elif end > since:
            ends[key] = max(before, end)
    keys = {segment.key for segment in newest.segments}
    gone = [key for key in ends if key not in keys]
    for key in gone[:-GONE_SHORT_MAX]:
        del ends[key]
    return ends
