"""The endpoint for operators of a process that owns partitions: ``/metrics``, ``/health``, ``/ready``, nothing else.

The one rule: answers come from what the process knows, without asking Kafka or Redis, so that they come when
those are away. ``/health`` answers while the event loop turns; ``/ready`` says what is not as it should be.

Clients of the port take nothing from the worker: connections are few, short and accepted slowly, metrics are rendered
for a tenth of the time at most, and a port that cannot be served is logged, whereas the worker goes on.
"""

from __future__ import annotations

import errno
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from http import HTTPStatus
from time import monotonic
from typing import Protocol

import msgspec
from aiohttp import web
from aiohttp.typedefs import Handler
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector

from streams import credentials
from streams.http.access import TokenGate, refusal
from streams.http.addresses import is_loopback, is_loopback_host
from streams.http.server import HttpServer, Limits
from streams.runtime.metrics import SCRAPED, Metrics
from streams.runtime.rebalance_listener import PartitionOwner
from streams.runtime.watchdog import FetchWatchdog, LoopWatchdog
from streams.settings import Settings, host_of
from streams.state.call_timer import CallTimer

log = logging.getLogger(__name__)

# Unanswered so long, Redis or Kafka is told to be away. Both are asked many times a second.
SILENT_S = 3.0
_PORTS_TRIED = 9
# Prometheus, `ops` and a supervisor's probes connect a few times a minute; each connection has one request.
LIMITS = Limits(connections=32, idle_s=10.0, pause_s=0.02, one_request=True)
_PAUSE_TIMES = 9.0


class Ready(msgspec.Struct, frozen=True):
    """The answer of ``/ready``; ``because``: what is not as it should be, a sentence each."""

    ready: bool
    because: list[str]


class Reachable(Protocol):
    """An endpoint of triggers."""

    @property
    def is_broken(self) -> bool:
        """Whether its breaker is open."""

    @property
    def is_gone(self) -> bool:
        """Whether it wants nothing more."""


class Inside(msgspec.Struct, frozen=True, kw_only=True):
    """What of a process is looked at. ``behind_s``: a partition that is further behind is not caught up."""

    ownership: PartitionOwner
    metrics: Metrics
    stopwatch: CallTimer
    loop: LoopWatchdog
    fetches: FetchWatchdog
    behind_s: float
    monotonic: Callable[[], float]
    counted: Mapping[str, Mapping[tuple[str, ...], int]] = {}  # by metric and labels
    endpoints: Mapping[str, Reachable] = {}  # msgspec copies it; by channel

    def ready(self) -> Ready:
        """Whether all that this process holds is decided up to now."""
        because = [*self._silent(), *self._behind()]
        if not self.ownership.runners and not self.ownership.is_spare:
            because.append("no partition is claimed")
        return Ready(not because, because)

    def behind(self) -> Mapping[int, float]:
        """By partition, how far its saved clock is behind the wall clock, beyond the grace, in seconds."""
        allowed = self.metrics.now_ms() - self.metrics.grace_ms
        return {
            partition: max(0, allowed - runner.task.saved.clock) / 1000
            for partition, runner in self.ownership.runners.items()
        }

    def near(self) -> Mapping[str, float]:
        """How near each watchdog is to its limit: 0 far, 1 it stops the process."""
        shares = [runner.task.processor.dead_letter_load for runner in self.ownership.runners.values()]
        return {
            "loop": self.loop.near,
            **self.fetches.near(self.monotonic()),
            "dead_letters": max(shares, default=0.0),
        }

    def _silent(self) -> Iterable[str]:
        if (waits_s := self.stopwatch.waiting_s) > SILENT_S:
            yield f"Redis has not answered for {waits_s:.0f} s"
        now = self.monotonic()
        inputs = [fetching for fetching in self.ownership.fetching().values() if not fetching.full]
        silent_s, name = max(((now - fetching.heard, fetching.name) for fetching in inputs), default=(0.0, ""))
        if silent_s > SILENT_S:
            yield f"Kafka has not answered for {name} for {silent_s:.0f} s"

    def _behind(self) -> Iterable[str]:
        for partition, behind_s in sorted(self.behind().items()):
            if behind_s > self.behind_s:
                yield f"partition {partition} is {behind_s:.0f} s behind"


class ScrapedMetrics(Collector):
    """The metrics that are read off the process when they are scraped."""

    def __init__(self, inside: Inside) -> None:
        self._inside = inside

    def describe(self) -> Iterable[Metric]:
        """Describe nothing, so that nothing is read before the first scrape."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Read the process as it is now."""
        inside = self._inside
        runners = inside.ownership.runners
        yield _gauge("segmenter_partitions", [((), len(runners))])
        yield _gauge("segmenter_ready", [((), inside.ready().ready)])
        yield _gauge("segmenter_watchdog_near_ratio", [((name,), near) for name, near in inside.near().items()])
        yield _gauge(
            "segmenter_behind_seconds", [((str(number),), behind) for number, behind in inside.behind().items()]
        )
        clocks = [((str(number),), runner.task.saved.clock / 1000) for number, runner in runners.items()]
        yield _gauge("segmenter_clock_timestamp_seconds", clocks)
        waiting = {str(number): runner.outbox.waiting for number, runner in runners.items()}
        yield _gauge("segmenter_outbox_entries", [((number,), entries) for number, (entries, _) in waiting.items()])
        yield _gauge("segmenter_outbox_bytes", [((number,), size) for number, (_, size) in waiting.items()])
        yield from self._inputs()
        for name, counts in inside.counted.items():
            yield _counter(name, counts)
        if channels := sorted(inside.endpoints.items()):
            yield _gauge("segmenter_endpoint_broken", [((key,), endpoint.is_broken) for key, endpoint in channels])
            yield _gauge("segmenter_endpoint_gone", [((key,), endpoint.is_gone) for key, endpoint in channels])

    def _inputs(self) -> Iterator[Metric]:
        lags, in_hand = [], []
        names = self._inside.metrics.topics
        for tp, fetching in self._inside.ownership.fetching().items():
            runner = self._inside.ownership.runners[tp.partition]
            place = names.get(tp.topic, tp.topic), str(tp.partition)
            lags.append((place, max(0, fetching.readable - runner.task.saved.positions[tp.topic])))
            in_hand.append((place, runner.task.in_hand(tp.topic)))
        yield _gauge("segmenter_lag_records", lags)
        yield _gauge("segmenter_in_hand_records", in_hand)


def _gauge(name: str, values: Iterable[tuple[tuple[str, ...], float]]) -> Metric:
    metric = SCRAPED[name]
    family = GaugeMetricFamily(name, metric.about, labels=metric.labels)
    for labels, value in values:
        family.add_metric(labels, float(value))
    return family


def _counter(name: str, counts: Mapping[tuple[str, ...], int]) -> Metric:
    family = CounterMetricFamily(name, SCRAPED[name].about, labels=SCRAPED[name].labels)
    for labels, count in counts.items():
        family.add_metric(labels, count)
    return family


class Exposition:
    """The metrics as Prometheus reads them.

    A rendering takes milliseconds of the event loop on which customers are decided. So one is given again for nine
    times as long as it took to make, however often somebody asks.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        self._text = b""
        self._fresh_until = 0.0

    def text(self) -> bytes:
        """All metrics, as of a moment ago at most."""
        began = monotonic()
        if began >= self._fresh_until:
            self._text = generate_latest(self._registry)
            ended = monotonic()
            self._fresh_until = ended + _PAUSE_TIMES * (ended - began)
        return self._text


def routes(inside: Inside, token: str | None = None, *, is_local: bool = False) -> web.Application:
    """The three paths, to be served.

    ``token``: without it ``/metrics`` is refused, and ``/ready`` tells no reasons. ``is_local``: only this machine
    reaches the port.
    """
    inside.metrics.registry.register(ScrapedMetrics(inside))
    exposition = Exposition(inside.metrics.registry)
    gate = None if token is None else TokenGate(token, inside.metrics.refused)

    async def metrics(request: web.Request) -> web.Response:
        if gate is not None and not gate.is_right(request):
            return await gate.refuse(request)
        return web.Response(body=exposition.text(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def health(_: web.Request) -> web.Response:
        return web.json_response({"alive": True})

    async def ready(request: web.Request) -> web.Response:
        answer = inside.ready()
        if gate is not None and not gate.is_right(request):
            if "Authorization" in request.headers:
                return await gate.refuse(request)
            answer = Ready(answer.ready, [])
        return web.json_response(msgspec.to_builtins(answer), status=200 if answer.ready else 503)

    @web.middleware
    async def for_this_machine(request: web.Request, handler: Handler) -> web.StreamResponse:
        """Refuse pages of the web whose host name was turned to this machine (DNS rebinding)."""
        if is_local and gate is None and not is_loopback_host(request.headers.get("Host")):
            inside.metrics.refused("host")
            return refusal(HTTPStatus.MISDIRECTED_REQUEST, "only this machine is answered here")
        return await handler(request)

    app = web.Application(client_max_size=1024, middlewares=[for_this_machine])
    app.add_routes([web.get("/metrics", metrics), web.get("/health", health), web.get("/ready", ready)])
    return app


async def serve(inside: Inside, settings: Settings) -> HttpServer:
    """Serve at the address that is set, or at one of the next ports where others already serve; the log says where.

    Raises `OSError` when none is free, and `Stop` for a certificate that cannot be used.
    """
    host, first = host_of(settings.http), int(settings.http.rpartition(":")[2])
    tls = credentials.http_server(settings)
    app = routes(inside, credentials.http_token(settings), is_local=is_loopback(host))
    server = HttpServer(app, LIMITS, inside.metrics.refused, tls)
    for number in range(first, first + (_PORTS_TRIED if first else 1)):
        try:
            await server.start(host, number)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
        else:
            log.info("serving metrics", extra={"address": where(*server.address)})
            return server
    raise OSError(errno.EADDRINUSE, f"no port from {first} on is free")


def where(host: str, port: int | str) -> str:
    """host:port, as a URL has it."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
