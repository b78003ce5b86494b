"""The engine: events and time in, segment changes out.

The one rule: an event first fires its own customer's due times up to its own time, each at its
own instant, then it is applied and decided at max(instant, its time). An event runs only the
facts and decides only the segments that depend on its name.
"""

from __future__ import annotations

from collections.abc import Callable

from rules.definitions import Definitions
from rules.events import WITHOUT_EFFECT, Event
from rules.profile import Profile
from rules.standing import Change, Customer

_Plan = tuple[tuple[Callable[[Profile, Event], None], ...], tuple[int, ...]]


class Engine:
    """Decides customers by one set of definitions. Holds no state of any customer."""

    def __init__(self, definitions: Definitions) -> None:
        self.definitions = definitions
        self._segments = definitions.segments
        self._keys = [segment.key for segment in definitions.segments]
        self._every = tuple(range(len(self._segments)))
        self._facts = definitions.facts.kept()
        names = frozenset().union(
            *(fact.names for fact in self._facts), *(segment.when.names for segment in self._segments)
        )
        self._plans: dict[str, _Plan] = {name: self._plan(name) for name in names}

    def _plan(self, name: str) -> _Plan:
        facts = tuple(fact.apply for fact in self._facts if name in fact.names)
        return facts, tuple(at for at in self._every if name in self._segments[at].when.names)

    def new(self) -> Customer:
        """A customer of whom nothing is known."""
        count = len(self._segments)
        return Customer(0, 0, [0] * count, [0] * count, self.definitions.facts.empty())

    def apply(self, customer_id: str, customer: Customer, event: Event) -> list[Change]:
        """One event: what it and the due times before it changed, in order."""
        if event.name in WITHOUT_EFFECT:
            return []
        changes: list[Change] = []
        due = customer.due
        if 0 < due <= event.time:
            self._fire(customer_id, customer, event.time, changes)
        facts, touched = self._plans.get(event.name, ((), ()))
        late = event.time < customer.instant
        if not customer.instant:
            touched = self._every
        if not late:
            customer.instant = event.time
        for apply in facts:
            apply(customer.profile, event)
        self._decide(customer_id, customer, touched, event, late, changes)
        return changes

    def fire(self, customer_id: str, customer: Customer, until: int) -> list[Change]:
        """All due times up to and including ``until``, oldest first, each at its own instant."""
        changes: list[Change] = []
        self._fire(customer_id, customer, until, changes)
        return changes

    def _fire(self, customer_id: str, customer: Customer, until: int, changes: list[Change]) -> None:
        while 0 < (due := customer.due) <= until:
            assert due > customer.instant, "a due time lies after the instant at which it was found"
            customer.instant = due
            turning = tuple(at for at in self._every if customer.dues[at] == due)
            self._decide(customer_id, customer, turning, None, False, changes)

    def _decide(
        self,
        customer_id: str,
        customer: Customer,
        segments: tuple[int, ...],
        event: Event | None,
        late: bool,
        changes: list[Change],
    ) -> None:
        now, profile, since = customer.instant, customer.profile, customer.since
        for at in segments:
            segment = self._segments[at]
            holds, customer.dues[at] = segment.when.decide(profile, now)
            if holds == bool(since[at]):
                continue
            since[at] = now if holds else 0
            customer.sequence += 1
            changes.append(
                Change(
                    customer=customer_id,
                    segment=segment.key,
                    kind="entered" if holds else "exited",
                    occurred_at=now,
                    sequence=customer.sequence,
                    segments=self.membership(customer),
                    event=event,
                    reason=segment.when.reason(profile, now),
                    definition=segment.fingerprint,
                    late=late,
                )
            )

    def membership(self, customer: Customer) -> tuple[str, ...]:
        """The keys of the segments that the customer is in, sorted."""
        return tuple([key for key, since in zip(self._keys, customer.since, strict=True) if since])
