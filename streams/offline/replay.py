"""Replays recorded events through the rules, offline, in one process.

The one rule: the events are one batch, in the order of the file. While they are read, only due times of an event's own
customer fire; at the end those of all customers do, up to and including ``until``.

See also: `rules.engine`, which decides; `streams.offline.recompute`, which reads topics instead of a file.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Iterable, Iterator

import msgspec

from rules.changes import Change
from rules.customer import Customer
from rules.engine import Engine
from rules.event_names import INPUTS, input_of
from rules.events import Event
from rules.identity.dispatch import is_effective, is_plain, process
from rules.identity.resolution import Decider
from rules.placeholders import BUILT_IN, Placeholders
from streams.wire.event_decoder import Rejected, decode_line

_RANKS = {name: rank for rank, name in enumerate(INPUTS)}


def read(
    lines: Iterable[bytes], rejected: Callable[[int, bytes, str], None], placeholders: Placeholders = BUILT_IN
) -> Iterator[Event]:
    """Decode the events of JSON lines; blank lines are skipped, dead letters are reported by line number."""
    for number, line in enumerate(lines, 1):
        text = line.strip()
        if not text:
            continue
        try:
            yield decode_line(text, placeholders=placeholders)
        except Rejected as reason:
            rejected(number, text, str(reason))


def in_reading_order(events: Iterable[Event]) -> Iterator[Event]:
    """Sort neighbours of one millisecond by their topics, in the order in which a partition reads these."""
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
    """Customers in memory and their changes.

    ``links``: whether ids of one person are linked; what one id sends to another then arrives at once.
    """

    def __init__(self, engine: Engine, *, links: bool = True) -> None:
        self._engine = engine
        self._links = links
        self._decider = Decider(self._apply, engine.definitions.fingerprint)
        self.customers: dict[str, Customer] = {}
        self.last = 0

    def run(self, events: Iterable[Event], until: int | None = None) -> Iterator[Change]:
        """Yield changes as they are decided; ``until`` (ms) defaults to the latest event's time."""
        for event in self.ordered(events, until):
            yield from self.step(event)
        yield from self.finish(self.last if until is None else until)

    def ordered(self, events: Iterable[Event], until: int | None = None) -> Iterator[Event]:
        """The events up to ``until`` that have an effect, in reading order.

        `last` also counts the time of events without an effect.
        """
        within = (event for event in events if until is None or event.time <= until)
        return in_reading_order(self._effective(within))

    def step(self, event: Event) -> list[Change]:
        """Apply an event, after the due times of its customer that come before it; give the changes."""
        customer = self._customer(event.customer)
        if is_plain(event, customer):
            return self._engine.apply(event.customer, customer, event)
        changes: list[Change] = []
        waiting = deque([event])
        while waiting:
            sent = waiting.popleft()
            outcome = process(sent, self._customer(sent.customer), self._decider)
            changes += outcome.changes
            waiting += outcome.sent
        return changes

    def _customer(self, customer_id: str) -> Customer:
        customer = self.customers.get(customer_id)
        if customer is None:
            customer = self.customers[customer_id] = self._engine.new()
        return customer

    def _apply(self, event: Event, customer: Customer) -> list[Change]:
        return self._engine.apply(event.customer, customer, event)

    def finish(self, until: int) -> Iterator[Change]:
        """Fire all due times up to and including ``until``, oldest first; yield the changes."""
        timers = [(customer.due, name) for name, customer in self.customers.items() if 0 < customer.due <= until]
        heapq.heapify(timers)
        while timers:
            due, name = heapq.heappop(timers)
            customer = self.customers[name]
            yield from self._engine.fire(name, customer, due)
            if 0 < customer.due <= until:
                heapq.heappush(timers, (customer.due, name))

    def _effective(self, events: Iterable[Event]) -> Iterator[Event]:
        for event in events:
            self.last = max(self.last, event.time)
            own = event if self._links or event.link is None else msgspec.structs.replace(event, link=None)
            if is_effective(own):
                yield own
