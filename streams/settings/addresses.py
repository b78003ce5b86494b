"""Network addresses in settings: networks of proxies, and hosts that only this machine reaches.

See also: `streams.http.client_addresses`, the address of a request's client.
"""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

Network = IPv4Network | IPv6Network


def host_of(address: str) -> str:
    """The host of HOST:PORT, without the brackets of IPv6."""
    return address.rpartition(":")[0].strip("[]")


def networks(text: str) -> list[Network]:
    """Parse addresses and networks that are separated by commas. Raises `ValueError`."""
    return [ip_network(part.strip(), strict=False) for part in text.split(",") if part.strip()]


def is_loopback(host: str) -> bool:
    """Whether a server on this host can be reached from this machine alone."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
