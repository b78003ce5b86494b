"""Generates the schema of the events that come in, from the structs that decode them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, get_args, get_type_hints

import msgspec
from msgspec import Meta, Raw

from doc_tools.schema_parts import definitions, document, reference, with_fields
from rules.event_names import ALIASES, PRODUCT_ADDED, SHOP_NAMES
from rules.forms.json_schema import Schema
from streams.wire.event_decoder import CUSTOMER_MAX_BYTES, RECORD_MAX_BYTES
from streams.wire.segment_spec import Envelope, Product, Properties

# An example: only its values are made up, not its names and form.
EVENT: Schema = {
    "type": "track",
    "event": PRODUCT_ADDED,
    "messageId": "m-1",
    "userId": "u1",
    "timestamp": "2026-11-22T10:00:00.000Z",
    "properties": {"product_id": "p1", "quantity": 2, "price": "19.90"},
}

# The struct lets these fields be absent, so that the dead letter can say which one was.
_REQUIRED = ("type", "messageId")
# What else they hold makes no event unusable: a value that cannot be read counts as absent or unknown.
_OPEN = (
    "timestamp", "originalTimestamp", "sentAt", "receivedAt", "event", "userId", "anonymousId", "previousId",
    "properties", "traits", "context",
)  # fmt: skip
_TEXT = {"type": "string", "minLength": 1}
_TRACK = {"type": {"const": "track"}}
_ID: Schema = {"anyOf": [_TEXT, {"type": "number"}]}
# The key of a record, which outputs have as well.
_CUSTOMER: Schema = {
    "description": f"1 to {CUSTOMER_MAX_BYTES} bytes of UTF-8, no control characters",
    "maxLength": CUSTOMER_MAX_BYTES,
    "not": {"pattern": r"[\x00-\x1f\x7f-\x9f]"},  # as a refusal, since "$" may match before a last line feed
    **_TEXT,
}


def event() -> Schema:
    """The schema of an input: one message of the Segment Spec."""
    hints = get_type_hints(Envelope, include_extras=True)
    types = {name: Annotated[str, *get_args(hints[name])[1:]] for name in ("type",)}
    types["messageId"] = Annotated[Raw, *_descriptions(hints["messageId"]), Meta(extra_json_schema=_ID)]
    types |= {name: Annotated[Raw, *_descriptions(hints[name]), Meta(extra_json_schema={})] for name in _OPEN}
    defs = definitions(_readable(Envelope, **types), _readable(Properties), _readable(Product))
    defs["Customer"] = _CUSTOMER
    whole = defs["Envelope"]
    whole["description"] += (
        f" At most {RECORD_MAX_BYTES} bytes. The customer's id has 1 to {CUSTOMER_MAX_BYTES} bytes of UTF-8 and no"
        " control characters; an id that cannot be used counts as absent where the other one can."
    )
    whole["required"] = list(_REQUIRED)
    whole["allOf"] = [
        {"if": with_fields(**_TRACK), "then": with_fields(event={**_TEXT, "pattern": r"\S"})},
        {"anyOf": [with_fields(userId=_ID), with_fields(anonymousId=_ID)]},
        {"if": _named(SHOP_NAMES), "then": {"properties": {"properties": {"anyOf": [reference("Properties"), {}]}}}},
    ]
    return document("Envelope", defs)


_NULL: Schema = {"type": "null"}
_PLAIN_ID: Schema = {
    "anyOf": [{**_TEXT, "pattern": r"\S"}, {"type": "integer", "minimum": -(2**53), "maximum": 2**53}, _NULL]
}
_PLAIN_NUMBER: Schema = {
    "anyOf": [
        {"type": "number", "minimum": 0, "exclusiveMaximum": 10**12},
        {"type": "string", "pattern": r"^[0-9]{1,12}(\.[0-9]{1,6})?$"},
        _NULL,
    ]
}
_INSTANT: Schema = {
    "anyOf": [
        {
            "type": "string",
            "pattern": r"^20[0-9]{2}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])[Tt]([01][0-9]|2[0-3]):[0-5][0-9]"
            r":[0-5][0-9](\.[0-9]+)?([Zz]|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$",
        },
        _NULL,
    ]
}
_MONEY = ("total", "revenue", "price", "quantity")


def strict_event() -> Schema:
    """The schema of an input which is read without loss: what it accepts, `event` accepts, and no value is unknown.

    It is for tests of a shop's own code. Numbers with more than six decimals are cut, which a schema cannot tell.
    """
    whole = event()
    defs = whole["$defs"]
    for name in ("Properties", "Product"):
        for field, schema in defs[name]["properties"].items():
            if field in _MONEY:
                stricter = _PLAIN_NUMBER
            elif field == "currency":
                stricter = {"anyOf": [{"type": "string", "pattern": "^[A-Za-z]{3}$"}, _NULL]}
            elif field == "products":
                stricter = {"anyOf": [{"type": "array", "items": reference("Product")}, _NULL]}
            else:
                stricter = _PLAIN_ID
            defs[name]["properties"][field] = {"description": schema["description"], **stricter}
    envelope = defs["Envelope"]
    fields = envelope["properties"]
    for field in ("userId", "anonymousId", "previousId"):
        fields[field] |= {"anyOf": [reference("Customer"), _NULL]}
    fields["messageId"] |= {**_TEXT, "pattern": r"\S"}
    for field in ("timestamp", "originalTimestamp", "sentAt", "receivedAt"):
        fields[field] |= _INSTANT
    for field in ("properties", "traits", "context"):
        fields[field] |= {"anyOf": [{"type": "object"}, _NULL]}
    # A schema cannot tell every spelling of a reserved name, so the properties of every track are asked.
    tracks = envelope["allOf"][-1]
    tracks["if"] = with_fields(**_TRACK)
    tracks["then"] = {"properties": {"properties": {"anyOf": [reference("Properties"), _NULL]}}}
    text = {"type": "string"}
    envelope["allOf"].append({"anyOf": [with_fields(timestamp=text), with_fields(originalTimestamp=text)]})
    return whole


def _descriptions(hint: Any) -> list[Meta]:
    """The descriptions of a field, without the type that it should have."""
    metas = [part for part in get_args(hint)[1:] if isinstance(part, Meta)]
    return [Meta(description=meta.description) for meta in metas if meta.description]


def _readable(struct: type[msgspec.Struct], **types: Any) -> type[msgspec.Struct]:
    """Return a struct without its defaults: msgspec cannot put a `Raw` into a schema."""
    hints = get_type_hints(struct, include_extras=True) | types
    fields = [(name, hints[name], msgspec.field(default_factory=Raw)) for name in struct.__struct_fields__]
    return msgspec.defstruct(struct.__name__, fields, namespace={"__doc__": struct.__doc__})


def _named(names: Iterable[str]) -> Schema:
    properties = {*names, *(old for old, new in ALIASES.items() if new in names)}
    return with_fields(**_TRACK, event={"enum": sorted(properties)})
