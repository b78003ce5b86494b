"""The tables on a real PostgreSQL: drawn histories in other batches, everything twice, and ends in between."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from functools import reduce
from pathlib import Path
from typing import Any

import msgspec
import psycopg
import pytest

from local.postgres import Postgres
from rules.times import format_instant
from streams.sink.records import RefusedRecord, SinkRecord, content_of
from streams.sink.tables import ReadingProgress, Tables
from streams.stop import Stop
from streams.wire import memberships
from streams.wire.records import OutRecord
from streams.wire.topics import CHANGES, MEMBERSHIPS, TRIGGER_DECISIONS
from tests.support.in_memory_triggers import change as segment_change
from tests.support.sink_history import START, SinkHistory
from tests.support.sink_tables import assert_agrees

ROOT = Path(__file__).parents[3]
PLACE = ("segment-changes", 0)


def taken(record: OutRecord, offset: int = 0) -> SinkRecord:
    """A record as the sink takes it."""
    return SinkRecord(record.topic, 0, offset, content_of(record.topic, record))


def reading(history: SinkHistory, draw: random.Random) -> Iterator[list[SinkRecord]]:
    """Batches in which the topics are read apart, each in order, and a row never before the changes of its step."""
    logs: dict[str, list[tuple[int, SinkRecord]]] = {}
    for number, step in enumerate(history.steps):
        for record in step.records:
            logs.setdefault(record.topic, []).append((number, taken(record)))
    positions = dict.fromkeys(logs, 0)
    while any(positions[topic] < len(log) for topic, log in logs.items()):
        topic = draw.choice([topic for topic in sorted(logs) if positions[topic] < len(logs[topic])])
        size = draw.choice((1, 3, 50))
        batch = logs[topic][positions[topic] : positions[topic] + size]
        if topic == MEMBERSHIPS:
            upto = min(
                (
                    log[positions[other]][0]
                    for other, log in logs.items()
                    if other != MEMBERSHIPS and positions[other] < len(log)
                ),
                default=len(history.steps),
            )
            batch = [entry for entry in batch if entry[0] < upto]
        positions[topic] += len(batch)
        if batch:
            yield [record for _, record in batch]


@pytest.fixture
def tables(postgres: Postgres, schema: str) -> Iterator[Tables]:
    """Tables that hold nothing."""
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        made = Tables(connection, schema)
        made.create()
        yield made


@pytest.mark.parametrize("seed", range(25))
def test_what_the_tables_hold(seed: int, tables: Tables, connection: psycopg.Connection, schema: str) -> None:
    """Each batch is written, and at times once more, or again after a transaction that did not end."""
    draw = random.Random(seed)
    history = SinkHistory(seed, customers=6, steps=60)
    batches: list[list[SinkRecord]] = []
    for batch in reading(history, draw):
        tables.write(batch, {})
        batches.append(batch)
        if draw.random() < 0.3:
            tables.write(batch, {})
    assert_agrees(connection, schema, history)
    for batch in batches[:-5:-1]:
        tables.write(batch, {})
    assert_agrees(connection, schema, history)


def test_two_sinks_do_not_both_write(tables: Tables, postgres: Postgres, schema: str) -> None:
    """The second one to save is told so, and writes nothing."""
    tables.begin("k", "", {PLACE: ReadingProgress(0, None)})
    step = SinkHistory(1, customers=3, steps=5).steps[0]
    records = [taken(record) for record in step.records]
    with psycopg.connect(postgres.url, autocommit=True) as other:
        Tables(other, schema).write([], {PLACE: (0, 5)})
        with pytest.raises(Stop, match="another sink writes to the schema sink_"):
            tables.write(records, {PLACE: (0, 7)})
        assert other.execute(f"SELECT count(*) FROM {schema}.segment_changes").fetchone() == (0,)
        assert other.execute(f"SELECT next_offset FROM {schema}.sink_progress").fetchone() == (5,)


def test_another_cluster_is_refused(tables: Tables) -> None:
    """The sequences of its changes say nothing about what is stored."""
    tables.begin("one", "p.", {PLACE: ReadingProgress(0, 10)})
    assert tables.begin("one", "p.", {PLACE: ReadingProgress(3, 20)}) == {PLACE: ReadingProgress(0, 10)}
    with pytest.raises(Stop, match="read from another Kafka cluster, or with another topic prefix"):
        tables.begin("two", "p.", {PLACE: ReadingProgress(0, 10)})
    with pytest.raises(Stop, match="with another topic prefix; give SEGMENTER_POSTGRES_SCHEMA another name"):
        tables.begin("one", "q.", {PLACE: ReadingProgress(0, 10)})


def test_a_database_of_another_encoding_is_refused(postgres: Postgres, connection: psycopg.Connection) -> None:
    """Reasons are in Persian, too; in a database of UTF-8 the tables are created."""
    connection.execute("CREATE DATABASE narrow ENCODING 'LATIN1' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'")
    for name, is_right in (("narrow", False), ("postgres", True)):
        with psycopg.connect(postgres.url, dbname=name, autocommit=True) as other:
            if is_right:
                Tables(other, "of_utf8").create()
                continue
            with pytest.raises(Stop, match="cannot hold every text; create one with ENCODING 'UTF8'"):
                Tables(other, "narrow").create()


def valid(topic: str) -> dict[str, Any]:
    """The value of a record that is taken."""
    history = SinkHistory(2, customers=2, steps=40)
    records = [record for step in history.steps for record in step.records if record.topic == topic and record.value]
    return dict(msgspec.json.decode(records[-1].value or b""))


HOSTILE = {
    "no JSON": b"{",
    "nothing": None,
    "deep": b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "an id without end": {"customer_id": "x" * 300},
    "an id with a control character": {"customer_id": "a\0b"},
    "no id": {"customer_id": ""},
    "a segment without end": {"segment": "s" * 10_000, "trigger": "s" * 10_000, "segments": ["s" * 10_000]},
    "a key with U+0000": {"segment": "a\0", "trigger": "a\0", "segments": ["a\0"]},
    "a key with U+0000 among others": {"segments": ["b", "a\0"], "trigger": "a\0"},
    "a sequence beyond bigint": {"sequence": 2**63},
    "no time": {"occurred_at": "yesterday"},
}  # fmt: skip


@pytest.mark.parametrize("topic", [CHANGES, MEMBERSHIPS, TRIGGER_DECISIONS])
@pytest.mark.parametrize("kind", HOSTILE)
def test_what_another_program_wrote_is_refused(kind: str, topic: str) -> None:
    """Records of others are refused, and the reason does not repeat it."""
    hostile = HOSTILE[kind]
    value = msgspec.json.encode(valid(topic) | hostile) if isinstance(hostile, dict) else hostile
    key = b"" if hostile is None else b"u1"
    content = content_of(topic, OutRecord(topic, key, value, []))
    assert isinstance(content, RefusedRecord)
    assert "x" * 300 not in content.why
    assert len(content.why) < 100


@pytest.mark.parametrize("text", ["a\0b", "\\u0000", "\0", "\ufffe", "\u2028", "😀" * 600, "'); DROP TABLE x; --"])
def test_any_text_is_stored(text: str, tables: Tables, connection: psycopg.Connection, schema: str) -> None:
    """In all places in which others may write one; U+0000 becomes U+FFFD."""
    change = valid(CHANGES)
    change |= {"cause": {"kind": "event", "event_id": text}, "said": {"en": text}, "data": {"traits": {text: [text]}}}
    change["reason"] = {"holds": True, "condition": text}
    decision = valid(TRIGGER_DECISIONS) | {"reason": text, "variant": text}
    records = [
        OutRecord(topic, b"", msgspec.json.encode(value), [])
        for topic, value in ((CHANGES, change), (TRIGGER_DECISIONS, decision))
    ]
    tables.write([taken(record) for record in records], {})
    stored = text.replace("\0", "\ufffd")
    row = connection.execute(f"SELECT event_id, said, data, reason FROM {schema}.segment_changes").fetchone()
    assert row is not None
    event_id, sentences, data, reason = row
    assert (event_id, sentences, data) == (stored, {"en": stored}, {"traits": {stored: [stored]}})
    assert reason["condition"] == stored
    row = connection.execute(f"SELECT reason, variant FROM {schema}.trigger_decisions").fetchone()
    assert row == (stored, stored)


def test_who_has_no_row_was_erased_before(tables: Tables, connection: psycopg.Connection, schema: str) -> None:
    """Of three customers whose changes were on the topic, one has a row, and one comes only later."""
    changes = [segment_change(name, "vip", "entered", START, 1, ["vip"]) for name in ("stays", "gone", "later")]
    tables.begin("k", "", {PLACE: ReadingProgress(0, 2)})
    for offset, change in enumerate(changes):
        place = (CHANGES, 0, offset)
        tables.write([SinkRecord(*place, change, is_early=offset < 2)], {})
    tables.write([SinkRecord(MEMBERSHIPS, 0, 0, memberships.of(changes[0]))], {})
    tables.end_first_reading(PLACE, rows=False)
    tables.end_first_reading((MEMBERSHIPS, 0), rows=True)
    for table in ("segment_changes", "segment_memberships", "sink_customers"):
        rows = connection.execute(f"SELECT customer_id FROM {schema}.{table} ORDER BY 1").fetchall()
        assert rows == [("later",), ("stays",)], table
    tables.write([SinkRecord(CHANGES, 0, 3, segment_change("gone", "vip", "entered", START, 1, ["vip"]))], {})
    assert connection.execute(f"SELECT count(*) FROM {schema}.segment_changes").fetchone() == (2,)


def test_a_decision_alone_needs_a_row_too(tables: Tables, connection: psycopg.Connection, schema: str) -> None:
    """Changes expire before decisions do, so a customer who was erased may have decisions alone."""
    decision = valid(TRIGGER_DECISIONS) | {"sequence": 9}
    for number, name in enumerate(("gone", "stays")):
        value = msgspec.json.encode(decision | {"customer_id": name, "decision_id": name})
        content = content_of(TRIGGER_DECISIONS, OutRecord(TRIGGER_DECISIONS, b"", value, []))
        tables.write([SinkRecord(TRIGGER_DECISIONS, 0, number, content, is_early=True)], {})
    row = memberships.of(segment_change("stays", "vip", "entered", START, 1, ["vip"]))
    tables.write([SinkRecord(MEMBERSHIPS, 0, 0, row)], {})
    tables.end_first_reading((MEMBERSHIPS, 0), rows=True)
    rows = connection.execute(f"SELECT customer_id FROM {schema}.trigger_decisions").fetchall()
    assert rows == [("stays",)]


@pytest.mark.parametrize("together", [True, False])
def test_who_came_back_after_the_beginning_was_not_erased(
    together: bool, tables: Tables, connection: psycopg.Connection, schema: str
) -> None:
    """An early change and a later one: the row of the early one was replaced before the sink read it."""
    records = [
        SinkRecord(CHANGES, 0, 0, segment_change("u1", "vip", "entered", START, 1, ["vip"]), is_early=True),
        SinkRecord(CHANGES, 0, 1, segment_change("u1", "cart", "entered", START + 1, 2, ["cart", "vip"])),
    ]
    for batch in [records] if together else [[record] for record in records]:
        tables.write(batch, {})
    tables.end_first_reading((MEMBERSHIPS, 0), rows=True)
    assert connection.execute(f"SELECT count(*) FROM {schema}.segment_changes").fetchone() == (2,)


QUERIES = re.findall(r"^```sql\n(.*?)^```", (ROOT / "docs/guide/analysis.md").read_text(), re.DOTALL | re.MULTILINE)


def test_the_queries_of_the_page(tables: Tables, connection: psycopg.Connection, schema: str) -> None:
    """Each gives rows, and who was in a segment at an instant is who the history says."""
    history = SinkHistory(4, customers=30, steps=60)
    for step in history.steps:
        tables.write([taken(record) for record in step.records], {})
    at = history.stays_after()[0].entered_at or 0
    queries = [query for text in QUERIES for query in text.split(";") if query.strip()]
    assert len(queries) == 3
    given = {"segmenter.": f"{schema}.", "abandoned_cart": "vip", "2026-11-22 10:00Z": format_instant(at)}
    answers = []
    for query in queries:
        text = reduce(lambda text, pair: text.replace(*pair), given.items(), query)
        answers.append(connection.execute(text.encode()).fetchall())
    assert all(answers)
    assert sorted(customer_id for (customer_id,) in answers[0]) == sorted(
        stay.customer_id for stay in history.stays_after()
        if stay.segment == "vip" and (stay.entered_at or 0) <= at and (stay.left_at is None or at < stay.left_at)
    )  # fmt: skip
