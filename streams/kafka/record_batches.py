"""Bounded unpacking of Kafka's compressed record batches in aiokafka, a piece at a time.

A client unpacks a batch whole: one of 1 MB, which brokers accept, may become gigabytes (zstd 30,000 times its
size, gzip 1,000, lz4 250). Here at most one piece is unpacked ahead of the reader, and a record that is far too large
is reduced to its head. aiokafka's own parser reads each piece, as an uncompressed batch: the same header, with the
whole records of the piece.

    a response → `BoundedRecords`: its batches → `PackedBatch`: a compressed one → `unpacked`: pieces of bytes
    → `_Cutter`: cut between records → `PackedBatch.plain`: aiokafka's parser → `drain`: a list of bounded size

Batches in the formats before Kafka 0.11 are left to aiokafka; current brokers do not write them. Written against
aiokafka 0.14, whose fetcher uses the class that is replaced here.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from hashlib import sha256
from typing import Any, NamedTuple

from aiokafka.consumer import fetcher
from aiokafka.errors import CorruptRecordException
from aiokafka.record.default_records import DefaultRecordBatch
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.structs import TopicPartition

from streams.kafka.codecs import unpacked
from streams.kafka.fetch import FetchedRecord
from streams.wire.dead_letters import ORIGINAL_MAX_BYTES, Head
from streams.wire.records import size_of

# A larger record, which is a dead letter in any case, is reduced to its head.
RECORD_MAX_BYTES = 4 * 1024 * 1024

# Bytes of one input that are handed out at once, and the record that exceeds them. A thousand usual records fit.
DRAIN_MAX_BYTES = 1024 * 1024

_HEADER = struct.Struct(">qiibIhiqqqhii")  # aiokafka's DefaultRecordBase.HEADER_STRUCT
# Where fields of the header begin.
_LENGTH_INDEX, _MAGIC_INDEX, _ATTRIBUTES_INDEX, _COUNT_INDEX = 8, 16, 21, _HEADER.size - 4
_OVERHEAD = 12  # the bytes before those that the length counts
_CODEC, _LOG_APPEND_TIME, _CONTROL = 0x07, 0x08, 0x20


def bound_batches() -> None:
    """Make aiokafka's consumers of this process unpack in pieces, and hand out a bounded number of bytes at once."""
    assert hasattr(fetcher, "MemoryRecords"), "aiokafka no longer reads batches by MemoryRecords"
    assert hasattr(fetcher.FetchResult, "getall"), "aiokafka no longer hands out records by getall"
    fetcher.MemoryRecords = BoundedRecords
    fetcher.FetchResult.getall = drain


class BoundedRecords:
    """In place of aiokafka's ``MemoryRecords``: the batches of the response to a fetch."""

    _whole: Any = MemoryRecords

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._index = 0
        self._batches = self._whole(data)

    def _packed(self, batch: Any, data: bytes) -> PackedBatch:
        return PackedBatch(batch, data)

    def has_next(self) -> bool:
        """Whether there is another whole batch."""
        return bool(self._batches.has_next())

    def size_in_bytes(self) -> int:
        """The size of the whole response."""
        return int(self._batches.size_in_bytes())

    def next_batch(self) -> Any:
        """The next batch; records of a compressed one are unpacked as they are read."""
        data, index = self._data, self._index
        batch = self._batches.next_batch()
        length = int.from_bytes(data[index + _LENGTH_INDEX : index + _LENGTH_INDEX + 4], "big")
        self._index = index + _OVERHEAD + length
        if data[index + _MAGIC_INDEX] < 2:
            return batch
        attributes = data[index + _ATTRIBUTES_INDEX + 1]
        if not attributes & _CODEC or attributes & _CONTROL:
            return batch
        return self._packed(batch, data[index : self._index])


class PackedBatch:
    """A compressed batch with the interface that aiokafka's fetcher uses."""

    is_control_batch = False
    _parser: Any = DefaultRecordBatch

    def __init__(self, batch: Any, data: bytes) -> None:
        self._batch = batch
        self._data = data
        self.base_offset: int = batch.base_offset
        self.next_offset: int = batch.next_offset
        self.producer_id: int = batch.producer_id
        self.is_transactional: bool = batch.is_transactional

    def validate_crc(self) -> bool:
        """Whether the checksum over the compressed bytes is right."""
        return bool(self._batch.validate_crc())

    def __iter__(self) -> Iterator[Any]:
        attributes = self._data[_ATTRIBUTES_INDEX + 1]
        pieces = unpacked(attributes & _CODEC, self._data[_HEADER.size :])
        first, second = next(pieces, b""), next(pieces, b"")
        if not second:  # almost every batch is a single piece, with as many records as its header says
            yield from self.plain(first, int.from_bytes(self._data[_COUNT_INDEX : _HEADER.size], "big"))
            return
        yield from _Cutter(self, first + second, pieces).records()

    def plain(self, records: bytes, count: int) -> Iterator[Any]:
        """Parse whole records by the client's own parser, which checks them, as an uncompressed batch."""
        header = bytearray(self._data[: _HEADER.size])
        header[_ATTRIBUTES_INDEX + 1] &= ~_CODEC
        header[_COUNT_INDEX:] = count.to_bytes(4, "big")
        return iter(self._parser(bytes(header) + records))

    def time_of(self, delta: int) -> int:
        """The time of a record: that of the batch's append, or the first record's plus the record's delta."""
        fields = _HEADER.unpack_from(self._data)
        return int(fields[8] if fields[5] & _LOG_APPEND_TIME else fields[7] + delta)


class CutRecord(NamedTuple):
    """A record that is far too large, reduced to the heads of its key and value."""

    offset: int
    timestamp: int
    timestamp_type: int
    key: bytes | None
    value: bytes | None
    headers: tuple[()] = ()
    checksum: None = None
    size_in_bytes: int = 0

    def validate_crc(self) -> bool:
        """Always true: records of this format have no checksum of their own."""
        return True


class _Cutter:
    """Cuts unpacked pieces between records: a record may begin in one piece and end in another."""

    def __init__(self, batch: PackedBatch, first_piece: bytes, pieces: Iterator[bytes]) -> None:
        self._batch = batch
        self._buffer = first_piece
        self._pieces = pieces

    def records(self) -> Iterator[Any]:
        """All records of the batch."""
        while self._buffer:
            count, end, length = self._whole()
            if count:
                yield from self._batch.plain(self._buffer[:end], count)
                self._buffer = self._buffer[end:]
            elif length > RECORD_MAX_BYTES:
                yield self._cut(end, length)
            elif not self._read_on():
                raise CorruptRecordException("a batch ends within a record")

    def _read_on(self) -> bool:
        """Unpack another piece; ``False`` at the end."""
        piece = next(self._pieces, b"")
        self._buffer += piece
        return bool(piece)

    def _whole(self) -> tuple[int, int, int]:
        """The number of whole records, the index of their end, and the length of the record after them.

        If there is no whole record, the index is that of the first byte after the length of the next one.
        """
        count = end = 0
        while end < len(self._buffer):
            length, start = _varint(self._buffer, end)
            if start < 0 or start + length > len(self._buffer):
                return count, end if count or start < 0 else start, length
            count, end = count + 1, start + length
        return count, end, 0

    def _cut(self, start: int, length: int) -> CutRecord:
        """The head of the record that begins at ``start``; its other bytes are unpacked and dropped.

        The record format: attributes, time delta, offset delta, size and bytes of the key, size and bytes of the value.
        """
        while len(self._buffer) < start + RECORD_MAX_BYTES and self._read_on():
            pass
        buffer = self._buffer
        delta, index = _varint(buffer, start + 1)
        offset, index = _varint(buffer, index)
        key_size, index = _varint(buffer, index)
        key_end = index + max(key_size, 0)
        key = None if key_size < 0 else buffer[index : min(key_end, index + 2 * ORIGINAL_MAX_BYTES)]
        # A key so large that the value is not in the buffer: the value counts as absent.
        size, index = _varint(buffer, key_end) if key_end < len(buffer) - 10 else (-1, len(buffer))
        head = buffer[index : index + 2 * ORIGINAL_MAX_BYTES]
        digest = self._skip(index, index + max(size, 0), start + length)
        value = None if size < 0 else Head(head, size, digest)
        return CutRecord(self._batch.base_offset + offset, self._batch.time_of(delta), 0, key, value)

    def _skip(self, value_start: int, value_end: int, record_end: int) -> str:
        """Unpack and drop all bytes up to the end of a record; gives the SHA-256 of its value."""
        digest = sha256(self._buffer[value_start:value_end])
        unpacked_to = len(self._buffer)
        self._buffer = self._buffer[record_end:]
        while unpacked_to < record_end and (piece := next(self._pieces, b"")):
            digest.update(piece[: max(0, value_end - unpacked_to)])
            unpacked_to += len(piece)
            self._buffer = piece[len(piece) - max(0, unpacked_to - record_end) :]
        if unpacked_to < record_end:
            raise CorruptRecordException("a batch ends within a record")
        return digest.hexdigest()


def _varint(data: bytes, index: int) -> tuple[int, int]:
    """A number of the record format and the index after it, which is -1 if the data ends within the number."""
    value = shift = 0
    while index < len(data):
        byte = data[index]
        index += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return (value >> 1) ^ -(value & 1), index
        shift += 7
    return 0, -1


def drain(result: Any, limit: int | None) -> list[FetchedRecord]:
    """In place of ``FetchResult.getall``, which has no bound in bytes: a small batch may unpack to many megabytes."""
    if not result.check_assignment(result._topic_partition) or not result.has_more():
        return []
    records: list[FetchedRecord] = []
    size = 0
    for record in result._partition_records:
        records.append(record)
        size += size_of(record)
        if size >= DRAIN_MAX_BYTES or len(records) == limit:
            result._update_position()
            return records
    result._update_position()
    result._partition_records = None
    return records


def consumer_record(tp: TopicPartition, record: Any) -> FetchedRecord:
    """In place of aiokafka's dataclass of twelve fields: it saves 3 µs per record."""
    return FetchedRecord(tp.topic, record.offset, record.timestamp, record.key, record.value)
