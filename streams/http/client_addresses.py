"""The address of a request's client, also behind proxies, and whether a request was for a loopback address.

See also: `streams.settings.addresses`, the networks of trusted proxies.
"""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from urllib.parse import urlsplit

from streams.settings.addresses import Network, is_loopback

# A host on the internet usually has a whole network of this size, and may change its address within it.
_IPV6_HOST_PREFIX = 64

Address = IPv4Address | IPv6Address


def client_address(peer: str, forwarded: Sequence[str], proxies: Sequence[Network]) -> str:
    """The newest address in the chain of peer and X-Forwarded-For that is not a trusted proxy's.

    Any client may send the header, so each address in it is believed only if a trusted proxy has written it: from the
    peer backwards, the chain is followed as long as the address before is that of a proxy.
    """
    address = peer
    for hop in reversed([hop for header in forwarded for hop in header.split(",")]):
        parsed_address = parsed(address)
        if parsed_address is None or not any(parsed_address in network for network in proxies):
            break
        client = parsed(hop)
        if client is None:
            break
        address = str(client)
    return address


def counted_as(address: str) -> str:
    """The address by which a client is counted: for IPv6 its network, as a host has all addresses of it."""
    parsed_address = parsed(address)
    if isinstance(parsed_address, IPv6Address):
        return str(IPv6Network((parsed_address, _IPV6_HOST_PREFIX), strict=False))
    return address if parsed_address is None else str(parsed_address)


def is_loopback_host(header: str | None) -> bool:
    """Whether a Host header names a loopback address; true without a header."""
    try:
        return header is None or is_loopback(urlsplit(f"//{header}").hostname or "")
    except ValueError:
        return False


def parsed(text: str) -> Address | None:
    """Parse an address as peers and proxies write it: with or without port, zone or brackets, or IPv4 within IPv6."""
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address
