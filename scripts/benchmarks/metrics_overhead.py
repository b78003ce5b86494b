"""Measures the cost of observing a worker: metrics on and off by turns, and look-ups of customers beside events.

A pair is two successive turns of one process (`benchmarks.metrics_toggle`).
"""

from __future__ import annotations

import asyncio
import random
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote

import msgspec
import numpy as np
from redis import Redis

from benchmarks.metrics_toggle import RENDERED_EVERY_S, TURN_S
from benchmarks.peers import applied, wait_drained
from benchmarks.plan import Plan
from benchmarks.results import BenchmarkCase
from benchmarks.samples import Samples
from benchmarks.stage import Stage, cpu_s, load, settings_of
from load import pace
from local import servers
from local.processes import Ops, Worker
from streams.kafka import admin
from streams.state.redis_reader import key

EVENTS_PER_S = 2_000
LOOK_UPS_PER_S = 200.0
WARM_S = 60.0  # with 10 s the broker still compiles, and p99 was four times as long
TOKEN = "a-token-of-this-run"  # noqa: S105  # it ends with it

LENGTH = re.compile(rb"(?i)content-length: (\d+)")
TURN = re.compile(r"turn (on|off) (\d+) ([\d.]+)")

Pair = tuple[float, float]


class MetricsCost(msgspec.Struct, frozen=True):
    """The cost of metrics: (with - without) / without, over all pairs, and its 95 % interval."""

    mean: float
    low: float
    high: float
    pairs: int


def cost(pairs: Sequence[Pair], seed: int = 0) -> MetricsCost:
    """Compute the cost from pairs (with, without); the interval by resampling pairs 10,000 times.

    Sums are compared: the mean of the pairs' ratios would be above 0 even for two equal systems whose figures scatter.
    """
    spent = np.array(pairs)
    drawn = spent[np.random.default_rng(seed).integers(len(spent), size=(10_000, len(spent)))].sum(axis=1)
    shares = drawn[:, 0] / drawn[:, 1] - 1
    low, high = np.percentile(shares, [2.5, 97.5])
    return MetricsCost(float(spent[:, 0].sum() / spent[:, 1].sum() - 1), float(low), float(high), len(pairs))


async def looked_up(
    address: str, token: str, customers: Sequence[str], per_s: float, seconds: float, seed: int = 0
) -> Mapping[str, Any]:
    """Look up customers at a steady rate. Returns the ms from each planned request to its whole answer.

    On plain connections that stay open: client and server share two cores, and an HTTP client would take as much CPU.
    """
    rng, took, statuses = random.Random(seed), list[float](), list[int]()
    host, port = address.rsplit(":", 1)
    idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def look_up(at: float, customer: str) -> None:
        await asyncio.sleep(max(0.0, at - time.perf_counter()))
        reader, writer = idle.pop() if idle else await asyncio.open_connection(host, int(port))
        request = f"GET /api/customers/{quote(customer)} HTTP/1.1\r\nHost: {address}\r\n"
        writer.write(f"{request}Authorization: Bearer {token}\r\n\r\n".encode())
        head = await reader.readuntil(b"\r\n\r\n")
        (length,) = LENGTH.findall(head)
        await reader.readexactly(int(length))
        took.append(1000 * (time.perf_counter() - at))
        statuses.append(int(head.split()[1]))
        idle.append((reader, writer))

    began = time.perf_counter() + 0.2
    count = int(per_s * seconds)
    await asyncio.gather(*(look_up(began + number / per_s, rng.choice(customers)) for number in range(count)))
    for _, writer in idle:
        writer.close()
    p50, p99 = np.percentile(took, [50, 99])
    return {"p50_ms": float(p50), "p99_ms": float(p99), "max_ms": max(took), "asked": count, "ok": statuses.count(200)}


def run(plan: Plan) -> Iterator[BenchmarkCase]:
    """Run both measurements."""
    samples = Samples()
    with Stage() as stage:
        drains = [_drained(stage, plan.events, number) for number in range(plan.drains)]
    for pairs in drains:
        samples.add("metrics on, against off", "CPU per event", "% more", 100 * cost(pairs).mean)
    overhead = cost([pair for pairs in drains for pair in pairs])
    conditions = (
        f"{overhead.pairs} pairs of turns of {TURN_S:g} s, in {plan.drains} drains of {plan.events:,} events, "
        f"rendered every {RENDERED_EVERY_S:g} s"
    )
    print(
        f"metrics: {100 * overhead.mean:+.1f} % of a worker's CPU per event (95 %: {100 * overhead.low:+.1f} to "
        f"{100 * overhead.high:+.1f}), {conditions}",
        flush=True,
    )
    yield BenchmarkCase("ops", "metrics", conditions, samples.figures())
    yield _look_ups(plan.seconds)


class _Switched(Worker):
    program = ("-m", "benchmarks.metrics_toggle")


def _drained(stage: Stage, events: int, number: int) -> list[Pair]:
    """Measure the CPU seconds per event of turns with and without metrics, of one worker on one backlog."""
    backlog = load(events, events // 5, "change-heavy")
    prefix = stage.fill(backlog)
    with servers.Redis(aof=True) as redis, Redis.from_url(redis.url) as client:
        settings = settings_of(
            stage.kafka.address, redis.url, topic_prefix=prefix, group=prefix + "segmenter", http="127.0.0.1:0"
        )
        with _Switched(settings.model_dump(exclude_none=True)) as worker:
            wait_drained(client, settings, backlog.events, [worker])
            pairs = paired(worker.log.read_text())
    stage.clear(prefix)
    overhead = cost(pairs)
    print(f"  drain {number + 1}: {100 * overhead.mean:+.1f} % in {overhead.pairs} pairs", flush=True)
    return pairs


def paired(log: str) -> list[Pair]:
    """Pair the turns of a log: CPU seconds per event, with metrics first, without the first two (a worker's start)."""
    turns = TURN.findall(log)[2:]
    spent = [(which, float(cpu_s) / int(events)) for which, events, cpu_s in turns]
    pairs = [dict(couple) for couple in zip(spent[::2], spent[1::2], strict=False)]
    if not pairs:
        raise RuntimeError(f"the worker told of {len(turns)} turns, too few to compare; give it more events")
    return [(pair["on"], pair["off"]) for pair in pairs]


def _look_ups(seconds: float) -> BenchmarkCase:
    with servers.Kafka() as kafka, servers.Redis(aof=True) as redis, Redis.from_url(redis.url) as client:
        settings = settings_of(kafka.address, redis.url, http="127.0.0.1:0")
        admin.create(settings)
        environment = settings.model_dump(exclude_none=True)
        with Worker(environment) as worker:
            worker.wait_ready()
            pace.sent(pace.sending(kafka.address, EVENTS_PER_S, WARM_S, "warm"))
            looking = {**environment, "ops_http": "127.0.0.1:0", "ops_token": TOKEN, "ops_workers": worker.http}
            with Ops(looking) as ops:
                ops.wait_ready()
                customers = [
                    name.decode()
                    for partition in range(settings.partitions)
                    for name in client.hkeys(key(settings.redis_prefix, partition, "customers"))
                ]
                # The load begins before the look-ups and ends after them, so that all of them run beside it.
                loading = pace.sending(kafka.address, EVENTS_PER_S, seconds + 4, "beside")
                time.sleep(2)
                cpu, before, began = cpu_s(ops.pid), applied(client, settings), time.perf_counter()
                delays = asyncio.run(looked_up(ops.http, TOKEN, customers, LOOK_UPS_PER_S, seconds))
                cpu, lasted = cpu_s(ops.pid) - cpu, time.perf_counter() - began
                rate = (applied(client, settings) - before) / lasted
                pace.sent(loading)
    print(
        f"{LOOK_UPS_PER_S:g} look-ups/s for {seconds:g} s beside {rate:,.0f} events/s: "
        f"p50 {delays['p50_ms']:.1f} ms, p99 {delays['p99_ms']:.1f} ms, max {delays['max_ms']:.1f} ms, "
        f"{delays['ok']:,} of {delays['asked']:,} answered; CPU {cpu / seconds:.0%} of one core",
        flush=True,
    )
    samples = Samples()
    for metric in ("p50", "p99", "max"):
        samples.add("ops", metric, "ms", delays[f"{metric}_ms"])
    samples.add("ops", "CPU", "% of one core", 100 * cpu / seconds)
    conditions = f"{LOOK_UPS_PER_S:g} look-ups a second for {seconds:g} s, beside {EVENTS_PER_S:,} events/s"
    return BenchmarkCase("ops", "look-ups", conditions, samples.figures())
