"""Measures the effect of a changed definitions file on live changes: their delay without it, and with it.

Does the same for a rebuild, in which all events are read again beside the live ones.

Each measurement is of a worker that has just started on the same customers, one after the other. Afterwards every
customer is as all events make it under the new file, which `segmenter verify` recomputes.
"""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from redis import Redis

from benchmarks.peers import wait_drained
from benchmarks.plan import Plan
from benchmarks.results import BenchmarkCase
from benchmarks.samples import Samples
from benchmarks.stage import PARTITIONS, load, preload, settings_of
from benchmarks.throughput import machine
from load import pace
from local import servers
from local.processes import Worker
from streams.kafka import admin
from streams.settings import Settings
from streams.state import definition_list
from streams.state.redis_reader import key

EVENTS_EACH = 2
WARM_S = 20.0
SWEPT_MAX_S = 900.0
VERIFIED_MAX = 200_000
WITHOUT = "without"
# Three of the four segments unchanged; one that requires more, and one that is new, both of stored facts.
CHANGED = """
version: 1
library: {only: [abandoned_cart, recently_purchased, returning_visitor]}
segments:
  repeat_buyer: {title: Repeat buyer, when: {performed: {event: Order Completed, count: {at_least: 3}, within: 365d}}}
  one_order: {title: One order, when: {performed: {event: Order Completed, count: 1, within: 365d}}}
"""


def run(plan: Plan) -> BenchmarkCase:
    """Measure one worker with many stored customers, under a steady load of other customers."""
    customers, (rate, *_), seconds = plan.customers, plan.rates, plan.seconds
    samples = Samples()
    print(f"{customers:,} customers, one worker, {rate:,} events/s of others for {seconds:g} s; {machine()}")
    with (
        servers.Kafka(heap_mb=1024) as kafka,
        servers.Redis(aof=True) as redis,
        Redis.from_url(redis.url) as client,
        tempfile.TemporaryDirectory() as folder,
    ):
        changed = Path(folder) / "changed.yaml"
        changed.write_text(CHANGED)
        settings = settings_of(kafka.address, redis.url)
        admin.create(settings)
        backlog = load(EVENTS_EACH * customers, customers, "change-heavy")
        asyncio.run(preload(kafka.address, "", backlog))
        print("  the topics are filled", flush=True)
        with Worker(_environment(settings)) as worker:
            wait_drained(client, settings, backlog.events, [worker])
            print(f"  {_stored(client, settings):,} customers are stored", flush=True)
        _settled(client)
        with Worker(_environment(settings)) as worker:
            worker.wait_ready()
            pace.delays_ms(kafka.address, rate, WARM_S, "warm")
            without = _shown(samples, WITHOUT, pace.delays_ms(kafka.address, rate, seconds, "without"))
        new = settings.model_copy(update={"definitions": changed})
        _settled(client)
        with Worker(_environment(new)) as worker:
            worker.wait_ready()
            began = time.monotonic()
            meanwhile = _shown(samples, "meanwhile", pace.delays_ms(kafka.address, rate, seconds, "meanwhile"))
            measured_s = time.monotonic() - began
            took_s = _swept(client, settings, began)
            samples.add("meanwhile", "all decided again after", "s", took_s)
            print(f"  all customers migrated after {took_s:.0f} s; measured for {measured_s:.0f} of them")
            print(f"  p99 {meanwhile / without:.2f} x what it is without", flush=True)
            time.sleep(5)
        _settled(client)
        with Worker(_environment(new), "--rebuild") as worker:
            worker.wait_ready()
            delays = pace.delays_ms(kafka.address, rate, seconds, "rebuilding")
            rebuilding = _shown(samples, "while all is read again", delays)
            print(f"  p99 {rebuilding / without:.2f} x what it is without", flush=True)
        verdict = (
            _verified(new) if customers <= VERIFIED_MAX else "not recomputed: that takes a minute for each 150,000"
        )
        print(f"  {verdict}", flush=True)
    conditions = f"{customers:,} customers of one worker, {rate:,} events/s of others for {seconds:g} s"
    return BenchmarkCase("changed", "a changed file and a rebuild", conditions, samples.figures(WITHOUT, "p99"))


def _settled(client: Any) -> None:
    """Wait until Redis has rewritten its log, and the disk is idle, so that neither falls into the measurement."""
    client.bgrewriteaof()
    while client.info("persistence")["aof_rewrite_in_progress"]:
        time.sleep(0.5)
    os.sync()


def _environment(settings: Settings) -> dict[str, Any]:
    return settings.model_dump(exclude_none=True)


def _shown(samples: Samples, name: str, delays: Sequence[float]) -> float:
    samples.add_delays(name, delays)
    p50, p99 = np.percentile(delays, [50, 99])
    print(f"  {name}: {len(delays):,} changes, p50 {p50:.0f} ms, p99 {p99:.0f} ms, max {delays[-1]:.0f} ms", flush=True)
    return float(p99)


def _stored(client: Any, settings: Settings) -> int:
    return sum(client.hlen(key(settings.redis_prefix, partition, "customers")) for partition in range(PARTITIONS))


def _swept(client: Any, settings: Settings, began: float) -> float:
    """Measure the seconds until the former file is the newest for no customer."""
    where = [key(settings.redis_prefix, partition, "meta") for partition in range(PARTITIONS)]
    while not all(definition_list.is_settled({"epochs": client.hget(key, "epochs").decode()}) for key in where):
        if time.monotonic() > began + SWEPT_MAX_S:
            raise TimeoutError(f"not all customers were migrated within {SWEPT_MAX_S:g} s")
        time.sleep(0.2)
    return time.monotonic() - began


def _verified(settings: Settings) -> str:
    """The result of a recomputation of all customers from all events."""
    environment = {f"SEGMENTER_{name.upper()}": str(value) for name, value in _environment(settings).items()}
    environment["SEGMENTER_REDIS"] = settings.redis.get_secret_value()
    environment = {**os.environ, **environment}
    command = [sys.executable, "-m", "streams", "verify"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    lines = re.findall(r"^(.*customers, .*|equal|.*differences of.*)$", done.stdout, re.MULTILINE)
    if done.returncode:
        raise AssertionError(done.stdout + done.stderr)
    return "; ".join(lines)
