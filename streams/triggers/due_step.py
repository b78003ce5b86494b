"""One look at customers that are due: what each of their due actions comes to.

See also: `streams.triggers.action_decisions`, which gives the verdict on each.
"""

from __future__ import annotations

from collections.abc import Container

from streams.triggers import decision_log, policy
from streams.triggers.action_decisions import ActionDecisions, StartedAttempt, Wait
from streams.triggers.customer_state import Action, Person
from streams.triggers.former_persons import PersonLook, joined
from streams.triggers.membership_lookup import MembershipAnswer, Waiting
from streams.wire.records import OutRecord

# An action that waits is looked at again after an eighth of the time since it became due, within these bounds.
WAIT_FIRST_MS, WAIT_MOST_MS = 50, 60_000
# The upper bound for linked ids, which need only a few seconds, also for an action that was due long ago.
WAIT_LINKED_MOST_MS = 5_000
# An action that has waited for longer than this gets a `deferred` decision, which says what it waits for.
WAIT_PUBLISHED_MS = 10_000
# These waits end with an attempt, so they are short and stay in memory.
_SHORT = (Waiting.ENDPOINT, Waiting.ATTEMPT)


class DueStep:
    """The result of one look at due customers.

    ``flying``: keys of attempts that are under way here. ``changed``: customers to be saved; ``started``:
    attempts to be made; ``parked``: customers which wait for a place at an endpoint or for a decision, and until when
    (ms), as far as there is ``room``: these are not saved. ``waiting_customers``: those which wait for a
    decision.
    """

    def __init__(
        self, deciding: ActionDecisions, look: PersonLook, reached: int, flying: Container[str], room: int
    ) -> None:
        self._flying = flying
        self._room = room
        self.parked: dict[str, int] = {}
        self._deciding = deciding
        self._look = look
        self._reached = reached
        self.changed: list[str] = []
        self.out: list[OutRecord] = []
        self.started: list[StartedAttempt] = []
        self.waiting_customers: set[str] = set()

    def customer(self, customer: str, person: Person) -> None:
        """Decide all due actions of a customer, the oldest first; an attempt that begins counts for those after it."""
        standing = self._look.result.of[customer]
        if person.expects_nothing(self._reached):
            self._tell(customer, [])
        for action in sorted(person.actions, key=lambda waiting: (waiting.next_at, waiting.sequence, waiting.trigger)):
            if action.due > self._reached or action.key in self._flying:
                continue
            if action.attempting:
                self._tell(customer, self._deciding.crashed(customer, person, action))
            else:
                self._act(customer, person, action, standing)
        if customer in self.parked:
            self._look_again_for_others(customer, person)

    def _look_again_for_others(self, customer: str, person: Person) -> None:
        """Schedule the next look for the earliest other due action, so that a waiting one does not delay it."""
        now = self._deciding.now_ms()
        for action in person.actions:
            if action.due > self._reached:  # the clock moves as fast as the wall clock: it is there as much later
                self.parked[customer] = min(self.parked[customer], now + action.due - self._reached)

    def _act(self, customer: str, person: Person, action: Action, standing: MembershipAnswer) -> None:
        """Do what the verdict on a due action says: decide it for good, put it off, wait, or begin an attempt."""
        deciding, now = self._deciding, self._deciding.now_ms()
        verdict = deciding.judged(customer, person, self._look.former_of(customer), action, standing, now)
        if not isinstance(verdict, Wait) and policy.exposes(verdict) and not action.exposed_at:
            # Saved at once, as who buys while a message waits for its endpoint stays in the arm.
            action.exposed_at = now
            self._tell(customer, [])
        match verdict:
            case policy.Skip(reason):
                self._tell(customer, deciding.decide(customer, person, action, decision_log.unsent(action), reason))
            case policy.Defer(until, reason):
                action.send_at = until
                self._tell(customer, deciding.decide(customer, person, action, "deferred", reason, until))
            case policy.Behind():
                deciding.counts.wait(Waiting.PRIORITY)
                action.behind, action.send_at = verdict.rival, verdict.send_at
                self._tell(customer, deciding.put_off(customer, action, verdict.reason, verdict.until))
            case policy.Occupied():
                self._wait(customer, action, Waiting.ATTEMPT, now, now + policy.RIVAL_LOOK_MS)
            case Wait(waiting):
                self.waiting_customers.add(customer)
                most = WAIT_LINKED_MOST_MS if waiting is Waiting.LINKED_ID else WAIT_MOST_MS
                after = min(max((now - action.next_at) // 8, WAIT_FIRST_MS), most)
                self._wait(customer, action, waiting, now, now + after)
            case policy.Go():
                self._go(customer, person, action, now)

    def _wait(self, customer: str, action: Action, waiting: Waiting, now: int, until: int) -> None:
        """Look again at ``until`` (ms): a new wait stays in memory if there is room, a long one is published."""
        self._deciding.counts.wait(waiting)
        is_new = now - action.next_at < WAIT_PUBLISHED_MS
        if (is_new or waiting in _SHORT) and len(self.parked) < self._room:
            self.parked[customer] = min(until, self.parked.get(customer, until))
        elif is_new:
            action.look_at = until
            self._tell(customer, [])
        else:
            self._tell(customer, self._deciding.put_off(customer, action, waiting.value, until))

    def _go(self, customer: str, person: Person, action: Action, now: int) -> None:
        endpoint = self._deciding.endpoint_of(action)
        if endpoint.is_gone:
            out = self._deciding.decide(customer, person, action, "failed", "the endpoint is gone", dead=True)
            self._tell(customer, out)
            return
        come_back = endpoint.take(now)
        if come_back:
            self._wait(customer, action, Waiting.ENDPOINT, now, come_back)
            return
        # Saved before the attempt is made: after a crash it counts as one that may have arrived.
        before = person.sent_as(action.key)
        action.attempting = True
        action.attempts += 1
        action.first_at = action.first_at or now
        action.look_at, action.waits_for, action.behind = 0, "", ""
        person.sends(action, self._deciding.arriving.channel_of(action), now)
        self._tell(customer, [])
        message = self._deciding.message(customer, joined(person, self._look.former_of(customer)), action)
        self.started.append(StartedAttempt(customer, action, message, endpoint, before))

    def _tell(self, customer: str, out: list[OutRecord]) -> None:
        self.out += out
        if not self.changed or self.changed[-1] != customer:
            self.changed.append(customer)
