"""The forms of a segments file around its conditions: a segment, bands, the use of the library.

See also: `rules.conditions`, where each kind of condition has its form, and `rules.forms`, which they share.
"""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import ConfigDict, Field, WithJsonSchema

from rules.forms.form import Duration, Form
from rules.forms.json_schema import NUMBER, reference
from rules.forms.segment_key import KEY_PATTERN

TEXT_MAX_CHARS = 300
BANDS_MAX = 20

_TEXT = {"type": "string", "minLength": 1, "maxLength": TEXT_MAX_CHARS}
_ABOUT = {**_TEXT, "description": "a sentence for the people who use the segment"}
_HOLD = {**reference("duration"), "description": "a customer stays at least so long, unless they buy"}
_KEYS = {"type": "array", "items": {"type": "string", "pattern": KEY_PATTERN}, "minItems": 1}
_FROM = {
    "type": "object",
    "additionalProperties": NUMBER,
    "minProperties": 1,
    "maxProperties": BANDS_MAX,
    "description": "each band's name and where it begins: {low: 0, high: 1001}",
}

# Conditions on a number, whose test is a range or a count; of those with a count a band begins at a whole number.
COUNTED_KINDS = ("performed", "sessions")
BANDED_KINDS = ("total", "ratio", "score", *COUNTED_KINDS)

# The body of a condition without its test. Its schema is inline in that of a segment.
UntestedBody = Annotated[dict[str, object] | None, WithJsonSchema({"type": "object"})]
SegmentText = Annotated[str, Field(min_length=1, max_length=TEXT_MAX_CHARS), WithJsonSchema(_TEXT)]
About = Annotated[str, Field(min_length=1, max_length=TEXT_MAX_CHARS), WithJsonSchema(_ABOUT)]

Keys = Annotated[list[str], Field(min_length=1), WithJsonSchema(_KEYS)]


class SegmentForm(Form):
    model_config = ConfigDict(json_schema_extra={"oneOf": [{"required": ["when"]}, {"required": ["bands"]}]})
    example: ClassVar = "{title: Repeat buyer, when: {…}}"

    title: SegmentText
    about: About | None = None
    kind: SegmentText | None = None
    hold: Annotated[Duration | None, WithJsonSchema(_HOLD)] = None
    when: Annotated[object, WithJsonSchema(reference("condition"))] = None
    bands: Annotated[object, WithJsonSchema(reference("bands"))] = None
    include: Annotated[object, WithJsonSchema(reference("include"))] = None


class BandsForm(Form):
    model_config = ConfigDict(
        populate_by_name=True, json_schema_extra={"oneOf": [{"required": [kind]} for kind in BANDED_KINDS]}
    )
    example: ClassVar = "{total: {agg: sum, …}, from: {low: 0, high: 1001}}"

    total: UntestedBody = None
    ratio: UntestedBody = None
    score: UntestedBody = None
    performed: UntestedBody = None
    sessions: UntestedBody = None
    from_: Annotated[dict[str, object], Field(alias="from"), WithJsonSchema(_FROM)]


class LibraryForm(Form):
    example: ClassVar = "{without: [hold_out]}"

    without: Keys = Field(default=[])
    only: Keys = Field(default=[])
