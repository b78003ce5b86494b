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
from streams.triggers.config import Trigger, TriggersFile, Where
from streams.triggers.customer_state import ACTIONS_MAX, Action, Person
from streams.triggers.decision_log import Decision
from streams.triggers.inputs import ChangeInput, is_change_input
from streams.triggers.traits import Trait, shortened

ERASED = "erased"
SENT_SINCE = "sent since it failed, or it may have been"


class TriggerIntake:
    """Applies input events under one triggers file."""

    def __init__(self, file: TriggersFile) -> None:
        self._file = file
        self._traits = file.traits
        self._of: dict[tuple[str, str], list[tuple[str, Trigger]]] = {}
        for key, trigger in file.triggers.items():
            self._of.setdefault((trigger.segment, trigger.on), []).append((key, trigger))

    def apply(self, person: Person, event: Event, now: int) -> list[Decision]:
        """Apply an event. Returns the decisions that can be made at once."""
        if is_change_input(event):
            return list(self._change_input(person, event, now))
        if event.time <= person.erased:
            return []
        if event.name == ERASE:
            return [
                decision_log.of(
                    event.customer, action, self.channel_of(action), decision_log.unsent(action), now, ERASED
                )
                for action in person.forget(event.time)
            ]
        # Only the traits that the file names are stored; each has the value of the newest event by time and id.
        fields = event.traits.fields
        names = self._traits & fields.keys()
        person.set_traits({name: Trait(event.time, event.id, shortened(fields[name])) for name in names})
        return []

    def _change_input(self, person: Person, change_input: ChangeInput, now: int) -> Iterator[Decision]:
        change = change_input.change
        if change_input.trigger is None:
            if change.sequence <= person.sequence:
                return
            person.sequence = change.sequence
        for key, trigger in self._of.get((change.segment, change.change), ()):
            if change_input.trigger not in (None, key):
                continue
            action = Action(
                key, change.change_id, change.sequence, change_input.occurred_at, change_input.value,
                send_at=change_input.occurred_at + trigger.delay, next_at=change_input.occurred_at + trigger.delay,
                redelivery=change_input.redelivery,
            )  # fmt: skip
            yield from self._begin(person, change_input, trigger, action, now)

    def _begin(
        self, person: Person, change_input: ChangeInput, trigger: Trigger, action: Action, now: int
    ) -> Iterator[Decision]:
        customer = change_input.customer
        if action.round_key in person.awaited:
            person.awaited.remove(action.round_key)
            return
        if change_input.redelivery is not None:
            if any(earlier.key == action.key for earlier in person.actions):
                return  # the message is pending already
            action.send_at = action.next_at = change_input.time
        against = _reason_against(person, trigger, action, change_input)
        if against is not None:
            yield decision_log.of(customer, action, trigger.channel, "skipped", now, against)
            return
        waiting = [other for other in person.actions if not other.attempting]
        if len(waiting) >= ACTIONS_MAX:
            oldest = min(waiting, key=lambda other: other.sequence)
            person.actions.remove(oldest)
            channel = self.channel_of(oldest)
            reason = "crowded out by newer changes"
            yield decision_log.of(customer, oldest, channel, decision_log.unsent(oldest), now, reason)
        person.actions.append(action)

    def channel_of(self, action: Action) -> str:
        """The key of an action's channel; "" where the trigger was removed from the file."""
        trigger = self._file.triggers.get(action.trigger)
        return "" if trigger is None else trigger.channel


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
