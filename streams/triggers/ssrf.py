"""The guard of webhooks against SSRF: no request reaches an internal address, whatever a name resolves to.

The one rule: the address that is connected to is the one that was checked. The host is checked as the client itself
reads it, each address before a socket connects to it, and the peer of each connection before a request goes over it. A
name is resolved once for that, so that no second resolution can give another address.

See also: `streams.triggers.channels.webhook`, which connects through it.
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
# All IPv6 addresses that IANA has allocated for use on the internet are in this network.
_GLOBAL_UNICAST = ipaddress.ip_network("2000::/3")
# Networks that are no targets for webhooks, and which some Python versions do not know: the IETF's protocol assignments
# (Teredo is one), the relays of 6to4, documentation.
_SPECIAL = tuple(
    map(ipaddress.ip_network, ("192.0.0.0/24", "192.88.99.0/24", "2001::/23", "2001:db8::/32", "3fff::/20"))
)
# IPv6 forms that carry an IPv4 address, which is then checked: RFC 6052 (NAT64), RFC 3056 (6to4), RFC 5214 (ISATAP).
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_SIX_TO_FOUR = ipaddress.ip_network("2002::/16")
_ISATAP = (0x0000_5EFE, 0x0200_5EFE)
# Hosts such as 2130706433, 127.1 and 0x7f.0.0.1: a C library reads them as addresses, and other code does not.
_ENDS_IN_NUMBER = re.compile(r"(?:.*\.)?(?:[0-9]+|0[xX][0-9a-fA-F]*)\.?")


class NotAllowed(OSError):
    """A webhook may not call this address; the text says what would be allowed."""


def is_public(address: str) -> bool:
    """Whether an address is a public one of the internet, also where an IPv6 form carries an IPv4 address."""
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
    """Parse a URL as the client does. Raises `NotAllowed` for one without a host."""
    try:
        read = URL(url)
        if read.raw_host and read.port:
            return read
    except ValueError:  # not passed on: its text may hold a secret
        pass
    raise NotAllowed("a URL with a host")


def check_url(url: str, *, allow_private: bool) -> URL:
    """Check a URL, and return it as the client needs it. Raises `NotAllowed` where a webhook may not call it."""
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
    """Resolves names for a connector, and returns public addresses only."""

    def __init__(self, inner: AbstractResolver | None = None) -> None:
        self._inner = inner or aiohttp.ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Resolve a name. Raises `NotAllowed` if any address is not public: a name that mixes both is not trusted."""
        addresses = await self._inner.resolve(host, port, family)
        if not addresses or not all(is_public(address["host"]) for address in addresses):
            raise NotAllowed("a name whose addresses are all of the internet")
        return addresses

    async def close(self) -> None:
        """Close the inner resolver."""
        await self._inner.close()


class PublicConnector(aiohttp.TCPConnector):
    """Connects to public addresses only, however the client came by them."""

    def __init__(self, **more: Any) -> None:
        super().__init__(resolver=Guard(), socket_factory=public_socket, **more)

    async def connect(
        self,
        req: ClientRequest,
        traces: list[Trace],
        timeout: ClientTimeout,  # noqa: ASYNC109  # the signature is aiohttp's
    ) -> Connection:
        """Connect, or use a connection again, and check its peer in both cases."""
        connection = await super().connect(req, traces, timeout)
        peer = None if connection.transport is None else connection.transport.get_extra_info("peername")
        if not peer or not is_public(str(peer[0])):
            connection.close()
            refusal = NotAllowed("a peer of the internet") if peer else OSError("the connection was lost")
            raise aiohttp.ClientConnectorError(req.connection_key, refusal)
        return connection


def public_socket(place: AddrInfoType) -> socket.socket:
    """Open a socket for an address that the client is about to connect to. Raises `NotAllowed` unless it is public."""
    family, kind, protocol, _, address = place
    if not is_public(str(address[0])):
        raise NotAllowed("an address of the internet")
    return socket.socket(family, kind, protocol)


def connector(*, allow_private: bool, limit: int, **more: Any) -> aiohttp.TCPConnector:
    """A connector for one endpoint; ``more``: further arguments of aiohttp, such as ``ssl``."""
    kind = aiohttp.TCPConnector if allow_private else PublicConnector
    return kind(use_dns_cache=False, limit=limit, **more)  # without the cache a name is checked at each connection
