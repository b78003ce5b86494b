"""Raw JSON values to exact ids, money and quantities.

The one rule: nothing passes through a float; what cannot be read exactly raises `ValueError`.
"""

from __future__ import annotations

import re
from functools import lru_cache

import msgspec

from rules.profile.profile import short_id
from streams.wire.segment_spec import NOTHING

MICRO = 1_000_000
LIMIT = 10**12

_NUMBER = re.compile(rb"(-?)(0|[1-9]\d*)(?:\.(\d+))?(?:[eE]([+-]?\d+))?")
_INTEGER = re.compile(rb"-?(?:0|[1-9]\d*)")
_CHARACTERS_MAX = 400
# The prices of a shop and the quantities of its customers come again and again (0.2 µs against 1.2).
_AMOUNTS_MAX = 4_096
_SHIFT_MAX = 500  # beyond it a number of so many characters is 0 or too large
_text = msgspec.json.Decoder(str)


def amount(raw: msgspec.Raw) -> int | None:
    """Money or a quantity in 10⁻⁶, digits beyond cut; ``None`` for null."""
    return _amount(bytes(raw))


@lru_cache(maxsize=_AMOUNTS_MAX)
def _amount(text: bytes) -> int | None:
    if text == b"null":
        return None
    if text[:1] == b'"':
        text = _text.decode(text).encode() if b"\\" in text else text[1:-1]
    if text.isdigit() and len(text) < 13 and (text[0] != ord("0") or len(text) == 1):
        return int(text) * MICRO
    if len(text) > _CHARACTERS_MAX or (match := _NUMBER.fullmatch(text)) is None:
        raise ValueError("not a number")
    sign, whole, fraction, exponent = match.groups(b"")
    digits = int(whole + fraction)
    if not digits:
        return 0
    shift = int(exponent or 0) - len(fraction) + 6
    if sign or shift > _SHIFT_MAX:
        raise ValueError("negative, or 10¹² or more")
    micro = digits * 10**shift if shift >= 0 else digits // 10 ** min(-shift, _SHIFT_MAX)
    if micro >= LIMIT * MICRO:
        raise ValueError("10¹² or more")
    return int(micro)


def identity(raw: msgspec.Raw) -> str | None:
    """An id: text, or an integer as its digits; ``None`` for null and for empty text."""
    if raw is NOTHING:
        return None
    text = bytes(raw)
    if text == b"null":
        return None
    if text[:1] == b'"':
        return (_text.decode(raw) if b"\\" in text else text[1:-1].decode()) or None
    if not _INTEGER.fullmatch(text):
        raise ValueError("neither text nor an integer")
    return text.decode()


def check_text(raw: msgspec.Raw) -> None:
    """Text or null."""
    if bytes(raw)[:1] not in (b'"', b"n"):
        raise ValueError("not text")


def product_key(product_id: msgspec.Raw, sku: msgspec.Raw, name: msgspec.Raw) -> str:
    """What tells products apart; all products without any id are one."""
    # Each is read even when the first decides: a wrong type anywhere is an error.
    keys = (identity(product_id), identity(sku), identity(name))
    return short_id(keys[0] or keys[1] or keys[2] or "")
