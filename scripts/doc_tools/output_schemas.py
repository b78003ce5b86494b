"""Generates the schemas of what goes out: changes, memberships, reasons and dead letters."""

from __future__ import annotations

import msgspec
from msgspec import UNSET

from doc_tools.schema_parts import definitions, document, with_fields
from rules.events import Origin
from rules.forms.json_schema import Schema
from rules.reasons import Observed, Reason
from streams.wire import dead_letters
from streams.wire.changes import Cause, SegmentChange
from streams.wire.dead_letters import FIELDS, REASONS, Undecodable
from streams.wire.memberships import Membership

# An example: only its values are made up, not its names and form.
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

_GROUPS = ("all", "any", "not")


def segment_change() -> Schema:
    """The schema of an output: a customer entered or left a segment."""
    defs = _written(SegmentChange, Cause, Reason, Observed)
    of_event = {"enum": ["event", "merge", "erasure"]}
    defs["Cause"] |= {"if": with_fields(kind=of_event), "then": with_fields(event_id={"type": "string"})}
    return document("SegmentChange", defs)


def membership() -> Schema:
    """The schema of a customer's row in the table of memberships."""
    return document("Membership", definitions(Membership))


def reason() -> Schema:
    """The schema of a change's reason, for consumers that store it alone."""
    return document("Reason", _written(Reason, Observed))


def _written(*structs: type[msgspec.Struct]) -> Schema:
    """The definitions of outputs for a reader: a field that is always written is required."""
    defs = definitions(*structs)
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
    whole = dead_letters.headers(b"", Undecodable(REASONS[0]), origin)
    wrong = Undecodable(REASONS[0], FIELDS[0])
    cut = dead_letters.headers(bytes(most + 1), wrong, origin, key=bytes(most + 1))
    number = {"type": "string", "pattern": "^[0-9]+$"}
    of_cut, of_key = "of the original; only where the value is cut", "of the original key; only where it is cut"
    meanings: Schema = {
        "reason": {"description": "the first that applies, in this order", "enum": list(REASONS)},
        "field": {"description": "which is wrong or lacks; not where it is the whole record", "enum": list(FIELDS)},
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
    return document("DeadLetter", {"DeadLetter": record | with_fields(headers=headers, value=value)})
