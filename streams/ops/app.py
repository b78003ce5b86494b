"""The composition root of the operations process: ``segmenter ops``.

The one rule: as of `streams.app`. It owns no partition, is in no group, and writes nothing.
"""

from __future__ import annotations

import asyncio
import secrets
import signal
import sys
from ipaddress import ip_address

from aiohttp import web

from rules.engine import Engine
from streams import logs, security, topics
from streams.app import now_ms
from streams.definitions_file import load
from streams.ops.api import STATIC, Api
from streams.ops.feed import Feed
from streams.ops.guard import guard
from streams.ops.looking import Looking
from streams.ops.metrics import OpsMetrics
from streams.ops.seen import Seen
from streams.ops.workers import Workers, addresses
from streams.redis_store import RedisStore
from streams.serving import where
from streams.settings import Settings
from streams.stop import Stop

_TOKEN_BYTES = 24
_REQUEST_MAX_BYTES = 16 * 1024


def run(settings: Settings) -> int:
    """Serve until interrupted. Raises `Stop`."""
    logs.set_up(settings.log_format)
    host, _, port = settings.ops_http.rpartition(":")
    host = host.strip("[]")
    token = _token(settings, host)
    found = topics.verify(settings)
    asyncio.run(_serve(settings, found.partitions[topics.WORKERS[0]], host, int(port), token))
    return 0


def _token(settings: Settings, host: str) -> str:
    """The one that is set; on this machine alone one may be drawn."""
    if settings.ops_token is not None:
        return settings.ops_token.get_secret_value()
    if not _is_loopback(host):
        raise Stop(f"whoever reaches {host} could look on; set SEGMENTER_OPS_TOKEN, or serve on 127.0.0.1")
    return secrets.token_urlsafe(_TOKEN_BYTES)


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


async def _serve(settings: Settings, partitions: int, host: str, port: int, token: str) -> None:
    engine = Engine(load(settings.definitions))
    client = security.kafka(settings)
    store = RedisStore.of(settings)
    metrics = OpsMetrics()
    feed = Feed(client, settings.topic_prefix, partitions, now_ms)
    looking = Looking(settings, store, engine, partitions, metrics, now_ms)
    workers = Workers(addresses(settings.ops_workers), lambda: now_ms() / 1000)
    seen = Seen(feed, looking, workers, engine.definitions.segments, settings.ready_behind_s, now_ms)
    app = web.Application(middlewares=[guard(token, settings.ops_requests)], client_max_size=_REQUEST_MAX_BYTES)
    app.add_routes(Api(seen, client, settings.topic_prefix).routes())
    app.router.add_static("/static/", STATIC)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
    except OSError as error:
        raise Stop(f"nothing can be served on {settings.ops_http} ({error.strerror}); see SEGMENTER_OPS_HTTP") from None
    _tell(settings, runner, token)
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one) for one in (feed.run(), looking.look(), looking.count(), workers.run())]
            for number in (signal.SIGINT, signal.SIGTERM):
                asyncio.get_running_loop().add_signal_handler(number, lambda: [task.cancel() for task in tasks])
    finally:
        await runner.cleanup()
        await store.close()


def _tell(settings: Settings, runner: web.AppRunner, token: str) -> None:
    """Where the page is; with a token that nobody knows yet, which."""
    address = where(*runner.addresses[0][:2])
    drawn = f"#token={token}" if settings.ops_token is None else ""
    print(f"segmenter ops: http://{address}/{drawn}", file=sys.stderr, flush=True)
