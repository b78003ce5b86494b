"""The guard of webhooks: no request reaches an address inside, whatever a name resolves to (SSRF).

The one rule: what is connected to is what was checked. The name is resolved here, every address of it is
looked at, and the connection goes to those very addresses; no second resolution comes in between.
"""

from __future__ import annotations

import ipaddress
import socket
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

_PORTS = (443, 8443)
_PORTS_FROM = 1_024
# IPv6 forms that carry an IPv4 address, which counts: RFC 6052 (NAT64) and RFC 3056 (6to4).
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_SIX_TO_FOUR = ipaddress.ip_network("2002::/16")


class NotAllowed(OSError):
    """The address is not for webhooks."""


def is_public(address: str) -> bool:
    """Whether an address is one of the internet, in each of the forms that it may be carried in."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    inner = _carried(found)
    if inner is not None:
        return is_public(str(inner))
    return found.is_global and not found.is_multicast and not found.is_reserved


def _carried(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    if isinstance(address, ipaddress.IPv4Address):
        return None
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    if address in _SIX_TO_FOUR:
        return ipaddress.IPv4Address(int(address) >> 80 & 0xFFFFFFFF)
    return None


def check_url(url: str, *, allow_private: bool) -> None:
    """Raises `NotAllowed` for a URL that no webhook may have."""
    parts = urlsplit(url)
    if parts.username is not None or parts.password is not None or not parts.hostname:
        raise NotAllowed("a URL with a host and without a user")
    if allow_private:
        return
    port = parts.port or 443
    if parts.scheme != "https" or not (port in _PORTS or port >= _PORTS_FROM):
        raise NotAllowed("https, on port 443, 8443 or from 1024 on")
    if _is_literal(parts.hostname) and not is_public(parts.hostname):
        raise NotAllowed("an address of the internet")


def _is_literal(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


class Guard(AbstractResolver):
    """Resolves names for a connector, and gives addresses of the internet alone."""

    def __init__(self, inner: AbstractResolver | None = None) -> None:
        self._inner = inner or aiohttp.ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Raises `NotAllowed` if any address is not public: of a name that mixes them nothing is trusted."""
        found = await self._inner.resolve(host, port, family)
        if not found or not all(is_public(one["host"]) for one in found):
            raise NotAllowed("a name whose addresses are all of the internet")
        return found

    async def close(self) -> None:
        """Close the inner resolver."""
        await self._inner.close()


def connector(*, allow_private: bool, limit: int, **more: Any) -> aiohttp.TCPConnector:
    """A connector for one endpoint; ``more``: aiohttp's, such as ``ssl``."""
    resolver = aiohttp.ThreadedResolver() if allow_private else Guard()
    # Without its cache each connection is checked, and aiohttp asks the resolver for names alone: literal
    # addresses are checked by `check_url`.
    return aiohttp.TCPConnector(resolver=resolver, use_dns_cache=False, limit=limit, **more)
