"""Records of Kafka as the sink takes them: a change, a row of the membership table, an erasure, or a decision.

The one rule: each record that another program wrote, and that is none of them, is refused with the reason. No value
stops the sink.

See also: `streams.sink.batch`, which writes them.
"""

from __future__ import annotations

import msgspec

from rules.times import DAY_MS, parse_instant
from streams.kafka.fetch import PublishedRecord
from streams.triggers import decision_log
from streams.triggers.decision_log import Decision
from streams.wire import changes, memberships
from streams.wire.changes import SegmentChange
from streams.wire.customer_ids import is_id
from streams.wire.memberships import Membership
from streams.wire.topics import CHANGES, MEMBERSHIPS

# Bounds of what workers and triggers write: larger texts cannot be in an index of PostgreSQL, or are not theirs.
_KEY_MAX_CHARS = 256
_SEQUENCE_MAX = 2**62
# How long Kafka keeps a tombstone after compaction, by default; `topics create` sets a longer time. A customer without
# a row may just have none yet, where its newest change is younger.
TOMBSTONES_MS = DAY_MS


class Erasure(msgspec.Struct, frozen=True):
    """The erasure of a customer up to the change with this sequence."""

    customer_id: str
    sequence: int


class RefusedRecord(msgspec.Struct, frozen=True):
    """A record that is not taken, and why."""

    why: str


class SinkRecord(msgspec.Struct, frozen=True):
    """A record and its place.

    ``is_early``: its topic held it for longer than `TOMBSTONES_MS` when the sink read that topic for the first time. So
    if no row of its customer is found, the customer was erased, and the tombstone that said it is gone, too.
    """

    topic: str
    partition: int
    offset: int
    content: SegmentChange | Membership | Erasure | Decision | RefusedRecord
    is_early: bool = False

    def refused(self, why: str) -> SinkRecord:
        """A copy with this place, and with a record that is not taken."""
        return SinkRecord(self.topic, self.partition, self.offset, RefusedRecord(why))


def content_of(topic: str, record: PublishedRecord) -> SegmentChange | Membership | Erasure | Decision | RefusedRecord:
    """The content of a record; ``topic``: its name without prefix."""
    try:
        if topic == MEMBERSHIPS:
            return _row(record)
        if topic == CHANGES:
            return _change(record.value or b"")
        return _decision(record.value or b"")
    except (ValueError, RecursionError, msgspec.MsgspecError) as error:
        return RefusedRecord(str(error) if isinstance(error, _WrongField) else type(error).__name__)


class _WrongField(ValueError):
    """A field whose value no worker and no trigger writes."""


def _change(value: bytes) -> SegmentChange | Erasure:
    change = changes.decode(value)
    _check_texts(change.customer_id, change.change_id, change.segment, change.definition, *change.segments)
    _check_sequence(change.sequence)
    _check_instants(change.occurred_at, change.emitted_at or None)
    if change.cause.kind == "erasure":
        return Erasure(change.customer_id, change.sequence)
    return change


def _row(record: PublishedRecord) -> Membership | Erasure:
    if record.value is None:
        customer_id = (record.key or b"").decode()
        _check_texts(customer_id)
        return Erasure(customer_id, memberships.erased_to(record.headers))
    row = memberships.decode(record.value)
    _check_texts(row.customer_id, *row.segments)
    _check_sequence(row.sequence)
    _check_instants(row.occurred_at)
    return row


def _decision(value: bytes) -> Decision:
    decision = decision_log.decode(value)
    names = (decision.decision_id, decision.trigger, decision.change_id, decision.channel)
    _check_texts(decision.customer_id, *names)
    _check_sequence(decision.sequence)
    _check_instants(decision.at, decision.occurred_at, decision.until, decision.exposed_at)
    if not 0 <= decision.attempts < 2**31:
        raise _WrongField("attempts")
    return decision


def _check_texts(customer_id: str, *names: str) -> None:
    if not customer_id or not is_id(customer_id):
        raise _WrongField("customer_id")
    if any(len(name) > _KEY_MAX_CHARS or "\0" in name for name in names):
        raise _WrongField("a key is too long, or has a character that PostgreSQL does not store")


def _check_sequence(sequence: int) -> None:
    if sequence > _SEQUENCE_MAX:
        raise _WrongField("sequence")


def _check_instants(*instants: str | msgspec.UnsetType | None) -> None:
    if any(parse_instant(text) is None for text in instants if isinstance(text, str)):
        raise _WrongField("a time cannot be read")
