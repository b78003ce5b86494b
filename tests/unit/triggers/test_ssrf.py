"""Webhooks that try to reach an address inside: by how it is written, by what a name resolves to, by the peer.

The internal server is a real one, whose certificate the client trusts, so that only the guard is
between them; it sees no request, and where it can be known before, no connection either.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import trustme
from aiohttp import web
from pydantic import ValidationError

from local.receivers import SECRET
from streams.triggers import channel_config, ssrf
from streams.triggers.channels.webhook import Webhook
from streams.triggers.messages import AttemptResult, Outcome
from tests.support.channel_messages import Names, message, words

HOST = "127.0.0.1"
NAME = "inside.example"


class Inside:
    """An HTTPS server inside, the connections and requests that came to it, and what its client trusts."""

    def __init__(self) -> None:
        authority = trustme.CA()
        self._own, self.trusting = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH), ssl.create_default_context()
        authority.issue_cert(HOST, NAME).configure_cert(self._own)
        authority.configure_trust(self.trusting)
        self.requests: list[web.BaseRequest] = []
        self.connections = 0
        self.answer: Callable[[], web.Response] = web.Response
        self.port = 0

    async def start(self) -> None:
        loop = asyncio.get_running_loop()
        http = web.Server(self._handle)

        def connected() -> Any:
            self.connections += 1
            return http()

        self._server = await loop.create_server(connected, HOST, 0, ssl=self._own)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        self.requests.append(request)
        await request.read()
        return self.answer()

    def close(self) -> None:
        self._server.close()


@pytest.fixture
async def inside() -> AsyncIterator[Inside]:
    server = Inside()
    await server.start()
    yield server
    server.close()


async def call(url: str, trusting: ssl.SSLContext, **more: Any) -> AttemptResult:
    """The result of one attempt of a real channel."""
    way = {"kind": "webhook", "url": url, "secrets": [{"env": "S"}], "timeout": "5s", **more}
    channel = Webhook(channel_config.WebhookWay.model_validate(way), [SECRET], words(text="t"), ssl=trusting)
    try:
        return await channel.send(message())
    finally:
        await channel.close()


# --- as it is written


@pytest.mark.parametrize(
    ("address", "is_public"),
    [
        ("192.88.99.1", False), ("198.18.0.1", False), ("192.0.0.8", False), ("203.0.113.1", False),
        ("fec0::1", False), ("3fff::1", False), ("5f00::1", False), ("2001:db8::1", False), ("4000::1", False),
        ("64:ff9b:1::7f00:1", False), ("64:ff9b::a9fe:a9fe", False), ("64:ff9b::808:808", True),
        ("2001:0:7f00:1::", False), ("2001:20::1", False), ("::127.0.0.1", False), ("::ffff:0:127.0.0.1", False),
        ("2002:a9fe:a9fe::1", False), ("2a00:1450::5efe:10.0.0.1", False), ("2a00:1450:0:0:200:5efe:a00:1", False),
        ("2a00:1450::5efe:8.8.8.8", True), ("fd00:ec2::254", False), ("2a00:1450::1", True), ("1.1.1.1", True),
    ],
)  # fmt: skip
def test_no_form_of_an_address_inside_is_public(address: str, is_public: bool) -> None:
    """An internal address in any form is refused, whatever the Python version knows of such forms."""
    assert ssrf.is_public(address) is is_public


@pytest.mark.parametrize(
    "host",
    [
        HOST, "１２７.0.0.1", "127。0。0。1", "①②⑦.0.0.1", "127.0.0.1.", "2130706433", "0x7f000001", "0x7f.0.0.1",
        "127.1", "0177.0.0.1", "017700000001", "0", "0.0.0.0", "127.00.0.1", "a.1", "[::1]", "[::ffff:127.0.0.1]",
        "[fe80::1%25eth0]", "user@inside.example", "user:pw@inside.example", "127.0.0.1%2f@inside.example",
        "inside.example\\@127.0.0.1",
    ],
)  # fmt: skip
async def test_a_host_inside_is_refused_however_it_is_written(host: str, inside: Inside) -> None:
    """The host is refused before any connection."""
    with pytest.raises((ValueError, ValidationError), match=r"expected|is not a URL"):
        await call(f"https://{host}:{inside.port}/hook", inside.trusting)
    assert inside.connections == 0


@pytest.mark.parametrize("host", ["2130706433", "0x7f.1", "user@127.0.0.1", "127.0.0.1."])
async def test_an_odd_host_is_none_inside_either(host: str, inside: Inside) -> None:
    """Where private addresses are allowed, they are written as usual."""
    with pytest.raises(ValueError, match="expected"):
        await call(f"https://{host}:{inside.port}/hook", inside.trusting, allow_private=True)


# --- what is connected to


async def test_a_name_that_is_inside_is_not_connected_to(inside: Inside) -> None:
    """The resolver of this machine gives the inside address."""
    result = await call(f"https://localhost:{inside.port}/hook", inside.trusting)
    assert (result.outcome, inside.connections) == (Outcome.REFUSED, 0)


async def test_the_address_that_is_connected_to_is_looked_at(inside: Inside, monkeypatch: pytest.MonkeyPatch) -> None:
    """The check is made even where the resolver let it through, as another library's might."""
    monkeypatch.setattr(ssrf, "Guard", lambda: Names([HOST]))
    result = await call(f"https://{NAME}:{inside.port}/hook", inside.trusting)
    assert (result.outcome, result.detail) == (Outcome.REFUSED, "the address is not allowed")
    assert inside.connections == 0


async def test_the_peer_of_a_connection_is_looked_at(inside: Inside, monkeypatch: pytest.MonkeyPatch) -> None:
    """The check is made even where there was none before: no request goes over the connection."""
    monkeypatch.setattr(ssrf, "Guard", lambda: Names([HOST]))
    monkeypatch.setattr(ssrf, "public_socket", lambda place: socket.socket(*place[:3]))
    result = await call(f"https://{NAME}:{inside.port}/hook", inside.trusting)
    assert (result.outcome, result.detail) == (Outcome.REFUSED, "the address is not allowed")
    assert (inside.connections, inside.requests) == (1, [])


# --- where an answer or the environment sends it


async def test_a_redirect_is_not_followed(inside: Inside) -> None:
    """One request is made, and the answer refuses the message."""
    inside.answer = lambda: web.Response(status=307, headers={"Location": "/elsewhere"})
    result = await call(f"https://{HOST}:{inside.port}/hook", inside.trusting, allow_private=True)
    assert result.outcome is Outcome.REFUSED
    assert [request.path for request in inside.requests] == ["/hook"]


async def test_the_environment_turns_nothing(inside: Inside, monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    """The proxies and passwords of the environment have no effect."""
    netrc = tmp_path / "netrc"
    netrc.write_text(f"machine {HOST} login a password b\n")
    monkeypatch.setenv("NETRC", str(netrc))
    with socket.create_server((HOST, 0)) as proxy:
        for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, f"http://{HOST}:{proxy.getsockname()[1]}")
        result = await call(f"https://{HOST}:{inside.port}/hook", inside.trusting, allow_private=True)
        proxy.setblocking(False)
        with pytest.raises(BlockingIOError):
            proxy.accept()
    assert result.outcome is Outcome.SENT
    assert "Authorization" not in inside.requests[0].headers


async def test_an_answer_is_not_unpacked(inside: Inside) -> None:
    """A small answer may unpack to a large one, and what it says does not matter."""
    inside.answer = lambda: web.Response(body=b"no gzip", headers={"Content-Encoding": "gzip"})
    result = await call(f"https://{HOST}:{inside.port}/hook", inside.trusting, allow_private=True)
    assert result.outcome is Outcome.SENT
