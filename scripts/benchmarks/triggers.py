"""Measures webhooks of triggers: their rate beside a bare aiohttp loop, and their delay after their send time.

Both post to the same receiver, a process of its own that only notes each call.
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import tempfile
import threading
import time
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.queues import Queue
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web
from aiokafka.partitioner import murmur2
from kafka import KafkaProducer
from redis import Redis

from benchmarks.latency import shares
from benchmarks.plan import Plan
from benchmarks.results import BenchmarkCase
from benchmarks.samples import Samples
from benchmarks.stage import PARTITIONS, settings_of
from benchmarks.throughput import machine
from local import servers
from local.processes import Triggers, Worker
from local.receivers import SECRET
from local.server_process import free_port
from rules.times import format_instant, parse_instant
from streams.kafka import admin
from streams.settings import Settings
from streams.state.redis_reader import key
from streams.wire.topics import TRIGGERS, WORKERS

CONCURRENCY = 256  # of the bare loop, and of each of the two processes of ours
SAMPLE_S = 0.003
LAST_S = 15.0
# The rate of the steady load, in webhooks a second.
RATE = 200
SECONDS = 30.0
BARE = f"bare aiohttp loop, {CONCURRENCY} at a time"
SEGMENTS = "version: 1\nsegments:\n  just_bought: {title: J, when: {performed: {event: Order Completed, within: 1h}}}\n"

# A call: when it came (s), the id, and the body.
WebhookCall = tuple[float, str, bytes]


def run(plan: Plan) -> tuple[BenchmarkCase, BenchmarkCase]:
    """Measure and print both: a backlog that is due at once, and a steady load."""
    print(f"webhooks of triggers; {machine()}")
    backlog, steady = Samples(), Samples()
    for _ in range(plan.rounds):
        _run(backlog, steady, plan.messages)
    due = f"{plan.messages:,} webhooks which are due at once"
    paced = f"{RATE} webhooks a second for {SECONDS:g} s, from the moment at which each may be sent"
    return (
        BenchmarkCase("triggers", "backlog", due, backlog.figures(BARE, "rate")),
        BenchmarkCase("triggers", "steady", paced, steady.figures()),
    )


def _run(backlog: Samples, steady: Samples, messages: int) -> None:
    with _receiver() as (url, calls_of):
        bare, triggers = _backlog(url, messages, calls_of)
        print(
            f"  {messages:,} that are due: {triggers:,.0f} a second; bare aiohttp loop, {CONCURRENCY} at a time: "
            f"{bare:,.0f} ({triggers / bare:.2f} x)",
            flush=True,
        )
        delays = _paced(url, RATE, SECONDS, calls_of)
    arrivals = f"{len(delays):,} of {int(RATE * SECONDS):,} came"
    print(f"  {RATE} a second for {SECONDS:g} s: {arrivals}; after they may be sent: {shares(delays)}")
    backlog.add(BARE, "rate", "webhooks/s", bare)
    backlog.add(f"triggers, 2 processes, {CONCURRENCY} at a time each", "rate", "webhooks/s", triggers)
    steady.add_delays("triggers, 1 process", delays)


# --- the receiver


def _serve(port: int, answers: Queue[list[WebhookCall]], requests: Queue[bool]) -> None:
    """Receive webhooks in a process of its own, so that the receiver takes no time from what is measured."""
    calls: list[WebhookCall] = []

    async def receive(request: web.Request) -> web.Response:
        body = await request.read()
        calls.append((time.time(), request.headers.get("webhook-id", ""), body))
        return web.Response()

    async def main() -> None:
        app = web.Application()
        app.router.add_post("/hook", receive)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port).start()
        answers.put([])
        loop = asyncio.get_running_loop()
        while await loop.run_in_executor(None, requests.get):
            answers.put(list(calls))
            calls.clear()

    asyncio.run(main())


@contextmanager
def _receiver() -> Iterator[tuple[str, Any]]:
    """Run a receiver. Gives its address, and a function that returns the calls since it was last called."""
    context = multiprocessing.get_context("spawn")
    answers: Queue[list[WebhookCall]] = context.Queue()
    requests: Queue[bool] = context.Queue()
    port = free_port()
    process = context.Process(target=_serve, args=(port, answers, requests), daemon=True)
    process.start()
    answers.get(timeout=30)

    def calls_so_far() -> list[WebhookCall]:
        requests.put(True)
        return answers.get(timeout=30)

    yield f"http://127.0.0.1:{port}/hook", calls_so_far
    requests.put(False)
    process.join(10)


# --- the bare loop


def _bare(url: str, messages: int) -> float:
    return messages / asyncio.run(_post(url, messages, b"x" * 1_200))


async def _post(url: str, messages: int, body: bytes) -> float:
    left = iter(range(messages))

    async def call(session: aiohttp.ClientSession) -> None:
        for _ in left:
            async with session.post(url, data=body) as answer:
                await answer.read()

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=CONCURRENCY)) as session:
        began = time.monotonic()
        await asyncio.gather(*(call(session) for _ in range(CONCURRENCY)))
        return time.monotonic() - began


# --- ours


@contextmanager
def _worker(url: str) -> Iterator[tuple[Settings, Worker, Triggers]]:
    """Run a worker, and prepare triggers, which are not started."""
    with servers.Kafka() as kafka, servers.Redis(aof=True) as redis, tempfile.TemporaryDirectory() as folder:
        segments, triggers = Path(folder) / "segments.yaml", Path(folder) / "triggers.yaml"
        segments.write_text(SEGMENTS)
        way = {
            "kind": "webhook", "url": url, "secrets": [{"env": "BOT_SECRET"}], "allow_private": True,
            "concurrency": CONCURRENCY,
        }  # fmt: skip
        trigger = {"segment": "just_bought", "channel": "bot"}
        triggers.write_text(json.dumps({"version": 1, "channels": {"bot": way}, "triggers": {"call": trigger}}))
        settings = settings_of(kafka.address, redis.url, definitions=segments, triggers=triggers)
        admin.create(settings, (*WORKERS, *TRIGGERS))
        environment = settings.model_dump(exclude_none=True)
        calling = Triggers(environment)
        calling.environment["BOT_SECRET"] = SECRET
        with Worker(environment) as worker:
            yield settings, worker.wait_ready(), calling


def _order(number: int, name: str) -> tuple[bytes, bytes]:
    customer = f"{name}-{number}"
    event = {
        "type": "track", "event": "Order Completed", "messageId": customer, "userId": customer,
        "timestamp": format_instant(time.time_ns() // 1_000_000), "properties": {"order_id": customer},
    }  # fmt: skip
    return customer.encode(), json.dumps(event).encode()


def _send(broker: str, count: int, name: str, rate: int = 0) -> None:
    producer = KafkaProducer(bootstrap_servers=broker, linger_ms=5)
    began = time.monotonic()
    for number in range(count):
        if rate:
            time.sleep(max(0.0, began + number / rate - time.monotonic()))
        customer, value = _order(number, name)
        producer.send("purchases", key=customer, value=value)
    producer.flush()
    producer.close()


def _all_of(calls: list[WebhookCall], count: int, calls_of: Any) -> list[WebhookCall]:
    """Wait until so many different ids came, or none has for long."""
    since = time.monotonic()
    while len({name for _, name, _ in calls}) < count and time.monotonic() < since + LAST_S:
        time.sleep(0.2)
        more = calls_of()
        since = time.monotonic() if more else since
        calls += more
    return calls


def _backlog(url: str, messages: int, calls_of: Any) -> tuple[float, float]:
    """The deliveries a second of a bare loop beside the same idle servers, and of triggers that start on a backlog."""
    with _worker(url) as (settings, _, triggers):
        bare = _bare(url, messages)
        calls_of()
        _send(settings.brokers, messages, "backlog")
        time.sleep(5)
        second = Triggers(settings.model_dump(exclude_none=True))
        second.environment = triggers.environment
        with triggers, second:
            calls = _all_of([], messages, calls_of)
    times = sorted(at for at, _, _ in calls)
    if len(calls) < messages:
        raise RuntimeError(f"{len(calls):,} of {messages:,} calls came:\n{triggers.tail()}")
    return bare, len(times) / (times[-1] - times[0])


def _paced(url: str, rate: int, seconds: float, calls_of: Any) -> list[float]:
    """The ms from when a customer's partition is known to be decided up to the send time, to the call."""
    with _worker(url) as (settings, _, triggers), triggers:
        triggers.wait_ready()
        _send(settings.brokers, int(rate * 5), "warm", rate)
        _all_of([], int(rate * 5), calls_of)
        samples: dict[int, list[tuple[int, float]]] = defaultdict(list)
        over = threading.Event()
        sampling = threading.Thread(target=_sample, args=(settings, samples, over))
        sampling.start()
        _send(settings.brokers, int(rate * seconds), "paced", rate)
        calls = _all_of([], int(rate * seconds), calls_of)
        over.set()
        sampling.join()
    return sorted(_delay_ms(call, samples) for call in calls)


def _sample(settings: Settings, samples: dict[int, list[tuple[int, float]]], over: threading.Event) -> None:
    """Sample until when (ms) each partition is decided, with the time (s) at which that was first seen."""
    with Redis.from_url(settings.redis.get_secret_value()) as client:
        while not over.wait(SAMPLE_S):
            pipe = client.pipeline(transaction=False)
            for partition in range(PARTITIONS):
                pipe.hmget(key(settings.redis_prefix, partition, "meta"), "clock", "caught_up")
            now = time.time()
            for partition, states in enumerate(pipe.execute()):
                reached = min(int(value or 0) for value in states)
                if not samples[partition] or samples[partition][-1][0] < reached:
                    samples[partition].append((reached, now))


def _delay_ms(call: WebhookCall, samples: dict[int, list[tuple[int, float]]]) -> float:
    at, _, body = call
    change = json.loads(body)["data"]["change"]
    of = samples[(murmur2(change["customer_id"].encode()) & 0x7FFFFFFF) % PARTITIONS]
    send_at = parse_instant(change["occurred_at"]) or 0
    first: Sequence[int] = [reached for reached, _ in of]
    return (at - of[bisect_left(first, send_at)][1]) * 1000
