"""Generates the JSON Schema of the segments file, so that an editor completes and checks it.

The one rule: it accepts every file that `segmenter check` accepts; rules that a schema cannot express (ends that
leave room, cycles, known segments) are checked by `check` alone.

For the YAML language server: ``# yaml-language-server: $schema=docs/reference/schemas/segments.json``.
"""

from __future__ import annotations

from rules.conditions.boolean import GROUP_KINDS
from rules.conditions.kinds import CONDITION_KINDS
from rules.conditions.totals import total_schema_without_test
from rules.definitions.forms import BANDED_KINDS, BandsForm, LibraryForm, SegmentForm
from rules.definitions.include import IncludeForm, NewestEventForm
from rules.definitions.parse_currency import CURRENCY
from rules.definitions.segments_file import SEGMENTS_MAX
from rules.forms import value_test_parsing
from rules.forms.json_schema import NUMBER, TEXT, Schema, form_schema, mapping, reference, value_test_schema
from rules.forms.segment_key import KEY_PATTERN
from rules.hosts import HOST_FORM, HOST_MAX_CHARS, OWN_MAX
from rules.placeholders import ADDED_MAX, ADDED_MAX_CHARS
from rules.times import DURATION_FORM
from rules.value_tests import ENDS, ITEM


def schema() -> Schema:
    """The schema of the whole file."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Segments",
        "description": "A segments file: customers' segments and when they hold.",
        **mapping(
            {
                "version": {"const": 1},
                "currency": {
                    "type": "string",
                    "pattern": f"^{CURRENCY.pattern}$",
                    "description": "ISO 4217; what money is added up in",
                },
                "library": {
                    "anyOf": [{"type": "boolean"}, form_schema(LibraryForm)],
                    "description": "take the built-in segments, or parts",
                },
                "placeholders": {
                    "type": "array",
                    "items": {"type": "string", "pattern": r"\S", "maxLength": ADDED_MAX_CHARS},
                    "maxItems": ADDED_MAX,
                    "description": "texts that are no ids, beside those that are known, such as undefined",
                },
                "hosts": {
                    "type": "array",
                    "items": {"type": "string", "pattern": f"^{HOST_FORM}$", "maxLength": HOST_MAX_CHARS},
                    "maxItems": OWN_MAX,
                    "description": "the shop's own hosts, such as shop.example; with their subdomains no referrers",
                },
                "segments": {
                    "type": "object",
                    "propertyNames": {"pattern": KEY_PATTERN},
                    "additionalProperties": reference("segment"),
                    "maxProperties": SEGMENTS_MAX,
                },
            },
            "version",
        ),
        "anyOf": [{"required": ["segments"]}, {"required": ["library"]}],
        "$defs": _defs(),
    }


def _defs() -> Schema:
    """The parts that conditions refer to. Their names are published, as editors and other schemas may refer to them."""
    return {
        "segment": _segment(),
        "condition": {
            "oneOf": [
                mapping({kind.key: {"description": kind.example, **kind.schema}}, kind.key)
                for kind in (*GROUP_KINDS, *CONDITION_KINDS)
            ]
        },
        "duration": {"type": "string", "pattern": "^[1-9][0-9]{0,8}(ms|s|m|h|d|w)$", "description": DURATION_FORM},
        "events": {"anyOf": [TEXT, {"type": "array", "items": TEXT, "minItems": 1}]},
        "scalar": {"type": ["string", "number", "boolean"]},
        "test": {"anyOf": [reference("scalar"), value_test_schema()]},
        "textTest": {"anyOf": [TEXT, value_test_schema(TEXT)]},
        "where": {
            **_tests_by_name(),
            "properties": {ITEM: {"anyOf": [reference("test"), _tests_by_name()]}},
        },
        "range": {"anyOf": [NUMBER, {**mapping(dict.fromkeys(ENDS, NUMBER)), "minProperties": 1}]},
        "count": {
            "anyOf": [
                _whole(),
                {**mapping(dict.fromkeys(value_test_parsing.COUNT_KEYS, _whole())), "minProperties": 1},
            ]
        },
        "ago": {**mapping(dict.fromkeys(value_test_parsing.AGO_KEYS, reference("duration"))), "minProperties": 1},
        "age": {"anyOf": [{**mapping(dict.fromkeys(ENDS, _years())), "minProperties": 1}, reference("ago")]},
        "date": {**TEXT, "description": "a date such as '2025-01-01', or an instant"},
        "ahead": {
            **mapping({"at_least": reference("duration"), "at_most": reference("duration")}),
            "minProperties": 1,
        },
        "anniversary": {"anyOf": [{"const": "today"}, *map(_anniversary, ("today", "within_next", "within_last"))]},
    }


def _segment() -> Schema:
    """The schema of a segment; parts that only a segment has are inline."""
    segment = form_schema(SegmentForm)
    bands = form_schema(BandsForm)
    bands["properties"] |= {kind.key: _untested(kind.schema) for kind in CONDITION_KINDS if kind.key in BANDED_KINDS}
    segment["properties"]["bands"] = bands
    include = form_schema(IncludeForm)
    include["properties"]["last"] = form_schema(NewestEventForm)
    total = total_schema_without_test()
    include["properties"]["totals"] = {"type": "object", "additionalProperties": total, "minProperties": 1}
    segment["properties"]["include"] = {**include, "minProperties": 1}
    return segment


def _untested(schema: Schema) -> Schema:
    """The schema of a condition's body without its test."""
    properties = {key: each for key, each in schema["properties"].items() if key not in {*ENDS, "count"}}
    return {**schema, "properties": properties, "required": [key for key in schema["required"] if key in properties]}


def _anniversary(kind: str) -> Schema:
    operand: Schema = {"const": True} if kind == "today" else reference("duration")
    return {**mapping({kind: operand, "timezone": TEXT}), "required": [kind]}


def _tests_by_name() -> Schema:
    return {"type": "object", "additionalProperties": reference("test"), "minProperties": 1}


def _whole() -> Schema:
    return {"type": "integer", "minimum": 0, "maximum": value_test_parsing.COUNT_MAX}


def _years() -> Schema:
    return {"type": "integer", "minimum": 0, "maximum": value_test_parsing.YEARS_MAX}
