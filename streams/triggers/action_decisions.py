"""Decides what becomes of actions that are due, and of attempts that have ended.

The one rule: an action that ends has exactly one final decision, and leaves a dead letter where it failed.
This module neither waits nor saves; the dispatcher does both.

See also: `streams.triggers.policy` (the verdict on a due action), `streams.triggers.dispatcher` (which carries the
verdict out), and `streams.triggers.decision_log` (the published form).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import msgspec

from streams.triggers import decision_log, policy, retries
from streams.triggers.config import Step, TriggersFile
from streams.triggers.counts import Counts
from streams.triggers.customer_state import Action, Person, SentMessage
from streams.triggers.decision_log import DecisionKind
from streams.triggers.endpoint import Endpoint
from streams.triggers.former_persons import PersonLook, joined
from streams.triggers.intake import ERASED, FIRST_NOT_SENT, TriggerIntake, contact
from streams.triggers.membership_lookup import MembershipAnswer, Waiting, why_ended
from streams.triggers.messages import AttemptResult, Message, Outcome
from streams.wire.records import OutRecord

# A partition counts as decided up to now if its clock is at most this much, plus the grace, behind the wall clock.
# A worker saves its clock each second.
FRESH_MS = 10_000
_CRASHED = AttemptResult(Outcome.UNKNOWN, "the worker ended during an attempt")


class Wait(msgspec.Struct, frozen=True):
    """The verdict that a due action must wait."""

    reason: Waiting


class StartedAttempt(msgspec.Struct, frozen=True):
    """An attempt whose intent is saved.

    ``before``: the message of its action that counted as sent until then, if there was one.
    """

    customer: str
    action: Action
    message: Message
    endpoint: Endpoint
    before: SentMessage | None


class ActionDecisions:
    """Decides under one triggers file; ``endpoints`` by the key of their channel."""

    def __init__(
        self,
        file: TriggersFile,
        endpoints: Mapping[str, Endpoint],
        now_ms: Callable[[], int],
        counts: Counts,
        fresh_ms: int = FRESH_MS,
    ) -> None:
        """``fresh_ms``: how far a partition's clock may be behind the wall clock and still count as up to date."""
        self.arriving = TriggerIntake(file)
        self.counts = counts
        self._fresh_ms = fresh_ms
        self.now_ms = now_ms
        self._file = file
        self._endpoints = endpoints

    @property
    def free(self) -> int:
        """Attempts that could begin now, over all channels. Looking up more customers than that would be wasted."""
        return sum(endpoint.free for endpoint in self._endpoints.values())

    def is_old(self, time: int) -> bool:
        """Whether a partition that is decided up to this time (ms) is no longer up to date."""
        return self.now_ms() - time > self._fresh_ms

    def ended(
        self, customer: str, person: Person, action: Action, result: AttemptResult, before: SentMessage | None = None
    ) -> list[OutRecord]:
        """Decide what becomes of an action after an attempt; ``before``: see `StartedAttempt`."""
        now = self.now_ms()
        channel = self.arriving.channel_of(action)
        if not channel:
            return self.decide(customer, person, action, "failed", "the trigger was removed during an attempt")
        action.uncertain = action.uncertain or result.outcome is Outcome.UNKNOWN
        end = retries.of(self._endpoints[channel].config, action, result, now)
        if end.kind == "deferred":
            person.gives_back(action, before)
            self.counts.given_back[action.trigger,] += 1
            return self.put_off(customer, action, end.reason or "", end.until)
        is_known = action.trigger in person.acted or action.occurred_at <= person.erased
        if end.kind in decision_log.REACHED and not is_known:
            person.acted.append(action.trigger)
        return self.decide(customer, person, action, end.kind, end.reason, end.until, dead=end.is_dead)

    def crashed(self, customer: str, person: Person, action: Action) -> list[OutRecord]:
        """Decide what becomes of an attempt of a former owner: only that it began is stored, not how it ended."""
        action.attempting = False
        return self.ended(customer, person, action, _CRASHED)

    def decide(
        self, customer: str, person: Person, action: Action, kind: DecisionKind, reason: str | None, until: int = 0, *,
        dead: bool = False,
    ) -> list[OutRecord]:  # fmt: skip
        """Make a decision: the records to publish. A final decision removes the action from the customer."""
        now = self.now_ms()
        decision = decision_log.of(customer, action, self.arriving.step_of(action), kind, now, reason, until)
        self.counts.decisions[action.trigger, kind] += 1
        if kind in ("retried", "skipped", "failed"):
            person.was_not_sent(action)
        if kind == "failed":
            person.fails(action.key)
        if not decision.is_final:
            action.next_at, action.look_at, action.waits_for = until, 0, ""
            return [decision_log.record(decision)]
        person.actions.remove(action)
        letters = [decision_log.letter(decision, action.change)] if dead else []
        has_reached = kind in decision_log.REACHED and action.occurred_at > person.erased
        after = self._follow(customer, person, action, now if has_reached else None, now)
        event = decision_log.message_event(decision) if self._file.events else None
        events = [] if event is None or action.occurred_at <= person.erased else [event]
        return [decision_log.record(decision), *letters, *events, *after]

    def _follow(self, customer: str, person: Person, action: Action, sent_at: int | None, now: int) -> list[OutRecord]:
        """Go on in a series after the end of one of its messages: the records to publish."""
        decisions = list(self.arriving.follow(customer, person, action, sent_at, now))
        self.counts.decisions.update((decision.trigger, decision.decision) for decision in decisions)
        return [decision_log.record(decision) for decision in decisions]

    def put_off(self, customer: str, action: Action, reason: str, until: int) -> list[OutRecord]:
        """Put the next look off to ``until`` (ms). Returns a `deferred` record, unless the reason is unchanged."""
        action.look_at = until
        if reason == action.waits_for:
            return []
        action.waits_for = reason
        step = self.arriving.step_of(action)
        self.counts.decisions[action.trigger, "deferred"] += 1
        decision = decision_log.of(customer, action, step, "deferred", self.now_ms(), reason, until)
        return [decision_log.record(decision)]

    def message(self, customer: str, person: Person, action: Action) -> Message:
        """The message that a channel is given for an attempt of this action."""
        step = self.arriving.step_of(action)
        return Message(
            key=action.key,
            trigger=action.trigger,
            customer=customer,
            raw=action.change,
            contact=contact(self._file, person),
            attempted_ms=self.now_ms(),
            variant="" if step is None else step.variant_of(customer),
        )

    def judged(
        self,
        customer: str,
        person: Person,
        former: Sequence[Person],
        action: Action,
        standing: MembershipAnswer,
        now: int,
    ) -> policy.Verdict | Wait:
        """The verdict on an action that is due: first by the customer's memberships, then by the policy.

        ``former``: what is known of the customer's former ids, which the policy regards, too.
        """
        if action.occurred_at <= person.erased:
            return policy.Skip(ERASED, is_exposure=False)
        if action.is_void:
            return policy.Skip(FIRST_NOT_SENT, is_exposure=False)
        trigger = self.arriving.step_of(action)
        # An action that became due long ago needs memberships of now, not of its due time, under all linked ids.
        # Each step from one linked id to the next may take as long as the first.
        oldest = now - self._fresh_ms * (1 + standing.steps)
        waiting = standing.waiting(max(person.sequence, action.sequence), max(action.next_at, oldest))
        if waiting is not None:
            over = policy.over(trigger, action, now)
            return Wait(waiting) if over is None else policy.Skip(over, is_exposure=False)
        gone = None if trigger is None else not_any_more(trigger, action, standing)
        if gone is not None:
            return policy.Skip(gone, is_exposure=False)
        return policy.decide(self._file, customer, joined(person, former), action, now)

    def against(self, attempt: StartedAttempt, person: Person, look: PersonLook) -> str | None:
        """Why a last look forbids an attempt that is about to be made; ``None``: it may be made."""
        action = attempt.action
        customer, reached = attempt.customer, look.result.reached
        if reached < action.next_at or self.is_old(reached):
            return Waiting.SEGMENTER.value
        former = look.former_of(customer)
        verdict = self.judged(customer, person, former, action, look.result.of[customer], self.now_ms())
        match verdict:
            case policy.Go():
                return None
            case Wait(reason):
                return reason.value
            case policy.Occupied():
                return Waiting.ATTEMPT.value
            case _:
                return verdict.reason

    def endpoint_of(self, action: Action) -> Endpoint:
        """The endpoint of an action whose trigger is still in the file."""
        return self._endpoints[self.arriving.channel_of(action)]


def not_any_more(step: Step, action: Action, standing: MembershipAnswer) -> str | None:
    """Why the customer's memberships forbid a message; ``None``: they do not."""
    if step.if_ended != "send":
        gone = why_ended(step.segment, step.on, action.occurred_at, standing)
    else:
        gone = "known under another id now" if standing.is_gone else None
    if gone is not None:
        return gone
    return next((str(test) for test in step.unless if (test.segment in standing.since) == test.is_in), None)
