"""Measures the gateway beside a bare aiohttp handler with the same producer and Redis: rates, and delays of answers.

    single     an event a request, 32 connections
    batches    100 events a request, 8 connections
    look-ups   a customer a request, 32 connections

Each takes turns with its peer. The delays under half of the gateway's rate follow, the same for both, in turns as well.
"""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import NamedTuple

from benchmarks.plan import Plan
from benchmarks.results import BenchmarkCase
from benchmarks.samples import Samples
from benchmarks.stage import settings_of
from benchmarks.throughput import machine
from local import servers
from local.processes import Gateway, Worker
from rules.times import format_instant
from streams.kafka import admin

KEY = "a-key-of-the-benchmark"
CUSTOMERS = 2_000
BATCH = 100
BARE, GATEWAY = "bare aiohttp handler", "gateway"
_AUTH = base64.b64encode(f"{KEY}:".encode()).decode()
_FILE = {"version": 1, "keys": {"shop": {"kind": "server", "key": {"env": "SHOP_KEY"}, "rate": 1_000_000_000}}}
_DECIDED_S = 60.0

_numbers = itertools.count()


class RequestKind(NamedTuple):
    """A kind of requests: how one is made, how many connections send it, and what is counted."""

    case: str
    make: Callable[[], bytes]
    connections: int
    unit: str
    each: int


def run(plan: Plan) -> Iterator[BenchmarkCase]:
    """Measure and print each kind of requests."""
    print(f"the gateway beside a bare handler; {machine()}")
    _batches()  # made before anything is measured, as making them takes longer than sending them
    with _endpoints() as ports:
        for kind in KINDS:
            samples = Samples()
            for _ in range(plan.rounds):
                _turn(kind, ports, plan.seconds, samples)
            conditions = (
                f"{kind.connections} connections for {plan.seconds:g} s, each after its answer, and then at half of "
                f"the gateway's rate for both, on one partition"
            )
            yield BenchmarkCase("gateway", kind.case, conditions, samples.figures(BARE, "rate"))


def _turn(kind: RequestKind, ports: dict[str, int], seconds: float, samples: Samples) -> None:
    rates = {}
    for system, port in ports.items():
        delays = _loaded(kind, port, seconds)
        rates[system] = len(delays) / seconds
        samples.add(system, "rate", kind.unit, rates[system] * kind.each)
        samples.add(system, "p99 in full", "ms", _share(delays, 0.99))
    half = rates[GATEWAY] / 2
    for system, port in ports.items():
        delays = _loaded(kind, port, seconds, half)
        for metric, share in (("p50 at half load", 0.5), ("p99 at half load", 0.99)):
            samples.add(system, metric, "ms", _share(delays, share))
    print(
        f"  {kind.case}: {rates[GATEWAY] * kind.each:,.0f} {kind.unit}, {rates[GATEWAY] / rates[BARE]:.2f} x",
        flush=True,
    )


def _share(ordered: list[float], share: float) -> float:
    return ordered[int(len(ordered) * share)] * 1_000


# --- what is measured


@contextmanager
def _endpoints() -> Iterator[dict[str, int]]:
    """The ports of the gateway and of its peer, on one Kafka and one Redis that knows the customers."""
    with servers.Kafka() as kafka, servers.Redis() as redis, tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "gateway.yaml"
        file.write_text(json.dumps(_FILE))
        settings = settings_of(
            kafka.address, redis.url, gateway=file, gateway_http="127.0.0.1:0", http="127.0.0.1:0"
        ).model_copy(update={"partitions": 1})
        admin.create(settings)
        environment = settings.model_dump(exclude_none=True)
        gateway = Gateway(environment)
        gateway.environment["SHOP_KEY"] = KEY
        arguments = (kafka.address, redis.url, settings.redis_prefix)
        with gateway, _peer(*arguments) as peer:
            port = int(gateway.wait_ready().address.rpartition(":")[2])
            with Worker(environment) as worker:
                worker.wait_ready()
                asyncio.run(_store_customers(port))
            yield {GATEWAY: port, BARE: peer}


@contextmanager
def _peer(*arguments: str) -> Iterator[int]:
    command = [sys.executable, "-m", "benchmarks.gateway_peer", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=dict(os.environ)) as process:
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline())
        finally:
            process.terminate()


async def _store_customers(port: int) -> None:
    """Let each customer buy once, and wait until the worker has decided the last of them."""
    orders = [
        _message(number, "Order Completed", {"order_id": f"o{number}", "total": 3}) for number in range(CUSTOMERS)
    ]
    for start in range(0, CUSTOMERS, BATCH):
        await _answer(
            port, _request("POST", "/v1/batch", json.dumps({"batch": orders[start : start + BATCH]}).encode())
        )
    last, until = f"/v1/customers/u{CUSTOMERS - 1}", time.monotonic() + _DECIDED_S
    while b"recently_purchased" not in await _answer(port, _request("GET", last)):
        if time.monotonic() > until:
            raise RuntimeError("the worker did not decide the customers of the look-ups in time")
        await asyncio.sleep(0.2)


# --- requests


def _message(number: int, event: str, properties: dict[str, object]) -> dict[str, object]:
    return {
        "type": "track", "event": event, "userId": f"u{number % CUSTOMERS}", "messageId": f"m{number}-{time.time_ns()}",
        "timestamp": format_instant(time.time_ns() // 1_000_000), "properties": properties,
        "context": {
            "userAgent": "Mozilla/5.0 (X11; Linux x86_64)", "locale": "de",
            "page": {"url": "https://shop.example/p/1", "referrer": "https://search.example/"},
        },
    }  # fmt: skip


def _view(number: int) -> dict[str, object]:
    return _message(number, "Product Viewed", {"product_id": "1", "name": "Tea", "price": 3.5, "category": "tea"})


def _request(method: str, path: str, body: bytes = b"") -> bytes:
    head = (
        f"{method} {path} HTTP/1.1\r\nHost: gateway\r\nAuthorization: Basic {_AUTH}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def _single() -> bytes:
    return _request("POST", "/v1/track", json.dumps(_view(next(_numbers))).encode())


@cache
def _batches() -> Iterator[bytes]:
    batches = [json.dumps({"batch": [_view(next(_numbers)) for _ in range(BATCH)]}).encode() for _ in range(50)]
    return itertools.cycle([_request("POST", "/v1/batch", batch) for batch in batches])


def _batch() -> bytes:
    return next(_batches())


def _look() -> bytes:
    return _request("GET", f"/v1/customers/u{next(_numbers) % CUSTOMERS}")


KINDS = (
    RequestKind("single events", _single, 32, "events/s", 1),
    RequestKind(f"batches of {BATCH}", _batch, 8, "events/s", BATCH),
    RequestKind("look-ups", _look, 32, "look-ups/s", 1),
)

# --- the client, which does as little as it can, as it shares the cores


def _loaded(kind: RequestKind, port: int, seconds: float, rate: float | None = None) -> list[float]:
    """The sorted delays (s) of all answers; ``rate``: requests a second over all connections, as fast as answered."""
    return sorted(asyncio.run(_load(kind, port, seconds, rate)))


async def _load(kind: RequestKind, port: int, seconds: float, rate: float | None) -> list[float]:
    until = time.perf_counter() + seconds
    pace = None if rate is None else kind.connections / rate
    # Connections that are in step would send all their requests at once.
    steps = [0.0 if pace is None else pace * number / kind.connections for number in range(kind.connections)]
    each = (_connection(kind.make, port, until, pace, after_s) for after_s in steps)
    return [delay for delays in await asyncio.gather(*each) for delay in delays]


async def _connection(
    make: Callable[[], bytes], port: int, until: float, pace: float | None, after_s: float
) -> list[float]:
    """Send requests one after the other; with a pace (s) a delay counts from when its request was to be sent."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    delays = []
    began = time.perf_counter() + after_s
    while began < until:
        request = make()
        if pace is None:
            began = time.perf_counter()
        else:
            began += pace
            await asyncio.sleep(max(0.0, began - time.perf_counter()))
        writer.write(request)
        await _read_answer(reader)
        delays.append(time.perf_counter() - began)
    writer.close()
    return delays


async def _answer(port: int, request: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    answer = await _read_answer(reader)
    writer.close()
    return answer


async def _read_answer(reader: asyncio.StreamReader) -> bytes:
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    if not head.startswith(b"http/1.1 200"):
        raise RuntimeError(f"an answer was {head[:60]!r}")
    return await reader.readexactly(int(head.partition(b"content-length:")[2].partition(b"\r")[0]))
