"""The sink on a real Kafka and a real PostgreSQL."""

from __future__ import annotations

import itertools
import random
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import pytest

from local.postgres import Postgres
from local.servers import Kafka
from streams.wire.topics import CHANGES
from tests.support.commands import Done, assert_stopped, segmenter
from tests.support.patience import eventually
from tests.support.sink_history import SinkHistory
from tests.support.sink_process import PARTITIONS, SinkProcess, SinkTopics
from tests.support.sink_tables import assert_agrees, stays

pytestmark = pytest.mark.kafka

_numbers = itertools.count()


@pytest.fixture
def topics(kafka: Kafka, request: pytest.FixtureRequest) -> Iterator[SinkTopics]:
    """Topics of their own, empty; with the parameter ``False`` without that of decisions."""
    made = SinkTopics(kafka, f"sink{next(_numbers)}.", decisions=getattr(request, "param", True))
    yield made
    made.close()


@pytest.fixture
def settings(topics: SinkTopics, postgres: Postgres, schema: str) -> dict[str, Any]:
    """The settings of a sink."""
    of_topics = topics.settings
    return {
        "brokers": of_topics.brokers, "topic_prefix": of_topics.topic_prefix, "postgres": postgres.url,
        "postgres_schema": schema,
    }  # fmt: skip


def once(settings: dict[str, Any]) -> Done:
    """Write all that is there."""
    return segmenter("sink", "--once", timeout_s=120, **settings)


def records_read(database: Postgres, schema: str) -> int:
    """How far the sink has read, in all partitions together."""
    with psycopg.connect(database.url) as connection:
        try:
            row = connection.execute(f"SELECT coalesce(sum(next_offset), 0) FROM {schema}.sink_progress").fetchone()
        except psycopg.errors.UndefinedTable:
            return 0
    assert row is not None
    return int(row[0])


def has_read(database: Postgres, schema: str, before: int) -> bool:
    """Whether the sink has read on since."""
    return records_read(database, schema) > before


@pytest.mark.parametrize("kills", [5, pytest.param(40, marks=pytest.mark.nightly)])
def test_kill_9_of_both_sides(
    kills: int, topics: SinkTopics, settings: dict[str, Any], schema: str, tmp_path: Path
) -> None:
    """The sink and PostgreSQL are killed while records come; every record is written once."""
    draw, history = random.Random(kills), SinkHistory(kills, customers=40, steps=60 * kills)
    with Postgres() as database:
        settings |= {"postgres": database.url}
        sink = SinkProcess(settings, log=tmp_path / "log").start()
        for number in range(kills):
            before = records_read(database, schema)
            topics.publish_history(history, 60 * number, 60 * number + 60)
            eventually(partial(has_read, database, schema, before), 30, sink.tail())
            time.sleep(draw.uniform(0.0, 0.1))
            if number % 3 == 1:
                database.kill9()
                time.sleep(draw.uniform(0.0, 0.5))
                database.start()
            else:
                sink.kill()
                sink.start()
        sink.stop()
        assert once(settings).code == 0, sink.tail()
        with psycopg.connect(database.url, autocommit=True) as connection:
            assert_agrees(connection, schema, history)


@pytest.mark.parametrize("topics", [False], indirect=True)
def test_it_begins_after_retention(
    topics: SinkTopics, settings: dict[str, Any], connection: psycopg.Connection, schema: str
) -> None:
    """The membership of now is whole. There are no triggers, so that there are no decisions."""
    history = SinkHistory(5, customers=12, steps=80)
    topics.publish_history(history, 0, 80)
    topics.delete_before(CHANGES, dict.fromkeys(range(PARTITIONS), 40))
    done = once(settings)
    assert done.code == 0, done.err
    assert "there is no topic of decisions" in done.err
    now = {(stay.customer_id, stay.segment) for stay in stays(connection, schema) if stay.left_at is None}
    assert now == {(stay.customer_id, stay.segment) for stay in history.stays_after() if stay.left_at is None}


def test_what_stops_it(
    topics: SinkTopics, settings: dict[str, Any], connection: psycopg.Connection, schema: str
) -> None:
    """Each sentence names what to change, none repeats a password, and with that changed everything is written."""
    history = SinkHistory(7, customers=5, steps=20)
    topics.publish_history(history, 0, 20)
    assert_stopped(once(settings | {"postgres": "postgresql://u:hush@127.0.0.1:1/x"}), "PostgreSQL does not answer",
                   "see SEGMENTER_POSTGRES")  # fmt: skip
    for wrong in ("mysql://u:hush@127.0.0.1/x", "host=127.0.0.1 hush"):
        done = once(settings | {"postgres": wrong})
        assert_stopped(done, "SEGMENTER_POSTGRES cannot be read", "postgresql://USER@HOST/DATABASE")
        assert "hush" not in done.err
    connection.execute(f"CREATE ROLE {schema} LOGIN")
    of_role = settings | {"postgres": settings["postgres"].replace("postgres@", f"{schema}@")}
    assert_stopped(once(of_role), "PostgreSQL refuses what the sink does: permission denied for database")
    connection.execute(f"CREATE SCHEMA {schema} AUTHORIZATION {schema}")
    assert once(of_role).code == 0
    assert_agrees(connection, schema, history)
    connection.execute(f"UPDATE {schema}.sink_progress SET next_offset = next_offset + 1000")
    assert_stopped(once(of_role), "the topic was deleted and recreated", "give SEGMENTER_POSTGRES_SCHEMA another name")
    other = of_role | {"postgres_schema": f"{schema}_b"}
    connection.execute(f"CREATE SCHEMA {schema}_b AUTHORIZATION {schema}")
    assert once(other).code == 0
    assert_agrees(connection, f"{schema}_b", history)


@pytest.mark.nightly
def test_it_waits_for_kafka(postgres: Postgres, schema: str, tmp_path: Path) -> None:
    """Kafka dies under the sink, and what comes later is written."""
    with Kafka() as own:
        topics = SinkTopics(own, "")
        settings = {"brokers": own.address, "postgres": postgres.url, "postgres_schema": schema}
        history = SinkHistory(9, customers=5, steps=20)
        topics.publish_history(history, 0, 10)
        sink = SinkProcess(settings, log=tmp_path / "log").start()
        eventually(lambda: records_read(postgres, schema) > 0, 30, sink.tail())
        topics.close()
        own.kill9()
        time.sleep(3)
        own.start()
        topics = SinkTopics(own, "")
        topics.publish_history(history, 10, 20)
        topics.close()
        with psycopg.connect(postgres.url, autocommit=True) as connection:

            def agrees() -> bool:
                return stays(connection, schema) == history.stays_after()

            eventually(agrees, 60, sink.tail())
            assert_agrees(connection, schema, history)
        assert sink.stop() == 0
