"""Measures the delay from an event, or a due time, to its change at a consumer, under a steady load.

Producer and consumer are processes of their own, and the measured system is warmed up by the same load before.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from kafka import KafkaProducer
from redis import Redis

from benchmarks.peer_programs import await_line, java_running
from benchmarks.peers import applied
from benchmarks.plan import Plan
from benchmarks.results import BenchmarkCase
from benchmarks.samples import Samples
from benchmarks.stage import PARTITIONS, cpu_s, see_changes, settings_of
from load import pace
from local import servers
from local.processes import Worker
from rules.times import format_instant, parse_instant
from streams.kafka import admin
from streams.settings import Settings

WARM_S = 10.0
DUE_AFTER_S = 2
CROWD_AFTER_S = 45
CALM_S = 10.0
# The crowd's due time is this long after the start of the load that it may disturb, which lasts three times as long.
BEFORE_S = 8.0


def run(rate: int, plan: Plan) -> BenchmarkCase:
    """Measure this worker, from event to change, and in turn Kafka Streams with each commit interval."""
    samples = Samples()
    for _ in range(plan.rounds):
        _run_worker(samples, rate, plan.seconds)
        for commit_ms in plan.commits:
            _run_streams(samples, rate, plan.seconds, commit_ms)
    conditions = f"{rate:,} events/s for {plan.seconds:g} s, {PARTITIONS} partitions"
    return BenchmarkCase("latency", f"{rate:,} events/s", conditions, samples.figures("segmenter", "p99"))


def _run_worker(samples: Samples, rate: int, seconds: float) -> None:
    with _worker() as (settings, worker):
        _measure(samples, "segmenter", settings.brokers, rate, seconds, worker.pid)


def _run_streams(samples: Samples, rate: int, seconds: float, commit_ms: int) -> None:
    with servers.Kafka() as kafka:
        admin.create(settings_of(kafka.address, "redis://unused"))
        with java_running(kafka.address, ["exactly_once_v2", "2", str(commit_ms)], "") as process:
            await_line(process, "RUNNING")
            name = f"Kafka Streams, exactly_once_v2, commit {commit_ms} ms"
            _measure(samples, name, kafka.address, rate, seconds, process.pid)


def _measure(samples: Samples, name: str, broker: str, rate: int, seconds: float, pid: int) -> None:
    pace.delays_ms(broker, rate, min(WARM_S, seconds), "warm")
    cpu = cpu_s(pid)
    delays = pace.delays_ms(broker, rate, seconds, "paced")
    cpu = cpu_s(pid) - cpu
    sent = int(rate * seconds / pace.BUYERS)
    print(f"{rate:,} events/s for {seconds:g} s, {name}: {len(delays):,} of {sent:,} changes came; {shares(delays)}")
    print(f"  CPU {cpu / seconds:.0%} of one core", flush=True)
    samples.add_delays(name, delays)
    samples.add(name, "CPU", "% of one core", 100 * cpu / seconds)


def run_due(rate: int, plan: Plan) -> BenchmarkCase:
    """Measure this worker, from a due time (and the grace) to its change; one event in four has one."""
    samples = Samples()
    for _ in range(plan.rounds):
        samples.add_delays("segmenter", _due_delays_ms(rate, plan.seconds))
    conditions = f"{rate:,} events/s for {plan.seconds:g} s, of which one in {pace.BUYERS} has a due time"
    return BenchmarkCase("due", f"{rate // pace.BUYERS:,} due times/s", conditions, samples.figures())


def _due_delays_ms(rate: int, seconds: float) -> list[float]:
    with _definitions(DUE_AFTER_S) as definitions, _worker(definitions=definitions) as (settings, _):
        pace.delays_ms(settings.brokers, rate, min(WARM_S, seconds), "warm", "exited")
        delays = pace.delays_ms(settings.brokers, rate, seconds, "paced", "exited")
    sent = int(rate * seconds / pace.BUYERS)
    beyond = [delay - settings.grace_ms for delay in delays]
    print(
        f"{rate // pace.BUYERS:,} due times/s among {rate:,} events/s for {seconds:g} s: {len(delays):,} of {sent:,} "
        f"changes came; beyond the grace of {settings.grace_ms:,} ms: {shares(beyond)}",
        flush=True,
    )
    return beyond


def run_crowd(plan: Plan) -> BenchmarkCase:
    """Measure all customers due at one instant: how long that takes, and its effect on events that come meanwhile."""
    samples, (rate, *_) = Samples(), plan.rates
    for _ in range(plan.rounds):
        _run_crowd(samples, plan.crowd, rate)
    conditions = f"{plan.crowd:,} customers due at one instant, among {rate:,} events/s"
    return BenchmarkCase("crowd", "all at once", conditions, samples.figures("before it", "p99"))


def _run_crowd(samples: Samples, customers: int, rate: int) -> None:
    with _definitions(CROWD_AFTER_S) as definitions, _worker(definitions=definitions) as (settings, worker):
        at_ms = time.time_ns() // 1_000_000
        due_ms = at_ms + CROWD_AFTER_S * 1000
        _send_crowd(settings.brokers, customers, at_ms)
        with Redis.from_url(settings.redis.get_secret_value()) as client:
            while applied(client, settings) < customers:
                time.sleep(0.1)
        # The reference: the same load while no customer is due.
        calm = pace.delays_ms(settings.brokers, rate, CALM_S, "calm")
        wait_s = due_ms / 1000 - BEFORE_S - time.time()
        if wait_s < 0:
            raise RuntimeError(f"{customers:,} customers take more than {CROWD_AFTER_S} s to come: ask for fewer")
        time.sleep(wait_s)
        during = pace.delays_ms(settings.brokers, rate, 3 * BEFORE_S, "during")
        published_ms = _crowd_published_ms(settings.brokers, due_ms)
        assert worker.exit_code is None
    print(f"{customers:,} customers due at one instant, among {rate:,} events/s: {len(published_ms):,} changes,")
    first, last = min(published_ms) - due_ms - settings.grace_ms, max(published_ms) - due_ms - settings.grace_ms
    print(f"  published {first:,} to {last:,} ms after it and the grace of {settings.grace_ms:,} ms")
    print(f"  event to change, {CALM_S:g} s before: {shares(calm)}")
    print(f"  event to change, the {3 * BEFORE_S:g} s around it: {shares(during)}", flush=True)
    samples.add("changes of the due time", "first", "ms", first)
    samples.add("changes of the due time", "last", "ms", last)
    samples.add_delays("before it", calm)
    samples.add_delays("around it", during)


def _send_crowd(broker: str, customers: int, at_ms: int) -> None:
    producer = KafkaProducer(bootstrap_servers=broker, linger_ms=20, batch_size=200_000)
    for number in range(customers):
        name = f"crowd-{number}"
        event = {
            "type": "track", "event": "Order Completed", "messageId": name, "userId": name,
            "timestamp": format_instant(at_ms), "properties": {"order_id": name},
        }  # fmt: skip
        producer.send("purchases", key=name.encode(), value=json.dumps(event).encode())
    producer.flush()
    producer.close()


def _crowd_published_ms(broker: str, due_ms: int) -> list[int]:
    """When (ms) each change of that due time was published."""
    values: list[int] = []

    def see(record: Any) -> None:
        change = json.loads(record.value)
        if change["change"] == "exited" and parse_instant(change["occurred_at"]) == due_ms:
            values.append(record.timestamp)

    asyncio.run(see_changes(broker, "", see))
    return values


@contextmanager
def _worker(**more: Any) -> Iterator[tuple[Settings, Worker]]:
    with servers.Kafka() as kafka, servers.Redis(aof=True) as redis:
        settings = settings_of(kafka.address, redis.url, **more)
        admin.create(settings)
        with Worker(settings.model_dump(exclude_none=True)) as worker:
            worker.wait_ready()
            yield settings, worker


@contextmanager
def _definitions(within_s: int) -> Iterator[Path]:
    """A file of one segment: customers that have bought within so many seconds."""
    with tempfile.TemporaryDirectory(prefix="segmenter-bench-") as folder:
        path = Path(folder) / "due.yaml"
        when = f"{{performed: {{event: Order Completed, within: {within_s}s}}}}"
        path.write_text(f"version: 1\nsegments:\n  just_bought: {{title: Just bought, when: {when}}}\n")
        yield path


def shares(ordered: Sequence[float]) -> str:
    parts = [f"p{share * 100:g} {ordered[int(len(ordered) * share)]:.0f}" for share in (0.5, 0.9, 0.99, 0.999)]
    return f"{', '.join(parts)}, max {ordered[-1]:.0f} ms"
