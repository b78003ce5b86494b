"""The inputs of triggers: identify and erase from ``profiles``, changes from ``segment-changes``, and redeliveries.

A record becomes an event with a customer and a time, by which the inputs are merged, or a word for why it is skipped.
The time of a change is when it was published.

See also: `streams.triggers.intake`, which applies the events.
"""

from __future__ import annotations

from typing import TypeGuard

import msgspec

from rules.event_names import IDENTIFY
from rules.events import Event, Origin
from rules.identity.events import Misaddressed
from rules.placeholders import BUILT_IN, Placeholders
from rules.times import format_instant, parse_instant
from streams.kafka.fetch import Batch
from streams.triggers.customer_state import Redelivery
from streams.wire import changes
from streams.wire.dead_letters import Undecodable, undecodable
from streams.wire.event_decoder import read
from streams.wire.json_text import decoded
from streams.wire.records import InputRecord
from streams.wire.topics import CHANGES, TRIGGER_REPLAYS

# The order in which records of one millisecond are read: a customer's traits before its changes.
INPUTS = ("profiles", CHANGES, TRIGGER_REPLAYS)


class ChangeInput(Event, frozen=True, gc=False, kw_only=True):
    """A segment change as an input event. ``trigger``: only this trigger is to run again, by this ``redelivery``."""

    change: changes.SegmentChange
    occurred_at: int
    value: bytes
    trigger: str | None = None
    redelivery: Redelivery | None = None


def reading(record: InputRecord, batch: Batch, placeholders: Placeholders = BUILT_IN) -> Event | Undecodable:
    """Decode a record: an identify, an erasure, a segment change, or a word for why it is skipped."""
    topic = record.topic
    if topic.endswith((CHANGES, TRIGGER_REPLAYS)):
        return _change_input(record)
    origin = Origin(batch.topic, batch.partition, record.offset)
    event = read(record.value, record.key, record.timestamp, origin, placeholders)
    if isinstance(event, Misaddressed):
        return undecodable("wrong_key")  # its customer belongs to another partition
    if isinstance(event, Undecodable) or event.name == IDENTIFY or event.is_erasure:
        return event
    return undecodable("not_identify")


def is_change_input(event: Event) -> TypeGuard[ChangeInput]:
    return isinstance(event, ChangeInput)


class _Replay(msgspec.Struct, frozen=True):
    trigger: str
    change: msgspec.Raw


_replay = msgspec.json.Decoder(_Replay)


def replayed(trigger: str, change: bytes) -> bytes:
    """The value of a record of ``trigger-replays``: it asks one trigger to send for this change again."""
    return msgspec.json.encode(_Replay(trigger, msgspec.Raw(change)))


def _change_input(record: InputRecord) -> Event | Undecodable:
    value, trigger, redelivery, time = record.value, None, None, max(record.timestamp, 0)
    if value is None:
        return undecodable("tombstone")
    try:
        if record.topic.endswith(TRIGGER_REPLAYS):
            again = decoded(_replay, value)
            value, trigger = bytes(again.change), again.trigger
            redelivery = Redelivery(record.offset, format_instant(time))
        change = changes.decode(value)
        value = changes.bounded(value)  # the value may be sent on, in a webhook or a dead letter
    except msgspec.DecodeError:
        return undecodable("not_a_change")
    occurred_at = parse_instant(change.occurred_at)
    if occurred_at is None or len(value) > changes.CHANGE_MAX_BYTES:
        return undecodable("not_a_change")
    return ChangeInput(
        customer=change.customer_id,
        name=CHANGES,
        time=time,
        id=change.change_id,
        change=change,
        occurred_at=occurred_at,
        value=value,
        trigger=trigger,
        redelivery=redelivery,
    )
