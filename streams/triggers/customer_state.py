"""What triggers remember of a customer: traits for messages, actions on their way, messages sent.

The one rule: all of it is one stored value, saved together with the positions and the decisions of its
step; what is not in it, or on the topics, is not known after a crash.

Bounds: the newest 64 actions that wait (an older one is decided as ``crowded out``; attempts under way are beside
them, as many as channels make at one time), messages of the last 366 days and of those the newest 512, texts of traits
up to 1,024 characters.
"""

from __future__ import annotations

from typing import Any

import msgspec

from rules.reasons import Instant
from streams.triggers.config import LOOK_BACK_MAX_MS

ACTIONS_MAX = 64
SENT_MAX = 512
TRAIT_MAX_CHARS = 1_024


class Trait(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What identify told of a trait last, by (time, message id); ``None``: it was taken back."""

    time: int
    id: str
    value: Any


class Redelivery(msgspec.Struct, frozen=True, gc=False):
    """The record of ``trigger-replays`` by which a message that failed is tried again: its offset and its time."""

    offset: int
    at: Instant


def round_key(key: str, redelivery: Redelivery | None) -> str:
    """The idempotency key of the attempts up to one final decision; each redelivery begins a round of its own."""
    return key if redelivery is None else f"{key} redelivered {redelivery.offset} {redelivery.at}"


class Action(msgspec.Struct, array_like=True, gc=False):
    """A change that starts a message, until its final decision. Times in ms.

    ``send_at``: when it is to be sent; ``next_at``: it is due then, and all up to then must be decided before.
    ``attempts`` were begun, the first at ``first_at``; ``attempting``: the outcome of the last is not known yet.
    ``uncertain``: it is unknown of some attempt whether it arrived. ``look_at``: when it is looked at again, as it
    waits for something; ``waits_for``: for what, as it was published last; ``behind``: the key of another message that
    goes before it. ``redelivery``: it failed before, and is tried again.
    """

    trigger: str
    change_id: str
    sequence: int
    occurred_at: int
    change: bytes
    send_at: int
    next_at: int
    attempts: int = 0
    first_at: int = 0
    attempting: bool = False
    uncertain: bool = False
    look_at: int = 0
    waits_for: str = ""
    behind: str = ""
    redelivery: Redelivery | None = None

    @property
    def due(self) -> int:
        """When to look at it next."""
        return max(self.next_at, self.look_at)

    @property
    def key(self) -> str:
        """The idempotency key: the same for each attempt, whoever makes it."""
        return f"{self.change_id}-{self.trigger}"

    @property
    def round_key(self) -> str:
        """The round key of the present round; see `round_key`."""
        return round_key(self.key, self.redelivery)


class Sent(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A message, dated by its newest attempt: one that is under way, or that reached the customer or may have.

    ``is_failed``: all attempts were made and failed, so it may be redelivered.
    """

    time: int
    trigger: str
    channel: str
    key: str
    is_failed: bool = False


class Person(msgspec.Struct, array_like=True, gc=False):
    """A customer as triggers know it.

    ``sequence``: of the newest change that was read. ``acted``: triggers that have, or may have, sent something, ever.
    ``awaited``: round keys of final decisions that are on the topic although their change, or the record that asks for
    a redelivery, is to be read again; where everything up to ``awaited_until`` (ms) is read, none of them is any more.
    ``erased`` (ms): when everything known of the customer was erased; nothing at or before it counts. 0 = never.
    """

    sequence: int = 0
    traits: dict[str, Trait] = {}
    actions: list[Action] = []
    sent: list[Sent] = []
    acted: list[str] = []
    awaited: list[str] = []
    erased: int = 0
    awaited_until: int = 0

    @property
    def is_erased(self) -> bool:
        """Whether nothing is left of the customer but the erasure."""
        return self.erased > 0 and not (self.traits or self.actions or self.sent or self.acted or self.awaited)

    def forget(self, at: int) -> list[Action]:
        """Erase all that is known, but for attempts that are under way; the actions that end by it."""
        self.erased = at
        self.traits, self.sent, self.acted = {}, [], []
        ended = [action for action in self.actions if not action.attempting]
        self.actions = [action for action in self.actions if action.attempting]
        return ended

    @property
    def due(self) -> int:
        """When to look at the customer next; 0: never."""
        times = [action.due for action in self.actions]
        if self.awaited and self.awaited_until:
            times.append(self.awaited_until)
        return min(times, default=0)

    def expects(self, key: str, until: int) -> None:
        """What a round key is of will be read again, by ``until`` (ms) if it is still there."""
        self.awaited.append(key)
        self.awaited_until = max(self.awaited_until, until)

    def expects_nothing(self, read_to: int) -> bool:
        """Whether everything is read (ms) in which something was expected; then it is not expected any more."""
        is_over = bool(self.awaited) and 0 < self.awaited_until <= read_to
        if is_over:
            self.awaited, self.awaited_until = [], 0
        return is_over

    def waits(self, now: int) -> bool:
        """Whether an action is due by then of which no attempt is under way."""
        return any(action.due <= now and not action.attempting for action in self.actions)

    @property
    def under_way(self) -> set[str]:
        """Keys of messages of which an attempt is under way."""
        return {action.key for action in self.actions if action.attempting}

    def set_trait(self, name: str, trait: Trait) -> None:
        """Set a trait: the last writer by event time wins; of one event in another order the same stands."""
        current = self.traits.get(name)
        if current is None or (trait.time, trait.id) > (current.time, current.id):
            self.traits[name] = trait

    def trait(self, name: str) -> Any:
        """The value of a trait; ``None``: there is none."""
        trait = self.traits.get(name)
        return None if trait is None else trait.value

    def sends(self, action: Action, channel: str, now: int) -> None:
        """An attempt begins: it counts as a message of now, once for all attempts of an action."""
        others = [sent for sent in self.sent if sent.key != action.key and sent.time > now - LOOK_BACK_MAX_MS]
        self.sent = [*others[-SENT_MAX + 1 :], Sent(now, action.trigger, channel, action.key)]

    def sent_as(self, key: str) -> Sent | None:
        """The message of an action, if one counts."""
        return next((sent for sent in self.sent if sent.key == key), None)

    def counts(self, sent: Sent) -> None:
        """A message that counts from now on, once for all attempts."""
        self.sent = [*(other for other in self.sent if other.key != sent.key), sent][-SENT_MAX:]
        if sent.trigger not in self.acted:
            self.acted.append(sent.trigger)

    def was_sent(self, key: str) -> bool:
        """Whether a message that has ended was sent, or may have been, and did not fail."""
        sent = self.sent_as(key)
        return sent is not None and not sent.is_failed

    def fails(self, key: str) -> None:
        """All attempts of a message have failed. If it counts, one of them may have arrived: it goes on to count."""
        self.sent = [msgspec.structs.replace(sent, is_failed=True) if sent.key == key else sent for sent in self.sent]

    def gives_back(self, action: Action, before: Sent | None) -> None:
        """The newest attempt of an action was not made; ``before``: the message that counted until it began."""
        others = [sent for sent in self.sent if sent.key != action.key]
        if before is not None and action.occurred_at > self.erased:
            others.append(before)
        self.sent = sorted(others, key=lambda sent: sent.time)
        action.attempts -= 1
        if not action.attempts:
            action.first_at = 0

    def was_not_sent(self, action: Action) -> None:
        """Take an action out of what was sent, unless some attempt of it may have arrived."""
        if action.uncertain:
            return
        self.sent = [sent for sent in self.sent if sent.key != action.key or sent.is_failed]


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Person)


def encode(person: Person) -> bytes:
    """The stored form."""
    return _encoder.encode(person)


def decode(stored: bytes | None) -> Person:
    """Decode the stored form; a new customer where nothing is stored."""
    return Person() if stored is None else _decoder.decode(stored)
