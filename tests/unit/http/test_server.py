"""The bounded server under clients that use up its files and time: real sockets, on addresses of this machine.

Whatever else connects, a request is answered.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import resource
import socket
import ssl
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import cast

import aiohttp
import pytest
import trustme
import uvloop
from aiohttp import web

from streams.http import server as http_server
from streams.http.server import ADMITTED, HttpServer, Limits

HOST, OTHER = "127.0.0.1", "127.0.0.2"
REQUEST = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
LARGE = b"x" * 16_000_000
PATIENCE_S = 30.0

Started = Callable[..., "asyncio.Future[Served]"]


class Served:
    """A server, the reasons of its refusals, and the connections that a test has to it."""

    def __init__(self, limits: Limits, tls: ssl.SSLContext | None) -> None:
        self.refused: Counter[str] = Counter()
        self.sockets: list[socket.socket] = []
        app = web.Application()
        app.add_routes([web.get("/", self._answer), web.get("/large", self._large), web.get("/stay", self._stay)])
        self.server = HttpServer(app, limits, lambda reason: self.refused.update([reason]), tls)

    async def _answer(self, _: web.Request) -> web.Response:
        return web.Response(text="here")

    async def _large(self, _: web.Request) -> web.Response:
        return web.Response(body=LARGE)

    async def _stay(self, request: web.Request) -> web.StreamResponse:
        request[ADMITTED] = True
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"begun")
        await asyncio.sleep(PATIENCE_S)
        return response

    async def connect(self, source: str = HOST, send: bytes = b"") -> socket.socket:
        """A connection that stays as it is."""
        loop = asyncio.get_running_loop()
        sock = socket.socket()
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        sock.bind((source, 0))
        self.sockets.append(sock)
        await loop.sock_connect(sock, self.server.address)
        await loop.sock_sendall(sock, send)
        return sock

    async def is_answered(self) -> bool:
        url = f"http://{HOST}:{self.server.address[1]}/"
        limit = aiohttp.ClientTimeout(total=PATIENCE_S)
        async with aiohttp.ClientSession(timeout=limit) as session, session.get(url) as answer:
            return await answer.text() == "here"


@pytest.fixture(params=[asyncio.DefaultEventLoopPolicy, uvloop.EventLoopPolicy], ids=["asyncio", "uvloop"])
def event_loop_policy(request: pytest.FixtureRequest) -> asyncio.AbstractEventLoopPolicy:
    """Each of the loops that ``SEGMENTER_LOOP`` names."""
    return cast("asyncio.AbstractEventLoopPolicy", request.param())


pytestmark = pytest.mark.filterwarnings("ignore:Overriding the .event_loop_policy. fixture")


@pytest.fixture(autouse=True)
def _hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shortens the intervals of the server's periodic work."""
    monkeypatch.setattr(http_server, "_LOOK_EVERY_S", 0.1)
    monkeypatch.setattr(http_server, "_TRY_AGAIN_S", 0.2)


@pytest.fixture
async def started() -> AsyncIterator[Callable[..., object]]:
    """Starts servers, which end with the test."""
    running: list[Served] = []

    async def start(limits: Limits, tls: ssl.SSLContext | None = None) -> Served:
        served = Served(limits, tls)
        await served.server.start(HOST, 0)
        running.append(served)
        return served

    yield start
    for served in running:
        for sock in served.sockets:
            sock.close()
        await served.server.close()


async def is_ended(sock: socket.socket, within_s: float = PATIENCE_S) -> bool:
    """Whether the server ends the connection; what it had sent is read until then."""
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(within_s):
            while await loop.sock_recv(sock, 65_536):
                pass
    except TimeoutError:
        return False
    except ConnectionError:
        return True
    return True


def descriptors() -> int:
    """The number of sockets among the descriptors of this process."""
    targets = (str(Path(f"/proc/self/fd/{number}").readlink()) for number in numbers())
    return sum(target.startswith("socket:") for target in targets)


def numbers() -> list[int]:
    """The descriptors of this process, without the one that reads them."""
    return [int(path.name) for path in Path("/proc/self/fd").iterdir() if path.is_symlink()]


async def test_connections_are_few_however_many_come(started: Started) -> None:
    """Idle connections lose their places, take no descriptors, and keep no other client out."""
    served = await started(Limits(connections=8, idle_s=PATIENCE_S))
    before = descriptors()
    for _ in range(100):
        await served.connect()
    await asyncio.sleep(0.2)
    assert descriptors() - before - len(served.sockets) <= 8 + 1
    assert await served.is_answered()
    assert served.refused["connections"] >= 100 - 8


async def test_who_opens_many_connections_loses_its_own(started: Started) -> None:
    """The connection of another address stays, although it is the oldest."""
    served = await started(Limits(connections=8, idle_s=PATIENCE_S))
    alone = await served.connect(OTHER)
    await asyncio.sleep(0.1)
    crowd = [await served.connect() for _ in range(40)]
    assert await is_ended(crowd[0])
    assert not await is_ended(alone, 0.3)


async def test_a_connection_with_the_right_token_stays(started: Started) -> None:
    """A connection with the right token stays; where all places have such ones, a further one is refused."""
    served = await started(Limits(connections=3, idle_s=0.5))
    streams = [await served.connect(send=b"GET /stay HTTP/1.1\r\nHost: x\r\n\r\n") for _ in range(3)]
    for stream in streams:
        assert b"begun" in await asyncio.get_running_loop().sock_recv(stream, 65_536)
    assert all([await is_ended(await served.connect()) for _ in range(5)])
    assert not any([await is_ended(stream, 0.6) for stream in streams])


@pytest.mark.parametrize(
    ("sent", "counted"),
    [(b"", 1), (REQUEST[:20], 1), (REQUEST, 0), (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nhalf", 0)],
)
async def test_a_connection_without_an_answer_ends(started: Started, sent: bytes, counted: int) -> None:
    """A connection ends if it sends nothing, half a head, nothing after an answer, or half a body."""
    served = await started(Limits(connections=8, idle_s=0.3))
    assert await is_ended(await served.connect(send=sent))
    assert served.refused["idle"] == counted


async def test_half_a_request_does_not_live_by_dripping(started: Started) -> None:
    """Each byte comes in time, but the whole request does not."""
    served = await started(Limits(connections=8, idle_s=0.5))
    sock = await served.connect(send=b"GET / HTTP/1.1\r\nX: ")
    until = time.monotonic() + PATIENCE_S
    with contextlib.suppress(ConnectionError):
        while time.monotonic() < until:
            await asyncio.get_running_loop().sock_sendall(sock, b"x")
            await asyncio.sleep(0.1)
    assert time.monotonic() < until


async def test_an_answer_that_is_not_read_is_let_go(started: Started) -> None:
    """The answer is larger than the kernel's buffers, and it holds a descriptor."""
    served = await started(Limits(connections=8, idle_s=0.5))
    before = descriptors()
    sock = await served.connect(send=b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
    until = time.monotonic() + PATIENCE_S
    while descriptors() < before + 2:
        assert time.monotonic() < until, "the connection is accepted"
        await asyncio.sleep(0.01)
    while descriptors() > before + 1:
        assert time.monotonic() < until, "the connection ends"
        await asyncio.sleep(0.1)
    received = 0  # what the kernel had taken still comes
    while part := await asyncio.get_running_loop().sock_recv(sock, 1_000_000):
        received += len(part)
    assert received < len(LARGE)


async def test_a_connection_has_one_request(started: Started) -> None:
    """A second request on the same connection is not answered, also where the path does not exist."""
    served = await started(Limits(connections=8, idle_s=PATIENCE_S, one_request=True))
    for path, status in ((b"/", b" 200 "), (b"/nothing", b" 404 ")):
        sock = await served.connect(send=REQUEST.replace(b"/ ", path + b" ") * 3)
        answer = b""
        while part := await asyncio.get_running_loop().sock_recv(sock, 65_536):
            answer += part
        assert answer.count(b"HTTP/1.1") == answer.count(status) == 1
        assert b"Connection: close" in answer


async def test_connections_are_accepted_slowly(started: Started) -> None:
    """So many are accepted in a time; the others wait in the kernel's queue."""
    served = await started(Limits(connections=30, idle_s=PATIENCE_S, pause_s=0.1))
    before = descriptors()
    for _ in range(30):
        await served.connect()
    began = time.monotonic()
    await asyncio.sleep(0.5)
    accepted = descriptors() - before - len(served.sockets)
    assert accepted <= 3 + 10 * (time.monotonic() - began)


async def test_a_process_without_descriptors_waits(started: Started, caplog: pytest.LogCaptureFixture) -> None:
    """A process without descriptors accepts nothing, logs that once, and goes on when there are some again."""
    served = await started(Limits(connections=100, idle_s=PATIENCE_S))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    sock = socket.socket()
    sock.setblocking(False)
    served.sockets.append(sock)
    highest = max(numbers())
    opened = [os.dup(0)]
    while opened[-1] <= highest:  # no number below the limit is free then
        opened.append(os.dup(0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (opened[-1] + 1, hard))
    try:
        with caplog.at_level(logging.WARNING):
            await asyncio.get_running_loop().sock_connect(sock, served.server.address)
            await asyncio.sleep(0.7)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for descriptor in opened:
            os.close(descriptor)
    assert await served.is_answered()
    assert [record.message for record in caplog.records] == ["connections cannot be accepted"]


async def test_requests_that_cannot_be_read_are_not_logged(started: Started, caplog: pytest.LogCaptureFixture) -> None:
    """Heads beyond the size limit are not read either."""
    served = await started(Limits(connections=8, idle_s=PATIENCE_S))
    many = b"".join(b"X-%d: y\r\n" % number for number in range(100))
    wrong = (b"nothing\r\n\r\n", REQUEST[:-2] + b"X: " + b"x" * 20_000, REQUEST[:-2] + many + b"\r\n")
    with caplog.at_level(logging.INFO):
        for sent in wrong:
            sock = await served.connect(send=sent)
            assert b" 400 " in await asyncio.get_running_loop().sock_recv(sock, 65_536)
            assert await is_ended(sock)
    assert caplog.records == []


async def test_tls_is_spoken_or_the_connection_ends(started: Started, monkeypatch: pytest.MonkeyPatch) -> None:
    """Plain HTTP and silence are no TLS; a silent client does not keep others waiting."""
    monkeypatch.setattr(http_server, "_HANDSHAKE_S", 0.5)
    authority = trustme.CA()
    server_tls, client_tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH), ssl.create_default_context()
    authority.issue_cert(HOST).configure_cert(server_tls)
    authority.configure_trust(client_tls)
    served = await started(Limits(connections=8, idle_s=PATIENCE_S), server_tls)
    silent, plain = await served.connect(), await served.connect(send=REQUEST)
    url = f"https://{HOST}:{served.server.address[1]}/"
    async with aiohttp.ClientSession() as session, session.get(url, ssl=client_tls) as answer:
        assert await answer.text() == "here"
    assert await is_ended(plain)
    assert await is_ended(silent)
    assert served.refused["tls"] == 2


async def test_connections_that_are_silent_before_tls_are_bounded(started: Started) -> None:
    """Connections that are silent before TLS lose their places like others, without waiting for a handshake."""
    served = await started(
        Limits(connections=8, idle_s=PATIENCE_S), ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    )
    before = descriptors()
    crowd = [await served.connect() for _ in range(30)]
    assert await is_ended(crowd[0], http_server._HANDSHAKE_S / 2)
    assert descriptors() - before - len(crowd) <= 8 + 1


@pytest.mark.parametrize(("host", "port"), [(HOST, 99_999), ("x" * 300, 0), ("nothing.invalid", 0)])
async def test_an_address_that_cannot_be_is_an_oserror(host: str, port: int) -> None:
    """The error is an OSError whichever error the operating system's interfaces raise."""
    server = HttpServer(web.Application(), Limits(8, 1.0), lambda _: None)
    with pytest.raises(OSError, match=r"\S"):
        await server.start(host, port)


async def test_a_name_of_several_addresses_is_served_on_each() -> None:
    """All are served on one port; an address that this machine does not have is left out."""
    server = HttpServer(web.Application(), Limits(8, 1.0), lambda _: None)
    await server.start("localhost", 0)
    try:
        with socket.create_connection((HOST, server.address[1]), timeout=PATIENCE_S):
            pass
    finally:
        await server.close()
