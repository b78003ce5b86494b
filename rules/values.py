"""Values of the properties, traits and context of an event.

The one rule: no number passes through a float, and an absent value, null, empty text or empty list is `None`
everywhere. A dotted name reaches into objects; through a list it gives its members' values.

See also: `rules.number_text` (how numbers in texts are read), and `rules.currencies`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any, TypeAlias, cast

import msgspec
from msgspec.structs import force_setattr

from rules.currencies import counts_in, currency_of, money_currency
from rules.number_text import MICRO, NUMBER_LIMIT, WrittenNumber, read_number

Json: TypeAlias = "bool | int | Real | str | list[Json] | dict[str, Json] | None"
Path: TypeAlias = tuple[str, ...]

_CHARS_MAX = 400
# Money of this size or more is not read.
MONEY_LIMIT = 10**12
# The names that some properties have in the first version of the Segment Spec, or that stand in for them.
_OTHER_NAMES: Mapping[str, tuple[str, ...]] = {
    "order_id": ("orderId",), "product_id": ("id",), "cart_id": ("cartId",), "total": ("revenue",),
}  # fmt: skip


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
    """A JSON object of an event, parsed at its first use; ``below``: one whose fields count where it has none."""

    raw: Any  # msgspec.Raw, or bytes
    parsed: Any = None
    below: Any = None

    @property
    def fields(self) -> dict[str, Json]:
        """All fields. The decoder of the event has checked that the text can be parsed."""
        if self.parsed is None:
            fields = _fields(self.raw)
            force_setattr(self, "parsed", fields if self.below is None else _fields(self.below) | fields)
        return cast("dict[str, Json]", self.parsed)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Document) and self._texts == other._texts

    def __hash__(self) -> int:
        return hash(self._texts)

    @property
    def _texts(self) -> tuple[bytes, bytes]:
        return bytes(self.raw), bytes(self.below or b"")


def _fields(raw: msgspec.Raw | bytes) -> dict[str, object]:
    try:
        return _objects.decode(raw) or {}
    except msgspec.ValidationError:
        return cast("dict[str, object]", read_any(raw) or {})


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
    return None if _is_empty(value) else value


def _is_empty(value: Json) -> bool:
    if isinstance(value, str):
        return not value or value.isspace()
    return isinstance(value, list) and all(member is None or _is_empty(member) for member in value)


def read_property(fields: Json, path: Path) -> Json:
    """The value of a property of an event, under its name or an older one; `None` if there is none."""
    value = resolve_path(fields, path)
    if value is None and (others := _OTHER_NAMES.get(path[-1])) is not None:
        return next((hit for name in others if (hit := resolve_path(fields, (*path[:-1], name))) is not None), None)
    return value


def number(value: Json) -> int | None:
    """Convert a number, or a text that is one, to 10⁻⁶, with further digits cut; `None` for anything else."""
    if isinstance(value, str):
        written = read_number(value)
        return None if written is None else written.micro
    if isinstance(value, int) and not isinstance(value, bool):
        return value * MICRO if -NUMBER_LIMIT < value < NUMBER_LIMIT else None
    return None


def money(value: Json, of_event: str, of_file: str | None) -> int | None:
    """Convert money to 10⁻⁶ of the file's currency; `None` if it is in another one, negative, or cannot be read.

    ``of_event``: the event's currency, ``""``: it names none.
    """
    written = _written_money(value, of_event, of_file)
    return None if written is None or written.is_negative else written.micro


def refunded_money(value: Json, of_event: str, of_file: str | None) -> int | None:
    """Convert the amount of a refund as `money` does, but a negative one to a refund of that size."""
    written = _written_money(value, of_event, of_file)
    return None if written is None else abs(written.micro)


def _written_money(value: Json, of_event: str, of_file: str | None) -> WrittenNumber | None:
    if isinstance(value, str):
        written = read_number(value)
        if written is None or not counts_in(money_currency(written.currency, of_event), of_file):
            return None
    elif isinstance(value, int) and not isinstance(value, bool) and counts_in(of_event, of_file):
        written = WrittenNumber(value * MICRO, "", value < 0)
    else:
        return None
    return written if abs(written.micro) < MONEY_LIMIT * MICRO else None


def event_currency(fields: Mapping[str, Json]) -> str:
    """The currency that the properties of an event name; ``""``: none."""
    return currency_of(fields.get("currency"))


def shown_number(micro: int) -> int | float:
    """Convert 10⁻⁶ to a number for people to read."""
    whole, part = divmod(micro, MICRO)
    return whole + part / MICRO if part else whole


def text(value: Json) -> str | None:
    """A text as it is, or an integer as its digits; `None` for anything else."""
    if isinstance(value, str):
        return None if isinstance(value, Real) else value or None
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else None


def members_of(values: list[Json]) -> Iterator[Json]:
    """The members of a list and of the lists in it, without those that are absent."""
    for value in values:
        if isinstance(value, list):
            yield from members_of(value)
        elif value is not None and value != "":
            yield value


def keys(value: Json, most: int) -> list[str]:
    """The keys by which values differ: of a single value, or of the first ``most`` different values in a list."""
    if not isinstance(value, list):
        return _key(value)
    distinct: dict[str, None] = {}
    for member in members_of(value):
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
