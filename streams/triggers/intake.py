"""Applies an input event to the state of its customer. Pure: the current time is an argument.

The one rule: applying is idempotent. A change that was read before is known by its sequence, and does nothing.

See also: `streams.triggers.customer_state` (the state), and `streams.triggers.dispatcher` (which takes the steps in
which actions become due).
"""

from __future__ import annotations

from collections.abc import Iterator

from rules.event_names import ERASE
from rules.events import Event
from rules.values import text
from streams.triggers import decision_log
from streams.triggers.config import Step, Trigger, TriggersFile, Where
from streams.triggers.customer_state import ACTIONS_MAX, Action, Person
from streams.triggers.decision_log import Decision, DecisionKind
from streams.triggers.inputs import ChangeInput, is_change_input
from streams.triggers.traits import CONTEXT_TIMEZONE, stored

ERASED = "erased"
FIRST_NOT_SENT = "the message before it was not sent"
SENT_SINCE = "sent since it failed, or it may have been"


class TriggerIntake:
    """Applies input events under one triggers file."""

    def __init__(self, file: TriggersFile) -> None:
        self._file = file
        self._traits = file.traits
        self._of: dict[tuple[str, str], list[tuple[str, Step]]] = {}
        for key, step in file.steps.items():
            self._of.setdefault((step.segment, step.on), []).append((key, step))

    def apply(self, person: Person, event: Event, now: int) -> list[Decision]:
        """Apply an event. Returns the decisions that can be made at once."""
        if is_change_input(event):
            return list(self._change_input(person, event, now))
        if event.time <= person.erased:
            return []
        if event.name == ERASE:
            return self._forget(person, event, now)
        # Only the traits that the file names are stored; each has the value of the newest event by time and id.
        fields = event.traits.fields
        names = self._traits & fields.keys()
        traits = {name: stored(event.time, event.id, fields[name]) for name in names}
        if self._file.asks_for_hour and (timezone := event.context.timezone) is not None:
            traits[CONTEXT_TIMEZONE] = stored(event.time, event.id, timezone)
        person.set_traits(traits)
        return []

    def _forget(self, person: Person, erasure: Event, now: int) -> list[Decision]:
        decisions = []
        for action in person.forget(erasure.time):
            decisions.append(self._ends(erasure.customer, action, decision_log.unsent(action), now, ERASED))
            following = self.following(action, now)
            if following is not None:
                decisions.append(self._ends(erasure.customer, following, "skipped", now, ERASED))
        return decisions

    def _change_input(self, person: Person, change_input: ChangeInput, now: int) -> Iterator[Decision]:
        change = change_input.change
        if change_input.trigger is None:
            if change.sequence <= person.sequence:
                return
            person.sequence = change.sequence
        for key, step in self._of.get((change.segment, change.change), ()):
            # A change begins first messages alone; a redelivery begins the message that it names.
            begins = key == step.of if change_input.trigger is None else key == change_input.trigger
            if not begins:
                continue
            action = Action(
                key, change.change_id, change.sequence, change_input.occurred_at, change_input.value,
                send_at=change_input.occurred_at + step.delay, next_at=change_input.occurred_at + step.delay,
                redelivery=change_input.redelivery,
            )  # fmt: skip
            yield from self._begin(person, change_input, step, action, now)

    def _begin(
        self, person: Person, change_input: ChangeInput, step: Step, action: Action, now: int
    ) -> Iterator[Decision]:
        customer = change_input.customer
        if action.round_key in person.awaited:
            person.awaited.remove(action.round_key)
            sent = person.sent_as(action.key)
            sent_at = None if sent is None or sent.is_failed else sent.time
            yield from self.follow(customer, person, action, sent_at, now)
            return
        if change_input.redelivery is not None:
            if any(earlier.key == action.key for earlier in person.actions):
                return  # the message is pending already
            action.send_at = action.next_at = change_input.time
        against = _reason_against(person, step, action, change_input)
        if against is not None:
            yield self._ends(customer, action, "skipped", now, against)
            yield from self.follow(customer, person, action, None, now)
            return
        waiting = [other for other in person.actions if not other.attempting]
        if len(waiting) >= ACTIONS_MAX:
            oldest = min(waiting, key=lambda other: other.sequence)
            person.actions.remove(oldest)
            yield self._ends(customer, oldest, decision_log.unsent(oldest), now, "crowded out by newer changes")
            yield from self.follow(customer, person, oldest, None, now)
        person.actions.append(action)

    def follow(
        self, customer: str, person: Person, action: Action, sent_at: int | None, now: int
    ) -> Iterator[Decision]:
        """Begin the message of a series that comes after this one, where it was sent or may have been at ``sent_at``.

        ``None``: it was not, so the one after it is decided, too.
        """
        following = self.following(action, sent_at or now)
        if following is None:
            return
        if following.round_key in person.awaited:
            person.awaited.remove(following.round_key)
        elif sent_at is not None:
            person.actions.append(following)
        else:
            yield self._ends(customer, following, "skipped", now, FIRST_NOT_SENT)

    def following(self, action: Action, sent_at: int) -> Action | None:
        """The message of a series that comes after this one; ``None``: there is none."""
        step = self._file.steps.get(action.trigger)
        if step is None or step.next_step is None:
            return None
        due = sent_at + self._file.steps[step.next_step].delay
        return Action(
            step.next_step, action.change_id, action.sequence, action.occurred_at, action.change,
            send_at=due, next_at=due, redelivery=action.redelivery,
        )  # fmt: skip

    def _ends(self, customer: str, action: Action, kind: DecisionKind, now: int, reason: str) -> Decision:
        """A final decision on an action which is not attempted any more."""
        step = self.step_of(action)
        return decision_log.of(customer, action, step, kind, now, reason)

    def step_of(self, action: Action) -> Step | None:
        """The message of the file that an action is to send; ``None``: it was removed from the file."""
        return self._file.steps.get(action.trigger)

    def channel_of(self, action: Action) -> str:
        """The key of an action's channel; "" where the trigger was removed from the file."""
        step = self.step_of(action)
        return "" if step is None else step.channel


def _reason_against(person: Person, trigger: Trigger, action: Action, change_input: ChangeInput) -> str | None:
    """Why a change, or its redelivery, starts no message; ``None``: it starts one."""
    if change_input.occurred_at <= person.erased or change_input.change.cause.kind == "erasure":
        return ERASED
    if change_input.redelivery is not None:
        return SENT_SINCE if person.was_sent(action.key) else None
    return reason_against(trigger, change_input)


def reason_against(trigger: Trigger, change_input: ChangeInput) -> str | None:
    """Why a change of the trigger's segment does not start it; ``None``: it does."""
    change, where = change_input.change, trigger.where
    if change.cause.kind == "merge" and change.change == "exited":
        return "merged"  # the customer did not leave: it is known under another id now
    if change.backfill and not trigger.backfill:
        return "backfill"
    if where.late is not None and change.late != where.late:
        return "late" if change.late else "not late"
    if where.cause is not None and change.cause.kind not in where.cause:
        return f"caused by {change.cause.kind}"
    return _membership(where, frozenset(change.segments))


def _membership(where: Where, segments: frozenset[str]) -> str | None:
    absent = next((key for key in where.also_in if key not in segments), None)
    present = next((key for key in where.not_in if key in segments), None)
    if absent is not None:
        return f"not in {absent}"
    return None if present is None else f"in {present}"


def contact(file: TriggersFile, person: Person) -> dict[str, str]:
    """The contact data for messages: the file's names with the customer's traits as texts, where there are any."""
    texts = {name: text(person.trait(trait)) for name, trait in file.contact.items()}
    return {name: value for name, value in texts.items() if value is not None}
