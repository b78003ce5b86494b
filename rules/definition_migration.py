"""Migrates a customer that a former definition file decided to the file that is in force.

    file 1   "big cart" asks for a total of 100; ann has 150 and is in it since Monday
    file 2   "big cart" asks for 200, "any cart" is new
    ann      exits "big cart" and enters "any cart" at the instant of the change of files, marked ``backfill``

The one rule: nothing happened, so the instant is that of the change of files, or just after the customer's own if that
is later; what is not as it was said before is said by changes whose cause is the definition, marked ``backfill``. Just
after, so that files which change forwards and back say nothing twice under one id.

Who is in a segment of the same key stays in it since then, if they meet what it asks now. Who is in one that is gone
leaves it.

Where all events were read again meanwhile, what they make of the customer takes the place of what was kept
(`DefinitionMigration.rebuild`), and only what differs from what was said is told.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

import msgspec

from rules import published_ahead
from rules.definitions.segments_file import Definitions
from rules.engine import Engine
from rules.facts.base import Window
from rules.profile.profile import Profile
from rules.profile_migration import carrying, missing_history
from rules.reconcile import reconcile
from rules.standing import Change, Customer

# Segments which a former file had and the newest has not, and of which not all was kept.
GONE_SHORT_MAX = 1_000


class DefinitionMigration:
    """From one file to the next. Holds no state of any customer."""

    def __init__(self, before: Definitions, engine: Engine) -> None:
        self._before = before
        self._engine = engine
        self._carrying = carrying(before.facts, engine.definitions.facts)
        places = {segment.key: at for at, segment in enumerate(engine.definitions.segments)}
        self._places = [places.get(segment.key) for segment in before.segments]
        self._keys = [segment.key for segment in before.segments]

    def migrate(self, customer_id: str, customer: Customer, at: int) -> list[Change]:
        """Bring a customer over at an instant (ms), in place; what that changed, in order."""
        former, customer.profile = customer.profile, self._engine.new().profile
        since, customer.since, customer.dues = customer.since, {}, {}
        customer.due = 0
        if customer.is_blank or customer.into is not None:  # there is nothing to decide until the next event
            return []
        customer.profile = self.carried(former)
        customer.instant = max(customer.instant + 1, at)
        customer.late += 1  # what was decided no longer follows from the events alone
        was = {self._keys[old]: entered for old, entered in since.items()}
        customer.since = self._since(since)
        removed = reconcile(self._engine, customer_id, customer, was, customer.instant, since=was, backfill=True)
        return removed + self._engine.decide_all(customer_id, customer)

    def rebuild(
        self, customer_id: str, customer: Customer, anew: Customer, at: int, said: Collection[str] | None = None
    ) -> list[Change]:
        """Bring a customer over, at an instant (ms), in place, to what all events ``anew`` make of them.

        What that changed, in order. Of whom more was published than is known, nothing is told: the events that are
        still to come decide what of it is so (`rules.published_ahead`). ``said``: the segments that were published last
        of one of whom nothing else is known.
        """
        if anew.erased < customer.erased or (anew.is_blank and anew.erased == customer.erased):
            return migrate(self, customer_id, customer, at)  # no less is known here than the events say
        was = {self._keys[old]: entered for old, entered in customer.since.items()}
        instant = customer.instant if customer.ahead is not None else max(customer.instant + 1, at)
        self._engine.fire(customer_id, anew, instant)
        moved = self._since(customer.since) != anew.since
        if anew.is_blank:  # erased since, which was not known here: still nothing at or before it counts
            anew.erased = anew.instant = instant if customer.instant > anew.erased else anew.erased
            customer.instant = anew.instant
        else:
            customer.instant = max(instant, anew.instant)
        customer.profile, customer.since, customer.dues, customer.due = anew.profile, anew.since, anew.dues, anew.due
        customer.erased, customer.into, customer.links = anew.erased, anew.into, anew.links
        customer.identified, customer.linkage = customer.identified or anew.identified, anew.linkage
        customer.late = max(customer.late, anew.late)
        if customer.ahead is not None:
            customer.late += 1
            return published_ahead.adopted(customer, [])
        told = was if said is None else said
        changes = reconcile(self._engine, customer_id, customer, told, customer.instant, since=was, backfill=True)
        customer.late += moved or customer.sequence != anew.sequence
        return changes

    def _since(self, before: dict[int, int]) -> dict[int, int]:
        """Since when (ms) in what of the next file, of those that both have."""
        return {place: entered for old, entered in before.items() if (place := self._places[old]) is not None}

    def carried(self, former: Profile) -> Profile:
        """A profile as the next file keeps it."""
        profile = self._engine.new().profile
        for carry in self._carrying:
            carry(former, profile)
        return profile


def migrate(succession: DefinitionMigration, customer_id: str, customer: Customer, at: int) -> list[Change]:
    """Migrate any customer. While a customer is published ahead, nothing is published of it.

    See `rules.published_ahead`.
    """
    if customer.ahead is None:
        return succession.migrate(customer_id, customer, at)
    return published_ahead.adopted(customer, succession.migrate(customer_id, customer, at))


class Short(msgspec.Struct, frozen=True):
    """A segment of which not everything was kept; ``for_ms``: how long that makes a difference, ``None``: for good."""

    segment: str
    for_ms: int | None


def short(before: Definitions, now: Definitions) -> list[Short]:
    """The segments that start from now, or in part: what they ask for was not kept under the former file."""
    found = []
    for segment in now.segments:
        window: Window | bool = missing_history(before.facts, now.alone(segment.key).facts)
        if window is not False:
            found.append(Short(segment.key, None if window is None else int(window)))
    return found


def together(shorts: Iterable[Mapping[str, int | None]], newest: Definitions, since: int) -> dict[str, int | None]:
    """Of which segments not all was kept at some change, and until when (ms), as of ``since``; ``None``: for good.

    Of segments that the newest file does not have, which may come back, the last `GONE_SHORT_MAX`.
    """
    found: dict[str, int | None] = {}
    for key, until in (item for short in shorts for item in short.items()):
        before = found.get(key, since)
        if until is None or before is None:
            found[key] = None
        elif until > since:
            found[key] = max(before, until)
    keys = {segment.key for segment in newest.segments}
    gone = [key for key in found if key not in keys]
    for key in gone[:-GONE_SHORT_MAX]:
        del found[key]
    return found
