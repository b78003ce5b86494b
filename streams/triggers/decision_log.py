"""Decisions as bytes: the contract of the ``trigger-decisions`` topic.

The one rule: each change ends, for each trigger that it may start, in exactly one final decision, and so does each
redelivery of a failed message. Decisions before the final one (``deferred``, ``retried``, ``unknown, sent again``) are
published, too. A record's key is the customer's id.

See also: `streams.triggers.action_decisions` (which decides), and `streams.triggers.published_decisions` (reads
decisions back).
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from rules.reasons import Instant
from rules.times import format_instant
from streams.triggers.config import Step
from streams.triggers.customer_state import HOLD_OUT_REASON, Action, Redelivery, round_key
from streams.wire import changes
from streams.wire.json_text import decoded
from streams.wire.records import OutRecord
from streams.wire.topics import TRIGGER_DEAD_LETTERS, TRIGGER_DECISIONS, VISITS

DecisionKind = Literal[
    "sent", "skipped", "failed", "unknown, not sent", "deferred", "retried", "unknown, sent again",
]  # fmt: skip
MESSAGE_SENT, MESSAGE_FAILED = "Message Sent", "Message Failed"
Arm = Literal["treated", "control"]
Unsent = Literal["skipped", "unknown, not sent"]
FINAL = frozenset({"sent", "skipped", "failed", "unknown, not sent"})
# Decisions after which a message has reached the customer, or may have.
REACHED = frozenset({"sent", "unknown, not sent"})


class Decision(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """The decision on a change under a trigger.

    ``trigger``: ``KEY-2`` in decisions on the second message of the trigger ``KEY``. ``reason``: why, in words, without
    personal data. ``attempts``: how many attempts were begun. ``until``: when the action is looked at again, in a
    decision that is not final. ``sequence``: of the change. ``redelivery``: the record of ``trigger-replays`` by which
    a failed message was tried again. Each redelivery ends in a final decision of its own. ``variant``: that the
    customer gets, where the message has variants. ``exposed_at``: when the customer was first one to write to, but for
    the hold-out, policies and the time of day. ``arm``: whether the hold-out has the customer, and ``hold_out`` an
    identity of it, which changes with its share and salt.
    """

    decision_id: str
    trigger: str
    change_id: str
    customer_id: str
    sequence: Annotated[int, Meta(ge=1)]
    channel: str
    decision: DecisionKind
    at: Instant
    occurred_at: Instant
    reason: str | None = None
    attempts: int = 0
    until: Instant | None = None
    redelivery: Redelivery | None = None
    variant: str | None = None
    arm: Arm | None = None
    exposed_at: Instant | None = None
    hold_out: str | None = None

    @property
    def key(self) -> str:
        """The idempotency key; see `streams.triggers.customer_state.Action.key`."""
        return f"{self.change_id}-{self.trigger}"

    @property
    def round_key(self) -> str:
        """The round key; see `streams.triggers.customer_state.round_key`."""
        return round_key(self.key, self.redelivery)

    @property
    def is_final(self) -> bool:
        return self.decision in FINAL


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Decision)


def of(
    customer: str,
    action: Action,
    step: Step | None,
    kind: DecisionKind,
    now: int,
    reason: str | None = None,
    until: int = 0,
) -> Decision:
    """A decision on an action at ``now`` (ms). ``step``: its message in the file, ``None`` where that was removed."""
    identity_text = f"{action.round_key}\0{kind}\0{action.attempts}\0{until}"
    return Decision(
        decision_id=sha256(identity_text.encode()).hexdigest()[:32],
        trigger=action.trigger,
        change_id=action.change_id,
        customer_id=customer,
        sequence=action.sequence,
        channel="" if step is None else step.channel,
        decision=kind,
        at=format_instant(now),
        occurred_at=format_instant(action.occurred_at),
        reason=reason,
        attempts=action.attempts,
        until=format_instant(until) if until else None,
        redelivery=action.redelivery,
        arm=_arm_of(action, step, reason),
        hold_out=None if step is None or not action.exposed_at else step.divided_by,
        exposed_at=format_instant(action.exposed_at) if action.exposed_at else None,
        variant=(step.variant_of(customer) or None) if step is not None else None,
    )


def _arm_of(action: Action, step: Step | None, reason: str | None) -> Arm | None:
    if not action.exposed_at or step is None or step.divided_by is None:
        return None
    return "control" if reason == HOLD_OUT_REASON else "treated"


def unsent(action: Action) -> Unsent:
    """The final decision on an action that gets no more attempts: an earlier attempt may have reached the customer."""
    return "unknown, not sent" if action.uncertain else "skipped"


def record(decision: Decision) -> OutRecord:
    """A decision as a record for the outbox."""
    headers = [("decision-id", decision.decision_id.encode()), ("content-type", b"application/json")]
    return OutRecord(TRIGGER_DECISIONS, decision.customer_id.encode(), _encoder.encode(decision), headers)


def message_event(decision: Decision) -> OutRecord | None:
    """The event of the customer that a final decision makes, if it makes one: `MESSAGE_SENT` or `MESSAGE_FAILED`.

    The customer's id stands as ``anonymousId``: a message vouches for no identity. ``uncertain``: it may have arrived,
    as in `REACHED`. The message id is that of the decision, so that a repeat counts once.
    """
    if decision.decision in REACHED:
        name = MESSAGE_SENT
    elif decision.decision == "failed":
        name = MESSAGE_FAILED
    else:
        return None
    properties: dict[str, object] = {"trigger": decision.trigger, "channel": decision.channel}
    if decision.variant is not None:
        properties["variant"] = decision.variant
    if decision.decision != "sent" and name == MESSAGE_SENT:
        properties["uncertain"] = True
    event = {
        "type": "track", "event": name, "messageId": f"message-{decision.decision_id}",
        "anonymousId": decision.customer_id, "timestamp": decision.at, "properties": properties,
    }  # fmt: skip
    headers = [("decision-id", decision.decision_id.encode()), ("content-type", b"application/json")]
    return OutRecord(VISITS, decision.customer_id.encode(), msgspec.json.encode(event), headers)


def letter(decision: Decision, change: bytes) -> OutRecord:
    """A dead letter for a message that failed finally: the change as it was read, so that it can be sent again."""
    headers = [
        ("decision-id", decision.decision_id.encode()),
        ("trigger", decision.trigger.encode()),
        ("reason", (decision.reason or "").encode()),
    ]
    return OutRecord(TRIGGER_DEAD_LETTERS, decision.customer_id.encode(), changes.bounded(change), headers)


def bounded(record: OutRecord) -> OutRecord:
    """A record of the outbox within the limits of this version: one that a former version saved may be too large."""
    if record.topic != TRIGGER_DEAD_LETTERS or record.value is None:
        return record
    return OutRecord(TRIGGER_DEAD_LETTERS, record.key, changes.bounded(record.value), record.headers)


def decode(value: bytes) -> Decision:
    """Decode a record's value. Raises `msgspec.DecodeError`."""
    return decoded(_decoder, value)


def identity(topic: str, headers: Sequence[tuple[str, bytes]]) -> tuple[str, bytes]:
    """The identity of a record that triggers published: its topic and decision id."""
    return topic, next((value for name, value in headers if name == "decision-id"), b"")
