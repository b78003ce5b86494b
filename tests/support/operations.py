"""A worker and the operations process on servers of their own, for the tests of what the operator sees.

Both are processes of their own, and are queried over HTTP.
"""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from kafka import KafkaProducer
from prometheus_client.parser import text_string_to_metric_families

from local import servers
from local.processes import Ops, Worker
from streams.kafka import admin
from streams.settings import Settings
from tests.support import live
from tests.support.patience import eventually
from tests.support.trigger_processes import say

TOKEN = "a-token-for-the-tests"
BEHIND_S = 3.0


class Parts(NamedTuple):
    """The running parts of a test."""

    kafka: servers.Kafka
    redis: servers.Redis
    worker: Worker
    ops: Ops
    saved_lift: Path


@contextmanager
def running() -> Iterator[Parts]:
    """A worker and the operations process on servers of their own."""
    with servers.Kafka() as kafka, servers.Redis(aof=True) as redis, TemporaryDirectory() as folder:
        saved_lift = Path(folder) / "lift.json"
        settings: dict[str, Any] = {
            "brokers": kafka.address, "redis": redis.url, "partitions": live.PARTITIONS, "http": "127.0.0.1:0",
            "ready_behind_s": BEHIND_S, "definitions": live.FOUR, "fetch_wait_ms": 50,
        }  # fmt: skip
        admin.create(Settings(**settings))
        with Worker(settings) as worker:
            worker.wait_ready()
            eventually(
                lambda: "serving metrics and health" in worker.log.read_text(), 10, "the worker serves its metrics"
            )
            looking = {
                **settings,
                "ops_http": "127.0.0.1:0",
                "ops_token": TOKEN,
                "ops_workers": worker.http,
                "ops_lift": saved_lift,
            }
            with Ops(looking) as ops:
                ops.wait_ready()
                yield Parts(kafka, redis, worker, ops, saved_lift)


def get(address: str, path: str, token: str = TOKEN, timeout_s: float = 2.0) -> tuple[int, Any]:
    """Status and JSON; 0 when no server answers."""
    request = urllib.request.Request(f"http://{address}{path}", headers={"Authorization": f"Bearer {token}"})
    try:
        with urllib.request.urlopen(request, timeout=timeout_s) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())
    except (OSError, ValueError):
        return 0, None


def exposed(address: str) -> dict[str, Any]:
    """The families of an exposition, by the names of their list."""
    request = urllib.request.Request(f"http://{address}/metrics", headers={"Authorization": f"Bearer {TOKEN}"})
    with urllib.request.urlopen(request, timeout=5) as answer:
        text = answer.read().decode()
    return {
        family.name + ("_total" if family.type == "counter" else ""): family
        for family in text_string_to_metric_families(text)
    }


def total(family: Any, **labels: str) -> float:
    """The total of a counter, or of a histogram's observations."""
    return sum(
        float(sample.value)
        for sample in family.samples
        if sample.name.endswith(("_total", "_count")) and labels.items() <= sample.labels.items()
    )


def send(parts: Parts, *events: tuple[str, str], **more: Any) -> None:
    """Send events of now, each given as customer and name."""
    producer: Any = KafkaProducer(bootstrap_servers=parts.kafka.address)
    for index, (customer, event) in enumerate(events):
        say(producer, customer, event, time.time_ns() // 1_000_000 - len(events) + index, **more)
    producer.flush()
    producer.close()
