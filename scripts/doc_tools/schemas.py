"""Generates the contract as files: JSON Schema and AsyncAPI, from the code that reads and writes.

Nothing that the code states is stated again here. Types come from the structs, names, topics and limits from their
constants; only constraints that a type cannot express are added.

    python -m doc_tools.schemas            writes docs/
    python -m doc_tools.schemas --check    exit 1 and a sentence for each file that is not current

AsyncAPI reads schemas as Draft 7, so they use only what that and 2020-12 read alike. Long because
the text of most documents stands here, and nowhere else.
"""

from __future__ import annotations

import json
import sys
import tomllib
from collections.abc import Iterable, Sequence
from inspect import cleandoc
from pathlib import Path
from typing import Annotated, Any, get_args, get_type_hints

import msgspec
from msgspec import UNSET, Meta, Raw

from doc_tools import (
    benchmark_tables,
    generated_blocks,
    metrics_reference,
    reference,
    segments_schema,
    settings_reference,
    triggers_schema,
)
from doc_tools.generated_blocks import BlockError
from rules.changes import ChangeKind
from rules.events import ALIASES, CART_NAMES, INPUTS, ORDER_NAMES, PRODUCT_ADDED, SHOP_NAMES, Origin
from rules.forms.json_schema import Schema
from rules.reasons import Observed, Reason
from rules.times import _RFC3339  # the schema has the same pattern
from streams.ops import routes
from streams.rights.page import page
from streams.settings import Settings
from streams.wire import changes, dead_letters, memberships
from streams.wire.changes import Cause, SegmentChange
from streams.wire.dead_letters import REASONS
from streams.wire.event_decoder import CUSTOMER_MAX_BYTES, RECORD_MAX_BYTES
from streams.wire.memberships import Membership
from streams.wire.segment_spec import Envelope, Product, Properties
from streams.wire.shop import WHOLE_CART
from streams.wire.topics import CHANGES, DEAD_LETTERS, MEMBERSHIPS

ROOT = Path(__file__).resolve().parent.parent.parent
DIALECT = "https://json-schema.org/draft/2020-12/schema"
KAFKA_BINDING = "0.5.0"  # https://www.asyncapi.com/docs/reference/bindings/kafka

# Examples: only their values are made up, not their names and forms.
EVENT: Schema = {
    "type": "track",
    "event": PRODUCT_ADDED,
    "messageId": "m-1",
    "userId": "u1",
    "timestamp": "2026-11-22T10:00:00.000Z",
    "properties": {"product_id": "p1", "quantity": 2, "price": "19.90"},
}
CHANGE = SegmentChange(
    change_id="5f0c3b1e8a7d4c29b6e1f0a2d3c4b5a6",
    customer_id="u1",
    segment="abandoned_cart",
    change="entered",
    occurred_at="2026-11-22T10:30:00.000Z",
    sequence=7,
    segments=("abandoned_cart", "returning_visitor"),
    cause=Cause("time"),
    reason=Reason(
        holds=True,
        condition="cart",
        observed=Observed(items=2, last_at="2026-11-22T10:00:00.000Z"),
        test={"idle_for": "30m", "until": "30d"},
        until="2026-12-22T10:00:00.000Z",
    ),
    definition="8f14e45fceea",
    said={"en": "no cart activity since 2026-11-22T10:00:00.000Z, for 30 minutes; the cart holds 2 items"},
    emitted_at="2026-11-22T10:30:01.250Z",
)

# --- the events that come in -------------------------------------------------------------------

# The struct lets these fields be absent, so that the dead letter can say which one was.
_REQUIRED = ("type", "messageId", "timestamp")
_TEXT = {"type": "string", "minLength": 1}
_TRACK = {"type": {"const": "track"}}
_CUSTOMER: Schema = {
    "description": f"1 to {CUSTOMER_MAX_BYTES} bytes of UTF-8, no control characters",
    "maxLength": CUSTOMER_MAX_BYTES,
    "not": {"pattern": r"[\x00-\x1f\x7f-\x9f]"},  # as a refusal, since "$" may match before a last line feed
    **_TEXT,
}


def event() -> Schema:
    """The schema of an input: one message of the Segment Spec."""
    hints = get_type_hints(Envelope, include_extras=True)
    types = {name: Annotated[str, *get_args(hints[name])[1:]] for name in _REQUIRED}
    types["properties"] = Annotated[Raw, Meta(extra_json_schema={"type": ["object", "null"]})]
    defs = _definitions(_readable(Envelope, **types), _readable(Properties), _readable(Product))
    defs["Customer"] = _CUSTOMER
    defs["WholeCart"] = {"properties": {"products": defs["Properties"]["properties"].pop("products")}}
    whole = defs["Envelope"]
    whole["description"] += f" At most {RECORD_MAX_BYTES} bytes."
    whole["required"] = list(_REQUIRED)
    whole["properties"]["messageId"] |= _TEXT
    whole["properties"]["timestamp"]["pattern"] = f"^(?:{_RFC3339.pattern})$"
    customer = {name: _with(**{name: _ref("Customer")}) for name in ("userId", "anonymousId")}
    of_shop = {"anyOf": [_ref("Properties"), {"type": "null"}]}
    whole["allOf"] = [
        {"if": _with(**_TRACK), "then": _with(event=_TEXT)},
        {"if": _with(userId=_TEXT), "then": customer["userId"], "else": customer["anonymousId"]},
        # An event of any other name may have any properties.
        {"if": _named(SHOP_NAMES), "then": {"properties": {"properties": of_shop}}},
        {"if": _named(WHOLE_CART), "then": {"properties": {"properties": _ref("WholeCart")}}},
    ]
    return _document("Envelope", defs)


def _definitions(*structs: type[msgspec.Struct]) -> Schema:
    _, defs = msgspec.json.schema_components(structs)
    for schema in defs.values():
        # Python 3.13 removes the indentation of a docstring, earlier versions do not.
        schema["description"] = cleandoc(schema["description"]).replace("``", "`")
    return defs


def _readable(struct: type[msgspec.Struct], **types: Any) -> type[msgspec.Struct]:
    """Return a struct without its defaults: msgspec cannot put a `Raw` into a schema."""
    hints = get_type_hints(struct, include_extras=True) | types
    fields = [(name, hints[name], msgspec.field(default_factory=Raw)) for name in struct.__struct_fields__]
    return msgspec.defstruct(struct.__name__, fields, namespace={"__doc__": struct.__doc__})


def _named(names: Iterable[str]) -> Schema:
    properties = {*names, *(old for old, new in ALIASES.items() if new in names)}
    return _with(**_TRACK, event={"enum": sorted(properties)})


def _with(**fields: Schema) -> Schema:
    return {"required": list(fields), "properties": fields}


def _ref(name: str) -> Schema:
    return {"$ref": f"#/$defs/{name}"}


def _document(root: str, defs: Schema) -> Schema:
    return {"$schema": DIALECT, **_ref(root), "$defs": defs}


# --- what goes out -----------------------------------------------------------------------------

_GROUPS = ("all", "any", "not")


def segment_change() -> Schema:
    """The schema of an output: a customer entered or left a segment."""
    defs = _written(SegmentChange, Cause, Reason, Observed)
    of_event = {"enum": ["event", "merge", "erasure"]}
    defs["Cause"] |= {"if": _with(kind=of_event), "then": _with(event_id={"type": "string"})}
    return _document("SegmentChange", defs)


def membership() -> Schema:
    """The schema of a customer's row in the table of memberships."""
    return _document("Membership", _definitions(Membership))


def reason() -> Schema:
    """The schema of a change's reason, for consumers that store it alone."""
    return _document("Reason", _written(Reason, Observed))


def _written(*structs: type[msgspec.Struct]) -> Schema:
    """The definitions of outputs for a reader: a field that is always written is required."""
    defs = _definitions(*structs)
    for struct in structs:
        _as_written(struct, defs[struct.__name__])
    node = defs["Reason"]
    for group in _GROUPS:
        node["properties"][group]["minItems"] = 1
    shown = {"required": ["condition", "observed", "test"]}
    erased = {"properties": {"holds": {"const": False}}, "maxProperties": 1}
    node["oneOf"] = [shown, *({"required": [group]} for group in _GROUPS), erased]
    return defs


def _as_written(struct: type[msgspec.Struct], schema: Schema) -> None:
    """Mark the fields that are always written as required: a struct may leave out defaults or write them."""
    for field in msgspec.structs.fields(struct):
        if field.required or field.default is UNSET:
            continue
        value = schema["properties"][field.encode_name]
        del value["default"]
        if not struct.__struct_config__.omit_defaults:
            schema["required"].append(field.encode_name)
        elif field.default is None:
            value["anyOf"].remove({"type": "null"})
            if len(value["anyOf"]) == 1:
                value |= value.pop("anyOf")[0]


def dead_letter() -> Schema:
    """A record that could not be used: headers with the reason and the origin, and the original value."""
    most, origin = dead_letters.ORIGINAL_MAX_BYTES, Origin("visits", 0, 0)
    whole = dead_letters.headers(b"", REASONS[0], origin)
    cut = dead_letters.headers(bytes(most + 1), REASONS[0], origin, key=bytes(most + 1))
    number = {"type": "string", "pattern": "^[0-9]+$"}
    of_cut, of_key = "of the original; only where the value is cut", "of the original key; only where it is cut"
    meanings: Schema = {
        "reason": {"description": "the first that applies, in this order", "enum": list(REASONS)},
        "topic": {"description": "where it was read, with the prefix", "type": "string"},
        "partition": number,
        "offset": number,
        "key-size": {"description": f"bytes {of_key}", **number},
        "key-sha256": {"description": of_key, "type": "string", "pattern": "^[0-9a-f]{64}$"},
        "size": {"description": f"bytes {of_cut}", **number},
        "sha256": {"description": of_cut, "type": "string", "pattern": "^[0-9a-f]{64}$"},
    }
    headers = {
        "description": "Kafka headers as UTF-8 text",
        "type": "object",
        "properties": {name: meanings[name] for name, _ in cut},
        "required": [name for name, _ in whole],
        "if": {"required": ["size"]},
        "then": {"required": ["sha256"]},
        "else": {"not": {"required": ["sha256"]}},
    }
    value = {
        "description": f"the original bytes; of more than {most} the first {most}; null if there were none",
        "type": ["string", "null"],
        "contentMediaType": "application/octet-stream",
    }
    record = {"title": "DeadLetter", "description": dead_letter.__doc__, "type": "object"}
    return _document("DeadLetter", {"DeadLetter": record | _with(headers=headers, value=value)})


# --- the topics --------------------------------------------------------------------------------

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


def asyncapi() -> Schema:
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
            "headers": {"type": "object", **_with(**_change_headers())},
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


# --- the files ---------------------------------------------------------------------------------


def files() -> dict[str, str]:
    """The text of each file, by its path in the project."""
    documents = {
        "docs/reference/schemas/event.json": event(),
        "docs/reference/schemas/segment-change.json": segment_change(),
        "docs/reference/schemas/membership.json": membership(),
        "docs/reference/schemas/reason.json": reason(),
        "docs/reference/schemas/dead-letter.json": dead_letter(),
        "docs/reference/schemas/segments.json": segments_schema.schema(),
        "docs/reference/schemas/triggers.json": triggers_schema.triggers(),
        "docs/reference/schemas/trigger-decision.json": triggers_schema.decision(),
        "docs/reference/asyncapi.json": asyncapi(),
        "docs/reference/openapi.json": routes.openapi(),
    }
    options: Schema = {"indent": 2, "sort_keys": True, "ensure_ascii": False}
    texts = {name: json.dumps(document, **options) + "\n" for name, document in documents.items()}
    drawn = {"docs/reference/conditions.md": reference.conditions(), "docs/reference/library.md": reference.library()}
    drawn |= {
        "docs/operations/metrics.md": metrics_reference.metrics(),
        "docs/operations/rights.md": page(Settings.model_construct()),
    }
    return texts | drawn


def pages(root: Path) -> dict[str, str]:
    """The text of each page of a tree with generated blocks, by its path. Raises `BlockError`."""
    texts = {page.relative_to(root).as_posix(): page.read_text("utf-8") for page in generated_blocks.pages(root)}
    with_blocks = {name: text for name, text in texts.items() if generated_blocks.has_blocks(text)}
    blocks = {**benchmark_tables.blocks(root), "settings": settings_reference.tables()} if with_blocks else {}
    drawn: dict[str, str] = {}
    for name, text in with_blocks.items():
        try:
            drawn[name] = generated_blocks.redrawn(text, blocks)
        except BlockError as error:
            raise BlockError(f"{name}:{error}") from None
    return drawn


def main(arguments: Sequence[str], root: Path = ROOT) -> int:
    """Write the files that are not current, or with ``--check`` report them. Returns the exit code."""
    if arguments not in ([], ["--check"]):
        sys.stderr.write("usage: python -m doc_tools.schemas [--check]\n")
        return 2
    try:
        texts = pages(root) | files()
    except BlockError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    stale = {name: text for name, text in texts.items() if not _is(root / name, text)}
    for name, text in stale.items():
        if arguments:
            sys.stderr.write(f"{name} is not what the code says: run python -m doc_tools.schemas\n")
        else:
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text, "utf-8")
    return 1 if arguments and stale else 0


def _is(path: Path, text: str) -> bool:
    return path.is_file() and path.read_text("utf-8") == text


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
