"""Replay: recorded events through the rules, offline, in one process.

The one rule: one batch in file order. While it reads, only an event's own customer is brought
forward; at the end everybody is, up to and including ``until``.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Iterable, Iterator

import msgspec

from rules.engine import Engine
from rules.events import INPUTS, Event, input_of
from rules.identity.links import Decider
from rules.identity.resolution import is_effective, is_plain, process
from rules.placeholders import BUILT_IN, Placeholders
from rules.standing import Change, Customer
from streams.wire.decode import Rejected, decode_line

_RANKS = {name: rank for rank, name in enumerate(INPUTS)}


def read(
    lines: Iterable[bytes], rejected: Callable[[int, bytes, str], None], placeholders: Placeholders = BUILT_IN
) -> Iterator[Event]:
    """The events of JSON lines; blank lines are skipped, dead letters reported by line number."""
    for number, line in enumerate(lines, 1):
        text = line.strip()
        if not text:
            continue
        try:
            yield decode_line(text, placeholders=placeholders)
        except Rejected as reason:
            rejected(number, text, str(reason.args[0]))


def in_reading_order(events: Iterable[Event]) -> Iterator[Event]:
    """Neighbours of one millisecond in the order of their topics, as a partition reads them."""
    together: list[Event] = []
    for event in events:
        if together and event.time != together[0].time:
            yield from sorted(together, key=_rank)
            together = []
        together.append(event)
    yield from sorted(together, key=_rank)


def _rank(event: Event) -> int:
    return _RANKS[input_of(event.name)]


class Replay:
    """Customers in memory and the changes that they make.

    ``links``: whether ids of one person are brought together; what goes from one to the other arrives at once.
    """

    def __init__(self, engine: Engine, *, links: bool = True) -> None:
        self._engine = engine
        self._links = links
        self._decider = Decider(self._apply, engine.definitions.fingerprint)
        self.customers: dict[str, Customer] = {}
        self.last = 0

    def run(self, events: Iterable[Event], until: int | None = None) -> Iterator[Change]:
        """The changes, as they are decided; ``until`` (ms) defaults to the latest event's time."""
        for event in self.ordered(events, until):
            yield from self.step(event)
        yield from self.finish(self.last if until is None else until)

    def ordered(self, events: Iterable[Event], until: int | None = None) -> Iterator[Event]:
        """The events up to ``until`` that act, in reading order; the others' time too may be that of the last one."""
        kept = (event for event in events if until is None or event.time <= until)
        return in_reading_order(self._noted(kept))

    def step(self, event: Event) -> list[Change]:
        """One event, and what was due of its customer before it."""
        customer = self._customer(event.customer)
        if is_plain(event, customer):
            return self._engine.apply(event.customer, customer, event)
        changes: list[Change] = []
        waiting = deque([event])
        while waiting:
            one = waiting.popleft()
            acted = process(one, self._customer(one.customer), self._decider)
            changes += acted.changes
            waiting += acted.sent
        return changes

    def _customer(self, customer_id: str) -> Customer:
        customer = self.customers.get(customer_id)
        if customer is None:
            customer = self.customers[customer_id] = self._engine.new()
        return customer

    def _apply(self, event: Event, customer: Customer) -> list[Change]:
        return self._engine.apply(event.customer, customer, event)

    def finish(self, until: int) -> Iterator[Change]:
        """Everybody's due times up to and including ``until``, oldest first."""
        waiting = [(known.due, name) for name, known in self.customers.items() if 0 < known.due <= until]
        heapq.heapify(waiting)
        while waiting:
            due, name = heapq.heappop(waiting)
            customer = self.customers[name]
            yield from self._engine.fire(name, customer, due)
            if 0 < customer.due <= until:
                heapq.heappush(waiting, (customer.due, name))

    def _noted(self, events: Iterable[Event]) -> Iterator[Event]:
        for event in events:
            self.last = max(self.last, event.time)
            own = event if self._links or event.link is None else msgspec.structs.replace(event, link=None)
            if is_effective(own):
                yield own
