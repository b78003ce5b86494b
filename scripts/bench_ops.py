"""What the operator's look costs: a worker with and without metrics, in turns, and customers looked up beside events.

The one rule: both kinds of a pair run on the same records, one after the other, and which comes first changes with
each pair.
"""

from __future__ import annotations

import asyncio
import random
import threading
import time
import urllib.request
from collections.abc import Mapping, Sequence
from typing import Any

import aiohttp
import msgspec
import numpy as np
from redis import Redis

import local
import pace
from bench_peers import wait_drained
from bench_stage import Load, Stage, cpu_s, load, settings_of
from streams import topics
from streams.redis_store import key
from workers import Ops, Worker

SCRAPED_EVERY_S = 5.0
EVENTS_PER_S = 2_000
LOOK_UPS_PER_S = 200.0
WARM_S = 60.0  # with 10 s the broker still compiles, and p99 was four times as long
TOKEN = "a-token-of-this-run"  # noqa: S105  # it ends with it

Pair = tuple[float, float]


class Cost(msgspec.Struct, frozen=True):
    """With less without, as a share of without: the mean of pairs and its 95 % interval."""

    mean: float
    low: float
    high: float
    pairs: int


def cost(pairs: Sequence[Pair], seed: int = 0) -> Cost:
    """Of pairs (with, without); the interval by resampling pairs 10,000 times."""
    shares = np.array([more / less - 1 for more, less in pairs])
    drawn = np.random.default_rng(seed).choice(shares, (10_000, len(shares))).mean(axis=1)
    low, high = np.percentile(drawn, [2.5, 97.5])
    return Cost(float(shares.mean()), float(low), float(high), len(pairs))


async def looked_up(
    address: str, token: str, customers: Sequence[str], per_s: float, seconds: float, seed: int = 0
) -> Mapping[str, Any]:
    """Ask for customers at a steady rate; ms from when each was to be asked to its whole answer."""
    rng, took, statuses = random.Random(seed), list[float](), list[int]()
    headers = {"Authorization": f"Bearer {token}"}

    async def one(session: aiohttp.ClientSession, at: float, customer: str) -> None:
        await asyncio.sleep(max(0.0, at - time.perf_counter()))
        async with session.get(f"http://{address}/api/customers/{customer}") as answer:
            await answer.read()
        took.append(1000 * (time.perf_counter() - at))
        statuses.append(answer.status)

    async with aiohttp.ClientSession(headers=headers, connector=aiohttp.TCPConnector(limit=50)) as session:
        began = time.perf_counter() + 0.2
        count = int(per_s * seconds)
        await asyncio.gather(*(one(session, began + number / per_s, rng.choice(customers)) for number in range(count)))
    p50, p99 = np.percentile(took, [50, 99])
    return {"p50_ms": float(p50), "p99_ms": float(p99), "max_ms": max(took), "asked": count, "ok": statuses.count(200)}


def run(pairs: int, events: int, seconds: float) -> None:
    """Both, and what came of them."""
    with Stage() as stage:
        made = [_pair(stage, events, number) for number in range(pairs)]
    found = cost(made)
    print(
        f"metrics: {100 * found.mean:+.1f} % of a worker's CPU per event (95 %: {100 * found.low:+.1f} to "
        f"{100 * found.high:+.1f}), {found.pairs} pairs of {events:,} events, scraped every {SCRAPED_EVERY_S:g} s",
        flush=True,
    )
    _look_ups(seconds)


def _pair(stage: Stage, events: int, number: int) -> Pair:
    """CPU seconds with metrics and without, from ready on; every second pair the other way round."""
    made = load(events, events // 5, "change-heavy")
    ways = ("127.0.0.1:0", "none") if number % 2 == 0 else ("none", "127.0.0.1:0")
    used = {way: _drained(stage, made, way) for way in ways}
    print(f"  pair {number + 1}: {used['127.0.0.1:0']:.2f} s with metrics, {used['none']:.2f} s without", flush=True)
    return used["127.0.0.1:0"], used["none"]


def _drained(stage: Stage, made: Load, http: str) -> float:
    prefix = stage.fill(made)
    with local.Redis(aof=True) as redis, Redis.from_url(redis.url) as client:
        settings = settings_of(
            stage.kafka.address, redis.url, topic_prefix=prefix, group=prefix + "segmenter", http=http
        )
        with Worker(settings.model_dump(exclude_none=True)) as worker:
            worker.wait_ready()
            began = cpu_s(worker.pid)
            ended = threading.Event()
            scraping = threading.Thread(target=_scrape, args=(worker, http, ended))
            scraping.start()
            wait_drained(client, settings, made.events, [worker])
            ended.set()
            scraping.join()
            used = cpu_s(worker.pid) - began
    stage.clear(prefix)
    return used


def _scrape(worker: Worker, http: str, ended: threading.Event) -> None:
    while http != "none" and not ended.wait(SCRAPED_EVERY_S):
        with urllib.request.urlopen(f"http://{worker.http}/metrics", timeout=5) as answer:
            answer.read()


def _look_ups(seconds: float) -> None:
    with local.Kafka() as kafka, local.Redis(aof=True) as redis, Redis.from_url(redis.url) as client:
        settings = settings_of(kafka.address, redis.url, http="127.0.0.1:0")
        topics.create(settings)
        told = settings.model_dump(exclude_none=True)
        with Worker(told) as worker:
            worker.wait_ready()
            pace.delays_ms(kafka.address, EVENTS_PER_S, WARM_S, "warm")
            looking = {**told, "ops_http": "127.0.0.1:0", "ops_token": TOKEN, "ops_workers": worker.http}
            with Ops(looking) as ops:
                ops.wait_ready()
                customers = [
                    name.decode()
                    for partition in range(settings.partitions)
                    for name in client.hkeys(key(settings.redis_prefix, partition, "customers"))
                ]
                loading = threading.Thread(
                    target=pace.delays_ms, args=(kafka.address, EVENTS_PER_S, seconds + 4, "beside")
                )
                loading.start()
                time.sleep(2)
                cpu = cpu_s(ops.pid)
                found = asyncio.run(looked_up(ops.http, TOKEN, customers, LOOK_UPS_PER_S, seconds))
                cpu = cpu_s(ops.pid) - cpu
                loading.join()
    print(
        f"{LOOK_UPS_PER_S:g} look-ups/s for {seconds:g} s beside {EVENTS_PER_S:,} events/s: "
        f"p50 {found['p50_ms']:.1f} ms, p99 {found['p99_ms']:.1f} ms, max {found['max_ms']:.1f} ms, "
        f"{found['ok']:,} of {found['asked']:,} answered; CPU {cpu / seconds:.0%} of one core",
        flush=True,
    )
