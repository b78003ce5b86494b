"""Commands in a world that does not do its part: Kafka goes away half way, others write to our topics.

The one rule: a person gets a sentence that says what to do, never a traceback.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from kafka.errors import KafkaConnectionError, KafkaTimeoutError

from rules.engine import Engine
from streams import cli, topics
from streams.commands import publish, tail
from streams.definitions_file import load
from streams.replay import Replay
from streams.settings import Settings
from streams.stop import Stop
from streams.wire import changes
from streams.wire.decode import decode_line
from tests import live


def order(number: int) -> bytes:
    what = {"type": "track", "event": "Order Completed", "messageId": f"m{number}", "userId": "u1"}
    properties = {"order_id": f"o{number}"}
    return json.dumps({**what, "timestamp": datetime.now(UTC).isoformat(), "properties": properties}).encode()


# --- publish -----------------------------------------------------------------------------------


class Producer:
    """Takes two records and then no more; says so for one that it took."""

    taken = 0

    def __init__(self, **_: object) -> None:
        self.errbacks: list[Any] = []

    def send(self, topic: str, **_: object) -> Any:
        if self.taken == 2:
            raise KafkaTimeoutError("no leader")
        self.taken += 1
        return SimpleNamespace(add_errback=self.errbacks.append)

    def flush(self) -> None:
        self.errbacks[-1](KafkaTimeoutError("not in time"))

    def close(self) -> None:
        """Nothing is open."""


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Four lines, of which the second is refused."""
    monkeypatch.setattr(publish, "verify", lambda *_: None)
    path = tmp_path / "events.jsonl"
    path.write_bytes(b"\n".join([order(1), b"{", order(2), order(3)]))
    return str(path)


def test_kafka_goes_away_while_lines_are_sent(
    file: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The line at which it happened, and what became of those before it."""
    monkeypatch.setattr(publish, "KafkaProducer", Producer)
    assert cli.run(["publish", file]) == 75
    said = capsys.readouterr().err.splitlines()
    assert said[0] == "line 2: not_json"
    assert said[1] == "1 events published, 1 lines refused"
    assert said[2].startswith("line 3: not acknowledged: ")
    assert said[3].startswith("segmenter stopped: line 4 could not be sent (")
    assert "publish from line 3 on" in said[3], "what was not acknowledged is not left out"


def test_kafka_goes_away_at_the_end(
    file: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """While the acknowledgements are waited for."""

    class Silent(Producer):
        taken = -9

        def flush(self) -> None:
            raise KafkaTimeoutError("not in time")

    monkeypatch.setattr(publish, "KafkaProducer", Silent)
    assert cli.run(["publish", file]) == 75
    assert "does not answer" in capsys.readouterr().err


def test_kafka_goes_away_while_topics_are_looked_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One sentence with the setting; and the connection is closed."""

    def raise_timeout(*_: object) -> None:
        raise KafkaTimeoutError("gone")

    closed: list[bool] = []
    admin = SimpleNamespace(describe_topics=raise_timeout, close=lambda: closed.append(True))
    monkeypatch.setattr(topics, "KafkaAdminClient", lambda **_: admin)
    assert cli.run(["topics", "verify"]) == 75
    (said,) = capsys.readouterr().err.splitlines()
    assert "does not answer" in said
    assert "SEGMENTER_BROKERS" in said
    assert closed == [True]


# --- tail --------------------------------------------------------------------------------------


def test_records_of_others_on_the_topic(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Each is named on stderr and passed by; they do not count."""
    event = decode_line(order(1), int(datetime.now(UTC).timestamp() * 1000))
    (change,) = Replay(Engine(load(live.FOUR))).run([event], None)
    values = [b"foreign", None, b"{}", b"\xff", b"[1]", changes.encode(changes.of(change, "2026-01-01T00:00:00.000Z"))]

    class Consumer:
        def __init__(self, *_: object, **__: object) -> None:
            """Reads what there is, and then fails the test: nobody may ask for more."""

        def __iter__(self) -> Iterator[Any]:
            for at, value in enumerate(values):
                yield SimpleNamespace(topic="segment-changes", partition=1, offset=at, value=value)
            pytest.fail("one change was asked for")

        def close(self) -> None:
            """Nothing is open."""

    monkeypatch.setattr(tail, "verify", lambda *_: None)
    monkeypatch.setattr(tail, "KafkaConsumer", Consumer)
    assert cli.run(["tail", "--count", "1"]) == 0
    out, err = capsys.readouterr()
    assert out.count("\n") == 1
    assert "recently_purchased" in out
    said = err.splitlines()
    assert [line.partition(" is no ")[0] for line in said] == [
        f"segmenter tail: segment-changes-1, offset {at}" for at in range(5)
    ]


# --- settings ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(Settings.model_fields))
def test_an_empty_variable_is_no_value(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of variables writes what is left alone as `NAME=`."""
    monkeypatch.setenv(f"SEGMENTER_{name.upper()}", "")
    assert getattr(Settings(), name) == Settings.model_fields[name].default


@pytest.mark.parametrize(
    ("seen", "told"),
    [
        (["CERTIFICATE_VERIFY_FAILED", "111 ECONNREFUSED"], "CERTIFICATE_VERIFY_FAILED"),
        (["111 ECONNREFUSED", "CERTIFICATE_VERIFY_FAILED"], "CERTIFICATE_VERIFY_FAILED"),
        (["111 ECONNREFUSED"], "ECONNREFUSED"),
    ],
)
def test_what_a_broker_answered_is_told_before_that_another_is_not_there(seen: list[str], told: str) -> None:
    """Whichever was noticed last; and that nobody is there, where that is all."""

    def connect() -> None:
        with topics.answering(Settings()):
            for error in seen:
                logging.getLogger("kafka.net.manager").error("Connection failed: %s", KafkaConnectionError(error))
            raise KafkaTimeoutError("Unable to bootstrap")

    with pytest.raises(Stop, match=told):
        connect()
