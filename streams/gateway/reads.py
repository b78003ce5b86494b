"""Answers who a customer is now, to servers and to the pages of a shop.

    GET  /v1/customers/ID           segments of now; ?reasons=en adds why
    GET  /v1/customers/ID/changes   server-sent events: `segments` once, then each `change`
    POST /v1/customers/lookup       {"ids": […]}, up to 100

A server asks with its write key, of any customer. A page asks with a token that the shop's server has signed and that
names one customer; it may write `me` for the id.

The one rule: a page learns of its own visitor alone.

See also: `streams.gateway.customers` (reading), and `streams.http.signed_tokens` (the tokens).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from http import HTTPStatus
from time import monotonic, time

import msgspec
from aiohttp import web
from msgspec import UNSET

from rules.sentences.reason_sentence import LANGUAGES
from streams.errors import StoreFailed
from streams.gateway import cors
from streams.gateway.answers import LATER, Answer
from streams.gateway.bodies import read_body
from streams.gateway.change_streams import ChangeStreams, Follower
from streams.gateway.customers import CustomerReader, Standing
from streams.gateway.metrics import GatewayMetrics
from streams.gateway.write_keys import WriteKeys, of_basic
from streams.http.access import RateLimit
from streams.http.server import ADMITTED
from streams.http.signed_tokens import visitor_claims
from streams.stop import Stop
from streams.wire.changes import SegmentChange
from streams.wire.customer_ids import is_id

LOOKUP_MAX = 100
CLOCK_HEADER = "Segmenter-Clock"
_OWN = "me"
_PER_VISITOR_S, _BURST = 10.0, 20.0
_BEAT_S = 15.0
# A reader that takes nothing for so long is disconnected: it occupies a place and buffers.
_TAKEN_WITHIN_S = 30.0
_LOOKUP_MAX_BYTES = 64 * 1024
# How long (s) the token of a request is valid yet.
_LASTS_S = web.RequestKey("lasts_s", float)


class _LookupBody(msgspec.Struct):
    ids: list[str]
    reasons: str | None = None


class Reads:
    """The handlers of what is asked about customers."""

    def __init__(
        self, keys: WriteKeys, token_secret: str | None, reader: CustomerReader, streams: ChangeStreams,
        metrics: GatewayMetrics, now_s: Callable[[], float] = monotonic,
    ) -> None:  # fmt: skip
        """``token_secret``: of visitors' tokens; `None`: only servers may ask."""
        self._keys = keys
        self._token_secret = token_secret
        self._reader = reader
        self._streams = streams
        self._metrics = metrics
        self._per_visitor = RateLimit(_PER_VISITOR_S, _BURST, now_s)

    def routes(self) -> list[web.RouteDef]:
        """The routes of all paths."""
        return [
            web.post("/v1/customers/lookup", self.lookup),
            web.get("/v1/customers/{id:[^/]+}", self.customer),
            web.get("/v1/customers/{id:[^/]+}/changes", self.changes),
        ]

    async def customer(self, request: web.Request) -> web.StreamResponse:
        """Answer with the segments of one customer."""
        return await self._answered(request, self._customer)

    async def _customer(self, request: web.Request) -> web.Response:
        (standing,) = await self._read([self._customer_of(request)], request.query.get("reasons"))
        return _json(standing, standing.clock)

    async def lookup(self, request: web.Request) -> web.StreamResponse:
        """Answer with the segments of several customers; for servers."""
        return await self._answered(request, self._lookup)

    async def _lookup(self, request: web.Request) -> web.Response:
        if not self._is_server(request):
            raise _forbidden()
        try:
            body = msgspec.json.decode(await read_body(request, _LOOKUP_MAX_BYTES), type=_LookupBody)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            error = {"error": 'write {"ids": ["u1", "u2"]}'}
            raise Answer(HTTPStatus.BAD_REQUEST, error) from None
        if not 0 < len(body.ids) <= LOOKUP_MAX or not all(map(is_id, body.ids)):
            raise Answer(HTTPStatus.BAD_REQUEST, {"error": f"1 to {LOOKUP_MAX} ids of customers are looked up at once"})
        standings = await self._read(body.ids, body.reasons)
        return _json({"customers": standings}, min(standing.clock for standing in standings))

    async def changes(self, request: web.Request) -> web.StreamResponse:
        """Stream the segments of a customer, and each change of them, until the reader goes."""
        return await self._answered(request, self._stream)

    async def _answered(
        self, request: web.Request, handle: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        began = monotonic()
        try:
            response = await handle(request)
        except Answer as answer:
            response = answer.response
        if not response.prepared:
            self._allow(request, response)
            self._metrics.answers["read"].observe(monotonic() - began)
        return response

    def _allow(self, request: web.Request, response: web.StreamResponse) -> None:
        if self._keys.admits(request.headers.get("Origin", "")):
            cors.allow(request, response)

    async def _read(self, ids: list[str], language: str | None) -> list[Standing]:
        if language is not None and language not in LANGUAGES:
            raise Answer(HTTPStatus.BAD_REQUEST, {"error": f"reasons is one of {', '.join(LANGUAGES)}"})
        try:
            return await self._reader.read(ids, language)
        except StoreFailed:
            # Its text names the address of Redis, which is not for strangers.
            raise Answer(HTTPStatus.SERVICE_UNAVAILABLE, {"error": "Redis does not answer"}, **LATER) from None
        except Stop as stopped:
            raise Answer(HTTPStatus.SERVICE_UNAVAILABLE, {"error": str(stopped)}, **LATER) from None

    def _is_server(self, request: web.Request) -> bool:
        key = self._keys.find(of_basic(request.headers.get("Authorization", "")) or "")
        if key is None or key.is_browser or "Origin" in request.headers:
            return False
        request[ADMITTED] = True  # a flood of others does not take a server's connection
        return True

    def _customer_of(self, request: web.Request) -> str:
        """The customer that a request may ask for. Raises `Answer`."""
        name = request.match_info["id"]
        if not is_id(name):
            raise Answer(HTTPStatus.BAD_REQUEST, {"error": "that is no id of a customer"})
        if self._is_server(request):
            return name
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            token = request.query.get("token", "")  # an EventSource sends no headers
        secret = self._token_secret
        claims = None if secret is None else visitor_claims(token.strip(), secret, must_expire=True)
        if claims is None:
            self._metrics.wrong_keys.inc()
            error = "a server's key or a visitor's token is needed, which may have expired"
            raise Answer(HTTPStatus.UNAUTHORIZED, {"error": error})
        subject = str(claims["sub"])
        if name not in (_OWN, subject):
            raise _forbidden()
        request[_LASTS_S] = float(claims["exp"]) - time()
        if not self._per_visitor.take(subject):
            raise Answer(HTTPStatus.TOO_MANY_REQUESTS, {"error": "too many requests"}, **{"Retry-After": "1"})
        return subject

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        name = self._customer_of(request)
        standing = await self._standing(name)
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"})
        self._allow(request, response)
        try:
            async with asyncio.timeout(request.get(_LASTS_S)):
                while True:
                    # After a merge the changes are those of another id, so it is followed from there on.
                    standing = await self._follow(request, response, name, standing)
        except Answer:
            if not response.prepared:
                raise
            return response  # the stream ends, and its reader begins anew
        except OverflowError:
            if response.prepared:
                return response
            error = {"error": "too many follow changes already"}
            raise Answer(HTTPStatus.SERVICE_UNAVAILABLE, error, **{"Retry-After": "5"}) from None
        except (ConnectionError, TimeoutError):
            return response

    async def _standing(self, name: str) -> Standing:
        (standing,) = await self._read([name], None)
        return standing

    async def _follow(
        self, request: web.Request, response: web.StreamResponse, name: str, standing: Standing
    ) -> Standing:
        """Send the segments and the changes of a customer until it is known under another id: its standing then."""
        follower = Follower()
        current = standing.known_as or name
        with ExitStack() as stack:
            stack.enter_context(self._streams.follow(follower, current))
            if not response.prepared:
                await response.prepare(request)
            # Read once more: a change between the first reading and the following would be missed.
            standing = await self._standing(name)
            await _send(response, b"segments", msgspec.json.encode(standing))
            while (standing.known_as or name) == current:
                taken = await follower.take(_BEAT_S)
                if follower.is_behind or any(change.cause.kind in ("merge", "erasure") for change in taken):
                    follower.is_behind = False
                    standing = await self._standing(name)
                    await _send(response, b"segments", msgspec.json.encode(standing))
                elif taken:
                    for change in taken:
                        await _send(response, b"change", msgspec.json.encode(_shown(change)))
                else:
                    standing = await self._looked_at(response, name, standing)
        return standing

    async def _looked_at(self, response: web.StreamResponse, name: str, standing: Standing) -> Standing:
        """The standing of a customer without changes: who was in no segment at a merge has none that says so."""
        await _write(response, b": nothing new\n\n")
        newer = await self._standing(name)
        return newer if newer.known_as != standing.known_as else standing


def _shown(change: SegmentChange) -> dict[str, object]:
    shown: dict[str, object] = {
        "change_id": change.change_id, "customer_id": change.customer_id, "segment": change.segment,
        "change": change.change, "occurred_at": change.occurred_at, "segments": change.segments,
        "cause": change.cause.kind, "said": change.said,
    }  # fmt: skip
    return shown if change.data is UNSET else {**shown, "data": change.data}


async def _send(response: web.StreamResponse, name: bytes, document: bytes) -> None:
    await _write(response, b"event: " + name + b"\ndata: " + document + b"\n\n")


async def _write(response: web.StreamResponse, text: bytes) -> None:
    async with asyncio.timeout(_TAKEN_WITHIN_S):
        await response.write(text)


def _json(document: object, clock: str) -> web.Response:
    headers = {CLOCK_HEADER: clock, "Cache-Control": "no-store"}
    return web.Response(body=msgspec.json.encode(document), content_type="application/json", headers=headers)


def _forbidden() -> Answer:
    return Answer(HTTPStatus.FORBIDDEN, {"error": "the token names another customer"})
