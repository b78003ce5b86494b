"""Takes events over HTTP: the tracking API of Segment, and RudderStack's.

    POST /v1/track, page, screen, identify, alias, group     one message; also /v1/t p s i a g
    POST /v1/batch, /v1/import, /beacon/v1/batch             many
    200  all in-sync replicas have them
    400  what is wrong with which message; all others of the batch are written
    401  no such key    403  a page of another origin    413  too large
    429  too many events of the key, or of the address    503  Kafka is away: both have Retry-After, so repeat

SDKs drop what is answered 4xx, but for 429, so what may be right later is never answered so.

The one rule: nothing is answered 200 before it is on the topics, and nothing that is right is lost for what is wrong
beside it.

See also: `streams.gateway.messages` (what becomes of a message), `streams.gateway.event_producer` (writing).
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from http import HTTPStatus
from time import monotonic

import msgspec
from aiohttp import web

from rules.placeholders import Placeholders
from streams.gateway import cors, sdk_settings
from streams.gateway.answers import LATER, Answer
from streams.gateway.bodies import read_body
from streams.gateway.event_producer import EventProducer, Unavailable
from streams.gateway.messages import (
    BATCH_MAX_BYTES,
    MESSAGE_MAX_BYTES,
    MessageBatch,
    MessageSender,
    key_of_body,
    read_batch,
    record,
)
from streams.gateway.metrics import GatewayMetrics
from streams.gateway.senders import Senders
from streams.gateway.write_keys import WriteKey, WriteKeys, of_basic
from streams.http.server import ADMITTED
from streams.wire.customer_ids import Rejected
from streams.wire.records import OutRecord

# By the last part of the path; analytics.js has paths of one letter.
TYPES = {
    **{kind: kind for kind in ("track", "page", "screen", "identify", "alias", "group")},
    "t": "track", "p": "page", "s": "screen", "i": "identify", "a": "alias", "g": "group",
}  # fmt: skip
MESSAGES_MAX = 2_500
# What a batch becomes, whose context goes into each of its messages.
_WRITTEN_MAX_BYTES = 16 * BATCH_MAX_BYTES
_ERRORS_SHOWN = 20


class Ingest:
    """The handlers of what takes events, and of what SDKs load before they send."""

    def __init__(
        self, keys: WriteKeys, senders: Senders, producer: EventProducer, metrics: GatewayMetrics,
        placeholders: Placeholders,
    ) -> None:  # fmt: skip
        """``placeholders``: texts that are no customer ids, the same as for the worker."""
        self._keys = keys
        self._senders = senders
        self._producer = producer
        self._metrics = metrics
        self._placeholders = placeholders

    def routes(self) -> list[web.RouteDef]:
        """The routes of all paths."""
        # Each path is a route of its own: aiohttp finds those without a pattern faster.
        return [
            *(web.post(f"/v1/{path}", partial(self.message, kind=kind)) for path, kind in TYPES.items()),
            *(web.post(f"/v1/{path}", self.batch) for path in ("batch", "import", "b")),
            web.post("/beacon/v1/batch", self.batch),
            web.post("/v1/m", self.ignored),
            web.get("/v1/projects/{key}/settings", self.segment_settings),
            web.get("/sourceConfig/", self.rudderstack_settings),
            web.get("/sourceConfig", self.rudderstack_settings),
            web.route("OPTIONS", "/{_:.*}", self.preflight),
        ]

    async def preflight(self, request: web.Request) -> web.StreamResponse:
        """Answer a browser's question whether a page may send a request."""
        return cors.preflight(request, is_allowed=self._keys.admits(request.headers.get("Origin", "")))

    async def ignored(self, request: web.Request) -> web.StreamResponse:
        """Answer what analytics.js tells of itself."""
        response = web.json_response({"success": True})
        cors.allow(request, response)
        return response

    async def segment_settings(self, request: web.Request) -> web.StreamResponse:
        """Answer with the settings that analytics.js loads."""
        key = self._browser_key(request, request.match_info["key"])
        return self._settings(request, sdk_settings.of_segment(key.key, request.host, self._senders.scheme(request)))

    async def rudderstack_settings(self, request: web.Request) -> web.StreamResponse:
        """Answer with the configuration that RudderStack's SDK loads."""
        text = request.query.get("writeKey") or of_basic(request.headers.get("Authorization", "")) or ""
        key = self._browser_key(request, text)
        base = f"{self._senders.scheme(request)}://{request.host}"
        return self._settings(request, sdk_settings.of_rudderstack(key.key, base))

    def _browser_key(self, request: web.Request, text: str) -> WriteKey:
        key = self._keys.find(text)
        if key is None or not key.is_browser:
            self._metrics.wrong_keys.inc()
            raise web.HTTPNotFound
        self._check_origin(request, key)
        return key

    @staticmethod
    def _settings(request: web.Request, document: object) -> web.Response:
        response = web.json_response(document)
        cors.allow(request, response)
        return response

    async def message(self, request: web.Request, kind: str) -> web.StreamResponse:
        """Take one message of a kind."""
        return await self._answered(request, kind)

    async def batch(self, request: web.Request) -> web.StreamResponse:
        """Take a batch of messages."""
        return await self._answered(request, None)

    async def _answered(self, request: web.Request, kind: str | None) -> web.StreamResponse:
        began = monotonic()
        try:
            body = await read_body(request, MESSAGE_MAX_BYTES if kind else BATCH_MAX_BYTES)
            key = self._key(request, body)
            response = await self._take(request, key, body, kind)
        except Answer as answer:
            response = answer.response
        cors.allow(request, response)
        self._metrics.answers["message" if kind else "batch"].observe(monotonic() - began)
        return response

    def _key(self, request: web.Request, body: bytes) -> WriteKey:
        """The key of a request. SDKs write it as the user name of basic authentication, in the query or in the body."""
        text = of_basic(request.headers.get("Authorization", "")) or request.query.get("writeKey") or key_of_body(body)
        key = None if text is None else self._keys.find(text)
        if key is None:
            self._metrics.wrong_keys.inc()
            error = "the write key is missing" if text is None else "there is no such write key"
            raise Answer(HTTPStatus.UNAUTHORIZED, {"error": error}, **{"WWW-Authenticate": "Basic"})
        self._check_origin(request, key)
        if not key.is_browser:
            request[ADMITTED] = True  # a flood of others does not take a server's connection
        return key

    @staticmethod
    def _check_origin(request: web.Request, key: WriteKey) -> None:
        origin = request.headers.get("Origin")
        if not key.admits(origin):
            error = "pages of this origin may not send with this key"
            if not key.is_browser:
                error = "this is the key of a server, and a page sent it: everybody can read it there, so replace it"
            raise Answer(HTTPStatus.FORBIDDEN, {"error": error})

    async def _take(self, request: web.Request, key: WriteKey, body: bytes, kind: str | None) -> web.Response:
        """Write the messages of a body."""
        try:
            batch = None if kind else read_batch(body)
        except Rejected as rejected:
            self._count(key, "refused", 1)
            raise Answer(HTTPStatus.BAD_REQUEST, _document(rejected)) from None
        messages = [msgspec.Raw(body)] if batch is None else batch.messages
        if len(messages) > MESSAGES_MAX:
            raise Answer(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, {"error": f"a batch may have {MESSAGES_MAX} messages"})
        if self._senders.is_bot(request, key):
            self._count(key, "bot", len(messages))
            return _success()
        if not key.take(self._senders.counted_as(request, key), len(messages)):
            self._count(key, "limited", len(messages))
            error = {"error": "too many events; send them again later"}
            raise Answer(HTTPStatus.TOO_MANY_REQUESTS, error, **LATER)
        sender = self._senders.of(request, key)
        records, errors = self._records(messages, kind, batch, sender)
        await self._write(key, records)
        if not errors:
            return _success()
        if kind is not None:
            raise Answer(HTTPStatus.BAD_REQUEST, errors[0])
        raise Answer(
            HTTPStatus.BAD_REQUEST,
            {
                "error": f"{len(errors)} of {len(messages)} messages were refused, the others are written",
                "messages": errors[:_ERRORS_SHOWN],
            },
        )

    def _records(
        self, messages: Iterable[msgspec.Raw], kind: str | None, batch: MessageBatch | None, sender: MessageSender
    ) -> tuple[list[OutRecord], list[dict[str, object]]]:
        """The records of the messages that are right, and what is wrong with the others."""
        records: list[OutRecord] = []
        errors: list[dict[str, object]] = []
        for index, message in enumerate(messages):
            try:
                records.append(record(bytes(message), kind, batch, sender, self._placeholders))
            except Rejected as rejected:
                errors.append({"index": index, **_document(rejected)})
                self._metrics.reasons.labels(sender.key.name, rejected.reason).inc()
        self._count(sender.key, "refused", len(errors))
        if sum(len(each.value or b"") for each in records) > _WRITTEN_MAX_BYTES:
            error = {"error": "the context of the batch makes its messages too large"}
            raise Answer(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, error)
        return records, errors

    async def _write(self, key: WriteKey, records: list[OutRecord]) -> None:
        if not records:
            return
        try:
            await self._producer.write(records)
        except Unavailable:
            self._count(key, "unavailable", len(records))
            error = {"error": "events cannot be written now; send them again"}
            raise Answer(HTTPStatus.SERVICE_UNAVAILABLE, error, **LATER) from None
        self._count(key, "written", len(records))

    def _count(self, key: WriteKey, outcome: str, events: int) -> None:
        if events:
            self._metrics.events[key.name, outcome].inc(events)


def _document(rejected: Rejected) -> dict[str, object]:
    of = f" of {rejected.field}" if rejected.field else ""
    return {"error": f"{rejected.reason}{of}", "reason": rejected.reason, "field": rejected.field}


def _success() -> web.Response:
    return web.Response(body=b'{"success":true}', content_type="application/json")
