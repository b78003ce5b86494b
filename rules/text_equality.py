"""Folds texts for comparison: two spellings that people take for one text become equal.

Without case and spaces around; in Unicode's composed form (NFC); Arabic and Persian variants of a letter or digit as
one, as keyboards of both write either.
"""

from __future__ import annotations

import unicodedata
from functools import lru_cache

_CACHED_MAX = 10_000
_CACHED_MAX_CHARS = 200
_VARIANTS = str.maketrans(
    {"\u064a": "\u06cc", "\u0649": "\u06cc", "\u0643": "\u06a9", "\u0640": "", "\u200c": ""}
    | {chr(start + digit): str(digit) for start in (0x0660, 0x06F0) for digit in range(10)}
)


def fold(text: str) -> str:
    """Fold a text."""
    if text.isascii():
        return text.strip().lower()
    return _cached(text) if len(text) <= _CACHED_MAX_CHARS else _folded(text)


def _folded(text: str) -> str:
    composed = unicodedata.normalize("NFC", text).casefold().translate(_VARIANTS)
    return unicodedata.normalize("NFC", composed).strip()


_cached = lru_cache(maxsize=_CACHED_MAX)(_folded)
