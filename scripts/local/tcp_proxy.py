"""A TCP proxy that disturbs connections: late bytes, lost bytes, small pieces, or one direction only.

Bytes that it passes on are the bytes that came, in their order. All other disturbances are of
connections, as in a network.

    with Proxy(port_of_redis) as proxy:
        proxy.port                     # the port for the client
        proxy.latency_s = 0.2
        with proxy.down(): ...         # refused, and what was connected is cut
"""

import asyncio
import contextlib
import socket
import struct
import threading
import types
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, Self, TypeVar

from local.server_process import HOST

__all__ = ["Proxy"]

READ_BYTES = 64 * 1024
SHRED_BYTES = 7
# SO_LINGER on, zero seconds: `close` sends a reset instead of an orderly end.
RESET = struct.pack("ii", 1, 0)

T = TypeVar("T")


class Proxy:
    """One port in front of another, on a thread of its own."""

    def __init__(self, target_port: int) -> None:
        self.port = 0  # set when the context is entered
        self.latency_s = 0.0  # before each piece, in both directions
        self.shreds = False  # pieces of a few bytes, each a packet of its own
        self.loses_replies = False  # bytes of the server are not passed on
        self.spoilt = 0  # connections that were cut, and pieces that were late or in shreds
        self._target_port = target_port
        self._server: asyncio.Server | None = None
        self._connected: set[asyncio.StreamWriter] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=f"proxy-{self.port}", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._do(self._listen())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: types.TracebackType | None
    ) -> None:
        self._do(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def reset(self) -> None:
        """Cut every connection, as a router does that has lost its state; new ones are accepted."""
        self._do(self._cut())

    def lead_to(self, target_port: int) -> None:
        """Lead to another server from now on, as an address that was moved; open connections are cut."""
        self._target_port = target_port
        self.reset()

    @contextlib.contextmanager
    def down(self) -> Iterator[None]:
        """Refuse connections, and cut the open ones."""
        self._do(self._end())
        try:
            yield
        finally:
            self._do(self._listen())

    @contextlib.contextmanager
    def losing_replies(self) -> Iterator[None]:
        """Lose replies: requests arrive and are served; their answers are lost, and then the connections."""
        self.loses_replies = True
        try:
            yield
        finally:
            self.reset()
            self.loses_replies = False

    @contextlib.contextmanager
    def shredding(self) -> Iterator[None]:
        """Pass bytes on in pieces of a few bytes."""
        self.shreds = True
        try:
            yield
        finally:
            self.shreds = False

    def _do(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._connection, HOST, self.port, reuse_address=True)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _end(self) -> None:
        assert self._server is not None, "not started"
        self._server.close()
        await self._cut()

    async def _cut(self) -> None:
        for writer in tuple(self._connected):
            self.spoilt += 1
            with contextlib.suppress(OSError):  # a connection that has just ended has no socket
                writer.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            writer.transport.abort()

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            back_reader, back_writer = await asyncio.open_connection(HOST, self._target_port)
        except OSError:  # the server is down, so the proxy appears down, too
            writer.transport.abort()
            return
        pair = {writer, back_writer}
        self._connected |= pair
        try:
            for side in pair:
                side.transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            ways = (self._pass(reader, back_writer, lambda: False), self._pass(back_reader, writer, self._is_lost))
            tasks = [asyncio.ensure_future(way) for way in ways]
            try:
                await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in tasks:
                    task.cancel()
        finally:
            self._connected -= pair
            for side in pair:
                side.transport.abort()

    def _is_lost(self) -> bool:
        return self.loses_replies

    async def _pass(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, is_lost: Callable[[], bool]
    ) -> None:
        """Pass data on with the faults that are switched on. ``is_lost``: asked for each piece, as faults change."""
        with contextlib.suppress(OSError):
            while data := await reader.read(READ_BYTES):
                self.spoilt += bool(self.latency_s or self.shreds)
                if self.latency_s:
                    await asyncio.sleep(self.latency_s)
                if is_lost():
                    continue
                size = SHRED_BYTES if self.shreds else len(data)
                for index in range(0, len(data), size):
                    writer.write(data[index : index + size])
                    await writer.drain()
                    if self.shreds:
                        await asyncio.sleep(0)
