"""Generates the AsyncAPI document: the topics, with the messages on them.

AsyncAPI reads schemas as Draft 7, so they use only what that and 2020-12 read alike.
"""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import get_args

import msgspec

from doc_tools.event_schema import EVENT
from doc_tools.output_schemas import CHANGE
from doc_tools.schema_parts import with_fields
from rules.changes import ChangeKind
from rules.event_names import CART_NAMES, INPUTS, ORDER_NAMES
from rules.forms.json_schema import Schema
from streams.settings import Settings
from streams.wire import changes, dead_letters, memberships
from streams.wire.topics import CHANGES, DEAD_LETTERS, MEMBERSHIPS

ROOT = Path(__file__).resolve().parent.parent.parent
KAFKA_BINDING = "0.5.0"  # https://www.asyncapi.com/docs/reference/bindings/kafka

# The message and the description of each topic.
_TOPICS = {
    "profiles": ("event", "identify, alias, erase and unlink"),
    "visits": ("event", "page, screen, group, and track under every name not of carts or purchases"),
    "carts": ("event", "track under the names " + ", ".join(sorted(CART_NAMES))),
    "purchases": ("event", "track under the names " + ", ".join(sorted(ORDER_NAMES))),
    CHANGES: ("change", "entries into and exits from segments, each customer's in order"),
    MEMBERSHIPS: ("membership", "where each customer stands: the newest of a key is kept, so it is a table"),
    DEAD_LETTERS: ("dead_letter", "records that could not be used"),
}
_NOTES = "A prefix may stand before the names of topics. All topics have the same number of partitions."


def document() -> Schema:
    """The AsyncAPI document: the topics, their messages, and their direction."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    info = {name: project[name] for name in ("version", "description")} | {"title": project["name"]}
    return {
        "asyncapi": "3.0.0",
        "info": info | {"license": {"name": project["license"]}},
        "defaultContentType": "application/json",
        "servers": {
            "kafka": {
                "host": Settings.model_fields["brokers"].default,
                "protocol": "kafka",
                "description": _NOTES,
            }
        },
        "channels": {topic: _channel(topic, *about) for topic, about in _TOPICS.items()},
        "operations": {topic: _operation(topic, message) for topic, (message, _) in _TOPICS.items()},
        "components": {"messages": _messages()},
    }


def _channel(topic: str, message: str, description: str) -> Schema:
    return {
        "address": topic,
        "description": description,
        "messages": {message: {"$ref": f"#/components/messages/{message}"}},
        "bindings": {"kafka": {"topic": topic, "bindingVersion": KAFKA_BINDING}},
    }


def _operation(topic: str, message: str) -> Schema:
    return {
        "action": "receive" if topic in INPUTS else "send",
        "channel": {"$ref": f"#/channels/{topic}"},
        "messages": [{"$ref": f"#/channels/{topic}/messages/{message}"}],
    }


def _messages() -> Schema:
    """The messages of all topics, with examples that the encoders of the code have written."""
    customer = {"$ref": "schemas/event.json#/$defs/Customer"}
    most = dead_letters.ORIGINAL_MAX_BYTES
    original = {
        "description": f"the original key; of more than {most} bytes the first {most}",
        "type": ["string", "null"],
    }
    record = "schemas/dead-letter.json#/$defs/DeadLetter/properties/"
    headers = {name: value.decode() for name, value in changes.headers(CHANGE)}
    change = {"headers": headers, "payload": json.loads(changes.encode(CHANGE))}
    return {
        "event": {
            "summary": "A message of the Segment Spec. Its name decides what it is, not the topic.",
            "payload": {"$ref": "schemas/event.json"},
            "bindings": _keyed(customer),
            "examples": [{"payload": EVENT}],
        },
        "change": {
            "summary": "A repeat has the same change_id. The headers are CloudEvents 1.0, binary mode.",
            "headers": {"type": "object", **with_fields(**_change_headers())},
            "payload": {"$ref": "schemas/segment-change.json"},
            "bindings": _keyed(customer),
            "examples": [change],
        },
        "membership": {
            "summary": "A customer's standing after the change that it names; go on with changes of a higher sequence.",
            "payload": {"$ref": "schemas/membership.json"},
            "bindings": _keyed(customer),
            "examples": [{"payload": json.loads(memberships.encode(memberships.of(CHANGE)))}],
        },
        "dead_letter": {
            "summary": "The record as it came; the headers say why and from where.",
            "contentType": "application/octet-stream",
            "headers": {"$ref": record + "headers"},
            "payload": {"$ref": record + "value"},
            "bindings": _keyed(original),
        },
    }


def _change_headers() -> Schema:
    """The schema of a change's headers: each repeats a field of the change, or is one of a few texts."""
    repeated = {name: name for name in ("change_id", "customer_id", "occurred_at")}
    descriptions: dict[str, set[str]] = {}
    for kind in get_args(ChangeKind):
        for name, value in changes.headers(msgspec.structs.replace(CHANGE, change=kind, **repeated)):
            descriptions.setdefault(name, set()).add(value.decode())
    field = "schemas/segment-change.json#/$defs/SegmentChange/properties/"
    return {
        name: {"$ref": field + min(texts)} if texts <= repeated.keys() else {"enum": sorted(texts)}
        for name, texts in descriptions.items()
    }


def _keyed(key: Schema) -> Schema:
    return {"kafka": {"key": key, "bindingVersion": KAFKA_BINDING}}
