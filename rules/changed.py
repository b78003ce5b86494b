"""Changed definitions: a customer who was decided by a former file goes on under another.

The one rule: nothing happened, so the instant is that of the change of files, or just after the customer's own if that
is later; what is not as it was said before is said by changes whose cause is the definition, marked ``backfill``. Just
after, so that files which change forwards and back say nothing twice under one id.

Who is in a segment of the same key stays in it since then, if they meet what it asks now. Who is in one that is gone
leaves it.
"""

from __future__ import annotations

import msgspec

from rules import ahead
from rules.carried import carrying, shortfall
from rules.definitions import Definitions
from rules.engine import Engine
from rules.profile import Profile
from rules.reasons import REMOVED
from rules.standing import Change, Customer
from rules.wanted import Window


class Succession:
    """From one file to the next. Holds no state of any customer."""

    def __init__(self, before: Definitions, engine: Engine) -> None:
        self._before = before
        self._engine = engine
        self._carrying = carrying(before.facts, engine.definitions.facts)
        places = {segment.key: at for at, segment in enumerate(engine.definitions.segments)}
        self._places = [places.get(segment.key) for segment in before.segments]
        self._keys = [segment.key for segment in before.segments]

    def adopt(self, customer_id: str, customer: Customer, at: int) -> list[Change]:
        """Bring a customer over at an instant (ms), in place; what that changed, in order."""
        former, customer.profile = customer.profile, self._engine.new().profile
        since, customer.since, customer.dues = customer.since, {}, {}
        customer.due = 0
        if customer.is_blank or customer.into is not None:  # there is nothing to decide until the next event
            return []
        customer.profile = self.carried(former)
        customer.instant = max(customer.instant + 1, at)
        customer.late += 1  # what was decided no longer follows from the events alone
        changes = self._removed(customer_id, customer, since)
        customer.since = {place: entered for old, entered in since.items() if (place := self._places[old]) is not None}
        return changes + self._engine.decide_all(customer_id, customer)

    def carried(self, former: Profile) -> Profile:
        """A profile as the next file keeps it."""
        profile = self._engine.new().profile
        for carry in self._carrying:
            carry(former, profile)
        return profile

    def _removed(self, customer_id: str, customer: Customer, since: dict[int, int]) -> list[Change]:
        changes = []
        members = {self._keys[old] for old in since}
        for old in sorted(since):
            if self._places[old] is None:
                segment = self._before.segments[old]
                members.remove(segment.key)
                customer.sequence += 1
                changes.append(
                    Change(
                        customer=customer_id,
                        segment=segment.key,
                        kind="exited",
                        occurred_at=customer.instant,
                        sequence=customer.sequence,
                        segments=tuple(sorted(members)),
                        event=None,
                        reason=REMOVED,
                        definition=self._engine.definitions.fingerprint,
                        late=False,
                        stayed_ms=customer.instant - since[old],
                        backfill=True,
                    )
                )
        return changes


def adopt(succession: Succession, customer_id: str, customer: Customer, at: int) -> list[Change]:
    """As `Succession.adopt`, for whoever; of whom more was published than is known, nothing is told (`rules.ahead`)."""
    if customer.ahead is None:
        return succession.adopt(customer_id, customer, at)
    return ahead.adopted(customer, succession.adopt(customer_id, customer, at))


class Short(msgspec.Struct, frozen=True):
    """A segment of which not everything was kept; ``for_ms``: how long that makes a difference, ``None``: for good."""

    segment: str
    for_ms: int | None


def short(before: Definitions, now: Definitions) -> list[Short]:
    """The segments that start from now, or in part: what they ask for was not kept under the former file."""
    found = []
    for segment in now.segments:
        window: Window | bool = shortfall(before.facts, now.alone(segment.key).facts)
        if window is not False:
            found.append(Short(segment.key, None if window is None else int(window)))
    return found
