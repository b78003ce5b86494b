"""The stored form of a customer's traits, which is bounded whatever JSON the traits are.

Bounds, in bytes as they are stored: 16 KiB for the value of a trait, and 128 KiB for all traits of a customer with
their names. Within them a text has up to 1,024 characters, and a list or an object has its first 64 members, nested up
to 16 deep. Of members and traits that take too many bytes the largest are left out first, so that a flag such as
``unsubscribed`` stays beside a long history. No name is cut, as it would be another name then.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

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
    """The newest value of a trait, by (time, message id) of its identify; ``None``: it was taken back, or left out.

    ``is_cut``: some of the value, or all of it, was left out for its size.
    """

    time: int
    id: str
    value: Any
    is_cut: bool = False


class _Part(NamedTuple):
    """A value within the bounds, the most bytes that it takes, and whether some of it was left out."""

    value: Any
    size: int
    is_cut: bool


def stored(time: int, message_id: str, value: Json) -> Trait:
    """A trait as it is stored: within the bounds, with decimals and large integers as texts."""
    part = _shortened(value, 0)
    return Trait(time, message_id, part.value, part.is_cut)


def _shortened(value: Json, depth: int) -> _Part:
    if isinstance(value, (list, dict)):
        if depth == NESTED_MAX:
            return _Part(None, 1, True)
        return _list(value, depth + 1) if isinstance(value, list) else _object(value, depth + 1)
    written = value
    if not isinstance(value, str | bool) and value is not None and abs(value) >= 2**63:
        written = str(value)
    fitting = str(written[:TRAIT_MAX_CHARS]) if isinstance(written, str) else written
    return _Part(fitting, _size(fitting), fitting != written)


def _list(items: list[Json], depth: int) -> _Part:
    members = [_shortened(item, depth) for item in items[:MEMBERS_MAX]]
    fitting = _fitting([member.size for member in members], TRAIT_MAX_BYTES - _HEAD_BYTES)
    values = [members[index].value for index in fitting]
    size = _HEAD_BYTES + sum(members[index].size for index in fitting)
    return _Part(values, size, len(fitting) < len(items) or any(member.is_cut for member in members))


def _object(fields: dict[str, Json], depth: int) -> _Part:
    names = list(fields)[:MEMBERS_MAX]
    members = [_shortened(fields[name], depth) for name in names]
    sizes = [_size(name) + member.size for name, member in zip(names, members, strict=True)]
    fitting = _fitting(sizes, TRAIT_MAX_BYTES - _HEAD_BYTES)
    values = {names[index]: members[index].value for index in fitting}
    size = _HEAD_BYTES + sum(sizes[index] for index in fitting)
    return _Part(values, size, len(fitting) < len(fields) or any(member.is_cut for member in members))


def _fitting(sizes: list[int], most_bytes: int) -> list[int]:
    """The indices of members that fit together, the smallest first taken; in the order of the members."""
    fitting = []
    for index in sorted(range(len(sizes)), key=sizes.__getitem__):
        most_bytes -= sizes[index]
        if most_bytes < 0:
            break
        fitting.append(index)
    return sorted(fitting)


def newest(traits: Mapping[str, Trait], others: Mapping[str, Trait]) -> dict[str, Trait]:
    """Of each trait the newest value, by (time, message id), in whichever order they come."""
    merged = dict(traits)
    for name, trait in others.items():
        current = merged.get(name)
        if current is None or (trait.time, trait.id) > (current.time, current.id):
            merged[name] = trait
    return merged


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
        fitting[name] = msgspec.structs.replace(fitting[name], value=None, is_cut=True)
    for name in sorted(fitting, key=lambda name: (fitting[name].time, fitting[name].id, name)):
        if too_many <= 0:
            break
        too_many -= _size(name) + _size(fitting.pop(name))
    return fitting


def _size(value: object) -> int:
    return len(_encoder.encode(value))
