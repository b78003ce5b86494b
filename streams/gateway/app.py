"""The composition root of the gateway: ``segmenter gateway``.

Only this module makes the process's parts, and hands each what it needs. The process has no state: any number of them
run side by side, behind a balancer.

    request → ingest → messages → event_producer → Kafka
    operator → the port of `SEGMENTER_HTTP`: metrics, health, readiness
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys

from aiohttp import web

from streams import logs
from streams.gateway import config
from streams.gateway.countries import Countries
from streams.gateway.event_producer import EventProducer
from streams.gateway.ingest import Ingest
from streams.gateway.messages import BATCH_MAX_BYTES
from streams.gateway.metrics import GatewayMetrics
from streams.gateway.senders import Senders
from streams.gateway.write_keys import WriteKeys
from streams.http.server import HttpServer, Limits
from streams.kafka import admin
from streams.rights.process_rights import NEEDS
from streams.runtime.faust_app import now_ms
from streams.runtime.health_endpoint import serve, where
from streams.runtime.readiness import Ready
from streams.settings import Settings, credentials, definitions_file, host_of
from streams.settings.addresses import networks
from streams.stop import Stop

# A phone keeps a connection open for a while; each takes a descriptor and some kilobytes.
_LIMITS = Limits(connections=4_000, idle_s=60.0)


class GatewaySources:
    """What the operator's port answers of a gateway."""

    def __init__(self, metrics: GatewayMetrics, producer: EventProducer) -> None:
        self.metrics = metrics
        self._producer = producer
        metrics.ready.set_function(lambda: float(producer.is_answering))

    def ready(self) -> Ready:
        """Whether events can be written."""
        return Ready(True, []) if self._producer.is_answering else Ready(False, ["Kafka does not acknowledge events"])


def run(settings: Settings) -> int:
    """Serve until interrupted. Raises `DefinitionsError` and `Stop`."""
    logs.set_up(settings.log_format)
    if settings.gateway is None:
        raise Stop("a gateway needs a file with its write keys; name it in SEGMENTER_GATEWAY")
    file = config.load(settings.gateway)
    keys = WriteKeys.of(file, os.environ, settings.gateway.parent)
    placeholders = definitions_file.load(settings.definitions).placeholders
    countries = None if settings.gateway_countries is None else Countries(settings.gateway_countries)
    admin.verify(settings, NEEDS["gateway"].topics)
    metrics = GatewayMetrics(file.keys)
    producer = EventProducer(credentials.kafka(settings), settings.topic_prefix)
    senders = Senders(
        now_ms, networks(settings.gateway_proxies), None if countries is None else countries.of, keeps_ip=file.keep_ip,
        writes_bots=file.bots == "write",
    )  # fmt: skip
    ingest = Ingest(keys, senders, producer, metrics, placeholders)
    asyncio.run(_serve(settings, ingest, producer, GatewaySources(metrics, producer)))
    return 0


async def _serve(settings: Settings, ingest: Ingest, producer: EventProducer, sources: GatewaySources) -> None:
    """Serve until a signal. Raises `Stop`."""
    app = web.Application(client_max_size=BATCH_MAX_BYTES)
    app.add_routes(ingest.routes())
    server = HttpServer(app, _LIMITS, sources.metrics.refused)
    ending = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, ending.set)
    await producer.start()
    await _start(settings, server)
    operator = await serve(sources, settings)
    print(f"segmenter gateway: http://{where(*server.address)}", file=sys.stderr, flush=True)
    try:
        await ending.wait()
    finally:
        await server.close()
        await operator.close()
        await producer.close()


async def _start(settings: Settings, server: HttpServer) -> None:
    try:
        await server.start(host_of(settings.gateway_http), int(settings.gateway_http.rpartition(":")[2]))
    except OSError as error:
        reason = error.strerror or str(error)
        raise Stop(f"nothing can be served on {settings.gateway_http} ({reason}); see SEGMENTER_GATEWAY_HTTP") from None
