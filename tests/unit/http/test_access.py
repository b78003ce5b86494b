"""Tokens and the addresses they come from: which requests pass, which are slowed, and what is logged of them."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from pydantic import ValidationError

from streams.http import access, bearer_tokens
from streams.http.access import RateLimit, TokenGate
from streams.http.client_addresses import client_address, counted_as, is_loopback_host
from streams.http.server import HttpServer, Limits
from streams.ops.auth import guard
from streams.settings import Settings, tokens
from streams.settings.addresses import networks

HOST = "127.0.0.1"
TOKEN = "the-right-one-of-this-run"
BURST = 10


# --- tokens


@pytest.mark.parametrize(
    "token",
    [
        "", "secret", "x" * 64, "changeme-changeme-changeme", "passwordpasswordpassword", "0123456789" * 4,
        "Zq7-kZq7-kZq7-kZq7-kZq7-k", "abcdefghijklmnopqrstuvwxyz", "admin-token-secret-test",
        "abababababababababababababab", "Zq7-kV2_pX9",
    ],
)  # fmt: skip
def test_tokens_that_can_be_guessed_are_weak(token: str) -> None:
    """Short tokens, repetitions, alphabets and common words are weak, however long they are made so."""
    assert tokens.is_weak(token)


def test_drawn_tokens_are_not_weak() -> None:
    """Random tokens are strong in each form in which they are usually drawn, every time."""
    for _ in range(2_000):
        for token in (secrets.token_urlsafe(24), secrets.token_hex(16), secrets.token_hex(12)):
            assert not tokens.is_weak(token), token


@pytest.mark.parametrize(
    ("given", "is_right"),
    [
        (f"Bearer {TOKEN}", True), (f"bearer {TOKEN}", True), (TOKEN, False), (f"Basic {TOKEN}", False),
        (f"Bearer {TOKEN}x", False), (f"Bearer {TOKEN[:-1]}", False), ("Bearer", False), ("", False),
        ("Bearer \udcff\udcfe", False),
    ],
)  # fmt: skip
def test_the_token_is_right_whole_or_not_at_all(given: str, is_right: bool) -> None:
    assert bearer_tokens.is_right(given, TOKEN) is is_right


STRONG = secrets.token_urlsafe(24)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"ops_http": "0.0.0.0:8090", "ops_token": "letmein"}, "OPS_TOKEN: can be guessed"),
        ({"ops_http": "shop.example:8090", "ops_token": "x" * 40}, "OPS_TOKEN: can be guessed"),
        ({"ops_proxies": "10.0.0.7", "ops_token": "letmein"}, "OPS_TOKEN: can be guessed"),
        ({"http": "[::]:9101", "http_token": "letmein"}, "HTTP_TOKEN: can be guessed"),
        ({"ops_token": ""}, "OPS_TOKEN: is empty"),
        ({"http_token": ""}, "HTTP_TOKEN: is empty"),
        ({"ops_proxies": "10.0.0.0/8,::/0"}, "proxies"),
        ({"ops_proxies": "nginx"}, "proxies"),
        ({"http_key_file": "key.pem"}, "HTTP_KEY_FILE: needs"),
    ],
)
def test_what_lets_anybody_in_is_no_setting(given: dict[str, Any], message: str) -> None:
    """Each process refuses such a setting at its start."""
    with pytest.raises(ValidationError, match=message):
        Settings(**given)


@pytest.mark.parametrize(
    "given",
    [
        {"ops_token": "letmein"}, {"http_token": "letmein"}, {"http_token": "letmein", "http": "localhost:9101"},
        {"http_token": "letmein", "http": "none"}, {"ops_http": "0.0.0.0:8090", "ops_token": STRONG},
        {"ops_proxies": "10.0.0.7, 10.1.0.0/16,fd00::/8", "ops_token": STRONG},
    ],
)  # fmt: skip
def test_on_this_machine_alone_a_token_may_be_weak(given: dict[str, Any]) -> None:
    Settings(**given)


# --- addresses


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("9.9.9.9", [], "9.9.9.9"),
        ("9.9.9.9", ["1.1.1.1"], "9.9.9.9"),  # any client may send the header
        ("10.0.0.7", [], "10.0.0.7"),
        ("10.0.0.7", ["1.1.1.1"], "1.1.1.1"),
        ("10.0.0.7", ["6.6.6.6, 1.1.1.1"], "1.1.1.1"),  # the first was written by the client itself
        ("10.0.0.7", ["6.6.6.6", "1.1.1.1"], "1.1.1.1"),
        ("10.0.0.7", ["6.6.6.6, 1.1.1.1, 10.1.2.3"], "1.1.1.1"),
        ("10.0.0.7", ["1.1.1.1, 10.9.9.9"], "10.9.9.9"),  # inside, and no proxy of ours
        ("10.0.0.7", ["10.1.2.3"], "10.1.2.3"),
        ("10.0.0.7", ["1.1.1.1:4711"], "1.1.1.1"),
        ("10.0.0.7", ["[2606:4700::1]:4711"], "2606:4700::1"),
        ("::ffff:10.0.0.7", ["1.1.1.1"], "1.1.1.1"),
        ("10.0.0.7", ["unknown"], "10.0.0.7"),
        ("10.0.0.7", ["1.1.1.1, unknown"], "10.0.0.7"),
        ("10.0.0.7", [""], "10.0.0.7"),
        ("", ["1.1.1.1"], ""),
    ],
)
def test_the_client_is_the_newest_address_that_no_proxy_has(peer: str, forwarded: list[str], client: str) -> None:
    assert client_address(peer, forwarded, networks("10.0.0.7,10.1.0.0/16")) == client


@pytest.mark.parametrize(
    ("address", "counted"),
    [
        ("1.2.3.4", "1.2.3.4"), ("::ffff:1.2.3.4", "1.2.3.4"), ("2606:4700:1:2:3:4:5:6", "2606:4700:1:2::/64"),
        ("2606:4700:1:2:ffff::1", "2606:4700:1:2::/64"), ("fe80::1%eth0", "fe80::/64"), ("", ""),
    ],
)  # fmt: skip
def test_an_ipv6_host_is_counted_as_its_network(address: str, counted: str) -> None:
    """A host has all addresses of its IPv6 network."""
    assert counted_as(address) == counted


def test_of_many_addresses_the_longest_quiet_one_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory is bounded, and a flood of addresses does not let the one off that is slowed."""
    monkeypatch.setattr(access, "_ADDRESSES_MAX", 10)
    limit = RateLimit(1, 1, lambda: 0.0)
    assert limit.take("guesses")
    for number in range(100):
        assert limit.take(str(number))
        if number % 4 == 3:
            assert not limit.take("guesses")
    assert len(limit._left) <= 10


@pytest.mark.parametrize(
    ("header", "is_local"),
    [
        (None, True), ("127.0.0.1:9101", True), ("localhost", True), ("[::1]:9101", True), ("127.9.9.9", True),
        ("shop.example:9101", False), ("localhost.shop.example", False), ("[", False), ("", False),
        ("10.0.0.1:9101", False), ("shop.example:9101@x", False),
    ],
)  # fmt: skip
def test_which_host_headers_name_this_machine(header: str | None, is_local: bool) -> None:
    assert is_loopback_host(header) is is_local


# --- the gate, over sockets


class Page:
    """The guard of `ops` before one handler, and what it refused."""

    def __init__(self, proxies: str, per_s: float) -> None:
        self.refused: Counter[str] = Counter()
        gate = TokenGate(TOKEN, self._refuse, networks(proxies))
        app = web.Application(middlewares=[guard(gate, per_s, self._refuse)])
        app.add_routes([web.get(path, self._answer) for path in ("/api/status", "/health")])
        self.server = HttpServer(app, Limits(connections=64, idle_s=30.0), self._refuse)

    def _refuse(self, reason: str) -> None:
        self.refused[reason] += 1

    async def _answer(self, _: web.Request) -> web.Response:
        return web.Response(text="here")

    async def get(self, token: str | None, path: str = "/api/status", **headers: str) -> int:
        """The status of an answer, on a connection of its own."""
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        url = f"http://{HOST}:{self.server.address[1]}{path}"
        async with aiohttp.ClientSession() as session, session.get(url, headers=headers) as answer:
            return answer.status


Opened = Callable[..., Any]


@pytest.fixture
async def opened() -> AsyncIterator[Opened]:
    """Opens pages, which close with the test."""
    pages: list[Page] = []

    async def start(proxies: str = "", per_s: float = 500.0) -> Page:
        page = Page(proxies, per_s)
        await page.server.start(HOST, 0)
        pages.append(page)
        return page

    yield start
    for page in pages:
        await page.server.close()


async def test_the_right_token_always_passes(opened: Opened) -> None:
    """A request with the right token passes among many of the same address with a wrong token or none."""
    page = await opened(per_s=5.0)
    floods = [asyncio.create_task(page.get(token)) for token in ("wrong", None) * 20]
    assert [await page.get(TOKEN) for _ in range(30)] == [200] * 30
    answers = Counter(await asyncio.gather(*floods))
    assert answers.keys() == {401, 429}
    assert [await page.get(TOKEN) for _ in range(30)] == [200] * 30


async def test_wrong_tokens_are_slowed(opened: Opened) -> None:
    """After a burst each request with a wrong token waits for its answer, beside the others and not behind them."""
    page = await opened()
    assert [await page.get("wrong") for _ in range(BURST)] == [401] * BURST
    began = time.monotonic()
    assert await asyncio.gather(*(page.get("wrong") for _ in range(20))) == [429] * 20
    assert time.monotonic() - began >= access.SLOWED_S
    assert await page.get("wrong", "/health") == 200
    assert page.refused == {"wrong_token": BURST + 20}


async def test_they_are_slowed_by_the_address_that_a_trusted_proxy_tells(opened: Opened) -> None:
    """Clients of a trusted proxy are told apart; from others the header is ignored."""
    trusting, page = await opened(proxies=f"{HOST}/32"), await opened()
    answers = [await trusting.get("wrong", **{"X-Forwarded-For": f"6.6.6.{n}, 1.1.1.1"}) for n in range(BURST + 1)]
    assert answers == [401] * BURST + [429]
    assert await trusting.get("wrong", **{"X-Forwarded-For": "1.1.1.2"}) == 401
    answers = [await page.get("wrong", **{"X-Forwarded-For": f"6.6.6.{n}"}) for n in range(BURST + 1)]
    assert answers == [401] * BURST + [429]


async def test_wrong_tokens_are_logged_and_counted(opened: Opened, caplog: pytest.LogCaptureFixture) -> None:
    """The log has their address without the token, in few lines however many come."""
    page = await opened()
    with caplog.at_level(logging.WARNING):
        for _ in range(BURST):
            await page.get("a-guess")
    assert 1 <= len(caplog.records) <= 4
    assert caplog.records[0].__dict__["address"] == HOST
    assert "a-guess" not in caplog.text
    assert await page.get(None) == 401
    assert page.refused == {"wrong_token": BURST, "no_token": 1}


async def test_requests_without_the_token_are_limited_by_address(opened: Opened) -> None:
    """The limit also holds for paths that need no token."""
    page = await opened(per_s=1.0)
    answers = Counter([await page.get(None, "/health") for _ in range(10)])
    assert answers[429] >= 5
    assert page.refused["too_many_requests"] == answers[429]
