"""Migrates a customer that a former definition file decided to the file that is in force.

    file 1   "big cart" asks for a total of 100; ann has 150 and is in it since Monday
    file 2   "big cart" asks for 200, "any cart" is new
    ann      exits "big cart" and enters "any cart" at the instant of the change of files, marked ``backfill``
    file 1   is back at the same instant: ann enters "big cart" 1 ms after the change before, so that no id comes twice

The one rule: nothing happened, so the instant is that of the change of files, or just after the customer's own if that
is later; what is not as it was published before is published as changes whose cause is the definition, marked
``backfill``.

A customer in a segment of the same key stays in it since then, if it meets what the segment asks now. A customer in a
segment that is gone leaves it.

Where all events were read again meanwhile, what they make of the customer takes the place of what was stored
(`DefinitionMigration.rebuild`), and only what differs from what was published becomes a change.

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

# Segments which a former file had and the newest has not, and of which not all was remembered.
GONE_SHORT_MAX = 1_000


class DefinitionMigration:
    """From one file to the next. Holds no state of any customer."""

    def __init__(self, before: Definitions, engine: Engine) -> None:
        self._before = before
        self._engine = engine
        self._carrying = carrying(before.facts, engine.definitions.facts)
        indices = {segment.key: index for index, segment in enumerate(engine.definitions.segments)}
        # By index in the former file: the index in the next one, and the key.
        self._indices = [indices.get(segment.key) for segment in before.segments]
        self._keys = [segment.key for segment in before.segments]

    def migrate(self, customer_id: str, customer: Customer, instant: int) -> list[Change]:
        """Migrate a customer at an instant (ms), in place; the changes that are to be published, in order."""
        decided = self._decide(customer_id, customer, instant)
        if customer.published_ahead is None:
            return numbered(customer, decided)
        return published_ahead.after_migration(customer, decided)

    def _decide(self, customer_id: str, customer: Customer, instant: int) -> list[Change]:
        former, customer.profile = customer.profile, self._engine.new().profile
        since, customer.since, customer.dues = customer.since, {}, {}
        customer.due = 0
        if customer.is_blank or customer.merged_into is not None:  # there is nothing to decide until the next event
            return []
        customer.profile = self.carried(former)
        customer.instant = max(customer.instant + 1, instant)
        customer.out_of_order += 1  # what was decided no longer follows from the events alone
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
        """Replace a customer at an instant (ms), in place, by what all events make of it, which is ``rebuilt``.

        Returns what that changed, in order. Of a customer that is published ahead nothing is published: the events
        that are still to come decide what of it is so (`rules.published_ahead`). ``published``: the segments that were
        published last of a customer that the store had lost.
        """
        is_outdated = rebuilt.is_blank and rebuilt.erased == customer.erased
        if rebuilt.erased < customer.erased or is_outdated:
            return self.migrate(customer_id, customer, instant)  # the store knows no less than the events say
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
            customer.out_of_order += 1  # what was published does not follow from the events alone
        return changes

    def _by_key(self, since: Mapping[int, int]) -> dict[str, int]:
        """When the segments of the former file were entered (ms), by key."""
        return {self._keys[index]: entered for index, entered in since.items()}

    def _since(self, since: Mapping[int, int]) -> dict[int, int]:
        """When the segments that both files have were entered (ms), by index in the next file."""
        indices = ((self._indices[former], entered) for former, entered in since.items())
        return {index: entered for index, entered in indices if index is not None}

    def carried(self, former: Profile) -> Profile:
        """A profile as the next file remembers it."""
        profile = self._engine.new().profile
        for carry in self._carrying:
            carry(former, profile)
        return profile


def _combined(stored: Customer, rebuilt: Customer, instant: int) -> Customer:
    """The stored customer with what all events make of it, at an instant (ms)."""
    erased, latest = rebuilt.erased, max(instant, rebuilt.instant)
    if rebuilt.is_blank:
        # The erasure was not known to the store. Still nothing at or before the customer's instant counts.
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


class Short(msgspec.Struct, frozen=True):
    """A segment of which not everything is remembered; ``for_ms``: how long that matters, ``None``: for good."""

    segment: str
    for_ms: int | None


def short(before: Definitions, now: Definitions) -> list[Short]:
    """The segments that start from now, or in part: the former file did not remember all that they need."""
    shorts = []
    for segment in now.segments:
        window = missing_history(before.facts, now.alone(segment.key).facts)
        if window is not False:
            shorts.append(Short(segment.key, None if window is None else int(window)))
    return shorts


def together(shorts: Iterable[Mapping[str, int | None]], newest: Definitions, since: int) -> dict[str, int | None]:
    """Of which segments not all was remembered at some change of files, and until when (ms); ``None``: for good.

    What ends before ``since`` (ms) is left out. Of segments that the newest file does not have, which may come back,
    the last `GONE_SHORT_MAX`.
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
