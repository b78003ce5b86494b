"""Generates the OpenAPI document of the gateway from its types, paths and limits."""

from __future__ import annotations

from typing import Any

import msgspec

from doc_tools.schema_parts import described
from streams.gateway.customers import Standing
from streams.gateway.ingest import MESSAGES_MAX, TYPES
from streams.gateway.messages import BATCH_MAX_BYTES, MESSAGE_MAX_BYTES
from streams.gateway.reads import CLOCK_HEADER, LOOKUP_MAX

_INGEST = {
    "200": "all in-sync replicas have the events",
    "400": "what is wrong with which message; all others are written",
    "401": "there is no such key",
    "403": "pages of that origin may not send with this key",
    "413": f"an event may have {MESSAGE_MAX_BYTES} bytes, a batch {BATCH_MAX_BYTES} bytes and {MESSAGES_MAX} messages",
    "429": "too many events; send them again later",
    "503": "Kafka is away; send them again",
}
_READ = {
    "400": "a parameter is wrong",
    "401": "a server's key or a visitor's token is needed",
    "403": "the token names another customer",
    "429": "too many requests of one visitor",
    "503": "Redis does not answer",
}


def document() -> dict[str, Any]:
    """Generate the OpenAPI document; see https://spec.openapis.org/oas/v3.1.0."""
    (standing,), components = msgspec.json.schema_components([Standing], ref_template="#/components/schemas/{name}")
    message = {"$ref": "schemas/event.json"}
    batch = {
        "type": "object",
        "required": ["batch"],
        "properties": {"batch": {"type": "array", "items": message}, "sentAt": {"type": "string"}},
    }
    kinds = [kind for kind in TYPES if len(kind) > 1]
    paths = {f"/v1/{kind}": _posted(f"send one {kind}", message) for kind in kinds}
    paths |= {f"/v1/{name}": _posted("send a batch of messages", batch) for name in ("batch", "import")}
    ids = {
        "type": "object",
        "required": ["ids"],
        "properties": {
            "ids": {"type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": LOOKUP_MAX},
            "reasons": {"type": "string"},
        },
    }
    many = {"type": "object", "properties": {"customers": {"type": "array", "items": standing}}}
    about = "the segments of a customer"
    paths["/v1/customers/{id}"] = {"get": _read(about, _content("application/json", standing), with_id=True)}
    paths["/v1/customers/{id}/changes"] = {
        "get": _read(f"{about}, and each change as it comes", _content("text/event-stream", {}), with_id=True)
    }
    lookup = _read("the segments of several customers", _content("application/json", many))
    paths["/v1/customers/lookup"] = {"post": {**lookup, "requestBody": _content("application/json", ids)}}
    return {
        "openapi": "3.1.0",
        "info": {"title": "Segmenter gateway", "version": "1", "description": "Takes events, and answers who is who."},
        "security": [{"key": []}, {"token": []}],
        "paths": paths,
        "components": {
            "schemas": described(components),
            "securitySchemes": {
                "key": {"type": "http", "scheme": "basic", "description": "a write key as the user name"},
                "token": {"type": "http", "scheme": "bearer", "description": "a JWT that names one customer"},
            },
        },
    }


def _content(media_type: str, schema: Any) -> dict[str, Any]:
    return {"content": {media_type: {"schema": schema}}}


def _posted(about: str, schema: Any) -> dict[str, Any]:
    answers = {status: {"description": text} for status, text in _INGEST.items()}
    return {"post": {"summary": about, "requestBody": _content("application/json", schema), "responses": answers}}


def _read(about: str, content: dict[str, Any], *, with_id: bool = False) -> dict[str, Any]:
    header = {CLOCK_HEADER: {"description": "the time up to which this is decided", "schema": {"type": "string"}}}
    answers: dict[str, Any] = {"200": {"description": about, "headers": header, **content}}
    answers |= {status: {"description": text} for status, text in _READ.items()}
    parameters = [
        {
            "name": "id",
            "in": "path",
            "required": True,
            "schema": {"type": "string"},
            "description": "customer id, or me",
        },
        {"name": "reasons", "in": "query", "schema": {"type": "string"}, "description": "language of the reasons"},
    ]
    return {"summary": about, "responses": answers, **({"parameters": parameters} if with_id else {})}
