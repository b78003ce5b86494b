"""A bounded HTTP server: clients can use up neither the process's file descriptors nor its time.

Each open connection takes a file descriptor. A process has a limited number of them, and the connections to Redis and
Kafka need theirs. So connections are accepted one by one, and at most `Limits.connections` are open; a further one
takes the place of another, or of several. A connection without a response for `Limits.idle_s` ends, whatever was sent
or not read on it.

aiohttp reads requests and writes responses; this module only accepts and ends connections.

See also: `streams.http.access` (tokens), `streams.runtime.health_endpoint` and `streams.ops.app` (applications).
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections import Counter
from collections.abc import Callable
from time import monotonic
from typing import NamedTuple, cast

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.typedefs import Handler, Middleware
from aiohttp.web_protocol import RequestHandler

from streams import defects
from streams.http.client_addresses import counted_as
from streams.http.listeners import BACKLOG, listening_sockets

log = logging.getLogger(__name__)
_request_log = logging.getLogger(f"{__name__}.requests")

# A request with the right token has this key; its connection does not end to make room for others.
ADMITTED = web.RequestKey("admitted", bool)
_LOOK_EVERY_S = 1.0
# How long a TLS handshake may take, and the end of a TLS connection.
_HANDSHAKE_S = 5.0
_SHUTDOWN_S = 1.0
_TRY_AGAIN_S = 1.0
_LOG_EVERY_S = 60.0
_HEADERS_MAX = 64
# If all places are taken, one in so many ends at once, if the address with the most has as many.
_ENDED_SHARE = 50
# No path takes a request body, so a body is not read before the connection closes.
_LINGERING_S = 0.0


class Limits(NamedTuple):
    """The bounds of a server.

    ``connections``: how many may be open. ``idle_s``: how long a connection may have no response. ``pause_s``: the
    time between two accepted connections. ``one_request``: a connection ends after its first response. ``backlog``: see
    `streams.http.listeners`.
    """

    connections: int
    idle_s: float
    pause_s: float = 0.0
    one_request: bool = False
    backlog: int = BACKLOG


class _Connection:
    """An open connection. ``since``: when its last response was ready, or it was accepted."""

    def __init__(self, sock: socket.socket, peer: str) -> None:
        self.sock = sock
        self.peer = peer
        self.since = monotonic()
        self.request: web.Request | None = None
        self.answers = 0
        self.transport: asyncio.WriteTransport | None = None
        self.entering: asyncio.Task[None] | None = None
        self.is_entering = False
        self.is_ended = False
        self._was_admitted = False

    @property
    def is_open(self) -> bool:
        """Whether it takes a descriptor; an aborted connection takes one only for a moment more."""
        return not self.is_ended and self.sock.fileno() >= 0

    @property
    def is_admitted(self) -> bool:
        """Whether a request with the right token came on this connection."""
        return self._was_admitted or (self.request is not None and ADMITTED in self.request)

    def answered(self) -> None:
        """Note that the current request has its response."""
        self._was_admitted = self.is_admitted
        self.request = None
        self.answers += 1
        self.since = monotonic()

    def abort(self) -> None:
        """End the connection now; bytes that are not written yet are dropped."""
        self.is_ended = True
        if self.transport is not None:
            self.transport.abort()
        elif self.entering is not None and self.is_entering:
            self.entering.cancel()


class HttpServer:
    """Serves an application on a host's addresses within limits.

    ``refused``: called with the reason for each connection that ends because of a limit.
    """

    def __init__(
        self,
        app: web.Application,
        limits: Limits,
        refused: Callable[[str], None],
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._limits = limits
        self._refused = refused
        self._tls = tls
        self._open: dict[RequestHandler, _Connection] = {}
        self._listeners: list[socket.socket] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._logged_at = -_LOG_EVERY_S
        app.middlewares.insert(0, self._follow())
        self._runner = web.AppRunner(
            app,
            access_log=None,
            handle_signals=False,
            shutdown_timeout=1.0,
            handler_cancellation=True,  # a client which has gone away needs no response
            logger=_request_log,
            lingering_time=_LINGERING_S,
            max_headers=_HEADERS_MAX,
        )

    @property
    def address(self) -> tuple[str, int]:
        """Host and port, once it serves."""
        host, port = self._listeners[0].getsockname()[:2]
        return str(host), int(port)

    async def start(self, host: str, port: int) -> None:
        """Serve on all addresses of the host. Raises `OSError`, also for a name or a port that is not valid."""
        self._listeners = await listening_sockets(host, port, self._limits.backlog)
        await self._runner.setup()
        self._tasks = [asyncio.create_task(self._accept(listener)) for listener in self._listeners]
        self._tasks.append(asyncio.create_task(self._look()))
        for task in self._tasks:
            task.add_done_callback(_report)

    async def close(self) -> None:
        """End all connections and stop listening."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for listener in self._listeners:
            listener.close()
        await self._runner.cleanup()
        for connection in self._open.values():
            connection.abort()

    def _follow(self) -> Middleware:
        """The middleware that notes when connections get requests and responses."""

        @web.middleware
        async def follow(request: web.Request, handler: Handler) -> web.StreamResponse:
            connection = self._open.get(request.protocol)
            if connection is None:  # it has ended meanwhile
                raise web.HTTPServiceUnavailable
            connection.request = request
            try:
                response = await handler(request)
            except web.HTTPException as error:
                if self._limits.one_request:
                    error.force_close()
                raise
            finally:
                connection.answered()
            if self._limits.one_request:
                response.force_close()
            return response

        return follow

    async def _accept(self, listener: socket.socket) -> None:
        """Accept connections for ever, each after a pause."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(self._limits.pause_s)
            try:
                sock, peer = await loop.sock_accept(listener)
            except OSError as error:  # no descriptor is left, for instance; waiting connections stay in the queue
                self._log_failure(error)
                await asyncio.sleep(_TRY_AGAIN_S)
                continue
            if not self._make_room():
                sock.close()
                continue
            assert self._runner.server is not None, "not started"
            protocol = self._runner.server()
            connection = self._open[protocol] = _Connection(sock, counted_as(str(peer[0])))
            connection.entering = asyncio.create_task(self._enter(protocol, connection))

    async def _enter(self, protocol: RequestHandler, connection: _Connection) -> None:
        """Hand a connection to aiohttp, after its TLS handshake."""
        if connection.is_ended:
            connection.sock.close()
            return
        connection.is_entering = True  # before it, a cancelled task would leave the socket open
        loop = asyncio.get_running_loop()
        try:
            transport, _ = await loop.connect_accepted_socket(
                lambda: protocol,
                connection.sock,
                ssl=self._tls,
                ssl_handshake_timeout=_HANDSHAKE_S if self._tls else None,
                ssl_shutdown_timeout=_SHUTDOWN_S if self._tls else None,
            )
            connection.transport = cast("asyncio.WriteTransport", transport)  # uvloop's are of no asyncio class
        except (OSError, TimeoutError):  # ssl.SSLError is an OSError: the client sent no TLS, or nothing
            connection.is_ended = True
            self._refused("tls")
        finally:
            connection.entering = None

    def _make_room(self) -> bool:
        """Whether a connection may enter. If all places are taken, another connection ends for it, or several.

        Among those without the right token, they are the oldest of the address with the most: a client which opens many
        connections loses its own.
        """
        if len(self._open) >= self._limits.connections:
            self._forget_ended()
        if len(self._open) < self._limits.connections:
            return True
        self._refused("connections")
        others = [connection for connection in self._open.values() if not connection.is_admitted]
        if not others:
            return False
        # Several at once: to look through all connections takes milliseconds, and a flood would have it done each time.
        (peer, count), *_ = Counter(connection.peer for connection in others).most_common(1)
        ended = [connection for connection in others if connection.peer == peer]
        for connection in ended[: min(max(1, count // 2), max(1, self._limits.connections // _ENDED_SHARE))]:
            connection.abort()
        return True

    async def _look(self) -> None:
        """End connections that had no response for too long; runs for ever."""
        while True:
            await asyncio.sleep(_LOOK_EVERY_S)
            self._forget_ended()
            now = monotonic()
            for connection in list(self._open.values()):
                if connection.request is None and now - connection.since > self._limits.idle_s:
                    if not connection.answers:
                        self._refused("idle")
                    connection.abort()

    def _forget_ended(self) -> None:
        self._open = {protocol: connection for protocol, connection in self._open.items() if connection.is_open}

    def _log_failure(self, error: OSError) -> None:
        if monotonic() - self._logged_at >= _LOG_EVERY_S:
            self._logged_at = monotonic()
            log.warning("connections cannot be accepted", extra={"error": str(error)})


def _report(task: asyncio.Task[None]) -> None:
    """Log the exception that ended a task which should run for ever."""
    if not task.cancelled() and isinstance(error := task.exception(), Exception):
        defects.report("a task of the HTTP server", error)


def _is_no_bad_request(record: logging.LogRecord) -> bool:
    """False for a request that aiohttp cannot parse: it logs each with a traceback, and any client can send them."""
    return not (record.exc_info and isinstance(record.exc_info[1], HttpProcessingError))


_request_log.addFilter(_is_no_bad_request)
