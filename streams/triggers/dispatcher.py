"""The steps of one partition of triggers, from changes and due actions to attempts and decisions.

The one rule is the order around an attempt:

1. the customer's memberships are looked up, and the policy decides,
2. a place at the endpoint is taken, and the intent of the attempt is **saved**,
3. the memberships are looked up a last time, with no wait between this look and the attempt; an e-mail has a last look
   of its own before DATA (`streams.triggers.channels.smtp`),
4. the attempt is made if nothing forbids it now; else it is given back, counted, and published as `deferred`,
5. the outcome is saved, with the decision in the outbox.

A slow store delays messages but does not stop them. After a crash between 2 and 5 only that the attempt began is known,
and the decision says so. The steps of a partition run one after the other (`streams.triggers.claim`); the attempts
themselves run beside them.

See also: `streams.triggers.intake` (what happens before an action is due), `streams.triggers.membership_lookup` (the
look-ups), `streams.triggers.action_decisions` (what becomes of a due action), and `streams.triggers.endpoint` (makes
the attempt).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from functools import partial

import msgspec

from rules.definitions.change_data import Data
from streams.errors import StoreFailed
from streams.runtime.checkpoint import Checkpointer, Progress
from streams.runtime.input_merge import MergedBatch
from streams.state.contract import PartitionState, Store, StoredCustomer
from streams.stop import Stop
from streams.triggers import customer_state, decision_log, former_persons, published_decisions
from streams.triggers.action_decisions import FRESH_MS, ActionDecisions, StartedAttempt
from streams.triggers.config import TriggersFile
from streams.triggers.counts import Counts
from streams.triggers.customer_state import Person
from streams.triggers.decision_log import Decision
from streams.triggers.due_step import DueStep
from streams.triggers.endpoint import EndedAttempt, Endpoint
from streams.triggers.former_persons import PersonLook
from streams.triggers.membership_lookup import MembershipLookup, undecided
from streams.triggers.messages import AttemptResult, Outcome
from streams.wire.dead_letters import Undecodable
from streams.wire.records import OutRecord
from streams.wire.topics import TRIGGER_REPLAYS

# The most customers that wait for a place or a decision in memory; further ones are put off in the store.
PARKED_MAX = 1_000

# Customers of one step, each with the due time that it was loaded with.
LoadedPersons = dict[str, tuple[Person, int]]


class Dispatcher:
    """One partition's steps under one claim. ``made``: attempts that have ended, to be settled in the next step."""

    # Triggers skip a record that they cannot read, so none counts for the limit of dead letters.
    dead_letter_load = 0.0

    def __init__(  # noqa: PLR0913 (each is one thing that a step needs)
        self,
        file: TriggersFile,
        endpoints: Mapping[str, Endpoint],
        memberships: MembershipLookup,
        store: Store,
        partition: int,
        fencing_token: str,
        state: PartitionState,
        *,
        now_ms: Callable[[], int],
        counts: Counts | None = None,
        fresh_ms: int = FRESH_MS,
    ) -> None:
        """``fresh_ms``: how far a partition's clock may be behind the wall clock and still count as up to date."""
        self.checkpointer = Checkpointer(store, partition, fencing_token, state)
        self._store = store
        self._partition = partition
        self._memberships = memberships
        self._file = file
        self._now_ms = now_ms
        self.counts = Counts() if counts is None else counts
        self._deciding = ActionDecisions(file, endpoints, now_ms, self.counts, fresh_ms)
        self._flying: dict[str, StartedAttempt] = {}  # attempts under way, by their key
        self._persons: dict[str, Person] = {}  # customers of those attempts, as saved: only this object writes them
        self._parked: dict[str, int] = {}  # customers that wait, and when (ms) to look at them again
        self._furthest = 0  # the latest time (ms) up to which a look found the partition decided
        self._undecided = 0  # how many customers the last look found waiting for a decision
        self._tasks: set[asyncio.Task[None]] = set()
        self.ended: list[EndedAttempt] = []
        self.is_released = False  # attempts under way go on, but the customers' events are no longer read here

    async def process_batch(self, batch: MergedBatch, clock: int, caught_up_until: int = 0) -> list[OutRecord]:
        """Apply a batch, and save. Returns the decisions to publish."""
        events = [decoded for _, _, _, decoded, _ in batch.readings if not isinstance(decoded, Undecodable)]
        loaded = await self._load({event.customer for event in events})
        now, decisions = self._now_ms(), list[Decision]()
        for event in events:
            decisions += self._deciding.arriving.apply(loaded[event.customer][0], event, now)
            self._parked.pop(event.customer, None)  # an action that begins now does not wait for one that waits
        self.counts.decisions.update((decision.trigger, decision.decision) for decision in decisions)
        out = [decision_log.record(decision) for decision in decisions]
        progress = Progress(batch.starts, batch.positions, clock, caught_up_until)
        await self.checkpointer.save(_stored(loaded), out, progress)
        return out

    async def fire(self, clock: int, limit: int) -> list[OutRecord]:
        """Decide actions that are due at or before ``clock`` (ms), of at most ``limit`` customers.

        Begins the attempts that may be made, and returns the records to publish. While the segmenter stands still,
        actions that became due long ago are looked at, too: they may expire, and a long wait is published.
        """
        free = self._deciding.free
        next_due = self.checkpointer.next_due
        if not free or not 0 < next_due <= clock:
            return []
        before = self._furthest
        reached = min(clock, self._checked(await self._memberships.reached(self._partition), before))
        stands_still = next_due > reached or self._deciding.is_old(reached)
        if stands_still and not self._deciding.is_old(next_due):
            return []  # the segmenter will come as far in a moment
        # No more customers than attempts could begin, plus those which wait for a decision: the store returns the
        # oldest due times first, so without the second part those would hide all others.
        ready = await self._ready(clock if stands_still else reached, min(limit, free + self._undecided))
        if not ready:
            return []
        look = PersonLook(undecided(clock, ready), {}) if stands_still else await self._look(ready)
        room = PARKED_MAX - len(self._parked)
        step = DueStep(self._deciding, look, min(clock, look.result.reached), self._flying.keys(), room)
        loaded = await self._load(ready)
        for customer, (person, _) in loaded.items():
            step.customer(customer, person)
        self._parked |= step.parked
        self._undecided = len(step.waiting_customers)
        return await self._begin(step, loaded)

    async def _look(self, ids: Iterable[str]) -> PersonLook:
        before = self._furthest
        names = sorted(ids)
        # Former ids come first, as between the memberships and the attempt there is to be no wait.
        former_ids = self._memberships.former(names)
        former = await former_persons.load(self._store, former_ids)
        look = await self._memberships.look(self._partition, names)
        if self._memberships.former(names) != former_ids:
            former = await former_persons.load(self._store, self._memberships.former(names))
        return PersonLook(msgspec.structs.replace(look, reached=self._checked(look.reached, before)), former)

    def _checked(self, reached: int, before: int) -> int:
        """Up to when (ms) the partition is decided; 0 where that time went back because Redis lost its last writes.

        The lost writes may contain an exit, so nothing is decided until the segmenter has come as far again.
        ``before``: how far it was when Redis was called, as answers of several calls may overtake one another.
        """
        self._furthest = max(self._furthest, reached)
        return reached if reached >= before else 0

    async def _ready(self, reached: int, limit: int) -> list[str]:
        """Customers which are due. Left out are those which wait, and those whose due actions are all under way."""
        now = self._now_ms()
        self._parked = {customer: until for customer, until in self._parked.items() if until > now}
        under_way = {customer for customer, person in self._persons.items() if not person.waits(reached)}
        passed = self._parked.keys() | under_way
        due = await self._store.due(self._partition, reached, limit + len(passed))
        ready = [customer for customer in due if customer not in passed]
        if not due:
            self.checkpointer.next_due = await self._store.next_due(self._partition)
        return ready[:limit]

    async def _begin(self, step: DueStep, loaded: LoadedPersons) -> list[OutRecord]:
        if step.changed:
            await self._keep({name: loaded[name] for name in step.changed}, step.out)
        for attempt in step.started:
            self._flying[attempt.action.key] = attempt
            self._persons[attempt.customer] = loaded[attempt.customer][0]
        if step.started:
            await self._start(step.started)
        return step.out

    async def _start(self, attempts: list[StartedAttempt]) -> None:
        """Make the attempts that a last look allows; it is one look-up for all of them."""
        look = await self._last_look({attempt.customer for attempt in attempts})
        for attempt in attempts:
            against = self._against(attempt, look)
            if against is None and look is not None:
                message = msgspec.structs.replace(attempt.message, data=self._data(attempt, look))
                task = asyncio.create_task(self._attempt(msgspec.structs.replace(attempt, message=message)))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
            else:
                attempt.endpoint.give_back()
                result = AttemptResult(Outcome.GIVEN_BACK, against or "")
                self.ended.append(EndedAttempt(attempt.customer, attempt.action.key, result))

    async def _last_look(self, ids: Iterable[str]) -> PersonLook | None:
        try:
            return await self._look(ids)
        except (StoreFailed, Stop):  # the next step meets it again, and says so
            return None

    def _against(self, attempt: StartedAttempt, look: PersonLook | None) -> str | None:
        if look is None:
            return "the last look failed"
        return self._deciding.against(attempt, self._persons[attempt.customer], look)

    async def _against_now(self, attempt: StartedAttempt) -> str | None:
        look = await self._last_look([attempt.customer])
        # After a release a newer owner may have read events of the customer that are unknown here, such as an erasure.
        if self.is_released:
            return "the partition was released"
        against = self._against(attempt, look)
        if against is None and look is not None and self._data(attempt, look) != attempt.message.data:
            return "what the message is about has changed"
        return against

    def _data(self, attempt: StartedAttempt, look: PersonLook) -> Data:
        """What the message may say of the customer, as of this look."""
        trigger = self._file.steps.get(attempt.action.trigger)
        return {} if trigger is None else self._memberships.data(attempt.customer, trigger.segment, look.result)

    async def _attempt(self, attempt: StartedAttempt) -> None:
        message = msgspec.structs.replace(attempt.message, against=partial(self._against_now, attempt))
        result = await attempt.endpoint.send(message, self._now_ms)
        attempt.endpoint.give_back()
        self.ended.append(EndedAttempt(attempt.customer, attempt.action.key, result))

    async def settle(self) -> list[OutRecord]:
        """Save the outcomes of attempts that have ended. Returns the decisions to publish."""
        ended, self.ended = self.ended, []
        if not ended:
            return []
        loaded = await self._load({attempt.customer for attempt in ended})
        out: list[OutRecord] = []
        for attempt in ended:
            person = loaded[attempt.customer][0]
            action = next((action for action in person.actions if action.key == attempt.key), None)
            if action is not None:
                action.attempting = False
                before = self._flying[attempt.key].before
                out += self._deciding.ended(attempt.customer, person, action, attempt.result, before)
        await self._keep(loaded, out)
        for attempt in ended:
            self._flying.pop(attempt.key, None)
            self._parked.pop(attempt.customer, None)  # another message may have waited for this end
        self._persons = {attempt.customer: self._persons[attempt.customer] for attempt in self._flying.values()}
        return out

    async def note(self, published: Mapping[str, list[Decision]]) -> None:
        """Take in final decisions that are on the topic, and save those that the store does not know."""
        loaded = await self._load(published)
        replays_read, now = self._replays_read, self._now_ms()
        changed: LoadedPersons = {}
        for customer, (person, due) in loaded.items():
            # Each of them is applied, also after one has changed the customer.
            applied = [
                published_decisions.apply(person, decision, self._deciding.arriving.following, replays_read, now)
                for decision in published[customer]
            ]
            if any(applied):
                changed[customer] = (person, due)
        if changed:
            await self._keep(changed, [])

    @property
    def _replays_read(self) -> int:
        positions = self.checkpointer.positions.items()
        return next((position for topic, position in positions if topic.endswith(TRIGGER_REPLAYS)), 0)

    async def landed(self) -> None:
        """Wait until no attempt is under way."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def _load(self, ids: Iterable[str]) -> LoadedPersons:
        wanted = list(ids)
        absent = [name for name in wanted if name not in self._persons]
        stored = await self._store.load(self._partition, absent) if absent else []
        loaded = {name: customer_state.decode(value) for name, value in zip(absent, stored, strict=True)}
        persons = {name: self._persons.get(name) or loaded[name] for name in wanted}
        return {name: (person, person.due) for name, person in persons.items()}

    async def _keep(self, loaded: LoadedPersons, out: list[OutRecord]) -> None:
        await self.checkpointer.save(_stored(loaded), out)


def _stored(loaded: LoadedPersons) -> list[StoredCustomer]:
    stored = []
    for name, (person, before) in loaded.items():
        due = person.due
        changed = None if due == before else due
        stored.append(StoredCustomer(name, customer_state.encode(person), changed, erased=person.is_erased))
    return stored
