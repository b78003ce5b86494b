"""Follows the links of messages: what comes back from people becomes events.

    GET  /u/TOKEN   a page that asks; programs that read mails open links, and must not unsubscribe their reader
    POST /u/TOKEN   unsubscribes, also from a mail program's own button (RFC 8058)
    GET  /c/TOKEN   leads to the address that was signed

An unsubscription sets a trait, which `suppress` of a triggers file names, and is the event `Unsubscribed`; a click is
the event `Message Clicked`.

The one rule: a person is never held up. A click leads on whether its event can be written or not; an unsubscription is
confirmed only once it is written.

See also: `streams.http.message_links`, which makes the links.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from hashlib import sha256
from html import escape
from uuid import uuid4

import msgspec
from aiohttp import web

from rules.event_names import INPUTS
from rules.times import format_instant
from streams.gateway.event_producer import EventProducer, Unavailable
from streams.gateway.senders import is_crawling
from streams.http.message_links import CLICK, MESSAGE_CLICKED, UNSUBSCRIBE, UNSUBSCRIBED, FollowedLink, followed
from streams.wire.records import OutRecord
from streams.wire.topics import VISITS

_PROFILES = INPUTS[0]
# How long a click waits for its event to be written before it leads on.
_CLICK_MAX_S = 1.0
_HEADERS = {
    "Cache-Control": "no-store", "Referrer-Policy": "no-referrer", "X-Robots-Tag": "noindex",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'",
}  # fmt: skip
_PAGE = """<!doctype html><html lang="{lang}" dir="{dir}"><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="color-scheme" content="light dark">
<title>{title}</title><style>body{{font:17px/1.5 system-ui,sans-serif;max-width:30rem;margin:15vh auto;padding:0 1rem;
text-align:center}}button{{font:inherit;padding:.6rem 1.4rem;border-radius:.4rem;cursor:pointer}}</style>
<h1>{title}</h1><p>{text}</p>{form}</html>"""
_FORM = '<form method="post"><button>{button}</button></form>'


class _Words(msgspec.Struct, frozen=True):
    lang: str
    dir: str
    ask: tuple[str, str, str]
    done: tuple[str, str]
    failed: tuple[str, str]
    wrong: tuple[str, str]


_ENGLISH = _Words(
    "en", "ltr",
    ("Unsubscribe", "Do you want no more of these messages?", "No more messages"),
    ("Unsubscribed", "You get no more of these messages."),
    ("Please try again", "This could not be saved now. Please try again in a minute."),
    ("This link is not valid", "It may be cut off. Please use the link in the message."),
)  # fmt: skip
_PERSIAN = _Words(
    "fa", "rtl",
    ("لغو اشتراک", "دیگر چنین پیامی نمی‌خواهید؟", "دیگر نفرستید"),
    ("اشتراک لغو شد", "دیگر چنین پیامی برای شما فرستاده نمی‌شود."),
    ("لطفاً دوباره تلاش کنید", "اکنون ذخیره نشد. لطفاً یک دقیقهٔ دیگر دوباره تلاش کنید."),
    ("این پیوند معتبر نیست", "شاید کامل نباشد. لطفاً از پیوند درون پیام استفاده کنید."),
)  # fmt: skip


class Links:
    """The handlers of links in messages."""

    def __init__(self, secret: str, trait: str, producer: EventProducer, now_ms: Callable[[], int]) -> None:
        """``secret``: of the links, shared with triggers. ``trait``: which an unsubscription sets to true."""
        self._secret = secret
        self._trait = trait
        self._producer = producer
        self._now_ms = now_ms

    def routes(self) -> list[web.RouteDef]:
        """The routes of all paths."""
        return [
            web.get("/u/{token}", self.ask),
            web.post("/u/{token}", self.unsubscribe),
            web.get("/c/{token}", self.click),
        ]

    async def ask(self, request: web.Request) -> web.StreamResponse:
        """Ask whether to unsubscribe."""
        words = _words(request)
        if self._followed(request, UNSUBSCRIBE) is None:
            return _page(words, *words.wrong, status=404)
        title, text, button = words.ask
        return _page(words, title, text, _FORM.format(button=escape(button)))

    async def unsubscribe(self, request: web.Request) -> web.StreamResponse:
        """Unsubscribe a customer."""
        words = _words(request)
        link = self._followed(request, UNSUBSCRIBE)
        if link is None:
            return _page(words, *words.wrong, status=404)
        traits = {"type": "identify", "traits": {self._trait: True}}
        event = {"type": "track", "event": UNSUBSCRIBED, "properties": _properties(link)}
        try:
            await self._producer.write([
                self._record(_PROFILES, link, f"unsubscribe-{uuid4()}", traits),
                self._record(VISITS, link, f"unsubscribed-{uuid4()}", event),
            ])  # fmt: skip
        except Unavailable:
            return _page(words, *words.failed, status=503)
        return _page(words, *words.done)

    async def click(self, request: web.Request) -> web.StreamResponse:
        """Lead to the address of a link. Each link counts as one click, however often it is opened."""
        link = self._followed(request, CLICK)
        if link is None:
            words = _words(request)
            return _page(words, *words.wrong, status=404)
        if request.method == "GET" and not is_crawling(request):
            event = {
                "type": "track",
                "event": MESSAGE_CLICKED,
                "properties": {**_properties(link), "url": link.address},
            }
            message_id = f"click-{sha256(request.match_info['token'].rpartition('.')[0].encode()).hexdigest()[:32]}"
            with suppress(Unavailable, TimeoutError):
                async with asyncio.timeout(_CLICK_MAX_S):
                    await self._producer.write([self._record(VISITS, link, message_id, event)])
        return web.Response(status=302, headers={**_HEADERS, "Location": link.address})

    def _followed(self, request: web.Request, purpose: str) -> FollowedLink | None:
        return followed(request.match_info["token"], self._secret, purpose)

    def _record(self, topic: str, link: FollowedLink, message_id: str, fields: Mapping[str, object]) -> OutRecord:
        # As the anonymous id: who opens a link of a message has not logged in.
        now = format_instant(self._now_ms())
        event = {**fields, "messageId": message_id, "anonymousId": link.customer, "timestamp": now}
        return OutRecord(topic, link.customer.encode(), msgspec.json.encode(event), [])


def _properties(link: FollowedLink) -> dict[str, str]:
    return {"trigger": link.trigger, **({"variant": link.variant} if link.variant else {})}


def _words(request: web.Request) -> _Words:
    return _PERSIAN if request.headers.get("Accept-Language", "").lower().startswith("fa") else _ENGLISH


def _page(words: _Words, title: str, text: str, form: str = "", status: int = 200) -> web.Response:
    page = _PAGE.format(lang=words.lang, dir=words.dir, title=escape(title), text=escape(text), form=form)
    return web.Response(status=status, text=page, content_type="text/html", headers=_HEADERS)
