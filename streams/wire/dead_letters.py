"""Dead letters as records: the original bytes, and in the headers why and from where.

The one rule: whatever came is kept as it came, up to a size; what is cut says its full size and
SHA-256, so that it can be found again.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import Self

from rules.events import Origin
from streams.wire.changes import Header

KEPT_MAX_BYTES = 64 * 1024


class Head(bytes):
    """The first bytes of a value that was too large to be held; it knows the size and SHA-256 of the whole."""

    size: int
    sha256: str

    def __new__(cls, head: bytes, size: int, digest: str) -> Self:
        made = super().__new__(cls, head)
        made.size, made.sha256 = size, digest
        return made


def kept(original: bytes | None) -> bytes | None:
    """The original bytes of a value or key; the first 64 KiB of a longer one."""
    return original if original is None else original[:KEPT_MAX_BYTES]


def headers(original: bytes | None, reason: str, origin: Origin, key: bytes | None = None) -> list[Header]:
    """Why, and where it was read."""
    said = [
        ("reason", reason.encode()),
        ("topic", origin.topic.encode()),
        ("partition", str(origin.partition).encode()),
        ("offset", str(origin.offset).encode()),
    ]
    if key is not None and len(key) > KEPT_MAX_BYTES:
        said.append(("key-size", str(len(key)).encode()))
        said.append(("key-sha256", sha256(key).hexdigest().encode()))
    if isinstance(original, Head):
        said += [("size", str(original.size).encode()), ("sha256", original.sha256.encode())]
    elif original is not None and len(original) > KEPT_MAX_BYTES:
        said.append(("size", str(len(original)).encode()))
        said.append(("sha256", sha256(original).hexdigest().encode()))
    return said


def identity(headers: Sequence[tuple[str, bytes]]) -> tuple[bytes, ...]:
    """What a dead letter is known by, read from its headers."""
    return tuple(value for name, value in headers if name in ("topic", "offset"))


def place(headers: Sequence[tuple[str, bytes]]) -> tuple[str, int]:
    """Where a dead letter was read: the topic and the offset; -1 where that is not said."""
    found = dict(headers)
    offset = found.get("offset", b"")
    return found.get("topic", b"").decode(errors="replace"), int(offset) if offset.isdigit() else -1
