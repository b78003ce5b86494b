"""The endpoint for operators of a process: ``/metrics``, ``/health``, ``/ready``, nothing else.

The one rule: an answer needs no call to Kafka or Redis, so that it comes while those do not answer. ``/health`` answers
while the event loop turns; ``/ready`` says what is not as it should be.

Clients of the port cannot slow the worker down: connections are few, short and accepted slowly, and metrics are
rendered for a tenth of the time at most. A port that cannot be served is logged, and the worker goes on.

See also: `streams.runtime.readiness` (the answers), and `streams.http.server` (the bounds on clients).
"""

from __future__ import annotations

import errno
import logging
from http import HTTPStatus
from typing import Protocol

import msgspec
from aiohttp import web
from aiohttp.typedefs import Handler
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from streams.http.access import TokenGate, refusal
from streams.http.client_addresses import is_loopback_host
from streams.http.server import HttpServer, Limits
from streams.runtime.readiness import Ready
from streams.runtime.scraped_metrics import Exposition
from streams.settings import Settings, credentials, host_of
from streams.settings.addresses import is_loopback

log = logging.getLogger(__name__)

_PORTS_TRIED = 9
# Prometheus, `ops` and a supervisor's probes connect a few times a minute; each connection has one request.
LIMITS = Limits(connections=32, idle_s=10.0, pause_s=0.02, one_request=True)


class ObservedProcess(Protocol):
    """A process as its operator sees it."""

    @property
    def metrics(self) -> ObservedMetrics:
        """The metrics of the process."""

    def ready(self) -> Ready:
        """Whether all is as it should be, and what is not."""


class ObservedMetrics(Protocol):
    """The metrics of a process, which counts the requests that its ports refuse."""

    registry: CollectorRegistry

    def refused(self, reason: str) -> None:
        """Count a refused connection or request; ``reason``: one of `streams.runtime.metric_list.REFUSALS`."""


def routes(sources: ObservedProcess, token: str | None = None, *, is_local: bool = False) -> web.Application:
    """The application with the three paths.

    ``token``: without it ``/metrics`` is refused, and ``/ready`` tells no reasons. ``is_local``: only this machine
    reaches the port.
    """
    exposition = Exposition(sources.metrics.registry)
    gate = None if token is None else TokenGate(token, sources.metrics.refused)

    async def metrics(request: web.Request) -> web.Response:
        if gate is not None and not gate.is_right(request):
            return await gate.refuse(request)
        return web.Response(body=exposition.text(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def health(_: web.Request) -> web.Response:
        return web.json_response({"alive": True})

    async def ready(request: web.Request) -> web.Response:
        answer = sources.ready()
        if gate is not None and not gate.is_right(request):
            if "Authorization" in request.headers:
                return await gate.refuse(request)
            answer = Ready(answer.ready, [])
        return web.json_response(msgspec.to_builtins(answer), status=200 if answer.ready else 503)

    @web.middleware
    async def for_this_machine(request: web.Request, handler: Handler) -> web.StreamResponse:
        """Refuse requests of web pages whose host name was redirected to this machine (DNS rebinding)."""
        if is_local and gate is None and not is_loopback_host(request.headers.get("Host")):
            sources.metrics.refused("host")
            return refusal(HTTPStatus.MISDIRECTED_REQUEST, "only this machine is answered here")
        return await handler(request)

    app = web.Application(client_max_size=1024, middlewares=[for_this_machine])
    app.add_routes([web.get("/metrics", metrics), web.get("/health", health), web.get("/ready", ready)])
    return app


async def serve(sources: ObservedProcess, settings: Settings) -> HttpServer:
    """Serve at the configured address, or at one of the next ports if that is in use; the log says which.

    Raises `OSError` when none is free, and `Stop` for a certificate that cannot be used.
    """
    host, first = host_of(settings.http), int(settings.http.rpartition(":")[2])
    tls = credentials.http_server(settings)
    app = routes(sources, credentials.http_token(settings), is_local=is_loopback(host))
    server = HttpServer(app, LIMITS, sources.metrics.refused, tls)
    for number in range(first, first + (_PORTS_TRIED if first else 1)):
        try:
            await server.start(host, number)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
        else:
            log.info("serving metrics and health", extra={"address": where(*server.address)})
            return server
    raise OSError(errno.EADDRINUSE, f"no port from {first} on is free")


def where(host: str, port: int | str) -> str:
    """The text host:port, as in a URL."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
