"""Ids in a bounded form: as they are or with a hash, and as a hash alone."""

from __future__ import annotations

from functools import lru_cache
from hashlib import blake2b

# A message id orders ties and identifies repeats; of one beyond this length, in UTF-8, its head and a hash are used.
ID_MAX_BYTES = 64
_ID_HEAD_BYTES = 40


def short_id(text: str) -> str:
    """An id of bounded length: as it is, or, if it is too long, its head and a hash."""
    if len(text) <= ID_MAX_BYTES and text.isascii():
        return text
    encoded = text.encode()
    if len(encoded) <= ID_MAX_BYTES:
        return text
    return encoded[:_ID_HEAD_BYTES].decode(errors="ignore") + blake2b(encoded, digest_size=12).hexdigest()


# A few facts ask for the hash of one event's id, one after the other.
@lru_cache(maxsize=256)
def hashed_id(text: str) -> int:
    """A hash of 64 bits of an id, for facts in which ids are only compared."""
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big")
