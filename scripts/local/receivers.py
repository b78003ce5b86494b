"""Receivers of messages for tests, the demo and the benchmark: a real HTTP endpoint and a real SMTP server.

They listen on 127.0.0.1, each in a thread of its own, and note every call with its instant. The HTTP endpoint verifies
each signature with the published library.
"""

import asyncio
import time
from collections.abc import Callable
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any, NamedTuple, Self

from aiohttp import web
from aiosmtpd.controller import Controller
from standardwebhooks.webhooks import Webhook

from local.server_process import free_port
from local.web_thread import WebThread

SECRET = "whsec_" + "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"  # for tests, not secret


class Call(NamedTuple):
    """A call that came: its id, its verified body, its time (ms), and the answer."""

    id: str
    body: Any
    at_ms: int
    status: int


def now_ms() -> int:
    return time.time_ns() // 1_000_000


class Hook:
    """An HTTP endpoint. ``answer``: maps the number of calls so far to a status and the seconds before it."""

    def __init__(self, answer: Callable[[int], tuple[int, float]] = lambda _: (200, 0.0)) -> None:
        self.answer = answer
        self.calls: list[Call] = []
        self.forged = 0
        self.url = ""
        self._verifier = Webhook(SECRET)
        app = web.Application()
        app.router.add_post("/hook", self._receive)
        self._web = WebThread(app)

    async def _receive(self, request: web.Request) -> web.Response:
        raw = await request.read()
        try:
            body = self._verifier.verify(raw, dict(request.headers))
        except Exception:  # noqa: BLE001  # the library's, and what it lets through
            self.forged += 1
            return web.Response(status=401)
        status, wait_s = self.answer(len(self.calls))
        self.calls.append(Call(request.headers["webhook-id"], body, now_ms(), status))
        if wait_s:
            await asyncio.sleep(wait_s)
        return web.Response(status=status, headers={"Retry-After": "1"} if status == 429 else {})

    def __enter__(self) -> Self:
        self._web.__enter__()
        self.url = f"http://{self._web.address}/hook"
        return self

    def __exit__(self, *_: object) -> None:
        self._web.__exit__()


class Mailbox:
    """An SMTP server that stores messages. ``pause``: seconds before it acknowledges one, by the number of messages."""

    def __init__(self, pause: Callable[[int], float] = lambda _: 0.0) -> None:
        self._pause = pause
        self.mails: list[tuple[int, EmailMessage]] = []
        self.port = free_port()
        self._controller = Controller(self, hostname="127.0.0.1", port=self.port)

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802, ARG002 (aiosmtpd's)
        content = message_from_bytes(envelope.original_content or envelope.content, policy=policy.default)
        self.mails.append((now_ms(), content))
        await asyncio.sleep(self._pause(len(self.mails)))
        return "250 OK"

    def __enter__(self) -> Self:
        self._controller.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._controller.stop()
