"""The guard of webhooks: no request reaches an address inside, whatever a name resolves to (SSRF).

The one rule: what is connected to is what was checked. The host is looked at as the client itself reads it, each
address before a socket connects to it, and the peer of each connection before a request goes over it. A name is
resolved once for that, and no second resolution comes in between.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from typing import TYPE_CHECKING, Any

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

if TYPE_CHECKING:
    from aiohttp import ClientRequest, ClientTimeout
    from aiohttp.connector import AddrInfoType, Connection
    from aiohttp.tracing import Trace

_PORTS = (443, 8443)
_PORTS_FROM = 1_024
# All addresses of IPv6 that IANA has given out for use on the internet are in here.
_GLOBAL_UNICAST = ipaddress.ip_network("2000::/3")
# Parts that are not for webhooks and that not every Python knows: the IETF's protocol assignments (Teredo is one), the
# relays of 6to4, documentation.
_SPECIAL = tuple(
    map(ipaddress.ip_network, ("192.0.0.0/24", "192.88.99.0/24", "2001::/23", "2001:db8::/32", "3fff::/20"))
)
# IPv6 forms that carry an IPv4 address, which counts: RFC 6052 (NAT64), RFC 3056 (6to4), RFC 5214 (ISATAP).
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_SIX_TO_FOUR = ipaddress.ip_network("2002::/16")
_ISATAP = (0x0000_5EFE, 0x0200_5EFE)
# How a C library reads hosts such as 2130706433, 127.1 and 0x7f.0.0.1 is not how others do.
_ENDS_IN_NUMBER = re.compile(r"(?:.*\.)?(?:[0-9]+|0[xX][0-9a-fA-F]*)\.?")


class NotAllowed(OSError):
    """The address is not for webhooks."""


def is_public(address: str) -> bool:
    """Whether an address is one of the internet, in each of the forms that it may be carried in."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    inner = _carried(parsed)
    if inner is not None:
        return is_public(str(inner))
    if parsed.version == 6 and parsed not in _GLOBAL_UNICAST:
        return False
    is_special = any(parsed in network for network in _SPECIAL)
    return parsed.is_global and not (parsed.is_multicast or parsed.is_reserved or is_special)


def _carried(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    if isinstance(address, ipaddress.IPv4Address):
        return None
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    last = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    if address in _NAT64 or int(address) >> 32 & 0xFFFFFFFF in _ISATAP:
        return last
    if address in _SIX_TO_FOUR:
        return ipaddress.IPv4Address(int(address) >> 80 & 0xFFFFFFFF)
    return None


def parsed(url: str) -> URL:
    """A URL as the client reads it. Raises `NotAllowed` for one without a host."""
    try:
        read = URL(url)
        if read.raw_host and read.port:
            return read
    except ValueError:  # its text may hold a secret
        pass
    raise NotAllowed("a URL with a host")


def check_url(url: str, *, allow_private: bool) -> URL:
    """The URL as the client is to be given it. Raises `NotAllowed` for one that no webhook may have."""
    read = parsed(url)
    host, port = read.raw_host or "", read.port or 0
    if read.raw_user is not None or read.raw_password is not None:
        raise NotAllowed("a URL without a user")
    if _ENDS_IN_NUMBER.fullmatch(host) and not _is_literal(host):
        raise NotAllowed("a host that is a name, or an address of four numbers")
    if allow_private:
        return read
    if read.scheme != "https" or not (port in _PORTS or port >= _PORTS_FROM):
        raise NotAllowed("https, on port 443, 8443 or from 1024 on, or allow_private: true")
    if _is_literal(host) and not is_public(host):
        raise NotAllowed("an address of the internet, or allow_private: true")
    return read


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
        addresses = await self._inner.resolve(host, port, family)
        if not addresses or not all(is_public(address["host"]) for address in addresses):
            raise NotAllowed("a name whose addresses are all of the internet")
        return addresses

    async def close(self) -> None:
        """Close the inner resolver."""
        await self._inner.close()


class PublicConnector(aiohttp.TCPConnector):
    """Connects to addresses of the internet alone, however the client came by them."""

    def __init__(self, **more: Any) -> None:
        super().__init__(resolver=Guard(), socket_factory=public_socket, **more)

    async def connect(
        self,
        req: ClientRequest,
        traces: list[Trace],
        timeout: ClientTimeout,  # noqa: ASYNC109  # the signature is aiohttp's
    ) -> Connection:
        """A connection whose peer was looked at, also where it is used again."""
        connection = await super().connect(req, traces, timeout)
        peer = None if connection.transport is None else connection.transport.get_extra_info("peername")
        if not peer or not is_public(str(peer[0])):
            connection.close()
            refusal = NotAllowed("a peer of the internet") if peer else OSError("the connection was lost")
            raise aiohttp.ClientConnectorError(req.connection_key, refusal)
        return connection


def public_socket(place: AddrInfoType) -> socket.socket:
    """A socket for an address that the client is about to connect to. Raises `NotAllowed` unless it is public."""
    family, kind, protocol, _, address = place
    if not is_public(str(address[0])):
        raise NotAllowed("an address of the internet")
    return socket.socket(family, kind, protocol)


def connector(*, allow_private: bool, limit: int, **more: Any) -> aiohttp.TCPConnector:
    """A connector for one endpoint; ``more``: aiohttp's, such as ``ssl``."""
    kind = aiohttp.TCPConnector if allow_private else PublicConnector
    return kind(use_dns_cache=False, limit=limit, **more)  # without the cache a name is checked at each connection
