"""Makes JSON Schema of forms, so that an editor completes and checks a file of segments.

A form's fields say what they hold: by their type, or by a `WithJsonSchema` where the type is that of the parsed value.
What fields have in common stands in the schema's ``$defs`` (`doc_tools.segments_schema`), which `reference` names.
"""

from __future__ import annotations

from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel, WithJsonSchema
from pydantic.fields import FieldInfo

from rules.forms import value_test_parsing
from rules.value_tests import ENDS

Schema = dict[str, Any]  # JSON of any shape

TEXT: Schema = {"type": "string", "minLength": 1}
NUMBER: Schema = {"type": "number"}


def reference(name: str) -> Schema:
    """A reference to the schema of this name under ``$defs``."""
    return {"$ref": f"#/$defs/{name}"}


def mapping(properties: Schema, *required: str) -> Schema:
    """The schema of a mapping with these keys and no other."""
    schema: Schema = {"type": "object", "properties": properties, "additionalProperties": False}
    return {**schema, "required": list(required)} if required else schema


def value_test_schema(scalar: Schema | None = None) -> Schema:
    """The schema of a test of a value; ``scalar``: the type of its values, where they are no numbers."""
    value = reference("scalar") if scalar is None else scalar
    several = {"type": "array", "items": value, "minItems": 1, "maxItems": value_test_parsing.IN_MAX}
    matches = {
        **TEXT,
        "maxLength": value_test_parsing.PATTERN_MAX_CHARS,
        "description": "an RE2 expression, found anywhere",
    }
    tests = {
        "in": several,
        "not_in": several,
        "contains": value,
        "not_contains": value,
        "starts_with": TEXT,
        "ends_with": TEXT,
        "exists": {"type": "boolean"},
        "matches": matches,
        "exact": TEXT,
    }
    ends = {} if scalar is not None else dict.fromkeys(ENDS, NUMBER)
    return {**mapping({**tests, **ends}), "minProperties": 1}


def fixed_list(of: Schema, number: int) -> Schema:
    """The schema of a list of so many."""
    return {"type": "array", "items": of, "minItems": number, "maxItems": number}


def event_points() -> Schema:
    """The schema of the points of each event, by its name."""
    points = {**NUMBER, "exclusiveMinimum": 0, "maximum": value_test_parsing.POINTS_MAX}
    most = value_test_parsing.EVENTS_WITH_POINTS_MAX
    return {"type": "object", "additionalProperties": points, "minProperties": 1, "maxProperties": most}


def form_schema(form: type[BaseModel]) -> Schema:
    """The schema of a form, from its fields and what its configuration adds (``json_schema_extra``)."""
    fields = {field.alias or name: field for name, field in form.model_fields.items()}
    required = [name for name, field in fields.items() if field.is_required()]
    extra = form.model_config.get("json_schema_extra")
    added = extra if isinstance(extra, dict) else {}
    return {**mapping({name: _field_schema(field) for name, field in fields.items()}, *required), **added}


def _field_schema(field: FieldInfo) -> Schema:
    for part in field.metadata:
        if isinstance(part, WithJsonSchema) and part.json_schema is not None:
            return dict(part.json_schema)
    return _type_schema(field.annotation)


def _type_schema(annotation: Any) -> Schema:
    """The schema of a type: a choice of texts, a text, or, of an optional type, the type without ``None``."""
    if get_origin(annotation) is Literal:
        return {"enum": list(get_args(annotation))}
    if annotation is str:
        return {"type": "string"}
    for member in get_args(annotation):
        for part in getattr(member, "__metadata__", ()):
            if isinstance(part, WithJsonSchema) and part.json_schema is not None:
                return dict(part.json_schema)
        if member is not type(None):
            return _type_schema(member)
    raise TypeError(f"{annotation} has no JSON Schema here; annotate the field with WithJsonSchema")
