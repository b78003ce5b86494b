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
# Amounts that are cached: a shop's prices and quantities recur (0.2 µs with the cache, 1.2 without).
_AMOUNTS_MAX = 4_096
_SHIFT_MAX = 500  # beyond this power of ten a number of at most _CHARACTERS_MAX characters is 0 or too large
_text = msgspec.json.Decoder(str)


def amount(raw: msgspec.Raw) -> int | None:
    """Money or a quantity in 10⁻⁶; further digits are cut off. ``None`` for null."""
    return _amount(bytes(raw))


@lru_cache(maxsize=_AMOUNTS_MAX)
def _amount(text: bytes) -> int | None:
    if text == b"null":
        return None
    if text[:1] == b'"':
        text = _text.decode(text).encode() if b"\\" in text else text[1:-1]
    # Whole numbers without a leading zero need no regular expression.
    if text.isdigit() and len(text) < 13 and (text[0] != ord("0") or len(text) == 1):
        return int(text) * MICRO
    if len(text) > _CHARACTERS_MAX or (match := _NUMBER.fullmatch(text)) is None:
        raise ValueError("not a number")
    sign, whole, fraction, exponent = match.groups(b"")
    digits = int(whole + fraction)
    if not digits:
        return 0
    shift = int(exponent or 0) - len(fraction) + 6  # the power of ten from these digits to 10⁻⁶
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
    """Refuse anything but text or null. Raises `ValueError`."""
    if bytes(raw)[:1] not in (b'"', b"n"):
        raise ValueError("not text")


def product_key(product_id: msgspec.Raw, sku: msgspec.Raw, name: msgspec.Raw) -> str:
    """The key of a product: its id, else SKU, else name. All products without any of them share one key."""
    # Each is read even when the first decides: a wrong type anywhere makes a dead letter.
    keys = (identity(product_id), identity(sku), identity(name))
    return short_id(keys[0] or keys[1] or keys[2] or "")
