"""The compression codecs of Kafka's record batches, unpacking in pieces of a bounded size.

See also: `streams.kafka.record_batches` (reads them, and says why in pieces).
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator

import cramjam
import lz4.frame
import zstandard
from aiokafka.errors import CorruptRecordException

# The size of a piece; most batches are smaller.
PIECE_BYTES = 1024 * 1024
# How many times its size a piece of snappy can unpack to: a piece that claims more is corrupt.
_SNAPPY_MAX_RATIO = 64
_XERIAL = b"\x82SNAPPY\x00"


def unpacked(codec: int, data: bytes) -> Iterator[bytes]:
    """Unpack in pieces of about `PIECE_BYTES`; codecs are numbered as in the record format."""
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
    """Unpack raw snappy, or the blocks of the Java library: a header of 16 bytes, then each block after its length."""
    if data[: len(_XERIAL)] != _XERIAL:
        yield _snappy_block(data)
        return
    index, piece = 16, bytearray()
    while index < len(data):
        size = int.from_bytes(data[index : index + 4], "big")
        piece += _snappy_block(data[index + 4 : index + 4 + size])
        index += 4 + size
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
