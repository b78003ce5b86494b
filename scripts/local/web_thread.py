"""An aiohttp application in a thread of its own, on 127.0.0.1, for programs that do other things meanwhile."""

import asyncio
import threading
from typing import Any, Self, cast

from aiohttp import web

_START_S = 10.0


class WebThread:
    """Serves an application from `__enter__` to `__exit__`. ``address``: host:port."""

    def __init__(self, app: web.Application, port: int = 0) -> None:
        """``port`` 0: the system chooses one."""
        self._port = port
        self.address = ""
        self._app = app
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    async def _serve(self) -> web.AppRunner:
        runner = web.AppRunner(self._app, access_log=None, shutdown_timeout=0.5)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", self._port)
        await site.start()
        port = cast(Any, site._server).sockets[0].getsockname()[1]  # noqa: SLF001  # aiohttp has no other way to it
        self.address = f"127.0.0.1:{port}"
        self._ready.set()
        return runner

    def _run(self) -> None:
        runner = self._loop.run_until_complete(self._serve())
        self._loop.run_forever()
        self._loop.run_until_complete(runner.cleanup())
        self._loop.close()

    def __enter__(self) -> Self:
        self._thread.start()
        self._ready.wait(_START_S)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_START_S)
