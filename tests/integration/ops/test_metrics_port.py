"""A worker's own port: a client reads what it may, and cannot stop, slow or redirect any process.

Workers and `ops` are real processes with a real broker and Redis, and the clients of their ports are sockets.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import resource
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from socket import socket
from typing import Any, NamedTuple, cast

import aiohttp
import pytest
import redis
import trustme
from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from local.processes import Ops, Worker
from local.servers import Redis, Tansu
from streams.http.server import HttpServer
from streams.kafka import admin
from streams.ops import worker_poller
from streams.ops.worker_poller import WorkerPoller, resolved
from streams.runtime.health_endpoint import LIMITS, routes, where
from streams.runtime.metrics import Metrics
from streams.runtime.readiness import ReadinessSources, Ready
from streams.runtime.scraped_metrics import Exposition
from streams.settings import Settings
from tests.support import live
from tests.support.operations import get
from tests.support.patience import eventually

HOST = "127.0.0.1"
TOKEN, OPS_TOKEN = "the-token-of-the-workers-port", "the-token-of-the-page"
_names = (f"port{number}" for number in itertools.count())


class Certificates:
    """Certificates of a worker, by an authority of this run, as PEM files."""

    def __init__(self, folder: Path) -> None:
        authority = trustme.CA()
        self.ca, self.certificate, self.key = folder / "ca.pem", folder / "worker.pem", folder / "worker.key"
        authority.cert_pem.write_to_path(self.ca)
        issued = authority.issue_cert("localhost")
        issued.cert_chain_pems[0].write_to_path(self.certificate)
        issued.private_key_pem.write_to_path(self.key)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("tls"))


Settle = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def settle(tansu: Tansu, redis_server: Redis) -> Settle:
    """Settings of a worker with topics, a group and keys of its own."""

    def settings(**more: Any) -> dict[str, Any]:
        name = next(_names)
        made = {
            "brokers": tansu.address, "broker": "tansu", "redis": redis_server.url, "partitions": live.PARTITIONS,
            "definitions": live.FOUR, "topic_prefix": f"{name}-", "group": name, "redis_prefix": f"{name}:",
            "http": f"{HOST}:0", **more,
        }  # fmt: skip
        admin.create(Settings(**made))
        return made

    return settings


class Started(NamedTuple):
    """Two workers with their settings: the port of one has a token and TLS, that of the other cannot be opened."""

    settings: dict[str, Any]
    worker: Worker
    without_port: Worker


@pytest.fixture(scope="module")
def started(settle: Settle, certificates: Certificates) -> Iterator[Started]:
    """Both workers, started at once, as starting takes long."""
    settings = settle(
        http="localhost:0",
        http_token=TOKEN,
        http_certificate_file=certificates.certificate,
        http_key_file=certificates.key,
    )
    with Worker(settings) as worker, Worker(settle(http=f"{HOST}:99999")) as without_port:
        worker.wait_ready()
        without_port.wait_ready()
        eventually(lambda: "serving metrics and health" in worker.log.read_text(), 10, "the port is served")
        yield Started(settings, worker, without_port)


def read(address: str, path: str, token: str | None = None, ca: Path | None = None, **headers: str) -> tuple[int, str]:
    """The status and text of an answer; status 0 where there is none."""
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    scheme, context = ("http", None) if ca is None else ("https", ssl.create_default_context(cafile=ca))
    request = urllib.request.Request(f"{scheme}://{address}{path}", headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=10, context=context) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError:
        return 0, ""


def named(worker: Worker) -> str:
    """The worker's port by the name in its certificate."""
    return f"localhost:{worker.http.rpartition(':')[2]}"


def test_metrics_need_the_token_and_come_over_tls(started: Started, certificates: Certificates) -> None:
    """Metrics need the token and TLS; probes need no token, and plain HTTP gets no answer."""
    worker = started.worker
    address, ca = named(worker), certificates.ca
    assert read(address, "/metrics", TOKEN, ca)[0] == 200
    assert [read(address, "/metrics", token, ca)[0] for token in (None, "wrong", "")] == [401, 401, 401]
    assert read(address, "/health", None, ca)[0] == 200
    eventually(lambda: read(address, "/ready", None, ca)[0] == 200, 20, "it is ready")
    assert read(address, "/metrics", TOKEN)[0] == 0
    text = read(address, "/metrics", TOKEN, ca)[1]
    assert 'segmenter_http_refusals_total{reason="wrong_token"} 2.0' in text
    assert 'segmenter_http_refusals_total{reason="no_token"} 1.0' in text
    assert TOKEN not in worker.log.read_text()


def test_ops_asks_with_the_token_over_tls(started: Started, certificates: Certificates) -> None:
    """The operations process reads a worker's metrics, as an operator sees it over HTTP."""
    settings, worker, _ = started
    looking = {
        **settings, "ops_http": f"{HOST}:0", "ops_token": OPS_TOKEN, "http_ca_file": certificates.ca,
        "ops_workers": named(worker),
    }  # fmt: skip
    with Ops(looking) as ops:
        ops.wait_ready()
        eventually(lambda: ready_workers(ops) != [], 20, "the worker is seen")
        assert len(ready_workers(ops)) == 1


async def test_a_workers_certificate_is_for_the_host_it_was_named_by(
    started: Started, certificates: Certificates
) -> None:
    """The certificate is checked against the worker's host, not its address; another server is no worker."""
    address, tls = started.worker.http, ssl.create_default_context(cafile=certificates.ca)
    poller = WorkerPoller([], time.time, token=TOKEN, tls=tls)
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {TOKEN}"}) as session:
        await poller._ask(session, address, "localhost")
        assert list(poller.reports) == [address]
        await poller._ask(session, address, HOST)
        assert (poller.reports, poller.lost) == ({}, {address})


def ready_workers(ops: Ops) -> list[str]:
    _, status = get(ops.http, "/api/status", OPS_TOKEN)
    return [worker["address"] for worker in (status or {}).get("workers", []) if worker["ready"]]


def test_thousands_of_connections_do_not_stop_a_worker(started: Started, certificates: Certificates) -> None:
    """Descriptors are left for Redis, whose connections are cut meanwhile, and the log stays short."""
    settings, worker, _ = started
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4_096), hard))
    connections: list[socket] = []
    try:
        opened, logged = descriptors(worker), worker.log.stat().st_size
        resource.prlimit(worker.pid, resource.RLIMIT_NOFILE, (opened + LIMITS.connections + 30, hard))
        host, port = worker.http.rsplit(":", 1)
        until = time.monotonic() + 3
        while time.monotonic() < until and len(connections) < 1_000:
            flood(connections, host, int(port))
        assert len(connections) > LIMITS.connections + 60
        assert descriptors(worker) <= opened + LIMITS.connections + 10
        with redis.Redis.from_url(settings["redis"]) as client:
            client.client_kill_filter(_type="normal", skipme=True)
        time.sleep(1)
        assert worker.exit_code is None, worker.tail()
        assert worker.log.stat().st_size - logged < 20_000
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for connection in connections:
            connection.close()
    eventually(lambda: read(named(worker), "/ready", None, certificates.ca)[0] == 200, 20, "it is ready again")


def flood(connections: list[socket], host: str, port: int) -> None:
    """Open one more silent connection; where the queue is full it does not come about at once."""
    connection = socket()
    connection.setblocking(False)
    connections.append(connection)
    connection.connect_ex((host, port))
    time.sleep(0.002)


def descriptors(worker: Worker) -> int:
    return len(list(Path(f"/proc/{worker.pid}/fd").iterdir()))


def test_a_port_that_cannot_be_served_stops_no_worker(started: Started) -> None:
    """The failure is logged, and customers are decided."""
    goes_on_without_port(started.without_port)


@pytest.mark.nightly
@pytest.mark.parametrize(
    "wrong",
    [
        {"http": f"{'x' * 70}.invalid:9101"},
        {"http_certificate_file": Path(__file__)},
        {"http_certificate_file": Path("absent.pem")},
    ],
)
def test_whatever_is_wrong_with_a_port_stops_no_worker(settle: Settle, wrong: dict[str, Any]) -> None:
    """A worker goes on with an impossible host name or with invalid certificates."""
    with Worker(settle(**wrong)) as worker:
        goes_on_without_port(worker.wait_ready())


def goes_on_without_port(worker: Worker) -> None:
    eventually(lambda: "metrics and health are not served" in worker.log.read_text(), 10, "it is told")
    time.sleep(0.5)
    assert worker.exit_code is None
    assert "Traceback" not in worker.log.read_text()


# --- the three paths in this process


class Behind:
    """A process that is not ready, as `streams.runtime.health_endpoint` looks at it."""

    def __init__(self) -> None:
        self.metrics = Metrics(lambda: 0, 0, {})

    def ready(self) -> Ready:
        return Ready(ready=False, because=["partition 0 is 9 s behind"])


@contextlib.asynccontextmanager
async def served(token: str | None, *, is_local: bool) -> AsyncIterator[str]:
    """The host and port of a server with the paths of `Behind`, without its metrics."""
    app = routes(cast("ReadinessSources", Behind()), token, is_local=is_local)
    server = HttpServer(app, LIMITS, lambda _: None)
    await server.start(HOST, 0)
    try:
        yield where(*server.address)
    finally:
        await server.close()


async def test_reasons_need_the_token() -> None:
    """A probe without the token, or with a wrong one, gets the state without the reasons."""
    async with served(TOKEN, is_local=False) as address:
        status, text = await asyncio.to_thread(read, address, "/ready")
        assert (status, json.loads(text)["because"]) == (503, [])
        assert (await asyncio.to_thread(read, address, "/ready", "wrong"))[0] == 401
        status, text = await asyncio.to_thread(read, address, "/ready", TOKEN)
        assert (status, json.loads(text)["because"]) == (503, ["partition 0 is 9 s behind"])


async def test_a_web_page_whose_name_was_turned_here_reads_nothing() -> None:
    """A browser on this machine sends the page's own host; elsewhere a worker is reached by any name."""

    def as_page(address: str) -> int:
        return read(address, "/ready", Host="shop.example")[0]

    async with served(None, is_local=True) as address:
        assert await asyncio.to_thread(as_page, address) == 421
        assert (await asyncio.to_thread(read, address, "/ready"))[0] == 503
    async with served(None, is_local=False) as address:
        assert await asyncio.to_thread(as_page, address) == 503


class Slow(Collector):
    """Metrics that take long to render."""

    def __init__(self) -> None:
        self.renderings = 0

    def collect(self) -> Iterator[GaugeMetricFamily]:
        self.renderings += 1
        time.sleep(0.02)
        yield GaugeMetricFamily("renderings", "how often", value=self.renderings)


def test_rendering_takes_a_tenth_of_the_time() -> None:
    """Metrics are rendered for a tenth of the time at most, however often they are requested."""
    registry, slow = CollectorRegistry(), Slow()
    registry.register(slow)
    slow.renderings = 0
    exposition = Exposition(registry)
    began = time.monotonic()
    while time.monotonic() - began < 0.5:
        exposition.text()
    assert 2 <= slow.renderings <= 3


# --- answers to `ops` from another program in a worker's place


@pytest.mark.parametrize("kind", ["redirect", "long"])
async def test_a_liar_in_a_workers_place_is_no_worker(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A false worker can neither redirect `ops` nor send it more than a worker's answer has."""
    monkeypatch.setattr(worker_poller, "_ANSWER_MAX_BYTES", 10_000)
    came: list[str] = []
    has_come = asyncio.Event()

    async def answer(request: web.Request) -> web.StreamResponse:
        came.append(request.path)
        has_come.set()
        if kind == "redirect" and request.path == "/metrics":
            raise web.HTTPFound("/elsewhere")
        if request.path == "/ready":
            return web.json_response({"ready": True, "because": []})
        return web.Response(text="# \n" * (10_000 if kind == "long" else 1))

    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, HOST, 0).start()
    try:
        poller = WorkerPoller([f"{HOST}:{runner.addresses[0][1]}"], time.time)
        task = asyncio.create_task(poller.run())
        await has_come.wait()
        await asyncio.sleep(0.3)
        task.cancel()
        assert set(came) == {"/metrics"}
        assert poller.reports == {}
    finally:
        await runner.cleanup()


async def test_each_address_is_asked_under_the_host_it_was_named_by() -> None:
    """Each address keeps its host name for the certificate; an unknown name has no address."""
    hosts = await resolved(["localhost:9101", "127.0.0.1:9102", "[::1]:9103", "nothing.invalid:9104"])
    assert hosts["127.0.0.1:9101"] == "localhost"
    assert (hosts["127.0.0.1:9102"], hosts["[::1]:9103"]) == ("127.0.0.1", "::1")
    assert not [place for place in hosts if place.endswith("9104")]
