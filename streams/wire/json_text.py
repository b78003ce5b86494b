"""Decodes JSON that another program may have written."""

from __future__ import annotations

from typing import TypeVar

import msgspec

_T = TypeVar("_T")


def decoded(decoder: msgspec.json.Decoder[_T], value: bytes) -> _T:
    """Decode a value. Raises `msgspec.DecodeError`, also for bytes that are no UTF-8, which msgspec tells apart."""
    try:
        return decoder.decode(value)
    except UnicodeDecodeError as error:
        raise msgspec.DecodeError(str(error)) from None
