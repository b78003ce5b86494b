"""Owners of the ids of one person, which hear of one another late and in another order."""

from __future__ import annotations

import random
from collections import Counter, defaultdict, deque
from collections.abc import Sequence

from rules.changes import Change
from rules.customer import Customer
from rules.engine import Engine
from rules.events import Event
from rules.identity.dispatch import process
from rules.identity.resolution import Decider
from streams.wire import identity_records
from tests.strategies import worlds


class Post:
    """The owners of a person's ids, which hear of one another late and in another order; every record comes twice."""

    def __init__(self, engine: Engine, rng: random.Random) -> None:
        self.engine, self.rng = engine, rng
        self.customers: dict[str, Customer] = defaultdict(engine.new)
        self.changes: list[Change] = []
        self.refused: Counter[str] = Counter()
        self.kinds: set[type[Event]] = set()
        self._decider = Decider(self._apply, engine.definitions.fingerprint)
        # What waits for an id, in its order, and whether it was sent on because of a record's second coming.
        self._way: dict[str, deque[tuple[bytes, bool]]] = defaultdict(deque)
        self._is_copy = False
        self._again: list[tuple[str, bytes]] = []  # what comes a second time, whenever that is

    def read(self, event: Event, value: bytes = b"", at: int = -1) -> None:
        """Apply one event to its id; what it sends is on its way then."""
        customer = self.customers[event.customer]
        result = process(event, customer, self._decider, value, at)
        assert not result.is_lost
        self.refused.update([result.refused] if result.refused is not None else [])
        self.kinds |= set(map(type, result.sent))
        self.changes += result.changes
        for forwarded in result.sent:
            self._way[forwarded.customer].append((identity_records.encode(forwarded), self._is_copy))

    def _apply(self, event: Event, customer: Customer) -> list[Change]:
        return self.engine.apply(event.customer, customer, event)

    def deliver(self, most: int | None = None) -> None:
        """Deliver some of what is on its way, or all of it."""
        while (any(self._way.values()) or self._again) and most != 0:
            waiting = [name for name, queue in self._way.items() if queue]
            if not waiting or (self._again and self.rng.random() < 0.4):
                customer_id, record = self._again.pop(self.rng.randrange(len(self._again)))
                self._is_copy = True
            else:
                customer_id = self.rng.choice(waiting)
                record, self._is_copy = self._way[customer_id].popleft()
                if not self._is_copy:
                    self._again.append((customer_id, record))
            event = identity_records.read(record, customer_id.encode())
            assert isinstance(event, Event), event
            self.read(event)
            self._is_copy = False
            most = None if most is None else most - 1

    def finish(self, until: int) -> None:
        for customer_id, customer in sorted(self.customers.items()):
            self.changes += self.engine.fire(customer_id, customer, until)

    def members(self) -> dict[str, frozenset[str]]:
        memberships = {
            customer_id: frozenset(self.engine.membership(customer)) for customer_id, customer in self.customers.items()
        }
        return {customer_id: own for customer_id, own in memberships.items() if own}


def consistent(changes: Sequence[Change]) -> list[object]:
    """Find changes that a reader of the changes cannot follow."""
    strange: list[object] = []
    for customer_id, own in worlds.per_customer(changes).items():
        members: set[str] = set()
        for number, change in enumerate(own, 1):
            if change.sequence != number or (change.segment in members) != (change.kind == "exited"):
                strange.append((customer_id, change))
            members ^= {change.segment}
            if change.segments != tuple(sorted(members)):
                strange.append((customer_id, change))
    return strange
