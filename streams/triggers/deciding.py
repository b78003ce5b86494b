"""Deciding: what becomes of actions that are due, and of attempts that have ended.

The one rule: an action that ends has exactly one final decision, and leaves a dead letter where it failed.
Nothing here waits or is saved; who calls it does both.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Container, Mapping

from rules.times import parse_instant
from streams.outbox import OutRecord
from streams.triggers import decisions, outcomes, policy
from streams.triggers.arriving import ERASED, Arriving, contact
from streams.triggers.channels.base import Message, Outcome, Result
from streams.triggers.config import TriggersFile
from streams.triggers.decisions import Decision, Kind
from streams.triggers.endpoints import Endpoint
from streams.triggers.person import Action, Person, Sent
from streams.triggers.standings import Look, Standing

_CRASHED = Result(Outcome.UNKNOWN, "the worker ended during an attempt")


class Deciding:
    """Decides under one triggers file; ``endpoints`` by the key of their channel."""

    def __init__(
        self,
        file: TriggersFile,
        endpoints: Mapping[str, Endpoint],
        now_ms: Callable[[], int],
        counts: Counter[tuple[str, str]],
    ) -> None:
        self.arriving = Arriving(file)
        self._counts = counts
        self.now_ms = now_ms
        self._file = file
        self._endpoints = endpoints

    @property
    def free(self) -> int:
        """Attempts that could begin now, over all channels: of no more customers a look is worth while."""
        return sum(endpoint.free for endpoint in self._endpoints.values())

    def ended(self, customer: str, known: Person, action: Action, result: Result) -> list[OutRecord]:
        """What the end of an attempt makes of its action."""
        now = self.now_ms()
        channel = self.arriving.channel_of(action)
        if not channel:
            return self.decide(customer, known, action, "failed", "the trigger was removed during an attempt")
        action.uncertain = action.uncertain or result.outcome is Outcome.UNKNOWN
        end = outcomes.of(self._endpoints[channel].way, action, result, now)
        is_known = action.trigger in known.acted or action.occurred_at <= known.erased
        if end.kind in ("sent", "unknown, not sent") and not is_known:
            known.acted.append(action.trigger)
        return self.decide(customer, known, action, end.kind, end.reason, end.until, dead=end.is_dead)

    def crashed(self, customer: str, known: Person, action: Action) -> list[OutRecord]:
        """An attempt of a former owner, of which nobody knows more than that it began."""
        action.attempting = False
        return self.ended(customer, known, action, _CRASHED)

    def decide(
        self, customer: str, known: Person, action: Action, kind: Kind, reason: str | None, until: int = 0, *,
        dead: bool = False,
    ) -> list[OutRecord]:  # fmt: skip
        """The records of a decision; with a final one the action ends."""
        channel = self.arriving.channel_of(action)
        decision = decisions.of(customer, action, channel, kind, self.now_ms(), reason, until)
        self._counts[action.trigger, kind] += 1
        if not decision.is_final:
            action.next_at = until
            return [decisions.record(decision)]
        known.actions.remove(action)
        if kind in ("skipped", "failed"):
            known.was_not_sent(action)
        letters = [decisions.letter(decision, action.change)] if dead else []
        return [decisions.record(decision), *letters]

    def note(self, known: Person, decision: Decision) -> bool:
        """A final decision that is on the topic; whether it was news."""
        if decision.key in known.told:
            return False
        if decision.sequence > known.sequence:
            known.told.append(decision.key)  # its change is to be read again
        else:
            action = next((one for one in known.actions if one.key == decision.key), None)
            if action is None:
                return False
            known.actions.remove(action)
        is_erased = (parse_instant(decision.occurred_at) or 0) <= known.erased
        if decision.decision in ("sent", "unknown, not sent") and not is_erased:
            sent_at = parse_instant(decision.at) or 0
            known.sent.append(Sent(sent_at, decision.trigger, decision.channel, decision.key))
            known.acted.append(decision.trigger)
        return True

    def message(self, customer: str, known: Person, action: Action) -> Message:
        """What its channel is given for an attempt."""
        return Message(
            key=action.key,
            trigger=action.trigger,
            customer=customer,
            raw=action.change,
            contact=contact(self._file, known),
            attempted_ms=self.now_ms(),
        )

    def judged(self, customer: str, known: Person, action: Action, standing: Standing, now: int) -> policy.Verdict:
        """The last word on an action that is due: by where the customer is, then by the policy."""
        if action.occurred_at <= known.erased:
            return policy.Skip(ERASED)
        trigger = self._file.triggers.get(action.trigger)
        if trigger is not None:
            gone = left(trigger.segment, trigger.on, action.occurred_at, standing)
            if gone is not None:
                return policy.Skip(gone)
        return policy.decide(self._file, customer, known, action, now)

    def endpoint_of(self, action: Action) -> Endpoint:
        """Of an action whose trigger there is."""
        return self._endpoints[self.arriving.channel_of(action)]


class Step:
    """What one look at due customers comes to.

    ``flying``: keys of attempts that are under way here. ``changed``: who is to be saved; ``begun``: attempts
    to be made; ``parked``: who waits for a place at an endpoint, and until when (ms), as far as there is
    ``room``: their time is not moved.
    """

    def __init__(self, deciding: Deciding, look: Look, reached: int, flying: Container[str], room: int) -> None:
        self._flying = flying
        self._room = room
        self.parked: dict[str, int] = {}
        self._deciding = deciding
        self._look = look
        self._reached = reached
        self.changed: list[str] = []
        self.out: list[OutRecord] = []
        self.begun: list[tuple[str, Action, Message, Endpoint]] = []

    def customer(self, customer: str, known: Person) -> None:
        """Every action of a customer that is due, the oldest first; a message that begins counts for the next."""
        standing = self._look.of[customer]
        for action in sorted(known.actions, key=lambda one: (one.next_at, one.sequence, one.trigger)):
            if action.next_at > self._reached or action.key in self._flying:
                continue
            if action.attempting:
                self._tell(customer, self._deciding.crashed(customer, known, action))
            elif standing.is_decided:
                self._act(customer, known, action, standing)

    def _act(self, customer: str, known: Person, action: Action, standing: Standing) -> None:
        deciding = self._deciding
        now = deciding.now_ms()
        verdict = deciding.judged(customer, known, action, standing, now)
        match verdict:
            case policy.Skip(reason):
                kind: Kind = "unknown, not sent" if action.uncertain else "skipped"
                self._tell(customer, deciding.decide(customer, known, action, kind, reason))
            case policy.Defer(until, reason):
                action.send_at = until
                self._tell(customer, deciding.decide(customer, known, action, "deferred", reason, until))
            case policy.Go():
                self._go(customer, known, action, now)

    def _go(self, customer: str, known: Person, action: Action, now: int) -> None:
        endpoint = self._deciding.endpoint_of(action)
        if endpoint.is_gone:
            reason = "the endpoint is gone"
            self._tell(customer, self._deciding.decide(customer, known, action, "failed", reason, dead=True))
            return
        come_back = endpoint.take(now)
        if come_back and len(self.parked) < self._room:
            self.parked[customer] = come_back
            return
        if come_back:
            action.next_at = come_back
            self._tell(customer, [])
            return
        action.attempting = True
        action.attempts += 1
        action.first_at = action.first_at or now
        known.sends(action, self._deciding.arriving.channel_of(action), now)
        self._tell(customer, [])
        self.begun.append((customer, action, self._deciding.message(customer, known, action), endpoint))

    def _tell(self, customer: str, out: list[OutRecord]) -> None:
        self.out += out
        if not self.changed or self.changed[-1] != customer:
            self.changed.append(customer)


def left(segment: str, on: str, occurred_at: int, standing: Standing) -> str | None:
    """Whether the stay, or absence, that a change began has ended since."""
    since = standing.since.get(segment)
    if on == "exited":
        return None if since is None else "came back meanwhile"
    if since is None:
        return "left meanwhile"
    return "left meanwhile and came back" if since > occurred_at else None
