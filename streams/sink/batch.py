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

from streams.sink.records import Erasure, RefusedRecord, SinkRecord
from streams.sink.stays import CustomerStays, Stay
from streams.triggers.decision_log import Decision
from streams.wire.changes import SegmentChange
from streams.wire.memberships import Membership

# The columns of each table that are written.
_CHANGES = """
    change_id, customer_id, segment, change, occurred_at, sequence, segments, cause, event_id, reason, said, data,
    definition, late, backfill, emitted_at
"""
_DECISIONS = """
    decision_id, trigger, change_id, customer_id, sequence, channel, decision, at, occurred_at, reason, attempts, until,
    redelivery, variant, arm, exposed_at, hold_out
"""
_STAYS = "customer_id, segment, entered_at, entered_sequence, left_at, left_sequence"
_CUSTOMERS = "customer_id, kafka_partition, sequence, needs_row"
_REFUSALS = "topic, kafka_partition, kafka_offset, why"

# PostgreSQL stores every character but this one.
_NUL, _INSTEAD = "\0", "\ufffd"


class BatchWriter:
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
            record.content.customer_id for record in self._records if not isinstance(record.content, RefusedRecord)
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
        refusals: list[dict[str, object]] = []
        for record in self._records:
            content = record.content
            if isinstance(content, RefusedRecord):
                place = {"topic": record.topic, "kafka_partition": record.partition, "kafka_offset": record.offset}
                refusals.append({**place, "why": content.why})
            elif isinstance(content, Erasure):
                self._erase(content)
            elif isinstance(content, Decision):
                decisions.append(content)
                if record.is_early and self._is_after_erasure(content):
                    self._customers.setdefault(content.customer_id, (record.partition, True))
            elif content.sequence > self._erased_to.get(content.customer_id, 0):
                if isinstance(content, SegmentChange):
                    changes.append(content)
                self._read(content, record)
        erase(self._cursor, self._erased_now)
        self._insert_changes(change for change in changes if self._is_after_erasure(change))
        self._insert_decisions(decision for decision in decisions if self._is_after_erasure(decision))
        self._save_stays()
        self._save_customers()
        self._insert("sink_refusals", _REFUSALS, refusals, "ON CONFLICT DO NOTHING")

    def _is_after_erasure(self, content: SegmentChange | Decision) -> bool:
        return content.sequence > self._erased_to.get(content.customer_id, 0)

    def _read(self, content: SegmentChange | Membership, record: SinkRecord) -> None:
        stays = self._stays[content.customer_id]
        is_row = isinstance(content, Membership)
        _, needs_row = self._customers.get(content.customer_id, (0, record.is_early))
        # A change that came later shows that the customer was not erased before.
        self._customers[content.customer_id] = (record.partition, needs_row and record.is_early and not is_row)
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
            {name: value for name, value in msgspec.structs.asdict(change).items() if value is not UNSET}
            | {"cause": change.cause.kind, "event_id": change.cause.event_id}
            for change in changes
        ]
        self._insert("segment_changes", _CHANGES, rows, "ON CONFLICT DO NOTHING")

    def _insert_decisions(self, decisions: Iterable[Decision]) -> None:
        # As a mapping: the encoded form of a decision leaves out what is as by default, such as no attempts.
        rows = [msgspec.structs.asdict(decision) for decision in decisions]
        self._insert("trigger_decisions", _DECISIONS, rows, "ON CONFLICT DO NOTHING")

    def _save_stays(self) -> None:
        rows = [
            {"customer_id": customer_id, **msgspec.structs.asdict(stay)}
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
            {
                "customer_id": customer_id, "kafka_partition": partition, "needs_row": needs_row,
                "sequence": self._stays[customer_id].sequence,
            }
            for customer_id, (partition, needs_row) in self._customers.items()
        ]  # fmt: skip
        self._insert(
            "sink_customers",
            _CUSTOMERS,
            rows,
            "ON CONFLICT (customer_id) DO UPDATE SET kafka_partition = EXCLUDED.kafka_partition, "
            "sequence = EXCLUDED.sequence, needs_row = sink_customers.needs_row AND EXCLUDED.needs_row",
        )

    def _insert(
        self, table: LiteralString, columns: LiteralString, rows: Sequence[object], on_conflict: LiteralString
    ) -> None:
        """Insert rows, which PostgreSQL reads from one JSON document by the types of the table."""
        if not rows:
            return
        statement = "INSERT INTO {0} ({1}) SELECT {1} FROM json_populate_recordset(NULL::{0}, %s::json) {2}"
        self._cursor.execute(sql.SQL(statement).format(*map(sql.SQL, (table, columns, on_conflict))), [_document(rows)])


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


def _document(rows: Sequence[object]) -> str:
    """Rows as JSON that PostgreSQL takes."""
    encoded = msgspec.json.encode(rows).decode()
    if "\\u0000" not in encoded:
        return encoded
    return msgspec.json.encode(_replaced(msgspec.json.decode(encoded))).decode()


def _replaced(value: Any) -> Any:
    if isinstance(value, str):
        return value.replace(_NUL, _INSTEAD)
    if isinstance(value, list):
        return [_replaced(item) for item in value]
    if isinstance(value, dict):
        return {_replaced(key): _replaced(item) for key, item in value.items()}
    return value
