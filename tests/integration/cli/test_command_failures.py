"""Commands under failures: Kafka goes away half way, other programs write to our topics.

The user gets a sentence that says what to do, never a traceback.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from kafka import KafkaProducer
from kafka.errors import KafkaConnectionError, KafkaTimeoutError

from local.servers import Kafka, Redis
from rules.engine import Engine
from streams.cli import main, tail
from streams.kafka import admin as topics
from streams.kafka.client import answering
from streams.offline.replay import Replay
from streams.settings import Settings
from streams.settings.definitions_file import load
from streams.stop import Stop
from streams.wire import changes
from streams.wire.event_decoder import RECORD_MAX_BYTES, decode_line
from streams.wire.topics import TRIGGERS
from tests.support import live
from tests.support.commands import segmenter
from tests.support.stop_shop import Shop, set_batch_size


def order(number: int, note: str = "") -> bytes:
    what = {"type": "track", "event": "Order Completed", "messageId": f"m{number}", "userId": "u1"}
    properties = {"order_id": f"o{number}", "note": note}
    return json.dumps({**what, "timestamp": datetime.now(UTC).isoformat(), "properties": properties}).encode()


# --- publish -----------------------------------------------------------------------------------


@pytest.mark.kafka
def test_lines_that_kafka_does_not_take(kafka: Kafka, redis_server: Redis) -> None:
    """A line too large for the client or for the topic is named, and the other lines are published."""
    shop = Shop(kafka, redis_server, "not-taken")
    lines = [order(1), order(2, "x" * (RECORD_MAX_BYTES - len(order(2)))), order(3)]
    done = segmenter("publish", "-", stdin=b"\n".join(lines), **shop.settings)
    counted, named = done.err.splitlines()
    assert (done.code, counted) == (1, "2 events published, 0 lines refused")
    assert named.startswith("line 2: not acknowledged: ")
    assert [record.value for record in shop.read("purchases", 3, within_s=1)] == lines[::2]
    set_batch_size(kafka, shop.prefix + "purchases", 100)
    done = segmenter("publish", "-", stdin=b"\n".join(lines[::2]), **shop.settings)
    assert (done.code, done.err.count("not acknowledged: ")) == (1, 2)


@pytest.mark.kafka
def test_a_message_that_kafka_does_not_take(kafka: Kafka, redis_server: Redis) -> None:
    """A message that Kafka refuses is not reported as tried again."""
    shop = Shop(kafka, redis_server, "not-tried")
    topics.create(Settings(**shop.settings), TRIGGERS)
    producer: Any = KafkaProducer(bootstrap_servers=kafka.address)
    producer.send(shop.prefix + "trigger-dead-letters", b'"%s"' % (b"x" * 1_000), b"u1", [("trigger", b"call")])
    producer.close()
    set_batch_size(kafka, shop.prefix + "trigger-replays", 500)
    done = segmenter("redeliver", **shop.settings)
    counted, named = done.err.splitlines()
    assert (done.code, counted) == (1, "0 messages handed to triggers")
    topic = f"{shop.prefix}trigger-replays"
    assert named.startswith(f"Kafka refused a record for {topic}: [Error 10] MessageSizeTooLargeError")
    set_batch_size(kafka, shop.prefix + "trigger-replays", 100_000)
    done = segmenter("redeliver", **shop.settings)
    assert (done.code, done.err) == (0, "1 messages handed to triggers\n")


# --- topics -------------------------------------------------------------------------------------


def test_kafka_goes_away_while_topics_are_looked_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One sentence names the setting, and the connection is closed."""

    def raise_timeout(*_: object) -> None:
        raise KafkaTimeoutError("gone")

    closed: list[bool] = []
    admin = SimpleNamespace(describe_topics=raise_timeout, close=lambda: closed.append(True))
    monkeypatch.setattr(topics, "KafkaAdminClient", lambda **_: admin)
    assert main.run(["topics", "verify"]) == 75
    (sentence,) = capsys.readouterr().err.splitlines()
    assert "does not answer" in sentence
    assert "SEGMENTER_BROKERS" in sentence
    assert closed == [True]


# --- tail --------------------------------------------------------------------------------------


def test_records_of_others_on_the_topic(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Each foreign record is named on stderr and skipped; it does not count."""
    event = decode_line(order(1), int(datetime.now(UTC).timestamp() * 1000))
    (change,) = Replay(Engine(load(live.FOUR))).run([event], None)
    values = [b"foreign", None, b"{}", b"\xff", b"[1]", changes.encode(changes.of(change, "2026-01-01T00:00:00.000Z"))]

    class Consumer:
        def __init__(self, *_: object, **__: object) -> None:
            """Create a consumer which reads the values and then fails the test: no more may be asked for."""

        def __iter__(self) -> Iterator[Any]:
            for offset, value in enumerate(values):
                yield SimpleNamespace(topic="segment-changes", partition=1, offset=offset, value=value)
            pytest.fail("one change was asked for")

        def close(self) -> None:
            """Nothing is open."""

    monkeypatch.setattr(tail, "verify", lambda *_: None)
    monkeypatch.setattr(tail, "KafkaConsumer", Consumer)
    assert main.run(["tail", "--count", "1"]) == 0
    out, err = capsys.readouterr()
    assert out.count("\n") == 1
    assert "recently_purchased" in out
    sentences = err.splitlines()
    assert [line.partition(" is no ")[0] for line in sentences] == [
        f"segmenter tail: segment-changes-1, offset {offset}" for offset in range(5)
    ]


# --- settings ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(Settings.model_fields))
def test_an_empty_variable_is_no_value(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A setting whose variable is empty is not set, as a file of variables writes an unset one as `NAME=`."""
    monkeypatch.setenv(f"SEGMENTER_{name.upper()}", "")
    assert getattr(Settings(), name) == Settings.model_fields[name].default


@pytest.mark.parametrize(
    ("errors", "reported"),
    [
        (["CERTIFICATE_VERIFY_FAILED", "111 ECONNREFUSED"], "CERTIFICATE_VERIFY_FAILED"),
        (["111 ECONNREFUSED", "CERTIFICATE_VERIFY_FAILED"], "CERTIFICATE_VERIFY_FAILED"),
        (["111 ECONNREFUSED"], "ECONNREFUSED"),
    ],
)
def test_what_a_broker_answered_is_told_before_that_another_is_not_there(errors: list[str], reported: str) -> None:
    """The refusal of a TLS certificate is reported before a refused connection, whichever came last."""

    def connect() -> None:
        with answering(Settings()):
            for error in errors:
                logging.getLogger("kafka.net.manager").error("Connection failed: %s", KafkaConnectionError(error))
            raise KafkaTimeoutError("Unable to bootstrap")

    with pytest.raises(Stop, match=reported):
        connect()
