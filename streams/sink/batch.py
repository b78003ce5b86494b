"""A batch of records, written to the tables with what they hold of its customers.

The one rule: writing a batch again changes nothing. Changes and decisions are written once by their ids, a stay goes on
only with a change that is newer than the last one, and what was erased stays away.

See also: `streams.sink.stays` (what a change does to memberships), ``schema.sql`` (the tables).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from typing import Any, LiteralString

import msgspec
import psycopg
from msgspec import UNSET
from psycopg import sql
from psycopg.rows import TupleRow

from streams.sink.records import Erasure, Refusal, SinkRecord
from streams.sink.stays import CustomerStays, Stay
from streams.triggers.decision_log import Decision
from streams.wire.changes import SegmentChange
from streams.wire.memberships import Membership

_CHANGES: Mapping[str, LiteralString] = {
    "change_id": "text", "customer_id": "text", "segment": "text", "change": "text", "occurred_at": "timestamptz",
    "sequence": "bigint", "segments": "text[]", "cause": "text", "event_id": "text", "reason": "jsonb",
    "said": "jsonb", "data": "jsonb", "definition": "text", "late": "boolean", "backfill": "boolean",
    "emitted_at": "timestamptz",
}  # fmt: skip
_DECISIONS: Mapping[str, LiteralString] = {
    "decision_id": "text", "trigger": "text", "change_id": "text", "customer_id": "text", "sequence": "bigint",
    "channel": "text", "decision": "text", "at": "timestamptz", "occurred_at": "timestamptz", "reason": "text",
    "attempts": "integer", "until": "timestamptz", "redelivery": "jsonb", "variant": "text", "arm": "text",
    "exposed_at": "timestamptz", "hold_out": "text",
}  # fmt: skip
_STAYS: Mapping[str, LiteralString] = {
    "customer_id": "text", "segment": "text", "entered_at": "timestamptz", "entered_sequence": "bigint",
    "left_at": "timestamptz", "left_sequence": "bigint",
}  # fmt: skip
_CUSTOMERS: Mapping[str, LiteralString] = {
    "customer_id": "text",
    "kafka_partition": "integer",
    "sequence": "bigint",
    "needs_row": "boolean",
}
_REFUSALS: Mapping[str, LiteralString] = {
    "topic": "text",
    "kafka_partition": "integer",
    "kafka_offset": "bigint",
    "why": "text",
}
# A list of texts goes as JSON: an array of arrays cannot have rows of different lengths.
_VALUE: Mapping[str, LiteralString] = {"text[]": "ARRAY(SELECT jsonb_array_elements_text({}::jsonb))"}

# PostgreSQL stores every character but this one.
_NUL, _INSTEAD = "\0", "\ufffd"


class Batch:
    """The records of a batch, with what the tables hold of their customers."""

    def __init__(self, cursor: psycopg.Cursor[TupleRow], records: Sequence[SinkRecord]) -> None:
        self._cursor = cursor
        self._records = records
        self._erased_to: dict[str, int] = {}
        self._erased_now: dict[str, int] = {}
        self._stays: dict[str, CustomerStays] = {}
        self._customers: dict[str, tuple[int, bool]] = {}  # the partition, and whether a row of the table is missing
        self._load()

    def _load(self) -> None:
        """Load what the tables hold of the customers of the batch."""
        ids = sorted({
            record.content.customer_id for record in self._records if not isinstance(record.content, Refusal)
        })  # fmt: skip
        by_hash = {_hash(customer_id): customer_id for customer_id in ids}
        self._cursor.execute(
            "SELECT customer_hash, sequence FROM sink_erasures WHERE customer_hash = ANY(%s)", [list(by_hash)]
        )
        self._erased_to = {by_hash[bytes(key)]: sequence for key, sequence in self._cursor.fetchall()}
        self._cursor.execute("SELECT customer_id, sequence FROM sink_customers WHERE customer_id = ANY(%s)", [ids])
        sequences: dict[str, int] = dict(self._cursor.fetchall())
        self._cursor.execute(
            "SELECT customer_id, segment, entered_at::text, entered_sequence FROM segment_memberships "
            "WHERE customer_id = ANY(%s) AND left_sequence IS NULL",
            [ids],
        )
        open_stays: dict[str, list[Stay]] = {}
        for customer_id, *stay in self._cursor.fetchall():
            open_stays.setdefault(customer_id, []).append(Stay(*stay))
        for customer_id in ids:
            sequence = max(sequences.get(customer_id, 0), self._erased_to.get(customer_id, 0))
            self._stays[customer_id] = CustomerStays(sequence, open_stays.get(customer_id, ()))

    def write(self) -> None:
        """Write the batch."""
        changes: list[SegmentChange] = []
        decisions: list[Decision] = []
        refusals: list[tuple[str, int, int, str]] = []
        for record in self._records:
            content = record.content
            if isinstance(content, Refusal):
                refusals.append((record.topic, record.partition, record.offset, content.why))
            elif isinstance(content, Erasure):
                self._erase(content)
            elif isinstance(content, Decision):
                decisions.append(content)
            elif content.sequence > self._erased_to.get(content.customer_id, 0):
                if isinstance(content, SegmentChange):
                    changes.append(content)
                self._read(content, record)
        erase(self._cursor, self._erased_now)
        self._insert_changes(change for change in changes if self._is_kept(change))
        self._insert_decisions(decision for decision in decisions if self._is_kept(decision))
        self._save_stays()
        self._save_customers()
        self._save_refusals(refusals)

    def _is_kept(self, content: SegmentChange | Decision) -> bool:
        return content.sequence > self._erased_to.get(content.customer_id, 0)

    def _read(self, content: SegmentChange | Membership, record: SinkRecord) -> None:
        stays = self._stays[content.customer_id]
        is_row = isinstance(content, Membership)
        _, needs_row = self._customers.get(content.customer_id, (0, record.is_early))
        self._customers[content.customer_id] = (record.partition, needs_row and not is_row)
        if isinstance(content, Membership):
            stays.read_row(content)
        else:
            stays.read(content)

    def _erase(self, erasure: Erasure) -> None:
        customer_id = erasure.customer_id
        stays = self._stays[customer_id]
        upto = max(erasure.sequence, self._erased_to.get(customer_id, 0))
        self._erased_to[customer_id] = self._erased_now[customer_id] = upto
        stays.erase(upto)
        if stays.sequence <= upto:
            self._customers.pop(customer_id, None)

    def _insert_changes(self, changes: Iterable[SegmentChange]) -> None:
        rows = [
            (
                change.change_id, change.customer_id, change.segment, change.change, change.occurred_at,
                change.sequence, _json(change.segments), change.cause.kind, _text(change.cause.event_id),
                _json(change.reason), _json(change.said), None if change.data is UNSET else _json(change.data),
                change.definition, change.late, change.backfill, change.emitted_at or None,
            )
            for change in changes
        ]  # fmt: skip
        self._insert("segment_changes", _CHANGES, rows, "ON CONFLICT DO NOTHING")

    def _insert_decisions(self, decisions: Iterable[Decision]) -> None:
        rows = [
            (
                decision.decision_id, decision.trigger, decision.change_id, decision.customer_id,
                decision.sequence, decision.channel, decision.decision, decision.at, decision.occurred_at,
                _text(decision.reason), decision.attempts, decision.until,
                None if decision.redelivery is None else _json(decision.redelivery), _text(decision.variant),
                decision.arm, decision.exposed_at, _text(decision.hold_out),
            )
            for decision in decisions
        ]  # fmt: skip
        self._insert("trigger_decisions", _DECISIONS, rows, "ON CONFLICT DO NOTHING")

    def _save_stays(self) -> None:
        rows = [
            (customer_id, stay.segment, stay.entered_at, stay.entered_sequence, stay.left_at, stay.left_sequence)
            for customer_id, stays in self._stays.items()
            for stay in stays.changed.values()
        ]
        self._insert(
            "segment_memberships",
            _STAYS,
            rows,
            "ON CONFLICT (customer_id, segment, entered_sequence) "
            "DO UPDATE SET left_at = EXCLUDED.left_at, left_sequence = EXCLUDED.left_sequence",
        )

    def _save_customers(self) -> None:
        rows = [
            (customer_id, partition, self._stays[customer_id].sequence, needs_row)
            for customer_id, (partition, needs_row) in self._customers.items()
        ]
        self._insert(
            "sink_customers",
            _CUSTOMERS,
            rows,
            "ON CONFLICT (customer_id) DO UPDATE SET kafka_partition = EXCLUDED.kafka_partition, "
            "sequence = EXCLUDED.sequence, needs_row = sink_customers.needs_row AND EXCLUDED.needs_row",
        )

    def _save_refusals(self, refusals: Sequence[tuple[str, int, int, str]]) -> None:
        self._insert("sink_refusals", _REFUSALS, refusals, "ON CONFLICT DO NOTHING")

    def _insert(
        self,
        table: str,
        columns: Mapping[str, LiteralString],
        rows: Sequence[tuple[Any, ...]],
        on_conflict: LiteralString,
    ) -> None:
        """Insert rows by one statement, which takes each column as an array."""
        if not rows:
            return
        names = sql.SQL(", ").join(map(sql.Identifier, columns))
        arrays = [sql.SQL("%s::" + kind.removesuffix("[]") + "[]") for kind in columns.values()]
        values = [sql.SQL(_VALUE.get(kind, "{}")).format(sql.Identifier(name)) for name, kind in columns.items()]
        statement = sql.SQL("INSERT INTO {} ({}) SELECT {} FROM unnest({}) AS given ({}) " + on_conflict).format(
            sql.Identifier(table), names, sql.SQL(", ").join(values), sql.SQL(", ").join(arrays), names
        )
        self._cursor.execute(statement, [list(column) for column in zip(*rows, strict=True)])


def erase(cursor: psycopg.Cursor[TupleRow], erased: Mapping[str, int]) -> None:
    """Delete what is kept of customers up to a sequence, and note under a hash of the id that it is erased."""
    rows = list(erased.items())
    cursor.executemany("DELETE FROM segment_changes WHERE customer_id = %s AND sequence <= %s", rows)
    cursor.executemany("DELETE FROM segment_memberships WHERE customer_id = %s AND entered_sequence <= %s", rows)
    cursor.executemany("DELETE FROM trigger_decisions WHERE customer_id = %s AND sequence <= %s", rows)
    cursor.executemany("DELETE FROM sink_customers WHERE customer_id = %s AND sequence <= %s", rows)
    cursor.executemany(
        "INSERT INTO sink_erasures AS saved (customer_hash, sequence) VALUES (%s, %s) ON CONFLICT (customer_hash) "
        "DO UPDATE SET sequence = greatest(saved.sequence, EXCLUDED.sequence)",
        [(_hash(customer_id), sequence) for customer_id, sequence in rows],
    )


def _hash(customer_id: str) -> bytes:
    return sha256(customer_id.encode()).digest()


def _text(text: str | None) -> str | None:
    return text if text is None or _NUL not in text else text.replace(_NUL, _INSTEAD)


def _json(value: object) -> str:
    """A value as JSON that PostgreSQL takes."""
    encoded = msgspec.json.encode(value).decode()
    if "\\u0000" not in encoded:
        return encoded
    return msgspec.json.encode(_replaced(msgspec.json.decode(encoded))).decode()


def _replaced(value: Any) -> Any:
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, list):
        return [_replaced(item) for item in value]
    if isinstance(value, dict):
        return {_replaced(key): _replaced(item) for key, item in value.items()}
    return value
