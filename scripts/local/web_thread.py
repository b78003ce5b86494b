"""An aiohttp application in a thread of its own, on 127.0.0.1, for programs that do other things meanwhile."""

import asyncio
import threading
from typing import Self

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
        await web.TCPSite(runner, "127.0.0.1", self._port).start()
        self.address = f"127.0.0.1:{runner.addresses[0][1]}"
        self._ready.set()
        return runner

    def _run(self) -> None:
        runner = self._loop.run_until_complete(self._serve())
        self._loop.run_forever()
        self._loop.run_until_complete(runner.cleanup())
        self._loop.close()

    def __enter__(self) -> Self:
        self._thread.start()
        if not self._ready.wait(_START_S):
            raise RuntimeError(f"nothing is served on 127.0.0.1, port {self._port or 'any'}")
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_START_S)
