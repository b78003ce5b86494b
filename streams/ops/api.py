"""The API: what is answered to whom asks, and the same as a table, of which the OpenAPI document is drawn.

The one rule: a path is served because it stands in the table, with what it takes and what it answers.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from aiohttp import web
from aiokafka.errors import KafkaError
from prometheus_client import generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from rules.sentences import LANGUAGES
from rules.times import format_instant, parse_instant
from streams.errors import StoreFailed, StoreRefused
from streams.http.access import refusal
from streams.ops import change_feed, responses
from streams.ops.change_feed import FeedLetter
from streams.ops.status import OpsStatus
from streams.stop import Stop
from streams.wire.decode import CUSTOMER_MAX_BYTES
from streams.wire.topics import CHANGES

STATIC = Path(__file__).parent / "static"
_BEAT_S = 15.0
# Changes that go out together, no more often than this: the page draws four times a second.
_TOGETHER_S = 0.2
_PAST_MAX_S = 30.0
# A reader of the stream that takes nothing for so long is let go: it holds a place, and what it was sent.
_TAKEN_WITHIN_S = 30.0


class Parameter(NamedTuple):
    """Of a path (``{name}``) or, where it is not in it, of the query."""

    name: str
    about: str
    required: bool = True


class Route(NamedTuple):
    """A path, what it takes and what it answers; without ``answer``, a stream or a text."""

    path: str
    name: str
    about: str
    answer: type | None = None
    parameters: tuple[Parameter, ...] = ()
    content_type: str = "application/json"


_CUSTOMER = Parameter("id", "customer id")
_LANGUAGE = Parameter("lang", f"language of the reasons: {' or '.join(LANGUAGES)} (default: en)", required=False)
ROUTES = (
    Route("/api/status", "status", "everything in one look", responses.Status),
    Route("/api/segments", "segments", "sizes, rates and freshness of all segments", responses.Segments),
    Route(
        "/api/customers/{id}", "customer", "a customer's membership, since when, why, and the last changes",
        responses.CustomerState, (_CUSTOMER, _LANGUAGE),
    ),
    Route(
        "/api/customers/{id}/at", "past", "membership at a past time, from what was published", responses.Past,
        (_CUSTOMER, Parameter("time", "RFC 3339")),
    ),
    Route(
        "/api/changes", "changes", "segment changes as they come: events `change` and `dropped`",
        content_type="text/event-stream",
    ),
    Route(
        "/api/customer", "customer_of_query", "the same of an id that no path has, such as `.` and `..`",
        responses.CustomerState, (_CUSTOMER, _LANGUAGE),
    ),
    Route(
        "/api/customer/at", "past_of_query", "the same of an id that no path has", responses.Past,
        (_CUSTOMER, Parameter("time", "RFC 3339")),
    ),
    Route("/api/dead-letters", "letters", "the newest dead letters", responses.Letters),
    Route(
        "/api/dead-letters/{partition}/{offset}", "letter", "the bytes of one", responses.LetterBytes,
        (Parameter("partition", "of `dead-letters`"), Parameter("offset", "in it")),
    ),
    Route("/metrics", "metrics", "metrics of this process, for Prometheus", content_type="text/plain"),
    Route("/health", "health", "200 while this process lives; without token"),
)  # fmt: skip


class Api:
    """The handlers, by the names of the table."""

    def __init__(self, seen: OpsStatus, client: Mapping[str, Any], topic_prefix: str) -> None:
        """``client``: where the brokers are, and who we are to them."""
        self._seen = seen
        self._client = client
        self._topic = topic_prefix + CHANGES
        self._reading = asyncio.Lock()

    def routes(self) -> list[web.RouteDef]:
        """The table, with its handlers, and the page."""
        # An id may have braces, which aiohttp's own pattern of a part of a path has not.
        paths = [(route.path.replace("{id}", "{id:[^/]+}"), route.name) for route in ROUTES]
        served = [web.get(path, getattr(self, name)) for path, name in paths]
        return [*served, web.get("/", self.page)]

    async def page(self, _: web.Request) -> web.StreamResponse:
        """The page."""
        return web.FileResponse(STATIC / "index.html")

    async def health(self, _: web.Request) -> web.Response:
        """Alive."""
        return web.json_response({"alive": True})

    async def metrics(self, _: web.Request) -> web.Response:
        """For Prometheus."""
        body = generate_latest(self._seen.looking.metrics.registry)
        return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def status(self, _: web.Request) -> web.Response:
        """Everything in one look."""
        return _json(self._seen.status())

    async def segments(self, _: web.Request) -> web.Response:
        """All segments."""
        return _json(self._seen.segments())

    async def letters(self, _: web.Request) -> web.Response:
        """The newest dead letters."""
        return _json(responses.Letters([_letter(one) for one in reversed(self._seen.feed.letters)]))

    async def letter(self, request: web.Request) -> web.Response:
        """One of them."""
        where = request.match_info["partition"], request.match_info["offset"]
        for one in self._seen.feed.letters:
            if (str(one.partition), str(one.offset)) == where:
                key = None if one.key is None else one.key.decode(errors="replace")
                told = base64.b64encode(one.value).decode()
                reason = one.headers.get("reason", "")
                return _json(responses.LetterBytes(reason, key, told, dict(one.headers)))
        return refusal(HTTPStatus.NOT_FOUND, "no such dead letter among the newest")

    async def customer(self, request: web.Request) -> web.Response:
        """As stored."""
        customer_id, language = _id(request), request.query.get("lang", "en")
        if language not in LANGUAGES:
            return refusal(HTTPStatus.BAD_REQUEST, f"lang is one of {', '.join(LANGUAGES)}")
        if len(customer_id.encode()) > CUSTOMER_MAX_BYTES:
            return refusal(HTTPStatus.BAD_REQUEST, f"a customer id has {CUSTOMER_MAX_BYTES} bytes at most")
        try:
            found = await self._seen.customer(customer_id, language)
        except StoreRefused as refused:
            return refusal(HTTPStatus.SERVICE_UNAVAILABLE, str(refused))
        except StoreFailed as error:
            return refusal(HTTPStatus.SERVICE_UNAVAILABLE, f"Redis does not answer ({error})")
        except Stop as stopped:
            return refusal(HTTPStatus.SERVICE_UNAVAILABLE, str(stopped))
        return _unknown(customer_id) if found is None else _json(found)

    customer_of_query = customer

    async def past(self, request: web.Request) -> web.Response:
        """From the topic of changes; one such reading at a time."""
        customer_id, time = _id(request), parse_instant(request.query.get("time", ""))
        if time is None:
            return refusal(HTTPStatus.BAD_REQUEST, "time is RFC 3339, such as 2026-01-01T00:00:00Z")
        partition = self._seen.looking.partition_of(customer_id)
        try:
            async with asyncio.timeout(_PAST_MAX_S), self._reading:
                known = await change_feed.past(self._client, self._topic, partition, customer_id)
        except (KafkaError, TimeoutError) as error:
            return refusal(HTTPStatus.SERVICE_UNAVAILABLE, f"the topic of changes could not be read ({error!r})")
        if not known:
            return _unknown(customer_id)
        since: dict[str, str] = {}
        sequence = 0
        for change in known:
            if (parse_instant(change.occurred_at) or 0) > time:
                break
            sequence = change.sequence
            if change.change == "entered":
                since[change.segment] = change.occurred_at
            else:
                since.pop(change.segment, None)
        then = [responses.Then(segment, at) for segment, at in sorted(since.items())]
        return _json(responses.Past(customer_id, format_instant(time), sequence, known[0].sequence == 1, then))

    past_of_query = past

    async def changes(self, request: web.Request) -> web.StreamResponse:
        """As they come, until the reader goes."""
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"})
        try:
            with self._seen.feed.reader() as reader:
                await response.prepare(request)
                await self._stream(reader, response)
        except OverflowError:
            return refusal(
                HTTPStatus.SERVICE_UNAVAILABLE, f"{change_feed.READERS_MAX} readers follow the changes already"
            )
        except (ConnectionError, TimeoutError):
            pass
        return response

    async def _stream(self, reader: change_feed.Reader, response: web.StreamResponse) -> None:
        await response.write(b": the newest come last\n\n")
        while True:
            taken, dropped = await reader.take(_BEAT_S)
            told = [b"event: change\ndata: " + msgspec.json.encode(change) + b"\n\n" for change in taken]
            if dropped:
                told.insert(0, b'event: dropped\ndata: {"count": %d}\n\n' % dropped)
            async with asyncio.timeout(_TAKEN_WITHIN_S):
                await response.write(b"".join(told) or b": nothing new\n\n")
            await asyncio.sleep(_TOGETHER_S)


def _id(request: web.Request) -> str:
    """The customer's, of the path or of the query."""
    return request.match_info.get("id", request.query.get("id", ""))


def _json(answer: msgspec.Struct) -> web.Response:
    return web.Response(body=msgspec.json.encode(answer), content_type="application/json", charset="utf-8")


def _unknown(customer_id: str) -> web.Response:
    return refusal(HTTPStatus.NOT_FOUND, f"no customer {customer_id}")


def _letter(one: FeedLetter) -> responses.Letter:
    def number(name: str) -> int:
        return int(text) if (text := one.headers.get(name, "")).isdigit() else -1

    return responses.Letter(
        at=format_instant(one.at_ms),
        reason=one.headers.get("reason", ""),
        topic=one.headers.get("topic", ""),
        partition=number("partition"),
        offset=number("offset"),
        where_partition=one.partition,
        where_offset=one.offset,
        size=number("size") if "size" in one.headers else len(one.value),
    )


def openapi() -> dict[str, Any]:
    """The document: https://spec.openapis.org/oas/v3.1.0."""
    types = [*(route.answer for route in ROUTES if route.answer), responses.Wrong]
    schemas, components = msgspec.json.schema_components(types, ref_template="#/components/schemas/{name}")
    by_type = dict(zip(types, schemas, strict=True))
    return {
        "openapi": "3.1.0",
        "info": {"title": "Segmenter operations", "version": "1", "description": "Looks on, and changes nothing."},
        "security": [{"token": []}],
        "paths": {route.path: {"get": _operation(route, by_type)} for route in ROUTES},
        "components": {"schemas": components, "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}}},
    }


def _operation(route: Route, by_type: Mapping[type, Any]) -> dict[str, Any]:
    content = {route.content_type: {"schema": by_type[route.answer]} if route.answer else {}}
    wrong = {"application/json": {"schema": by_type[responses.Wrong]}}
    refusals = {"401": "the token is missing or wrong", "429": "too many requests"}
    if route.parameters:
        refusals |= {"400": "a parameter is wrong", "404": "not known", "503": "Redis or Kafka does not answer"}
    parameters = [
        {
            "name": one.name,
            "in": "path" if f"{{{one.name}}}" in route.path else "query",
            "required": one.required,
            "description": one.about,
            "schema": {"type": "string"},
        }
        for one in route.parameters
    ]
    return {
        "operationId": route.name,
        "summary": route.about,
        **({"parameters": parameters} if parameters else {}),
        "responses": {
            "200": {"description": route.about, "content": content},
            **{code: {"description": about, "content": wrong} for code, about in sorted(refusals.items())},
        },
    }
