"""Dead letters as records: the original bytes, and in the headers the reason and where the record was read.

The one rule: the original bytes are preserved up to a size. The headers of a longer one give its full
size and SHA-256, so that it can be found again on its input topic.

See also: `streams.wire.event_decoder` (which gives the reasons), `streams.worker.dead_letter_limit` (too many of them),
`streams.wire.records` and `streams.worker.segmenter` (which make the record of one).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from hashlib import sha256
from typing import Final, NamedTuple, Self

from rules.events import Origin
from streams.wire.changes import Header

ORIGINAL_MAX_BYTES = 64 * 1024

# Why a record is a dead letter; the first of these which applies. The decoder gives all but the last three:
# "wrong_partition" needs the number of partitions, "too_large_to_forward" is for an event that does not fit into a
# record of `merges`, "poison" for a record that killed the worker again and again (`streams.runtime.poison_pills`).
REASONS: Final = (
    "too_large", "not_json", "not_object", "no_customer", "bad_id", "no_message_id", "no_timestamp",
    "absurd_timestamp", "bad_type", "bad_value", "wrong_key", "wrong_partition", "too_large_to_forward",
    "poison",
)  # fmt: skip

# The fields that a dead letter's header names as wrong or lacking; ``key`` is that of the Kafka record.
FIELDS: Final = (
    "userId", "anonymousId", "previousId", "messageId", "timestamp", "originalTimestamp", "type", "event", "key",
)  # fmt: skip


class Undecodable(NamedTuple):
    """An input record of which no event can be made: a dead letter, with its reason; triggers skip it.

    ``field``: the field which is wrong or lacks, ``""`` where it is the whole record.

    A tuple, as `isinstance` takes several times as long with a class of msgspec, and asks this of each record.
    """

    reason: str
    field: str = ""


# One shared object for each reason and field.
undecodable = cache(Undecodable)


class Head(bytes):
    """The first bytes of a value that was too large for memory, with the size and SHA-256 of the whole value."""

    size: int
    sha256: str

    def __new__(cls, head: bytes, size: int, digest: str) -> Self:
        instance = super().__new__(cls, head)
        instance.size = size
        instance.sha256 = digest
        return instance


def shortened(original: bytes | None) -> bytes | None:
    """The original bytes of a value or key, cut to the first 64 KiB."""
    return original if original is None else original[:ORIGINAL_MAX_BYTES]


def headers(original: bytes | None, why: Undecodable, origin: Origin, key: bytes | None = None) -> list[Header]:
    """The headers of a dead letter: its reason, its wrong field, where it was read, and the size of what is cut."""
    fields = [
        ("reason", why.reason.encode()),
        *([("field", why.field.encode())] if why.field else ()),
        ("topic", origin.topic.encode()),
        ("partition", str(origin.partition).encode()),
        ("offset", str(origin.offset).encode()),
    ]
    if key is not None and len(key) > ORIGINAL_MAX_BYTES:
        fields.append(("key-size", str(len(key)).encode()))
        fields.append(("key-sha256", sha256(key).hexdigest().encode()))
    if isinstance(original, Head):
        fields.append(("size", str(original.size).encode()))
        fields.append(("sha256", original.sha256.encode()))
    elif original is not None and len(original) > ORIGINAL_MAX_BYTES:
        fields.append(("size", str(len(original)).encode()))
        fields.append(("sha256", sha256(original).hexdigest().encode()))
    return fields


def identity(headers: Sequence[tuple[str, bytes]]) -> tuple[bytes, ...]:
    """The headers that identify a dead letter: the topic and offset at which its record was read."""
    return tuple(value for name, value in headers if name in ("topic", "offset"))


def place(headers: Sequence[tuple[str, bytes]]) -> tuple[str, int]:
    """The topic and offset at which the record was read; the offset is -1 if no header gives it."""
    fields = dict(headers)
    topic = fields.get("topic", b"").decode(errors="replace")
    offset = fields.get("offset", b"")
    return topic, int(offset) if offset.isdigit() else -1
