"""The composition root of the gateway: ``segmenter gateway``.

Only this module makes the process's parts, and hands each what it needs. The process has no state: any number of them
run side by side, behind a balancer.

    request → ingest → messages → event_producer → Kafka
    Redis → customers → reads → pages, chatbots, servers
    Kafka → change_streams → reads
    operator → the port of `SEGMENTER_HTTP`: metrics, health, readiness
"""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import sys
from contextlib import AsyncExitStack
from functools import partial
from typing import NamedTuple

from aiohttp import web

from rules.definitions.segments_file import Definitions
from rules.engine import Engine
from streams import logs
from streams.gateway import config
from streams.gateway.change_streams import ChangeStreams
from streams.gateway.countries import Countries
from streams.gateway.customers import CustomerReader
from streams.gateway.event_producer import EventProducer
from streams.gateway.ingest import Ingest
from streams.gateway.links import Links
from streams.gateway.messages import BATCH_MAX_BYTES
from streams.gateway.metrics import GatewayMetrics
from streams.gateway.reads import Reads
from streams.gateway.senders import Senders
from streams.gateway.write_keys import WriteKeys, opened
from streams.http.server import HttpServer, Limits
from streams.kafka import admin
from streams.rights.process_rights import NEEDS
from streams.runtime.faust_app import now_ms
from streams.runtime.garbage import collect_seldom
from streams.runtime.health_endpoint import serve, where
from streams.runtime.readiness import Ready
from streams.settings import Settings, credentials, definitions_file, host_of
from streams.settings.addresses import networks
from streams.state.redis import RedisStore
from streams.stop import Stop
from streams.wire.topics import CHANGES

# A phone keeps a connection open for a while; each takes a descriptor and some kilobytes.
_CONNECTIONS_MAX = 4_000
# Descriptors that are left for Kafka, Redis, and the operator's port.
_OTHER_DESCRIPTORS = 256
_IDLE_S = 60.0
# Strangers connect here: a flood of them must not have others wait for a second.
_BACKLOG = 1_024


class GatewaySources:
    """What the operator's port answers of a gateway."""

    def __init__(self, metrics: GatewayMetrics, producer: EventProducer) -> None:
        self.metrics = metrics
        self._producer = producer
        metrics.ready.set_function(lambda: float(producer.is_answering))

    def ready(self) -> Ready:
        """Whether events can be written."""
        return Ready(True, []) if self._producer.is_answering else Ready(False, ["Kafka does not acknowledge events"])


class GatewayParts(NamedTuple):
    """The parts of the process that need no event loop to be made, and the number of partitions."""

    ingest: Ingest
    links: Links | None
    producer: EventProducer
    keys: WriteKeys
    token_secret: str | None
    definitions: Definitions
    partitions: int
    metrics: GatewayMetrics


def run(settings: Settings) -> int:
    """Serve until interrupted. Raises `DefinitionsError` and `Stop`."""
    logs.set_up(settings.log_format)
    if settings.gateway is None:
        raise Stop("a gateway needs a file with its write keys; name it in SEGMENTER_GATEWAY")
    file = config.load(settings.gateway)
    keys = WriteKeys.of(file, os.environ, settings.gateway.parent)
    definitions = definitions_file.load(settings.definitions)
    countries = None if settings.gateway_countries is None else Countries(settings.gateway_countries)
    partitions = admin.verify(settings, NEEDS["gateway"].topics).partitions[CHANGES]
    metrics = GatewayMetrics(file.keys)
    producer = EventProducer(
        credentials.kafka(settings), settings.topic_prefix, is_idempotent=settings.broker == "kafka"
    )
    senders = Senders(
        now_ms, networks(settings.gateway_proxies), None if countries is None else countries.of, keeps_ip=file.keep_ip,
        writes_bots=file.bots == "write",
    )  # fmt: skip
    ingest = Ingest(keys, senders, producer, metrics, definitions.placeholders)
    read = partial(opened, environment=os.environ, folder=settings.gateway.parent)
    token_secret = None if file.read_tokens is None else read(file.read_tokens, "read_tokens")
    links = None
    if file.links is not None:
        links = Links(read(file.links.secret, "links.secret"), file.links.trait, producer, now_ms)
    asyncio.run(
        _serve(settings, GatewayParts(ingest, links, producer, keys, token_secret, definitions, partitions, metrics))
    )
    return 0


async def _serve(settings: Settings, parts: GatewayParts) -> None:
    """Serve until a signal. Raises `Stop`."""
    store = RedisStore.of(settings)
    streams = ChangeStreams(credentials.kafka(settings), settings.topic_prefix, parts.partitions)
    reader = CustomerReader(settings, store, Engine(parts.definitions), parts.partitions)
    reads = Reads(parts.keys, parts.token_secret, reader, streams, parts.metrics)
    app = web.Application(client_max_size=BATCH_MAX_BYTES)
    links = [] if parts.links is None else parts.links.routes()
    app.add_routes([*reads.routes(), *links, *parts.ingest.routes()])
    server = HttpServer(app, Limits(_connections(), _IDLE_S, backlog=_BACKLOG), parts.metrics.refused)
    producer = parts.producer
    ending = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, ending.set)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(store.close)
        await _start(settings, server)
        stack.push_async_callback(server.close)
        await producer.start()
        stack.push_async_callback(producer.close)
        operator = await serve(GatewaySources(parts.metrics, producer), settings)
        stack.push_async_callback(operator.close)
        following = asyncio.create_task(streams.run())
        collect_seldom()
        print(f"segmenter gateway: http://{where(*server.address)}", file=sys.stderr, flush=True)
        await ending.wait()
        await server.close()  # first, so that no request is taken that nothing can serve
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)


def _connections() -> int:
    """How many connections may be open, after the limit of descriptors is raised as far as it may be."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _CONNECTIONS_MAX + _OTHER_DESCRIPTORS
    if soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return min(_CONNECTIONS_MAX, max(soft - _OTHER_DESCRIPTORS, soft // 2))


async def _start(settings: Settings, server: HttpServer) -> None:
    try:
        await server.start(host_of(settings.gateway_http), int(settings.gateway_http.rpartition(":")[2]))
    except OSError as error:
        reason = error.strerror or str(error)
        raise Stop(f"nothing can be served on {settings.gateway_http} ({reason}); see SEGMENTER_GATEWAY_HTTP") from None
