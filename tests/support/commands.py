"""The command line as the tests use it: a process, its streams and exit code; events for it, and topics.

A run gets the given settings and no others.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any, NamedTuple

from aiokafka.partitioner import murmur2
from kafka import KafkaConsumer, TopicPartition

from local.servers import Tansu
from tests.support import command_server, live

NOW = datetime.now(UTC).replace(microsecond=0)
_numbers = count(1)


class Done(NamedTuple):
    """How a run of the command ended."""

    code: int
    out: str
    err: str


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "streams", *arguments]


def environment(settings: Mapping[str, object]) -> dict[str, str]:
    """The environment with these settings of the segmenter and no others."""
    variables = {name: value for name, value in os.environ.items() if not name.startswith("SEGMENTER_")}
    return variables | {f"SEGMENTER_{name.upper()}": str(value) for name, value in settings.items()}


def segmenter(*arguments: str, stdin: bytes = b"", timeout_s: float = 60, **settings: object) -> Done:
    """Run the command to its end, in a process of its own that shares the imports of others (`command_server`)."""
    with TemporaryFile() as given, TemporaryFile() as out, TemporaryFile() as err:
        given.write(stdin)
        given.seek(0)
        running = command_server.start(arguments, environment(settings), (given, out, err))
        try:
            return Done(running.wait(timeout_s), _text(out), _text(err))
        finally:
            running.kill()


def _text(stream: IO[bytes]) -> str:
    stream.seek(0)
    return stream.read().decode()


def assert_one_line(err: str) -> None:
    assert err.count("\n") == 1, err


def assert_stopped(done: Done, *words: str) -> None:
    """The command ended with code 75, nothing on stdout, and one sentence with these words on stderr."""
    assert (done.code, done.out) == (75, ""), done
    assert_one_line(done.err)
    assert done.err.startswith("segmenter stopped: ")
    for word in words:
        assert word in done.err


# --- events ------------------------------------------------------------------------------------


def event(customer: str, number: int, name: str, after_m: float, /, **properties: object) -> dict[str, Any]:
    """An event ``after_m`` minutes after the 1st of March; `moved_to_now` moves it."""
    time_of_it = datetime(2026, 3, 1, 10, tzinfo=UTC) + timedelta(minutes=after_m)
    call: dict[str, Any] = {"type": "page"} if name == "page" else {"type": "track", "event": name}
    identity = {"messageId": f"{customer}-{number}", "userId": customer}
    return {**call, **identity, "timestamp": time_of_it.isoformat(), "properties": properties}


def line(what: Mapping[str, Any]) -> bytes:
    return json.dumps(what, ensure_ascii=False).encode()


def lines(*events: Mapping[str, Any]) -> bytes:
    return b"".join(line(event) + b"\n" for event in events)


def moved_to_now(*events: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Events with their times moved, so that the 1st of March is three hours ago."""
    by = NOW - timedelta(hours=3) - datetime(2026, 3, 1, 10, tzinfo=UTC)
    return [{**event, "timestamp": (datetime.fromisoformat(event["timestamp"]) + by).isoformat()} for event in events]


# --- topics ------------------------------------------------------------------------------------


def on_tansu(tansu: Tansu, prefix: str, **more: object) -> dict[str, Any]:
    """Settings with topics of one's own."""
    own = {"topic_prefix": prefix, "partitions": live.PARTITIONS}
    return {"brokers": tansu.address, "broker": "tansu", **own, **more}


def shop_on(tansu: Tansu, name: str, redis: str, **more: object) -> dict[str, Any]:
    """A shop for one test module, under a name that was never used: a module may be left and come back to."""
    name = f"{name}{next(_numbers)}"
    own = {"redis": redis, "redis_prefix": f"{name}:", "group": name, "session_timeout_s": 2}
    return on_tansu(tansu, f"{name}-", **own, **more)


def partition_of(key: bytes) -> int:
    """The partition in which Kafka's default partitioner puts the key."""
    return int((murmur2(key) & 0x7FFFFFFF) % live.PARTITIONS)


def read(brokers: str, names: Sequence[str], count: int) -> list[Any]:
    """Read so many records of these topics, and what may come with the last of them."""
    consumer: Any = KafkaConsumer(bootstrap_servers=brokers)
    places = [TopicPartition(name, number) for name in names for number in range(live.PARTITIONS)]
    consumer.assign(places)
    consumer.seek_to_beginning(*places)
    records: list[Any] = []
    until = time.monotonic() + 60
    while len(records) < count and time.monotonic() < until:
        for batch in consumer.poll(timeout_ms=200).values():
            records += batch
    consumer.close()
    return records


DEMO = Path(__file__).parents[2] / "rules" / "demo.yaml"
PAGE = event("u1", 2, "page", 40)
