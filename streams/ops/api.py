"""Serves the API of the operations page: one handler for each route, and the page itself.

A path is served because it is in the table of routes.

See also: `streams.ops.routes`, the table; `streams.ops.responses`, the types of the answers; `streams.ops.auth`, which
admits requests.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from pathlib import Path
from typing import Any

import msgspec
from aiohttp import web
from aiokafka.errors import KafkaError
from prometheus_client import generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from rules.sentences.reason_sentence import LANGUAGES
from rules.times import format_instant, parse_instant
from streams.errors import StoreFailed, StoreRefused
from streams.http.access import refusal
from streams.ops import change_feed, responses
from streams.ops.change_feed import FeedLetter
from streams.ops.routes import ROUTES
from streams.ops.saved_lift import saved_lifts
from streams.ops.status import OpsStatus
from streams.stop import Stop
from streams.wire.changes import SegmentChange
from streams.wire.event_decoder import CUSTOMER_MAX_BYTES
from streams.wire.topics import CHANGES

STATIC = Path(__file__).parent / "static"
_BEAT_S = 15.0
# Changes are sent in batches, no more often than this: the page draws four times a second.
_BATCH_S = 0.2
_PAST_MAX_S = 30.0
# A reader of the stream that takes nothing for so long is disconnected: it occupies a place and buffers.
_TAKEN_WITHIN_S = 30.0


class Api:
    """The handlers, each called as its route in the table."""

    def __init__(
        self, status: OpsStatus, client: Mapping[str, Any], topic_prefix: str, saved_lift: Path | None = None
    ) -> None:
        """``client``: the settings of a Kafka client: brokers and credentials. ``saved_lift``: see `saved_lifts`."""
        self._saved_lift = saved_lift
        self._status = status
        self._client = client
        self._topic = topic_prefix + CHANGES
        self._reading = asyncio.Lock()

    def routes(self) -> list[web.RouteDef]:
        """The routes of the table with their handlers, and the page's."""
        # An id may have braces, which aiohttp's default pattern of a path segment excludes.
        paths = [(route.path.replace("{id}", "{id:[^/]+}"), route.name) for route in ROUTES]
        served = [web.get(path, getattr(self, name)) for path, name in paths]
        return [*served, web.get("/", self.page)]

    async def page(self, _: web.Request) -> web.StreamResponse:
        """Answer with the page."""
        return web.FileResponse(STATIC / "index.html")

    async def health(self, _: web.Request) -> web.Response:
        """Answer that the process lives."""
        return web.json_response({"alive": True})

    async def metrics(self, _: web.Request) -> web.Response:
        """Answer with the metrics, for Prometheus."""
        body = generate_latest(self._status.poller.metrics.registry)
        return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def status(self, _: web.Request) -> web.Response:
        """Answer with the state of everything."""
        return _json(self._status.status())

    async def segments(self, _: web.Request) -> web.Response:
        """Answer with all segments."""
        return _json(self._status.segments())

    async def letters(self, _: web.Request) -> web.Response:
        """Answer with the newest dead letters."""
        return _json(responses.Letters([_letter(letter) for letter in reversed(self._status.feed.letters)]))

    async def letter(self, request: web.Request) -> web.Response:
        """Answer with the bytes of a dead letter."""
        where = request.match_info["partition"], request.match_info["offset"]
        for letter in self._status.feed.letters:
            if (str(letter.partition), str(letter.offset)) == where:
                return _json(
                    responses.LetterBytes(
                        reason=letter.headers.get("reason", ""),
                        key=None if letter.key is None else letter.key.decode(errors="replace"),
                        base64=base64.b64encode(letter.value).decode(),
                        headers=dict(letter.headers),
                    )
                )
        return refusal(HTTPStatus.NOT_FOUND, "no such dead letter among the newest")

    async def customer(self, request: web.Request) -> web.Response:
        """Answer with a customer as it is stored."""
        customer_id, language = _id(request), request.query.get("lang", "en")
        if language not in LANGUAGES:
            return refusal(HTTPStatus.BAD_REQUEST, f"lang is one of {', '.join(LANGUAGES)}")
        if len(customer_id.encode()) > CUSTOMER_MAX_BYTES:
            return refusal(HTTPStatus.BAD_REQUEST, f"a customer id has {CUSTOMER_MAX_BYTES} bytes at most")
        try:
            customer = await self._status.customer(customer_id, language)
        except StoreRefused as refused:
            return refusal(HTTPStatus.SERVICE_UNAVAILABLE, str(refused))
        except StoreFailed as error:
            return refusal(HTTPStatus.SERVICE_UNAVAILABLE, f"Redis does not answer ({error})")
        except Stop as stopped:
            return refusal(HTTPStatus.SERVICE_UNAVAILABLE, str(stopped))
        return _unknown(customer_id) if customer is None else _json(customer)

    customer_of_query = customer

    async def past(self, request: web.Request) -> web.Response:
        """Answer with the membership at a past time, read from the topic of changes.

        One such request is served at a time, as it reads a whole partition of the topic.
        """
        customer_id, time = _id(request), parse_instant(request.query.get("time", ""))
        if time is None:
            return refusal(HTTPStatus.BAD_REQUEST, "time is RFC 3339, such as 2026-01-01T00:00:00Z")
        partition = self._status.poller.partition_of(customer_id)
        try:
            async with asyncio.timeout(_PAST_MAX_S), self._reading:
                changes = await change_feed.past(self._client, self._topic, partition, customer_id)
        except (KafkaError, TimeoutError) as error:
            return refusal(HTTPStatus.SERVICE_UNAVAILABLE, f"the topic of changes could not be read ({error!r})")
        if not changes:
            return _unknown(customer_id)
        return _json(_membership_at(time, customer_id, changes))

    past_of_query = past

    async def lift(self, _: web.Request) -> web.Response:
        """Answer with the lift of each trigger."""
        return _json(await asyncio.to_thread(saved_lifts, self._saved_lift))

    async def changes(self, request: web.Request) -> web.StreamResponse:
        """Stream the changes as they come, until the reader goes."""
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"})
        try:
            with self._status.feed.reader() as reader:
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
            messages = [b"event: change\ndata: " + msgspec.json.encode(change) + b"\n\n" for change in taken]
            if dropped:
                messages.insert(0, b'event: dropped\ndata: {"count": %d}\n\n' % dropped)
            async with asyncio.timeout(_TAKEN_WITHIN_S):
                await response.write(b"".join(messages) or b": nothing new\n\n")
            await asyncio.sleep(_BATCH_S)


def _membership_at(time: int, customer_id: str, changes: Sequence[SegmentChange]) -> responses.Past:
    """The membership of a customer at a time (ms), by all of its changes, in their order."""
    since: dict[str, str] = {}
    sequence = 0
    for change in changes:
        # By sequence, instants do not decrease.
        if (parse_instant(change.occurred_at) or 0) > time:
            break
        sequence = change.sequence
        if change.change == "entered":
            since[change.segment] = change.occurred_at
        else:
            since.pop(change.segment, None)
    return responses.Past(
        customer_id=customer_id,
        time=format_instant(time),
        sequence=sequence,
        complete=changes[0].sequence == 1,
        segments=[responses.Then(segment, entered_at) for segment, entered_at in sorted(since.items())],
    )


def _id(request: web.Request) -> str:
    """The customer's id, of the path or of the query."""
    return request.match_info.get("id", request.query.get("id", ""))


def _json(answer: msgspec.Struct) -> web.Response:
    return web.Response(body=msgspec.json.encode(answer), content_type="application/json", charset="utf-8")


def _unknown(customer_id: str) -> web.Response:
    return refusal(HTTPStatus.NOT_FOUND, f"no customer {customer_id}")


def _letter(letter: FeedLetter) -> responses.Letter:
    return responses.Letter(
        at=format_instant(letter.at_ms),
        reason=letter.headers.get("reason", ""),
        field=letter.headers.get("field", ""),
        topic=letter.headers.get("topic", ""),
        partition=_number(letter, "partition"),
        offset=_number(letter, "offset"),
        where_partition=letter.partition,
        where_offset=letter.offset,
        size=_number(letter, "size") if "size" in letter.headers else len(letter.value),
    )


def _number(letter: FeedLetter, header: str) -> int:
    """The number in a header; -1 if it has none, as another program may have written the record."""
    text = letter.headers.get(header, "")
    return int(text) if text.isdigit() else -1
