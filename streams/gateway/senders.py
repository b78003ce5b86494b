"""Who sent a request, as far as it is known and may be written: the address, the country, the user agent.

See also: `streams.http.client_addresses` (the client's address behind proxies).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache, partial

from aiohttp import web

from rules.devices import is_crawler
from streams.gateway.messages import MessageSender
from streams.gateway.write_keys import WriteKey
from streams.http.client_addresses import client_address, counted_as, parsed
from streams.settings.addresses import Network

log = logging.getLogger(__name__)

_ADDRESSES_MAX = 4_096


def _client(proxies: Sequence[Network], peer: str, forwarded: tuple[str, ...]) -> str:
    return client_address(peer, forwarded, proxies)


_counted = lru_cache(_ADDRESSES_MAX)(counted_as)


def is_crawling(request: web.Request) -> bool:
    """Whether a known crawler sent a request."""
    return is_crawler(request.headers.get("User-Agent", ""))


class Senders:
    """Makes the sender of a request."""

    def __init__(
        self, now_ms: Callable[[], int], proxies: Iterable[Network] = (),
        country_of: Callable[[str], str | None] | None = None, *, keeps_ip: bool = False, writes_bots: bool = False,
    ) -> None:  # fmt: skip
        """``proxies``: whose X-Forwarded-For is believed. ``country_of``: the country of an address, where it is known.

        ``keeps_ip``: whether the address becomes part of the events. ``writes_bots``: whether crawlers' events count.
        """
        self._now_ms = now_ms
        # Addresses come again: parsing them takes as long as decoding a message.
        self._address = lru_cache(_ADDRESSES_MAX)(partial(_client, list(proxies)))
        self._country_of = country_of
        self._proxies = list(proxies)
        self._has_warned = False
        self._keeps_ip = keeps_ip
        self._writes_bots = writes_bots

    def address(self, request: web.Request) -> str:
        """The address of the client."""
        peer, forwarded = request.remote or "", tuple(request.headers.getall("X-Forwarded-For", []))
        address = self._address(peer, forwarded)
        if forwarded and address == peer and not self._has_warned:
            self._has_warned = True
            log.warning(
                "requests come through a proxy that SEGMENTER_GATEWAY_PROXIES does not name, and count as of one "
                "address",
                extra={"proxy": peer},
            )
        return address

    def counted_as(self, request: web.Request, key: WriteKey) -> str:
        """The address by which the sender of a request is counted; "" for a server, whose address bounds nothing."""
        return _counted(self.address(request)) if key.is_browser else ""

    def scheme(self, request: web.Request) -> str:
        """The scheme under which pages reach this process: https, where a proxy or the page says so."""
        is_https = request.headers.get("Origin", "").startswith("https:")
        peer = parsed(request.remote or "")
        if peer is not None and any(peer in network for network in self._proxies):
            is_https = is_https or request.headers.get("X-Forwarded-Proto", "").lower() == "https"
        return "https" if is_https else request.scheme

    def is_bot(self, request: web.Request, key: WriteKey) -> bool:
        """Whether a known crawler runs the page that sent a request, so that its events do not count."""
        return key.is_browser and not self._writes_bots and is_crawling(request)

    def of(self, request: web.Request, key: WriteKey) -> MessageSender:
        """The sender of a request. That of a server's request is the shop itself, so nothing is said of it."""
        if not key.is_browser:
            return MessageSender(key, self._now_ms())
        address = self.address(request)
        return MessageSender(
            key,
            self._now_ms(),
            request.headers.get("User-Agent", "").encode(errors="replace").decode(),  # aiohttp takes any bytes
            address if self._keeps_ip else None,
            None if self._country_of is None else self._country_of(address),
        )
