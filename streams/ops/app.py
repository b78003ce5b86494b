"""The composition root of the operations process: ``segmenter ops``.

Only this module makes the process's parts, and hands each what it needs. The process owns no partition, is in no
consumer group, and writes nothing.

    Redis     → state_poller    clocks, members, customers
    Kafka     → change_feed     changes, dead letters        → status → api → the page
    /metrics  → worker_poller   rates, lags, watchdogs

See also: `streams.runtime.faust_app`, the composition root of the processes that own partitions.
"""

from __future__ import annotations

import asyncio
import secrets
import signal
import ssl
import sys
from collections.abc import Coroutine
from typing import Any

from aiohttp import web

from rules.engine import Engine
from streams import logs
from streams.http.access import TokenGate
from streams.http.server import HttpServer, Limits
from streams.kafka import admin
from streams.ops.api import STATIC, Api
from streams.ops.auth import guard
from streams.ops.change_feed import ChangeFeed
from streams.ops.metrics import OpsMetrics
from streams.ops.state_poller import StatePoller
from streams.ops.status import OpsStatus
from streams.ops.worker_poller import WorkerPoller, addresses
from streams.rights.process_rights import NEEDS
from streams.runtime.faust_app import now_ms
from streams.runtime.health_endpoint import where
from streams.settings import Settings, credentials, host_of
from streams.settings.addresses import is_loopback, networks
from streams.settings.definitions_file import load
from streams.state.redis import RedisStore
from streams.stop import Stop
from streams.wire.topics import CHANGES

_TOKEN_BYTES = 24
_REQUEST_MAX_BYTES = 16 * 1024
# A browser opens six connections for a page, and keeps one more open for the stream of changes.
_LIMITS = Limits(connections=256, idle_s=30.0)


def run(settings: Settings) -> int:
    """Serve until interrupted. Raises `Stop`."""
    logs.set_up(settings.log_format)
    token = _token(settings)
    tls = credentials.http_client(settings)
    engine = Engine(load(settings.definitions))
    topics = admin.verify(settings, NEEDS["ops"].topics)
    asyncio.run(_serve(settings, engine, topics.partitions[CHANGES], token, tls))
    return 0


def _token(settings: Settings) -> str:
    """The token of the settings; without one, a random token if the page is served on loopback. Raises `Stop`."""
    token = credentials.ops_token(settings)
    if token is not None:
        return token
    host = host_of(settings.ops_http)
    if not is_loopback(host):
        raise Stop(f"anyone who can reach {host} could read the page; set SEGMENTER_OPS_TOKEN, or serve on 127.0.0.1")
    return secrets.token_urlsafe(_TOKEN_BYTES)


async def _serve(settings: Settings, engine: Engine, partitions: int, token: str, tls: ssl.SSLContext | None) -> None:
    """Make the parts, serve, and poll until a signal; then close what holds connections. Raises `Stop`."""
    client = credentials.kafka(settings)
    store = RedisStore.of(settings)
    metrics = OpsMetrics()
    feed = ChangeFeed(client, settings.topic_prefix, partitions, now_ms)
    poller = StatePoller(settings, store, engine, partitions, metrics, now_ms)
    workers = WorkerPoller(
        addresses(settings.ops_workers), lambda: now_ms() / 1000, token=credentials.http_token(settings), tls=tls
    )
    status = OpsStatus(feed, poller, workers, engine.definitions.segments, settings.ready_behind_s, now_ms)
    app = _application(settings, Api(status, client, settings.topic_prefix, settings.ops_lift), token, metrics)
    server = HttpServer(app, _LIMITS, metrics.refused)
    ending = _signalled()  # before the address is printed, as it may be stopped from then on
    await _start(settings, server)
    _print_address(settings, server, token)
    try:
        await _run_until(ending, feed.run(), poller.poll(), poller.count(), workers.run())
    finally:
        await server.close()
        await store.close()


def _application(settings: Settings, api: Api, token: str, metrics: OpsMetrics) -> web.Application:
    gate = TokenGate(token, metrics.refused, networks(settings.ops_proxies))
    app = web.Application(
        middlewares=[guard(gate, settings.ops_requests, metrics.refused)], client_max_size=_REQUEST_MAX_BYTES
    )
    app.add_routes(api.routes())
    app.router.add_static("/static/", STATIC)
    return app


async def _start(settings: Settings, server: HttpServer) -> None:
    try:
        await server.start(host_of(settings.ops_http), int(settings.ops_http.rpartition(":")[2]))
    except OSError as error:
        reason = error.strerror or str(error)
        raise Stop(f"nothing can be served on {settings.ops_http} ({reason}); see SEGMENTER_OPS_HTTP") from None


def _signalled() -> asyncio.Event:
    """An event that SIGINT and SIGTERM set."""
    event = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, event.set)
    return event


async def _run_until(ending: asyncio.Event, *loops: Coroutine[Any, Any, None]) -> None:
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(loop) for loop in loops]
        await ending.wait()
        for task in tasks:
            task.cancel()


def _print_address(settings: Settings, server: HttpServer, token: str) -> None:
    """Print the page's address; a random token is part of it, as an operator could not know it otherwise."""
    address = where(*server.address)
    fragment = f"#token={token}" if settings.ops_token is None else ""
    print(f"segmenter ops: http://{address}/{fragment}", file=sys.stderr, flush=True)
