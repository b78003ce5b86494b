"""Kafka's batches of records, unpacked a piece at a time.

A client unpacks a batch as a whole: one of 1 MB, which brokers accept, may take gigabytes (zstd 30,000 times its
size, gzip 1,000, lz4 250). Here no more than a piece is unpacked ahead of what is read, and of a record that is far
too large its head alone is left. What is unpacked is given back to aiokafka's own parser as batches that are not
packed: the same header, with the records of one piece.

Batches of the formats before Kafka 0.11 are left to aiokafka; brokers of today write them no more. Written against
aiokafka 0.14, whose fetcher names the class that is replaced.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from hashlib import sha256
from typing import Any, NamedTuple

import cramjam
import lz4.frame
import zstandard
from aiokafka.consumer import fetcher
from aiokafka.errors import CorruptRecordException
from aiokafka.record.default_records import DefaultRecordBatch
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.structs import TopicPartition

from streams.kafka.fetch import FetchedRecord
from streams.wire.dead_letters import ORIGINAL_MAX_BYTES, Head

# So much is unpacked at once; ordinary batches are smaller.
PIECE_BYTES = 1024 * 1024
# Of a record beyond this, which is too large in any case, only the head is left.
RECORD_MAX_BYTES = 4 * 1024 * 1024
# How often its size a piece of snappy can unpack to: what says more is no snappy.
_SNAPPY_MAX_RATIO = 64

# Of one input and drain, and the record that passes it: a thousand records of ordinary size are smaller.
DRAIN_MAX_BYTES = 1024 * 1024

_HEADER = struct.Struct(">qiibIhiqqqhii")  # aiokafka's DefaultRecordBase.HEADER_STRUCT
_LENGTH_AT, _MAGIC_AT, _ATTRIBUTES_AT, _COUNT_AT = 8, 16, 21, _HEADER.size - 4
_OVERHEAD = 12  # what stands before the bytes that the length counts
_CODEC, _LOG_APPEND_TIME, _CONTROL = 0x07, 0x08, 0x20
_XERIAL = b"\x82SNAPPY\x00"


def bound_batches() -> None:
    """Have aiokafka's consumers of this process unpack in pieces, and hand out a bounded number of bytes at once."""
    assert hasattr(fetcher, "MemoryRecords"), "aiokafka no longer reads batches by MemoryRecords"
    assert hasattr(fetcher.FetchResult, "getall"), "aiokafka no longer hands out records by getall"
    fetcher.MemoryRecords = BoundedRecords
    fetcher.FetchResult.getall = drain


class BoundedRecords:
    """In place of aiokafka's ``MemoryRecords``: the batches of an answer to a fetch."""

    _whole: Any = MemoryRecords

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0
        self._batches = self._whole(data)

    def _packed(self, batch: Any, data: bytes) -> PackedBatch:
        return PackedBatch(batch, data)

    def has_next(self) -> bool:
        """Whether there is another whole batch."""
        return bool(self._batches.has_next())

    def size_in_bytes(self) -> int:
        """Of all that was fetched."""
        return int(self._batches.size_in_bytes())

    def next_batch(self) -> Any:
        """The next batch, whose records are unpacked as they are read."""
        data, at = self._data, self._at
        batch = self._batches.next_batch()
        self._at = at + _OVERHEAD + int.from_bytes(data[at + _LENGTH_AT : at + _LENGTH_AT + 4], "big")
        if data[at + _MAGIC_AT] < 2:
            return batch
        attributes = data[at + _ATTRIBUTES_AT + 1]
        if not attributes & _CODEC or attributes & _CONTROL:
            return batch
        return self._packed(batch, data[at : self._at])


class PackedBatch:
    """A packed batch as aiokafka's fetcher uses one."""

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
        """As of what is packed."""
        return bool(self._batch.validate_crc())

    def __iter__(self) -> Iterator[Any]:
        attributes = self._data[_ATTRIBUTES_AT + 1]
        pieces = unpacked(attributes & _CODEC, self._data[_HEADER.size :])
        first, second = next(pieces, b""), next(pieces, b"")
        if not second:  # almost every batch: its header is right for it as it is
            yield from self.plain(first, int.from_bytes(self._data[_COUNT_AT : _HEADER.size], "big"))
            return
        yield from _Cutter(self, first + second, pieces).records()

    def plain(self, records: bytes, count: int) -> Iterator[Any]:
        """Whole records by the client's parser, which checks them."""
        header = bytearray(self._data[: _HEADER.size])
        header[_ATTRIBUTES_AT + 1] &= ~_CODEC
        header[_COUNT_AT:] = count.to_bytes(4, "big")
        return iter(self._parser(bytes(header) + records))

    def time_of(self, delta: int) -> int:
        """The time of a record."""
        fields = _HEADER.unpack_from(self._data)
        return int(fields[8] if fields[5] & _LOG_APPEND_TIME else fields[7] + delta)


class CutRecord(NamedTuple):
    """What is left of a record that is far too large."""

    offset: int
    timestamp: int
    timestamp_type: int
    key: bytes | None
    value: bytes | None
    headers: tuple[()] = ()
    checksum: None = None
    size_in_bytes: int = 0

    def validate_crc(self) -> bool:
        """As records of this format, which have no sum of their own."""
        return True


class _Cutter:
    """Cuts what is unpacked between its records."""

    def __init__(self, batch: PackedBatch, begun: bytes, pieces: Iterator[bytes]) -> None:
        self._batch = batch
        self._buffer = begun
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
        piece = next(self._pieces, b"")
        self._buffer += piece
        return bool(piece)

    def _whole(self) -> tuple[int, int, int]:
        """How many whole records there are, where they end, and the length of the one after them.

        If there are none, where that one begins.
        """
        count = end = 0
        while end < len(self._buffer):
            length, start = _varint(self._buffer, end)
            if start < 0 or start + length > len(self._buffer):
                return count, end if count or start < 0 else start, length
            count, end = count + 1, start + length
        return count, end, 0

    def _cut(self, start: int, length: int) -> CutRecord:
        """The head of a record that begins there; the rest is unpacked and forgotten."""
        while len(self._buffer) < start + RECORD_MAX_BYTES and self._read_on():
            pass
        buffer = self._buffer
        delta, at = _varint(buffer, start + 1)
        offset, at = _varint(buffer, at)
        key_size, at = _varint(buffer, at)
        key_end = at + max(key_size, 0)
        key = None if key_size < 0 else buffer[at : min(key_end, at + 2 * ORIGINAL_MAX_BYTES)]
        size, value_at = _varint(buffer, key_end) if key_end < len(buffer) - 10 else (-1, len(buffer))
        value_end = value_at + max(size, 0)
        head, digest = buffer[value_at : value_at + 2 * ORIGINAL_MAX_BYTES], sha256(buffer[value_at:value_end])
        unpacked_to = len(buffer)
        self._buffer = buffer[start + length :]
        while unpacked_to < start + length and (piece := next(self._pieces, b"")):
            digest.update(piece[: max(0, value_end - unpacked_to)])
            unpacked_to += len(piece)
            self._buffer = piece[len(piece) - max(0, unpacked_to - start - length) :]
        if unpacked_to < start + length:
            raise CorruptRecordException("a batch ends within a record")
        value = None if size < 0 else Head(head, size, digest.hexdigest())
        return CutRecord(self._batch.base_offset + offset, self._batch.time_of(delta), 0, key, value)


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """A number of the record format and where it ends; -1 where the data does."""
    value = shift = 0
    while at < len(data):
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return (value >> 1) ^ -(value & 1), at
        shift += 7
    return 0, -1


def unpacked(codec: int, data: bytes) -> Iterator[bytes]:
    """What is packed, in pieces of about `PIECE_BYTES`. Codecs as the record format numbers them."""
    return {1: _gzip, 2: _snappy, 3: _lz4, 4: _zstd}[codec](data)


def _gzip(data: bytes) -> Iterator[bytes]:
    while data:
        member = zlib.decompressobj(16 + zlib.MAX_WBITS)
        while not member.eof:
            piece = member.decompress(data, PIECE_BYTES)
            data = member.unconsumed_tail
            if not piece and not data and not member.eof:
                raise CorruptRecordException("a gzip batch ends too early")
            yield from filter(None, (piece,))
        data = member.unused_data


def _snappy(data: bytes) -> Iterator[bytes]:
    """Raw, or in the blocks of the Java library: a length before each, after a header of 16 bytes."""
    if data[: len(_XERIAL)] != _XERIAL:
        yield _snappy_block(data)
        return
    at, piece = 16, bytearray()
    while at < len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        piece += _snappy_block(data[at + 4 : at + 4 + size])
        at += 4 + size
        if len(piece) >= PIECE_BYTES:
            yield bytes(piece)
            piece.clear()
    yield from filter(None, (bytes(piece),))


def _snappy_block(block: bytes) -> bytes:
    if cramjam.snappy.decompress_raw_len(block) > _SNAPPY_MAX_RATIO * len(block):
        raise CorruptRecordException("a snappy batch says that it is larger than it can be")
    return bytes(cramjam.snappy.decompress_raw(block))


def _lz4(data: bytes) -> Iterator[bytes]:
    frame = lz4.frame.LZ4FrameDecompressor()
    piece = frame.decompress(data, PIECE_BYTES)
    while piece:
        yield piece
        if frame.eof:
            return
        piece = frame.decompress(b"", PIECE_BYTES)
    if not frame.eof:
        raise CorruptRecordException("an lz4 batch ends too early")


def _zstd(data: bytes) -> Iterator[bytes]:
    with zstandard.ZstdDecompressor().stream_reader(data, read_across_frames=True) as frames:
        while piece := frames.read(PIECE_BYTES):
            yield piece


def drain(result: Any, limit: int | None) -> list[FetchedRecord]:
    """As ``FetchResult.getall``, which knows no bound in bytes: a small batch may unpack to many megabytes."""
    if not result.check_assignment(result._topic_partition) or not result.has_more():
        return []
    records: list[FetchedRecord] = []
    size = 0
    for record in result._partition_records:
        records.append(record)
        size += len(record.value or b"")
        if size >= DRAIN_MAX_BYTES or len(records) == limit:
            result._update_position()
            return records
    result._update_position()
    result._partition_records = None
    return records


def consumer_record(tp: TopicPartition, record: Any) -> FetchedRecord:
    """In place of a dataclass of twelve fields: 3 µs less for each record made and freed."""
    return FetchedRecord(tp.topic, record.offset, record.timestamp, record.key, record.value)
