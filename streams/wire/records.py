"""Records as they come from Kafka and go to it, and the entries of the outbox in which outgoing ones wait.

See also: `streams.wire.step_records` (which records a step publishes), `streams.runtime.outbox` (from the saved entry
to Kafka), `streams.wire.topics` (the topics' names).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec

from streams.wire import identity_records
from streams.wire.changes import Header
from streams.wire.topics import MERGES


class OutRecord(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One record to publish: the topic's name without prefix, key, value, headers."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: list[Header]


# Topics whose records go to the partition of their key. Those of all other topics go to the partition of the outbox.
BY_KEY = frozenset({MERGES})
_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(list[OutRecord])


def encode_entry(records: Sequence[OutRecord]) -> bytes:
    """An entry of the outbox: the records of one save."""
    return _encoder.encode(records)


def decode_entry(entry: bytes) -> list[OutRecord]:
    """The records of an entry."""
    return _decoder.decode(entry)


class InputRecord(Protocol):
    """The parts of a Kafka record that are used; ``timestamp`` in ms, -1 when it has none."""

    @property
    def topic(self) -> str: ...
    @property
    def offset(self) -> int: ...
    @property
    def timestamp(self) -> int: ...
    @property
    def key(self) -> bytes | None: ...
    @property
    def value(self) -> bytes | None: ...


def size_of(record: InputRecord | OutRecord) -> int:
    """The bytes of a record's key and value. Keys count, as a key may be as large as a value."""
    return len(record.key or b"") + len(record.value or b"")


# The largest batch in which records are published together; a topic must take it (`batch_size_needed`).
BATCH_MAX_BYTES = 512 * 1024


def batch_size_needed(topic: str) -> int:
    """The max.message.bytes which a topic needs; ``topic``: its name without prefix.

    That of `merges` is larger: a single record of it may exceed `BATCH_MAX_BYTES`.
    """
    return identity_records.BATCH_MAX_BYTES if topic == MERGES else BATCH_MAX_BYTES
