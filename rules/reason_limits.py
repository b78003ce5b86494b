"""Limits the size of reasons: cuts one that is too large to be published.

A reason shows what a definition asks beside what was observed, and a definition may list a thousand
values. Most reasons take 200 bytes; of one beyond `REASON_MAX_BYTES` every long list, object and text is
cut, and the node around it says where and how much (`rules.reasons.Reason.cut`). The result
depends on the reason alone, so the same decision is always published in the same form.

See also: `rules.reasons`, and `rules.sentences.reason_sentence`, which says what was cut.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from rules.reasons import Reason

# Below the 20 kB that Standard Webhooks advises for a whole payload, with room for the rest of a change.
REASON_MAX_BYTES = 8 * 1024

_GROUPS = ("all", "any", "not")
_CUT = "cut"
_ELLIPSIS = "…"

PlainReason = Any  # a reason as plain data


class ReasonLimit(NamedTuple):
    """The most items of each list or object, and the most characters of each text."""

    items: int
    chars: int


# The first limit under which the reason fits is taken. No segment's key is longer than a text of the last limit, and a
# chain of single conditions, nested as deep as they may be, fits under it in any script.
_LIMITS = (ReasonLimit(256, 512), ReasonLimit(64, 256), ReasonLimit(16, 128), ReasonLimit(4, 64), ReasonLimit(1, 64))

_encoder = msgspec.json.Encoder()


def bounded(reason: Reason) -> Reason:
    """The reason itself, or its parts within `REASON_MAX_BYTES` of JSON."""
    if len(_encoder.encode(reason)) <= REASON_MAX_BYTES:
        return reason
    whole = msgspec.to_builtins(reason)
    forms = (_node(whole, limit) for limit in _LIMITS)
    fitting = next(form for form in forms if len(_encoder.encode(form)) <= REASON_MAX_BYTES)
    return msgspec.convert(fitting, Reason)


def pointer(*steps: str) -> str:
    """The JSON Pointer of these steps."""
    return "".join("/" + step.replace("~", "~0").replace("/", "~1") for step in steps)


def _node(node: Mapping[str, PlainReason], limit: ReasonLimit) -> dict[str, PlainReason]:
    marks: dict[str, int] = {}
    shortened: dict[str, PlainReason] = {}
    for name, value in node.items():
        if name in _GROUPS:
            shortened[name] = [_node(member, limit) for member in _first(value, pointer(name), limit, marks)]
        elif name != _CUT:
            shortened[name] = _value(value, pointer(name), limit, marks)
    for place, left_out in node.get(_CUT, {}).items():
        marks[place] = marks.get(place, 0) + left_out
    return {**shortened, _CUT: marks} if marks else shortened


def _value(value: PlainReason, place: str, limit: ReasonLimit, marks: dict[str, int]) -> PlainReason:
    if isinstance(value, str):
        return _text(value, place, limit, marks)
    if isinstance(value, list | tuple):
        items = _first(value, place, limit, marks)
        return [_value(item, f"{place}/{index}", limit, marks) for index, item in enumerate(items)]
    if isinstance(value, dict):
        fields = [(name, field) for name, field in value.items() if len(name) <= limit.chars][: limit.items]
        if len(fields) < len(value):
            marks[place] = len(value) - len(fields)
        return {name: _value(field, place + pointer(name), limit, marks) for name, field in fields}
    return value


def _first(
    items: Sequence[PlainReason], place: str, limit: ReasonLimit, marks: dict[str, int]
) -> Sequence[PlainReason]:
    if len(items) > limit.items:
        marks[place] = len(items) - limit.items
    return items[: limit.items]


def _text(text: str, place: str, limit: ReasonLimit, marks: dict[str, int]) -> str:
    if len(text) <= limit.chars:
        return text
    head = text[: limit.chars - len(_ELLIPSIS)]
    marks[place] = len(text) - len(head)
    return head + _ELLIPSIS
