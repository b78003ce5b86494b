"""`segmenter redeliver` on a Kafka that falls silent: it ends, says how far it came, and may be run again.

The broker is real and its process is stopped, so that connections stand and nothing is answered.
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from kafka import KafkaProducer

from local.servers import Kafka, Redis
from streams.kafka import admin
from streams.settings import Settings
from streams.wire.topics import TRIGGERS
from tests.support.commands import segmenter
from tests.support.silent_kafka import falling_silent, run_altered
from tests.support.stop_shop import Shop

pytestmark = pytest.mark.kafka
LETTERS = 40
SILENT_AT = 20
# Kafka is silent from when the letters are to be read.
SILENT_READING = """
import os, signal
from streams.cli import redeliver
from streams.kafka import log_reader
log_reader.SILENT_MAX_S = 2
newest = redeliver.newest
def newest_of_silence(letters):
    os.kill({pid}, signal.SIGSTOP)
    return newest(letters)
redeliver.newest = newest_of_silence
"""


@pytest.fixture(scope="module")
def mortal() -> Iterator[Kafka]:
    """A Kafka that others do not need."""
    with Kafka() as server:
        yield server


@contextmanager
def continuing(kafka: Kafka) -> Iterator[None]:
    try:
        yield
    finally:
        os.kill(kafka.pid, signal.SIGCONT)


def with_letters(kafka: Kafka, redis_server: Redis, name: str) -> Shop:
    """A shop with dead letters of messages to as many customers."""
    shop = Shop(kafka, redis_server, name)
    admin.create(Settings(**shop.settings), TRIGGERS)
    producer: Any = KafkaProducer(bootstrap_servers=kafka.address)
    for number in range(LETTERS):
        value = json.dumps({"change_id": f"c{number}"}).encode()
        producer.send(shop.prefix + "trigger-dead-letters", value, b"u%d" % number, [("trigger", b"call")])
    producer.close()
    return shop


def test_kafka_falls_silent_while_letters_are_sent(mortal: Kafka, redis_server: Redis) -> None:
    """What was acknowledged is counted, and the sentence says that it may be done again."""
    shop = with_letters(mortal, redis_server, "silent-sending")
    with falling_silent(mortal, SILENT_AT) as lines:
        done = run_altered(lines, "redeliver", **shop.settings)
    assert done.code == 75, done
    counted, sentence = done.err.splitlines()
    count, _, words = counted.partition(" ")
    assert words == "messages handed to triggers"
    assert SILENT_AT <= int(count) < LETTERS, "answers that were on their way when Kafka stood still count, too"
    assert "not all messages could be redelivered" in sentence
    advice = "when Kafka answers, redeliver them again: messages that were sent by then are not sent again"
    assert sentence.endswith(f"; {advice}")
    again = segmenter("redeliver", **shop.settings)
    assert (again.code, again.err) == (0, f"{LETTERS} messages handed to triggers\n")
    replays = [json.loads(record.value) for record in shop.read("trigger-replays", 1_000, within_s=2)]
    assert len({replay["change"]["change_id"] for replay in replays}) == LETTERS


def test_kafka_falls_silent_while_letters_are_read(mortal: Kafka, redis_server: Redis) -> None:
    """The command does not wait for ever."""
    shop = with_letters(mortal, redis_server, "silent-reading")
    with continuing(mortal):
        done = run_altered(SILENT_READING.format(pid=mortal.pid), "redeliver", **shop.settings)
    assert done.code == 75, done
    counted, sentence = done.err.splitlines()
    assert counted == "0 messages handed to triggers"
    assert "Kafka gave nothing of" in sentence
    assert segmenter("redeliver", **shop.settings).err == f"{LETTERS} messages handed to triggers\n"
