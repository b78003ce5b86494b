"""Generates the OpenAPI document from the routes of the operations API."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from doc_tools.schema_parts import described
from streams.ops import responses
from streams.ops.routes import ROUTES, Route

# The published titles of schemas whose classes have another name.
TITLES = {"SegmentMembership": "Membership"}


def document() -> dict[str, Any]:
    """Generate the OpenAPI document; see https://spec.openapis.org/oas/v3.1.0."""
    types = [*(route.answer for route in ROUTES if route.answer), responses.Wrong]
    schemas, components = msgspec.json.schema_components(types, ref_template="#/components/schemas/{name}")
    by_type = dict(zip(types, schemas, strict=True))
    drawn = {
        "openapi": "3.1.0",
        "info": {
            "title": "Segmenter operations",
            "version": "1",
            "description": "Shows the state, and changes nothing.",
        },
        "security": [{"token": []}],
        "paths": {route.path: {"get": _operation(route, by_type)} for route in ROUTES},
        "components": {
            "schemas": described(components),
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }
    titled: dict[str, Any] = _with_titles(drawn)
    return titled


def _with_titles(node: Any) -> Any:
    """The document with the published titles, as names, in references and as titles."""
    if isinstance(node, list):
        return [_with_titles(entry) for entry in node]
    if isinstance(node, dict):
        return {TITLES.get(name, name): _with_titles(entry) for name, entry in node.items()}
    if not isinstance(node, str):
        return node
    path, slash, name = node.rpartition("/")
    return path + slash + TITLES.get(name, name)


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
