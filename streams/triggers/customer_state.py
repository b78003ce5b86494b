"""The keyed state of triggers: traits for messages, pending actions and messages sent, of one customer.

All of it is one stored value, saved together with the positions and the decisions of its step. After a
crash nothing is known but this value and what is on the topics.

Bounds: 64 actions that wait (where one more comes, the oldest is decided as ``crowded out``), beside them as many
attempts under way as channels make at one time, the newest 512 messages of the last 366 days, and traits up to 128 KiB
(`streams.triggers.traits`).

See also: `streams.triggers.intake` (which applies events to it), and `streams.triggers.action_decisions` (which ends
actions).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from rules.reasons import Instant
from streams.triggers.file_values import LOOK_BACK_MAX_MS
from streams.triggers.traits import Trait, bounded, newest

# The reason of a decision on a customer of the control arm.
HOLD_OUT_REASON = "hold-out"
ACTIONS_MAX = 64
SENT_MAX = 512


class Redelivery(msgspec.Struct, frozen=True, gc=False):
    """A record of ``trigger-replays``, by which a failed message is tried again: its offset and its time."""

    offset: int
    at: Instant


def round_key(key: str, redelivery: Redelivery | None) -> str:
    """The idempotency key of the attempts up to one final decision; each redelivery begins a round of its own."""
    return key if redelivery is None else f"{key} redelivered {redelivery.offset} {redelivery.at}"


class Action(msgspec.Struct, array_like=True, gc=False):
    """A change that starts a message, until its final decision. Times are in ms.

    ``send_at``: when the message is to be sent. ``next_at``: when the action is due; the segmenter must have decided
    everything up to then. ``attempts``: how many were begun, the first at ``first_at``. ``attempting``: the outcome of
    the newest attempt is not known yet. ``uncertain``: some attempt may have arrived. ``look_at``: when an action that
    waits is looked at again; ``waits_for``: the reason that was published last. ``behind``: the key of another message
    that goes before this one. ``redelivery``: the message failed before, and this record asks for it again.
    ``exposed_at``: when the customer was first one to write to, but for the hold-out, policies and the time of day;
    0: not yet. ``is_void``: the message before it in its series was not sent, so that this one is only to be decided.
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
    is_void: bool = False
    exposed_at: int = 0

    @property
    def due(self) -> int:
        """When to look at the action next."""
        return max(self.next_at, self.look_at)

    @property
    def key(self) -> str:
        """The idempotency key: the same for each attempt, also under another owner."""
        return f"{self.change_id}-{self.trigger}"

    @property
    def round_key(self) -> str:
        """The round key of the present round; see `round_key`."""
        return round_key(self.key, self.redelivery)


class SentMessage(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A message that counts for caps and cool-downs: under way, or it has reached or may have reached the customer.

    ``time``: of its newest attempt. ``is_failed``: all attempts have failed, so the message may be redelivered.
    """

    time: int
    trigger: str
    channel: str
    key: str
    is_failed: bool = False


class Person(msgspec.Struct, array_like=True, gc=False):
    """A customer as triggers know it.

    ``sequence``: of the newest change that was read. ``acted``: triggers that have ever sent, or may have sent, a
    message. ``awaited``: round keys of final decisions that are on the topic although the input that begins their round
    (the change, or the record that asks for a redelivery) will be read again; it then begins nothing. The list ends
    when everything up to ``awaited_until`` (ms) is read. ``erased`` (ms): when the customer was erased, 0 = never;
    events and changes at or before that time do not count.
    """

    sequence: int = 0
    traits: dict[str, Trait] = {}
    actions: list[Action] = []
    sent: list[SentMessage] = []
    acted: list[str] = []
    awaited: list[str] = []
    erased: int = 0
    awaited_until: int = 0

    @property
    def is_erased(self) -> bool:
        """Whether nothing is left of the customer but the erasure."""
        return self.erased > 0 and not (self.traits or self.actions or self.sent or self.acted or self.awaited)

    def forget(self, at: int) -> list[Action]:
        """Erase everything up to this time (ms) but attempts that are under way. Returns the actions that end by it.

        Later data stay: on an emptied Redis, decisions are restored first and the old erasure is re-read after them.
        """
        self.erased = at
        self.traits = {name: trait for name, trait in self.traits.items() if trait.time > at}
        self.sent = [sent for sent in self.sent if sent.time > at]
        self.acted = [key for key in self.acted if any(sent.trigger == key for sent in self.sent)]
        ended = [action for action in self.actions if not action.attempting and action.occurred_at <= at]
        self.actions = [action for action in self.actions if action.attempting or action.occurred_at > at]
        return ended

    @property
    def due(self) -> int:
        """When to look at the customer next; 0: never."""
        times = [action.due for action in self.actions]
        if self.awaited and self.awaited_until:
            times.append(self.awaited_until)
        return min(times, default=0)

    def expects(self, key: str, until: int) -> None:
        """Note that the input which begins this round will be read again, by ``until`` (ms) if it still exists."""
        self.awaited.append(key)
        self.awaited_until = max(self.awaited_until, until)

    def expects_nothing(self, read_to: int) -> bool:
        """Clear ``awaited`` if everything up to ``awaited_until`` is read; whether it was cleared."""
        is_over = bool(self.awaited) and 0 < self.awaited_until <= read_to
        if is_over:
            self.awaited, self.awaited_until = [], 0
        return is_over

    def waits(self, now: int) -> bool:
        """Whether an action is due by ``now`` (ms) without an attempt under way."""
        return any(action.due <= now and not action.attempting for action in self.actions)

    @property
    def under_way(self) -> set[str]:
        """Keys of messages with an attempt under way."""
        return {action.key for action in self.actions if action.attempting}

    def set_traits(self, traits: Mapping[str, Trait]) -> None:
        """Set traits: the last writer by (time, message id) wins, in whichever order the events are read."""
        self.traits = bounded(newest(self.traits, traits))

    def stored_trait(self, name: str) -> Trait | None:
        """The trait of a (dotted) name, whose first part is what is stored."""
        return self.traits.get(name.split(".", maxsplit=1)[0])

    def trait(self, name: str) -> Any:
        """The value of a trait; ``None``: there is none."""
        trait = self.traits.get(name)
        return None if trait is None else trait.value

    def sends(self, action: Action, channel: str, now: int) -> None:
        """Begin an attempt: it counts as a message of ``now`` (ms), once for all attempts of an action."""
        others = [sent for sent in self.sent if sent.key != action.key and sent.time > now - LOOK_BACK_MAX_MS]
        self.sent = [*others[-SENT_MAX + 1 :], SentMessage(now, action.trigger, channel, action.key)]

    def sent_as(self, key: str) -> SentMessage | None:
        """The message of an action, if one counts."""
        return next((sent for sent in self.sent if sent.key == key), None)

    def counts(self, sent: SentMessage) -> None:
        """Add a message that counts from now on, once for all attempts of an action."""
        self.sent = [*(other for other in self.sent if other.key != sent.key), sent][-SENT_MAX:]
        if sent.trigger not in self.acted:
            self.acted.append(sent.trigger)

    def was_sent(self, key: str) -> bool:
        """Whether a message was sent or may have been sent, and did not fail."""
        sent = self.sent_as(key)
        return sent is not None and not sent.is_failed

    def fails(self, key: str) -> None:
        """Mark a message as failed. One that still counts goes on to count, as one of its attempts may have arrived."""
        self.sent = [msgspec.structs.replace(sent, is_failed=True) if sent.key == key else sent for sent in self.sent]

    def gives_back(self, action: Action, before: SentMessage | None) -> None:
        """Take back the newest attempt of an action, which was not made.

        ``before``: the message of the action that counted until the attempt began.
        """
        others = [sent for sent in self.sent if sent.key != action.key]
        if before is not None and action.occurred_at > self.erased:
            others.append(before)
        self.sent = sorted(others, key=lambda sent: sent.time)
        action.attempts -= 1
        if not action.attempts:
            action.first_at = 0

    def was_not_sent(self, action: Action) -> None:
        """Stop counting the message of an action, unless some attempt of it may have arrived."""
        if action.uncertain:
            return
        self.sent = [sent for sent in self.sent if sent.key != action.key or sent.is_failed]


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Person)


def encode(person: Person) -> bytes:
    """Encode a customer to the stored form."""
    return _encoder.encode(person)


def decode(stored: bytes | None) -> Person:
    """Decode the stored form; a new customer where nothing is stored."""
    return Person() if stored is None else _decoder.decode(stored)
