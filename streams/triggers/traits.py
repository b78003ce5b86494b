"""The stored form of a customer's traits, which is bounded whatever JSON the traits are.

Bounds, in bytes as they are stored: 16 KiB for the value of a trait, and 128 KiB for all traits of a customer with
their names. Within them a text has up to 1,024 characters, and a list or an object has its first 64 members, nested up
to 16 deep. Of members and traits that take too many bytes the largest are left out first, so that a flag such as
``unsubscribed`` stays beside a long history. No name is cut, as it would be another name then.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from rules.values import Json

TRAIT_MAX_CHARS = 1_024
TRAIT_MAX_BYTES = 16 * 1024
TRAITS_MAX_BYTES = 128 * 1024
MEMBERS_MAX = 64
NESTED_MAX = 16
# The longest head of a list, an object or a text in msgpack.
_HEAD_BYTES = 5

# The stored name of `context.timezone`; no trait has it, as traits are stored by the first part of a dotted name.
CONTEXT_TIMEZONE = "context.timezone"

_encoder = msgspec.msgpack.Encoder()


class Trait(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The newest value of a trait, by (time, message id) of its identify; ``None``: it was taken back, or left out."""

    time: int
    id: str
    value: Any


def shortened(value: Json) -> Any:
    """The value of a trait as it is stored: within the bounds, with decimals and large integers as texts."""
    return _shortened(value, 0)[0]


def _shortened(value: Json, depth: int) -> tuple[Any, int]:
    """A value within the bounds, and the most bytes that it takes."""
    if isinstance(value, (list, dict)):
        if depth == NESTED_MAX:
            return None, 1
        return _list(value, depth + 1) if isinstance(value, list) else _object(value, depth + 1)
    if isinstance(value, str):
        value = str(value[:TRAIT_MAX_CHARS])
    elif not isinstance(value, bool) and value is not None and abs(value) >= 2**63:
        value = str(value)[:TRAIT_MAX_CHARS]
    return value, _size(value)


def _list(items: list[Json], depth: int) -> tuple[list[Any], int]:
    members = [_shortened(item, depth) for item in items[:MEMBERS_MAX]]
    fitting = _fitting([size for _, size in members], TRAIT_MAX_BYTES - _HEAD_BYTES)
    values = [members[index][0] for index in fitting]
    size = _HEAD_BYTES + sum(members[index][1] for index in fitting)
    return values, size


def _object(fields: dict[str, Json], depth: int) -> tuple[dict[str, Any], int]:
    names = list(fields)[:MEMBERS_MAX]
    members = [_shortened(fields[name], depth) for name in names]
    sizes = [_size(name) + size for name, (_, size) in zip(names, members, strict=True)]
    fitting = _fitting(sizes, TRAIT_MAX_BYTES - _HEAD_BYTES)
    values = {names[index]: members[index][0] for index in fitting}
    size = _HEAD_BYTES + sum(sizes[index] for index in fitting)
    return values, size


def _fitting(sizes: list[int], most_bytes: int) -> list[int]:
    """The indices of members that fit together, the smallest first taken; in the order of the members."""
    fitting = []
    for index in sorted(range(len(sizes)), key=sizes.__getitem__):
        most_bytes -= sizes[index]
        if most_bytes < 0:
            break
        fitting.append(index)
    return sorted(fitting)


def bounded(traits: Mapping[str, Trait]) -> dict[str, Trait]:
    """All traits of a customer within the bound of all.

    The largest values are left out first, but not when they were set, so that an older value does not come instead.
    Where not even that fits, those that were set longest ago go.
    """
    fitting = dict(traits)
    too_many = _size(fitting) - TRAITS_MAX_BYTES
    if too_many <= 0:
        return fitting
    for name in sorted(fitting, key=lambda name: (-_size(fitting[name].value), name)):
        if too_many <= 0:
            return fitting
        too_many -= _size(fitting[name].value) - _size(None)
        fitting[name] = msgspec.structs.replace(fitting[name], value=None)
    for name in sorted(fitting, key=lambda name: (fitting[name].time, fitting[name].id, name)):
        if too_many <= 0:
            break
        too_many -= _size(name) + _size(fitting.pop(name))
    return fitting


def _size(value: object) -> int:
    return len(_encoder.encode(value))
