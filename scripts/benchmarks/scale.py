"""Measures the cost of more customers: throughput, memory of Redis and of the worker, and the time of a restart.

Each size has the same number of events per customer in the same span, so that its changes per event are the same.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from kafka import KafkaProducer
from redis import Redis

from benchmarks.peers import drained_by
from benchmarks.plan import Plan
from benchmarks.results import BenchmarkCase
from benchmarks.samples import Samples
from benchmarks.stage import PARTITIONS, Stage, load, settings_of
from benchmarks.throughput import machine
from local import servers
from local.processes import Worker
from rules.times import format_instant
from streams.settings import Settings
from streams.state.redis_reader import key

EVENTS_EACH = 5
PROFILE = "change-heavy"
FEED_EVERY_S = 0.01
BACK_MAX_S = 60.0


def run(plan: Plan) -> Iterator[BenchmarkCase]:
    """Measure one worker at each number of customers."""
    print(f"one worker, {EVENTS_EACH} events per customer, {PROFILE}; {machine()}")
    for customers in plan.sizes:
        samples = Samples()
        for _ in range(plan.rounds):
            with Stage() as stage:
                _run(samples, stage, customers)
        conditions = f"{EVENTS_EACH} events of each of {customers:,} customers, {PROFILE}, {PARTITIONS} partitions"
        yield BenchmarkCase("scale", f"{customers:,} customers", conditions, samples.figures())


def _run(samples: Samples, stage: Stage, customers: int) -> None:
    """Measure one number of customers: a backlog, memory, and how fast a worker is back after its end and its death."""
    events = EVENTS_EACH * customers
    print(f"{customers:,} customers: filling the topics with {events:,} events …", flush=True)
    prefix = stage.fill(load(events, customers, PROFILE))
    with servers.Redis(aof=True) as redis, Redis.from_url(redis.url) as client:
        settings = settings_of(stage.kafka.address, redis.url, topic_prefix=prefix, group=prefix + "segmenter")
        environment = settings.model_dump(exclude_none=True)
        empty = client.info("memory")["used_memory"]
        with Worker(environment) as worker:
            drained = drained_by([worker], stage, client, settings, events, empty)
            resident, most = _memory_mb(worker.pid)
            worker.stop()
        print(f"  {drained.rate:,.0f} events/s; Redis {drained.redis_bytes_per_customer:.0f} bytes per customer")
        print(f"  worker {resident:.0f} MB, at most {most:.0f} MB", flush=True)
        _add(samples, "rate", "events/s", drained.rate)
        _add(samples, "Redis memory", "bytes per customer", drained.redis_bytes_per_customer)
        _add(samples, "its memory", "MB", resident)
        _add(samples, "its memory at most", "MB", most)
        with _feeding(settings):
            with Worker(environment) as second:
                after_term_s = _back_s(client, settings)
                print(f"  after SIGTERM, started to events on all partitions: {after_term_s:.1f} s")
                second.kill()
                with Worker(environment):
                    after_kill_s = _back_s(client, settings)
            timeout = f"session timeout {settings.session_timeout_s:g} s"
            print(f"  after kill -9 likewise: {after_kill_s:.1f} s ({timeout})", flush=True)
        _add(samples, "back after SIGTERM", "s", after_term_s)
        _add(samples, f"back after kill -9, {timeout}", "s", after_kill_s)


def _add(samples: Samples, metric: str, unit: str, value: float) -> None:
    samples.add("segmenter, 1 worker", metric, unit, value)


def _memory_mb(pid: int) -> tuple[float, float]:
    """The resident memory of a process now, and its maximum so far."""
    lines = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":" in line)
    return int(lines["VmRSS"].split()[0]) / 1e3, int(lines["VmHWM"].split()[0]) / 1e3


def _back_s(client: Any, settings: Settings) -> float:
    """The seconds until each partition has applied new events."""
    began = time.monotonic()
    before = _positions(client, settings)
    while any(now == then for now, then in zip(_positions(client, settings), before, strict=True)):
        if time.monotonic() > began + BACK_MAX_S:
            raise TimeoutError(f"not all partitions went on within {BACK_MAX_S:g} s")
        time.sleep(FEED_EVERY_S)
    return time.monotonic() - began


def _positions(client: Any, settings: Settings) -> list[dict[bytes, bytes]]:
    whole = [client.hgetall(key(settings.redis_prefix, partition, "meta")) for partition in range(PARTITIONS)]
    return [{name: value for name, value in meta.items() if name.startswith(b"position:")} for meta in whole]


@contextmanager
def _feeding(settings: Settings) -> Iterator[None]:
    """Send present events to each partition in turn."""
    over = threading.Event()
    thread = threading.Thread(target=_feed, args=(settings, over))
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _feed(settings: Settings, over: threading.Event) -> None:
    producer = KafkaProducer(bootstrap_servers=settings.brokers)
    number = 0
    while not over.wait(FEED_EVERY_S):
        name = f"fed-{number}"
        event = {
            "type": "page",
            "messageId": name,
            "userId": name,
            "timestamp": format_instant(int(time.time() * 1000)),
        }
        producer.send(f"{settings.topic_prefix}visits", key=name.encode(), value=json.dumps(event).encode())
        number += 1
    producer.close()
