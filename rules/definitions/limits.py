"""Limits of a segments file, whose texts are part of each change.

A change shows what its segment asks, so each text of a condition is written with every entry and exit. A file
beyond these limits is refused when it is read; one that a worker stored before is not, as customers were decided by
it. Within them a reason may still be cut (`rules.reason_limits`): a list of a thousand values is of use, and its
beginning shows what it is.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

from rules.forms.problems import Problem

# The most characters of a value, of a name of an event, property or trait, and of a salt; a regular expression's, too.
TEXT_MAX_CHARS = 500
# The most bytes of a segment's condition as JSON: eight lists of a thousand values of thirty characters.
CONDITION_MAX_BYTES = 256 * 1024

_CONDITIONS = ("when", "bands")


def problems(document: object) -> Iterator[Problem]:
    """The texts of a document that are too large, as problems."""
    segments = document.get("segments") if isinstance(document, Mapping) else None
    for key, segment in segments.items() if isinstance(segments, Mapping) else ():
        for name in _CONDITIONS:
            if isinstance(segment, Mapping) and name in segment:
                yield from _problems(f"segments.{key}.{name}", segment[name])


def _problems(path: str, condition: object) -> Iterator[Problem]:
    size = len(json.dumps(condition, ensure_ascii=False, default=str, skipkeys=True).encode())
    if size > CONDITION_MAX_BYTES:
        sizes = f"{size:,} bytes as JSON, at most {CONDITION_MAX_BYTES:,}"
        yield Problem(path, sizes, "list fewer values, or let the shop send a property")
    else:
        yield from _long_texts(path, condition)


def _long_texts(path: str, node: object) -> Iterator[Problem]:
    if isinstance(node, str):
        if len(node) > TEXT_MAX_CHARS:
            text = f"{len(node):,} characters, at most {TEXT_MAX_CHARS}: it would stand in every change"
            yield Problem(path, text)
    elif isinstance(node, Mapping):
        for name, value in node.items():
            if isinstance(name, str) and len(name) > TEXT_MAX_CHARS:
                text = f"a name of {len(name):,} characters, at most {TEXT_MAX_CHARS}: {name[:40]}…"
                yield Problem(path, text)
            else:
                yield from _long_texts(f"{path}.{name}", value)
    elif isinstance(node, list):
        for index, value in enumerate(node):
            yield from _long_texts(f"{path}[{index}]", value)
