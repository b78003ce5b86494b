"""Hosts: the host and the path of an address, and whether it belongs to a set of hosts, such as the shop's own.

A segments file names the shop's own hosts (`hosts`): an address on one of them, or on a subdomain of one, is no
referrer.

See also: `rules.context`, which reads addresses, and `rules.referrers`, which knows search engines.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterator

# scheme://user@host: RFC 3986, 3.2; the host of an address in brackets stays in them
_ADDRESS = re.compile(r"(?:[a-z][a-z0-9+.-]*:)?//(?:[^/?#@]*@)?(\[[0-9a-f:.]+\]|[^/?#:@\[\]]+)", re.IGNORECASE)
# RFC 1035, 2.3.4; a longer text is no host name, and is not taken apart.
HOST_MAX_CHARS = 253
_LABEL = "[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
# The form of a host in a segments file; an international name stands there in its ASCII form, xn--….
HOST_FORM = rf"{_LABEL}(?:\.{_LABEL})*"
_HOST = re.compile(HOST_FORM)
# The limit of hosts in a segments file.
OWN_MAX = 256

NO_HOSTS: frozenset[str] = frozenset()


def host_of(address: str) -> str | None:
    """The host in lower case, without a dot at its end; ``None`` if the text is no address with a host."""
    match = _ADDRESS.match(address)
    return match[1].lower().removesuffix(".") or None if match else None


def path_of_address(address: str) -> str | None:
    """The path of an address, without its query; ``None`` if the text is no address with a host."""
    match = _ADDRESS.match(address)
    if match is None:
        return None
    rest = address[match.end() :].partition("?")[0].partition("#")[0]
    start = rest.find("/")
    return rest[start:] if start >= 0 else "/"


def is_host(text: str) -> bool:
    """Whether a text has the form of a host."""
    return len(text) <= HOST_MAX_CHARS and _HOST.fullmatch(text) is not None


def is_within(host: str, hosts: Container[str]) -> bool:
    """Whether the host is one of these or a subdomain of one. Its time does not depend on how many there are."""
    return len(host) <= HOST_MAX_CHARS and any(parent in hosts for parent in with_parents(host))


def with_parents(host: str) -> Iterator[str]:
    """A host, then each domain that it lies in: ``a.b.c``, ``b.c``, ``c``."""
    yield host
    start = host.find(".") + 1
    while start:
        yield host[start:]
        start = host.find(".", start) + 1
