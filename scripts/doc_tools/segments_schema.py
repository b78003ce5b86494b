"""The segments file as a JSON Schema, so that an editor completes and checks it.

The one rule: it accepts every file that `segmenter check` accepts; what needs arithmetic (ends that
leave room, cycles, known segments) only `check` can say.

For the YAML language server: ``# yaml-language-server: $schema=docs/reference/schemas/segments.json``.
"""

from __future__ import annotations

from typing import Any, get_args

from rules.conditions.calendars import WEEKDAYS
from rules.conditions.cart import Stage
from rules.conditions.totals import Aggregate
from rules.context import ATTRIBUTES, CHANNELS
from rules.definitions import forms, value_test_parsing
from rules.definitions.condition_parsing import FORMS
from rules.definitions.segments_file import CURRENCY, KEY, SEGMENTS_MAX
from rules.definitions.shorthand import BANDS_MAX
from rules.placeholders import ADDED_MAX, ADDED_MAX_CHARS
from rules.times import DURATION_FORM
from rules.value_tests import ENDS

Schema = dict[str, Any]  # JSON: what is in it is what this module is about

_TEXT: Schema = {"type": "string", "minLength": 1}
_NUMBER: Schema = {"type": "number"}
_KEY = f"^{KEY.pattern}$"


def schema() -> Schema:
    """The whole document."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Segments",
        "description": "A segments file: customers' segments and when they hold.",
        **_object(
            {
                "version": {"const": 1},
                "currency": {
                    "type": "string",
                    "pattern": f"^{CURRENCY.pattern}$",
                    "description": "ISO 4217; what money is added up in",
                },
                "library": {
                    "anyOf": [{"type": "boolean"}, _library()],
                    "description": "take the built-in segments, or parts",
                },
                "placeholders": {
                    "type": "array",
                    "items": {"type": "string", "pattern": r"\S", "maxLength": ADDED_MAX_CHARS},
                    "maxItems": ADDED_MAX,
                    "description": "texts that are no ids, beside those that are known, such as undefined",
                },
                "segments": {
                    "type": "object",
                    "propertyNames": {"pattern": _KEY},
                    "additionalProperties": _ref("segment"),
                    "maxProperties": SEGMENTS_MAX,
                },
            },
            "version",
        ),
        "anyOf": [{"required": ["segments"]}, {"required": ["library"]}],
        "$defs": _defs(),
    }


def _library() -> Schema:
    keys = {"type": "array", "items": {"type": "string", "pattern": _KEY}, "minItems": 1}
    return _object({"without": keys, "only": keys})


def _defs() -> Schema:
    return {
        "segment": _segment(),
        "condition": {
            "oneOf": [
                _object({kind: {"description": description, **_body(kind)}}, kind)
                for kind, description in FORMS.items()
            ]
        },
        "duration": {"type": "string", "pattern": "^[1-9][0-9]{0,8}(ms|s|m|h|d)$", "description": DURATION_FORM},
        "events": {"anyOf": [_TEXT, {"type": "array", "items": _TEXT, "minItems": 1}]},
        "scalar": {"type": ["string", "number", "boolean"]},
        "test": {"anyOf": [_ref("scalar"), _tests()]},
        "textTest": {"anyOf": [_TEXT, _tests(_TEXT)]},
        "where": {"type": "object", "additionalProperties": _ref("test"), "minProperties": 1},
        "range": {"anyOf": [_NUMBER, {**_object(dict.fromkeys(ENDS, _NUMBER)), "minProperties": 1}]},
        "count": {
            "anyOf": [
                _whole(),
                {**_object(dict.fromkeys(value_test_parsing.COUNT_KEYS, _whole())), "minProperties": 1},
            ]
        },
        "ago": {**_object(dict.fromkeys(value_test_parsing.AGO_KEYS, _ref("duration"))), "minProperties": 1},
        "age": {"anyOf": [{**_object(dict.fromkeys(ENDS, _years())), "minProperties": 1}, _ref("ago")]},
    }


def _segment() -> Schema:
    text = {"type": "string", "minLength": 1, "maxLength": forms.TEXT_MAX_CHARS}
    total = {**_total(), "required": ["agg", "of", "event"]}
    return {
        **_object(
            {
                "title": text,
                "about": {**text, "description": "a sentence for whoever uses the segment"},
                "kind": text,
                "hold": {**_ref("duration"), "description": "a customer stays at least so long, unless they buy"},
                "when": _ref("condition"),
                "bands": _object(
                    {
                        "total": total,
                        "from": {
                            "type": "object",
                            "additionalProperties": _NUMBER,
                            "minProperties": 1,
                            "maxProperties": BANDS_MAX,
                            "description": "each band's name and where it begins: {low: 0, high: 1001}",
                        },
                    },
                    "total",
                    "from",
                ),
            },
            "title",
        ),
        "oneOf": [{"required": ["when"]}, {"required": ["bands"]}],
    }


def _body(kind: str) -> Schema:
    return _BODIES[kind]()


def _members() -> Schema:
    return {"type": "array", "items": _ref("condition"), "minItems": 1}


def _none() -> Schema:
    return {"anyOf": [_ref("condition"), _members()]}


def _performed() -> Schema:
    return _object({**_EVENTS, "count": _ref("count"), "within": _ref("duration")}, "event")


def _total() -> Schema:
    agg = {"enum": list(get_args(Aggregate))}
    ends = dict.fromkeys(ENDS, _NUMBER)
    return _object({"agg": agg, "of": _TEXT, **_EVENTS, "within": _ref("duration"), **ends}, "agg", "of", "event")


def _moment() -> Schema:
    return _object({**_EVENTS, "ago": _ref("ago")}, "event")


def _sequence() -> Schema:
    step = _object(_EVENTS, "event")
    steps = {"type": "array", "items": step, "minItems": 2, "maxItems": forms.STEPS_MAX}
    return _object({"steps": steps, "within": _ref("duration"), "same": _TEXT}, "steps")


def _cart() -> Schema:
    stage = {"enum": list(get_args(Stage))}
    tests = {"value": _ref("range"), "items": _ref("range")}
    return _object({"idle_for": _ref("duration"), "until": _ref("duration"), "stage": stage, **tests})


def _sessions() -> Schema:
    return _object({"count": _ref("count"), "within": _ref("duration"), "gap": _ref("duration")}, "count", "within")


def _trait() -> Schema:
    with_age = _tests()
    with_age["properties"] = {**with_age["properties"], "age": _ref("age")}
    return {"type": "object", "additionalProperties": {"anyOf": [_ref("scalar"), with_age]}, "minProperties": 1}


def _context() -> Schema:
    channel = {"anyOf": [{"enum": list(CHANNELS)}, _tests({"enum": list(CHANNELS)})]}
    attributes = {name: channel if name == "channel" else _ref("textTest") for name in ATTRIBUTES}
    return {**_object({**attributes, "touch": {"enum": ["first", "last"]}}), "minProperties": 1}


def _in_segment() -> Schema:
    return {"type": "string", "pattern": _KEY}


def _calendar() -> Schema:
    day = {"type": "string", "pattern": "^[01][0-9]-[0-3][0-9]$"}
    weekday = {"enum": list(WEEKDAYS)}
    return {
        **_object({
            "between": {"type": "array", "items": day, "minItems": 2, "maxItems": 2},
            "weekday": {"anyOf": [weekday, {"type": "array", "items": weekday, "minItems": 1}]},
            "calendar": {"enum": list(get_args(forms.Calendar))},
            "timezone": {**_TEXT, "description": "such as Asia/Tehran; UTC when left out"},
        }),
        "anyOf": [{"required": ["between"]}, {"required": ["weekday"]}],
    }  # fmt: skip


def _sample() -> Schema:
    return _object(
        {"percent": {"type": "number", "exclusiveMinimum": 0, "maximum": 100}, "salt": {"type": "string"}}, "percent"
    )


_BODIES = {
    "all": _members, "any": _members, "not": _none, "performed": _performed, "total": _total, "last": _moment,
    "first": _moment, "sequence": _sequence, "cart": _cart, "sessions": _sessions, "trait": _trait,
    "context": _context, "in_segment": _in_segment, "calendar": _calendar, "sample": _sample,
}  # fmt: skip


def _tests(scalar: Schema | None = None) -> Schema:
    single = _ref("scalar") if scalar is None else scalar
    several = {"type": "array", "items": single, "minItems": 1, "maxItems": value_test_parsing.IN_MAX}
    matches = {
        **_TEXT,
        "maxLength": value_test_parsing.PATTERN_MAX_CHARS,
        "description": "an RE2 expression, found anywhere",
    }
    ends = {} if scalar is not None else dict.fromkeys(ENDS, _NUMBER)
    tests = {"in": several, "not_in": several, "contains": single, "exists": {"type": "boolean"}, "matches": matches}
    return {**_object({**tests, **ends}), "minProperties": 1}


def _whole() -> Schema:
    return {"type": "integer", "minimum": 0, "maximum": value_test_parsing.COUNT_MAX}


def _years() -> Schema:
    return {"type": "integer", "minimum": 0, "maximum": value_test_parsing.YEARS_MAX}


def _object(properties: Schema, *required: str) -> Schema:
    schema: Schema = {"type": "object", "properties": properties, "additionalProperties": False}
    return {**schema, "required": list(required)} if required else schema


def _ref(name: str) -> Schema:
    return {"$ref": f"#/$defs/{name}"}


_EVENTS: Schema = {"event": _ref("events"), "where": _ref("where")}
