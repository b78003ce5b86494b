"""Sockets that listen on the addresses of a host."""

from __future__ import annotations

import asyncio
import errno
import socket
from typing import Any

# The length of the kernel's queue, where a server does not ask for more. It is short: each connection in it will need a
# descriptor for a moment.
BACKLOG = 64
_NOT_HERE = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)


async def listening_sockets(host: str, port: int, backlog: int = BACKLOG) -> list[socket.socket]:
    """A socket for each address of the host, all on one port; port 0: a free one.

    ``backlog``: connections that wait to be accepted; a client beyond them tries again after a second.

    Raises `OSError`, also for a name or a port that is not valid.
    """
    addresses = await _addresses(host, port)
    listeners: list[socket.socket] = []
    unavailable = OSError(errno.EADDRNOTAVAIL, "the host has no address")
    try:
        for family, *_, (name, _, *scope) in addresses:
            # Without a fixed port the first address chooses it for all.
            chosen = port or (listeners[0].getsockname()[1] if listeners else 0)
            try:
                listener = socket.create_server((name, chosen, *scope), family=family, backlog=backlog)
            except OSError as error:
                if error.errno not in _NOT_HERE:
                    raise
                unavailable = error  # a name may have an address that this machine does not have, such as ::1
            else:
                listener.setblocking(False)
                listeners.append(listener)
    except OSError:
        for listener in listeners:
            listener.close()
        raise
    if not listeners:
        raise unavailable
    return listeners


async def _addresses(host: str, port: int) -> list[Any]:
    """The addresses of a host as `getaddrinfo` gives them, each once. Raises `OSError`."""
    try:
        addresses = await asyncio.get_running_loop().getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except (OverflowError, UnicodeError) as error:
        raise OSError(errno.EINVAL, str(error)) from None
    if not 0 <= port < 1 << 16:  # resolvers do not always check it
        raise OSError(errno.EINVAL, f"no port is {port}")
    return list(dict.fromkeys(addresses))
