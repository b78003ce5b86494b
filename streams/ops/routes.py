"""The routes of the API as a table, and the OpenAPI document that is generated from it.

The table is complete. A handler without a route is not served, and a route without a handler fails at the start.

See also: `streams.ops.api`, the handlers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

from rules.sentences.reason_sentence import LANGUAGES
from streams.ops import responses


class Parameter(NamedTuple):
    """A parameter of the path if that has ``{name}`` in it, else of the query."""

    name: str
    about: str
    required: bool = True


class Route(NamedTuple):
    """A path with its parameters and the type of its answer; without ``answer``, it answers a stream or a text."""

    path: str
    name: str
    about: str
    answer: type | None = None
    parameters: tuple[Parameter, ...] = ()
    content_type: str = "application/json"


_CUSTOMER = Parameter("id", "customer id")
_LANGUAGE = Parameter("lang", f"language of the reasons: {' or '.join(LANGUAGES)} (default: en)", required=False)
ROUTES = (
    Route("/api/status", "status", "the state of everything", responses.Status),
    Route("/api/segments", "segments", "sizes, rates and freshness of all segments", responses.Segments),
    Route(
        "/api/customers/{id}", "customer", "a customer's membership, since when, why, and the last changes",
        responses.CustomerState, (_CUSTOMER, _LANGUAGE),
    ),
    Route(
        "/api/customers/{id}/at", "past", "membership at a past time, from published changes", responses.Past,
        (_CUSTOMER, Parameter("time", "RFC 3339")),
    ),
    Route(
        "/api/changes", "changes", "segment changes as they come: events `change` and `dropped`",
        content_type="text/event-stream",
    ),
    Route(
        "/api/customer", "customer_of_query", "the same for an id that no path can have, such as `.` and `..`",
        responses.CustomerState, (_CUSTOMER, _LANGUAGE),
    ),
    Route(
        "/api/customer/at", "past_of_query", "the same for an id that no path can have", responses.Past,
        (_CUSTOMER, Parameter("time", "RFC 3339")),
    ),
    Route("/api/dead-letters", "letters", "the newest dead letters", responses.Letters),
    Route(
        "/api/dead-letters/{partition}/{offset}", "letter", "the bytes of a dead letter", responses.LetterBytes,
        (Parameter("partition", "of `dead-letters`"), Parameter("offset", "in it")),
    ),
    Route("/metrics", "metrics", "metrics of this process, for Prometheus", content_type="text/plain"),
    Route("/health", "health", "200 while this process lives; without token"),
)  # fmt: skip


def openapi() -> dict[str, Any]:
    """Generate the OpenAPI document; see https://spec.openapis.org/oas/v3.1.0."""
    types = [*(route.answer for route in ROUTES if route.answer), responses.Wrong]
    schemas, components = msgspec.json.schema_components(types, ref_template="#/components/schemas/{name}")
    by_type = dict(zip(types, schemas, strict=True))
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Segmenter operations",
            "version": "1",
            "description": "Shows the state, and changes nothing.",
        },
        "security": [{"token": []}],
        "paths": {route.path: {"get": _operation(route, by_type)} for route in ROUTES},
        "components": {"schemas": components, "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}}},
    }


def _operation(route: Route, by_type: Mapping[type, Any]) -> dict[str, Any]:
    """The OpenAPI operation of a route, with the refusals that it may answer."""
    content = {route.content_type: {"schema": by_type[route.answer]} if route.answer else {}}
    wrong = {"application/json": {"schema": by_type[responses.Wrong]}}
    refusals = {"401": "the token is missing or wrong", "429": "too many requests"}
    if route.parameters:
        refusals |= {"400": "a parameter is wrong", "404": "not known", "503": "Redis or Kafka does not answer"}
    parameters = [
        {
            "name": parameter.name,
            "in": "path" if f"{{{parameter.name}}}" in route.path else "query",
            "required": parameter.required,
            "description": parameter.about,
            "schema": {"type": "string"},
        }
        for parameter in route.parameters
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
