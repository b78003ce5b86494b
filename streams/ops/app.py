"""The composition root of the operations process: ``segmenter ops``.

The one rule: as of `streams.runtime.host`. It owns no partition, is in no group, and writes nothing.
"""

from __future__ import annotations

import asyncio
import secrets
import signal
import ssl
import sys

from aiohttp import web

from rules.engine import Engine
from streams import credentials, logs, rights
from streams.definitions_file import load
from streams.http.access import TokenGate
from streams.http.addresses import is_loopback, networks
from streams.http.server import HttpServer, Limits
from streams.kafka import admin
from streams.ops.api import STATIC, Api
from streams.ops.auth import guard
from streams.ops.change_feed import Feed
from streams.ops.metrics import OpsMetrics
from streams.ops.state_poller import Looking
from streams.ops.status import OpsStatus
from streams.ops.worker_poller import Workers, addresses
from streams.runtime.health_endpoint import where
from streams.runtime.host import now_ms
from streams.settings import Settings, host_of
from streams.state.redis import RedisStore
from streams.stop import Stop
from streams.wire.topics import CHANGES

_TOKEN_BYTES = 24
_REQUEST_MAX_BYTES = 16 * 1024
# A browser opens six connections for a page, and one more that stays for the changes.
_LIMITS = Limits(connections=256, idle_s=30.0)


def run(settings: Settings) -> int:
    """Serve until interrupted. Raises `Stop`."""
    logs.set_up(settings.log_format)
    token = _token(settings)
    tls = credentials.http_client(settings)
    engine = Engine(load(settings.definitions))
    found = admin.verify(settings, rights.NEEDS["ops"].topics)
    asyncio.run(_serve(settings, engine, found.partitions[CHANGES], token, tls))
    return 0


def _token(settings: Settings) -> str:
    """The one that is set; on this machine alone one may be drawn."""
    token = credentials.ops_token(settings)
    if token is not None:
        return token
    host = host_of(settings.ops_http)
    if not is_loopback(host):
        raise Stop(f"whoever reaches {host} could look on; set SEGMENTER_OPS_TOKEN, or serve on 127.0.0.1")
    return secrets.token_urlsafe(_TOKEN_BYTES)


async def _serve(settings: Settings, engine: Engine, partitions: int, token: str, tls: ssl.SSLContext | None) -> None:
    client = credentials.kafka(settings)
    store = RedisStore.of(settings)
    metrics = OpsMetrics()
    feed = Feed(client, settings.topic_prefix, partitions, now_ms)
    looking = Looking(settings, store, engine, partitions, metrics, now_ms)
    workers = Workers(
        addresses(settings.ops_workers), lambda: now_ms() / 1000, token=credentials.http_token(settings), tls=tls
    )
    seen = OpsStatus(feed, looking, workers, engine.definitions.segments, settings.ready_behind_s, now_ms)
    gate = TokenGate(token, metrics.refused, networks(settings.ops_proxies))
    app = web.Application(
        middlewares=[guard(gate, settings.ops_requests, metrics.refused)], client_max_size=_REQUEST_MAX_BYTES
    )
    app.add_routes(Api(seen, client, settings.topic_prefix).routes())
    app.router.add_static("/static/", STATIC)
    server = HttpServer(app, _LIMITS, metrics.refused)
    try:
        await server.start(host_of(settings.ops_http), int(settings.ops_http.rpartition(":")[2]))
    except OSError as error:
        reason = error.strerror or str(error)
        raise Stop(f"nothing can be served on {settings.ops_http} ({reason}); see SEGMENTER_OPS_HTTP") from None
    _tell(settings, server, token)
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one) for one in (feed.run(), looking.look(), looking.count(), workers.run())]
            for number in (signal.SIGINT, signal.SIGTERM):
                asyncio.get_running_loop().add_signal_handler(number, lambda: [task.cancel() for task in tasks])
    finally:
        await server.close()
        await store.close()


def _tell(settings: Settings, server: HttpServer, token: str) -> None:
    """Where the page is; with a token that nobody knows yet, which."""
    address = where(*server.address)
    drawn = f"#token={token}" if settings.ops_token is None else ""
    print(f"segmenter ops: http://{address}/{drawn}", file=sys.stderr, flush=True)
