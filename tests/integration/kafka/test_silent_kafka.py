"""A Kafka that falls silent after a worker has found it: the worker says so, and goes on when it answers again.

The broker is real and its process is stopped, so that connections stand and nothing is answered.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from local.processes import Worker
from local.servers import Kafka, Redis
from tests.support.patience import eventually
from tests.support.stop_shop import Shop, order, worker

SILENT = "Kafka does not answer; reading goes on when it does"
ANSWERS = "Kafka answers again"
WARNS_EVERY_S = 2


@pytest.fixture(scope="module")
def mortal() -> Iterator[Kafka]:
    """A Kafka that others do not need."""
    with Kafka() as server:
        yield server


@contextmanager
def silenced(kafka: Kafka) -> Iterator[None]:
    os.kill(kafka.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(kafka.pid, signal.SIGCONT)


def count(reader: Worker, text: str) -> int:
    return reader.log.read_text().count(text)


@pytest.mark.kafka
def test_kafka_falls_silent_before_the_group_is_joined(mortal: Kafka, redis_server: Redis, tmp_path: Path) -> None:
    """Nothing is claimed, so nothing is missed; the log repeats since when Kafka is silent."""
    shop = Shop(mortal, redis_server, "silent-before", unread_s=WARNS_EVERY_S)
    shop.publish("purchases", order())
    with worker(shop.settings, tmp_path) as reader:
        # The consumer has been made then, and Faust waits for a second before it subscribes.
        eventually(lambda: count(reader, "Waiting for tables to be registered") > 0)
        with silenced(mortal):
            eventually(lambda: count(reader, SILENT) >= 3)
            assert count(reader, "claimed partitions") == 0
        eventually(lambda: shop.position("purchases") == 1)
        assert (reader.exit_code, count(reader, ANSWERS)) == (None, 1)
        first = next(line for line in reader.log.read_text().splitlines() if SILENT in line)
        assert " since=20" in first
        assert " silent_s=2" in first


@pytest.mark.kafka
def test_kafka_falls_silent_before_the_first_fetch(mortal: Kafka, redis_server: Redis, tmp_path: Path) -> None:
    """The worker reports a silent Kafka in time, once partitions are assigned as well."""
    shop = Shop(mortal, redis_server, "silent-claimed", unread_s=WARNS_EVERY_S)
    shop.publish("purchases", order())
    reader = worker(shop.settings, tmp_path)
    reader.environment["SEGMENTER_FAIL_POINT"] = "after_read_back:1:SIGSTOP"
    with reader:
        eventually(lambda: is_stopped(reader))
        with silenced(mortal):
            os.kill(reader.pid, signal.SIGCONT)
            eventually(lambda: count(reader, SILENT) > 0)
            assert (count(reader, "claimed partitions"), shop.position("purchases")) == (1, 0)
        eventually(lambda: shop.position("purchases") == 1)
        assert (reader.exit_code, count(reader, ANSWERS)) == (None, 1)


@pytest.mark.kafka
def test_a_join_that_another_member_holds_up_is_no_silence(kafka: Kafka, redis_server: Redis, tmp_path: Path) -> None:
    """A join that waits for another member is no silence: Kafka answers once all have come or a session is over."""
    shop = Shop(kafka, redis_server, "slow-join", unread_s=WARNS_EVERY_S, session_timeout_s=25)
    with worker(shop.settings, tmp_path) as member:
        member.wait_ready()
        os.kill(member.pid, signal.SIGSTOP)
        try:
            with worker(shop.settings, tmp_path) as joining:
                eventually(lambda: count(joining, "Waiting for tables to be registered") > 0)
                time.sleep(5 * WARNS_EVERY_S)
                assert (count(joining, "claimed partitions"), count(joining, SILENT)) == (0, 0)
        finally:
            os.kill(member.pid, signal.SIGCONT)


def is_stopped(reader: Worker) -> bool:
    return Path(f"/proc/{reader.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"
