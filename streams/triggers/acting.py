"""Acting: the steps of one partition of triggers, from changes and due actions to attempts and decisions.

The one rule is the order around an attempt:

1. a place at the endpoint is taken,
2. the customer's standing is looked up, and the policy asked,
3. that an attempt begins is **saved**,
4. the attempt is made, if the look is not older than 100 ms; else it is given back and looked up again,
5. what came of it is saved, with the decision in the outbox.

So a crash in 4 leaves an attempt that is known to have begun; of it only that is told. All of it goes
through the partition's one queue (`streams.triggers.owning`); the attempts themselves run beside it.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping

from streams.merge import Taken
from streams.outbox import OutRecord
from streams.saving import Saving
from streams.store import State, Store, StoredCustomer
from streams.triggers import decisions, person
from streams.triggers.channels.base import Message
from streams.triggers.config import TriggersFile
from streams.triggers.deciding import Deciding, Step
from streams.triggers.decisions import Decision
from streams.triggers.endpoints import Endpoint, Made
from streams.triggers.person import Person
from streams.triggers.standings import Standings

LOOK_MAX_S = 0.1
# Customers whose endpoint has no place for them now, kept in memory; more of them are put off in the store.
PARKED_MAX = 1_000

# Persons of one step, each with the due time that it was loaded with.
Loaded = dict[str, tuple[Person, int]]


class Acting(Saving):
    """One partition's steps under one claim. ``made``: attempts that have ended, to be settled in the next step."""

    def __init__(  # noqa: PLR0913 (each is one thing that a step needs)
        self,
        file: TriggersFile,
        endpoints: Mapping[str, Endpoint],
        standings: Standings,
        store: Store,
        partition: int,
        token: str,
        state: State,
        *,
        now_ms: Callable[[], int],
        counts: Counter[tuple[str, str]] | None = None,
    ) -> None:
        """``counts``: where decisions are counted, by trigger and kind."""
        super().__init__(store, partition, token, state)
        self._standings = standings
        self._now_ms = now_ms
        self._counts = Counter[tuple[str, str]]() if counts is None else counts
        self._deciding = Deciding(file, endpoints, now_ms, self._counts)
        self._flying: dict[str, str] = {}  # key of each attempt under way, and its customer
        self._held: dict[str, Person] = {}  # those customers, as they are saved: this is their one writer
        self._parked: dict[str, int] = {}  # customers, and when to look at them again
        self._tasks: set[asyncio.Task[None]] = set()
        self.made: list[Made] = []

    async def advance(self, taken: Taken, clock: int, caught_up: int = 0) -> list[OutRecord]:
        """Apply what was read, and save; the decisions to publish."""
        events = [reading[3] for reading in taken.readings if not isinstance(reading[3], str)]
        loaded = await self._load({event.customer for event in events})
        now, told = self._now_ms(), list[Decision]()
        for event in events:
            told += self._deciding.arriving.apply(loaded[event.customer][0], event, now)
        self._counts.update((one.trigger, one.decision) for one in told)
        out = [decisions.record(one) for one in told]
        await self.save(_stored(loaded), out, taken.starts, taken.positions, clock, caught_up)
        return out

    async def pass_time(self, clock: int, caught_up: int = 0) -> None:
        """Save the clock alone."""
        await self.save((), (), self.positions, self.positions, clock, caught_up)

    async def fire(self, clock: int, limit: int) -> list[OutRecord]:
        """Look at actions due ≤ ``clock`` of at most ``limit`` customers, if they are decided up to then."""
        limit = min(limit, self._deciding.free)
        if not limit or not 0 < self.next_due <= clock:
            return []
        reached = min(clock, await self._standings.reached(self._partition))
        if self.next_due > reached:
            return []
        ready = await self._ready(reached, limit)
        if not ready:
            return []
        asked = time.monotonic()
        look = await self._standings.look(self._partition, ready)
        room = PARKED_MAX - len(self._parked)
        step = Step(self._deciding, look, min(clock, look.reached), self._flying.keys(), room)
        loaded = await self._load(ready)
        for customer, (known, _) in loaded.items():
            step.customer(customer, known)
        self._parked |= step.parked
        return await self._begin(step, loaded, asked)

    async def _ready(self, reached: int, limit: int) -> list[str]:
        """Customers who are due, but for those of whom all that is due is under way, or has no place free."""
        now = self._now_ms()
        self._parked = {customer: until for customer, until in self._parked.items() if until > now}
        under_way = {customer for customer, known in self._held.items() if not known.waits(reached)}
        passed = self._parked.keys() | under_way
        found = await self._store.due(self._partition, reached, limit + len(passed))
        ready = [customer for customer in found if customer not in passed]
        if not found:
            self.next_due = await self._store.next_due(self._partition)
        return ready[:limit]

    async def _begin(self, step: Step, loaded: Loaded, asked: float) -> list[OutRecord]:
        if step.changed:
            await self._keep({name: loaded[name] for name in step.changed}, step.out)
        fresh = time.monotonic() <= asked + LOOK_MAX_S
        for customer, action, message, endpoint in step.begun:
            self._flying[action.key] = customer
            self._held[customer] = loaded[customer][0]
            if fresh:
                task = asyncio.create_task(self._attempt(customer, message, endpoint))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
            else:
                endpoint.give_back()
                self.made.append(Made(customer, action.key, None))
        return step.out

    async def _attempt(self, customer: str, message: Message, endpoint: Endpoint) -> None:
        result = await endpoint.send(message, self._now_ms)
        endpoint.give_back()
        self.made.append(Made(customer, message.key, result))

    async def settle(self) -> list[OutRecord]:
        """Save what came of attempts that have ended; the decisions to publish."""
        made, self.made = self.made, []
        if not made:
            return []
        loaded = await self._load({one.customer for one in made})
        out: list[OutRecord] = []
        for one in made:
            known = loaded[one.customer][0]
            action = next((action for action in known.actions if action.key == one.key), None)
            if action is not None:
                action.attempting = False
                if one.result is None:
                    action.attempts -= 1
                else:
                    out += self._deciding.ended(one.customer, known, action, one.result)
        await self._keep(loaded, out)
        for one in made:
            self._flying.pop(one.key, None)
        self._held = {customer: self._held[customer] for customer in self._flying.values()}
        return out

    async def note(self, told: Mapping[str, list[Decision]]) -> None:
        """Final decisions that are on the topic: what the store does not know of them is saved."""
        loaded = await self._load(told)
        changed = {
            customer: (known, due)
            for customer, (known, due) in loaded.items()
            if [one for one in told[customer] if self._deciding.note(known, one)]
        }
        if changed:
            await self._keep(changed, [])

    async def landed(self) -> None:
        """Until no attempt is under way."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def _load(self, ids: Iterable[str]) -> Loaded:
        wanted = list(ids)
        absent = [name for name in wanted if name not in self._held]
        stored = await self._store.load(self._partition, absent) if absent else []
        loaded = {name: person.decode(value) for name, value in zip(absent, stored, strict=True)}
        found = {name: self._held.get(name) or loaded[name] for name in wanted}
        return {name: (known, known.due) for name, known in found.items()}

    async def _keep(self, loaded: Loaded, out: list[OutRecord]) -> None:
        await self.save(_stored(loaded), out, self.positions, self.positions, self.clock)


def _stored(loaded: Loaded) -> list[StoredCustomer]:
    found = []
    for name, (known, before) in loaded.items():
        due = known.due
        changed = None if due == before else due
        found.append(StoredCustomer(name, person.encode(known), changed, erased=known.is_erased))
    return found
