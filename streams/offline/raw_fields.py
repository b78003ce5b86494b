"""The fields of JSON as they are written, to look at what a decoder does not read. What is of another kind has none."""

from __future__ import annotations

from typing import TypeAlias

import msgspec

from streams.offline.example_counts import EXAMPLE_CHARS

# The fields of a JSON object, each as it is written.
Fields: TypeAlias = dict[str, msgspec.Raw]

_objects = msgspec.json.Decoder(dict[str, msgspec.Raw])
_lists = msgspec.json.Decoder(list[msgspec.Raw])


def fields_of(raw: bytes | msgspec.Raw) -> Fields:
    """The fields of a JSON object, each as it is written; none of anything else."""
    try:
        return _objects.decode(raw)
    except (msgspec.DecodeError, RecursionError):
        return {}


def members_of(raw: msgspec.Raw) -> list[msgspec.Raw]:
    """The members of a JSON list, each as it is written; none of anything else."""
    try:
        return _lists.decode(raw)
    except (msgspec.DecodeError, RecursionError):
        return []


def text_of(raw: msgspec.Raw) -> str | None:
    """The text of a field; nothing for anything else."""
    try:
        return msgspec.json.decode(raw, type=str | None)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def written(raw: bytes | msgspec.Raw) -> str:
    return bytes(raw)[: 4 * EXAMPLE_CHARS].decode(errors="replace")
