"""Values of the properties, traits and context of an event.

The one rule: no number passes through a float, and an absent value, null or empty text is `None`
everywhere. A dotted name reaches into objects; through a list it gives its members' values.
"""

from __future__ import annotations

import json
import re
from decimal import ROUND_DOWN, Decimal
from typing import Any, TypeAlias, cast

import msgspec
from msgspec.structs import force_setattr

Json: TypeAlias = "bool | int | Real | str | list[Json] | dict[str, Json] | None"
Path: TypeAlias = tuple[str, ...]

MICRO = 1_000_000
# A number of this size or more stays a value, but is compared with nothing: in 10⁻⁶ it would not fit the 64 bits of a
# stored number.
NUMBER_LIMIT = 9 * 10**12

_NUMBER = re.compile(r"-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d{1,4})?", re.ASCII)
_CHARS_MAX = 400
_STEP = Decimal("0.000001")


class Real(str):
    """A number with a point or an exponent, as the text that it was written in."""

    __slots__ = ()


_objects = msgspec.json.Decoder(dict[str, object] | None, float_hook=Real)


def read_any(raw: msgspec.Raw | bytes) -> object:
    """Decode JSON with numbers of any size, which the faster decoder refuses."""
    return json.loads(bytes(raw), parse_float=Real, parse_int=_whole)


def _whole(digits: str) -> int | Real:
    return int(digits) if len(digits) <= _CHARS_MAX else Real(digits)


class Document(msgspec.Struct, frozen=True, eq=False, gc=False):
    """A JSON object of an event, parsed at its first use."""

    raw: Any  # msgspec.Raw, or bytes
    parsed: Any = None

    @property
    def fields(self) -> dict[str, Json]:
        """All fields. The decoder of the event has checked that the text can be parsed."""
        if self.parsed is None:
            try:
                parsed = _objects.decode(self.raw) or {}
            except msgspec.ValidationError:
                parsed = cast("dict[str, object]", read_any(self.raw) or {})
            force_setattr(self, "parsed", parsed)
        return cast("dict[str, Json]", self.parsed)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Document) and bytes(self.raw) == bytes(other.raw)

    def __hash__(self) -> int:
        return hash(bytes(self.raw))


NO_DOCUMENT = Document(b"null")


def path_of(name: str) -> Path:
    """Split a name such as ``address.city`` into the steps of its path."""
    return tuple(name.split("."))


def resolve_path(value: Json, path: Path) -> Json:
    """The value at a path; `None` if there is none."""
    for step, name in enumerate(path):
        if isinstance(value, list):
            members: list[Json] = [
                inner for member in value if (inner := resolve_path(member, path[step:])) is not None
            ]
            return members or None
        if not isinstance(value, dict):
            return None
        value = value.get(name)
    return None if value == "" else value


def number(value: Json) -> int | None:
    """Convert a number, or a text that is one, to 10⁻⁶, with further digits cut; `None` for anything else."""
    if isinstance(value, str):
        if len(value) > _CHARS_MAX or not _NUMBER.fullmatch(value):
            return None
        exact = Decimal(value)
        if exact.adjusted() > 12:  # 10¹³
            return None
        micro = int(exact.quantize(_STEP, ROUND_DOWN).scaleb(6))
        return micro if abs(micro) < NUMBER_LIMIT * MICRO else None
    if isinstance(value, int) and not isinstance(value, bool):
        return value * MICRO if -NUMBER_LIMIT < value < NUMBER_LIMIT else None
    return None


def shown_number(micro: int) -> int | float:
    """Convert 10⁻⁶ to a number for people to read."""
    whole, part = divmod(micro, MICRO)
    return whole + part / MICRO if part else whole


def text(value: Json) -> str | None:
    """A text as it is, or an integer as its digits; `None` for anything else."""
    if isinstance(value, str):
        return None if isinstance(value, Real) else value or None
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else None


def keys(value: Json, most: int) -> list[str]:
    """The keys by which values differ: of a single value, or of the first ``most`` different values in a list."""
    if not isinstance(value, list):
        return _key(value)
    distinct: dict[str, None] = {}
    for member in value:
        distinct.update(dict.fromkeys(_key(member)))
        if len(distinct) == most:
            break
    return list(distinct)


def _key(value: Json) -> list[str]:
    if isinstance(value, bool):
        return ["\0true" if value else "\0false"]
    if isinstance(value, Real):
        micro = number(value)
        return [] if micro is None else [number_key(micro)]
    content = text(value)
    return [] if content is None else [content]


def number_key(micro: int) -> str:
    """The key of a number: its digits, so that 7 and 7.0 are one."""
    return format(Decimal(micro).scaleb(-6).normalize(), "f")


def shown(value: Json) -> str | None:
    """Format a value for people: a list as its members, an object only as the fact that there is one."""
    if isinstance(value, list):
        return ", ".join(words for member in value if (words := shown(member)) is not None) or None
    if isinstance(value, dict):
        return "{…}"
    if isinstance(value, bool):
        return "true" if value else "false"
    return None if value is None or value == "" else str(value)
