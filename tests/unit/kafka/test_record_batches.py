"""Packed batches in pieces: the records are those of the client's own unpacking, and few of them are held at once.

Batches are made by aiokafka's own builder and codecs; hostile ones by the codecs' libraries.
"""

from __future__ import annotations

import random
import tracemalloc
import zlib
from collections.abc import Iterator
from hashlib import sha256
from typing import Any

import pytest
from aiokafka.errors import CorruptRecordException
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords
from cramjam import DecompressionError
from kafka import TopicPartition
from kafka.consumer import fetcher
from kafka.errors import CorruptRecordError
from kafka.record.memory_records import MemoryRecords as LogRecords
from zstandard import ZstdCompressor, ZstdError

from rules.events import Origin
from streams.kafka.codecs import PIECE_BYTES, unpacked
from streams.kafka.log_batches import BoundedLogRecords, bound_log_batches
from streams.kafka.record_batches import RECORD_MAX_BYTES, BoundedRecords
from streams.wire import dead_letters
from streams.wire.dead_letters import Undecodable
from streams.wire.event_decoder import read

CODECS = {"gzip": 1, "snappy": 2, "lz4": 3, "zstd": 4}
MIB = 1024 * 1024
BOUNDED = {BoundedRecords: MemoryRecords, BoundedLogRecords: LogRecords}  # for aiokafka and for kafka-python
PIECES_MAX = 24  # MiB held at once: a piece, the head of a record, and copies of both


def batch(codec: int, values: list[bytes | None], key: bytes | None = b"u1", base: int = 0) -> bytes:
    """A batch as a producer sends it and a broker stores it."""
    builder = DefaultRecordBatchBuilder(
        magic=2, compression_type=codec, is_transactional=0, producer_id=7, producer_epoch=0, base_sequence=0,
        batch_size=2**31 - 1,
    )  # fmt: skip
    for offset, value in enumerate(values):
        builder.append(offset, 1_000 + offset, key, value, [("h", b"x")] if offset % 2 else [])
    data = builder.build()
    data[0:8] = base.to_bytes(8, "big")
    return bytes(data)


@pytest.fixture(params=BOUNDED, ids=["aiokafka", "kafka-python"])
def bounded(request: pytest.FixtureRequest) -> Any:
    """The class that reads batches for one of the two clients."""
    return request.param


def records(batches: Any) -> Iterator[Any]:
    while batches.has_next():
        record_batch = batches.next_batch()
        # kafka-python sums in Python: a second for a megabyte.
        assert isinstance(batches, BoundedLogRecords) or record_batch.validate_crc()
        yield from record_batch


def read_all(batches: Any) -> list[tuple[Any, ...]]:
    return [
        (record.offset, record.timestamp, record.key, record.value, list(record.headers)) for record in records(batches)
    ]


@pytest.mark.parametrize("codec", [0, *CODECS.values()], ids=["plain", *CODECS])
@pytest.mark.parametrize("size", [0, 10, 3_000, 400_000, 2 * MIB], ids=str)
def test_records_are_those_that_the_client_unpacks(codec: int, size: int, bounded: Any) -> None:
    """Several batches, small and large, give the client's records, whatever these are."""
    rng = random.Random(size)
    data = b"".join(
        batch(codec, [rng.choice((None, b"", rng.randbytes(size), b"[" * size)) for _ in range(count)], base=base)
        for base, count in ((0, 1), (1, 7), (8, 3), (11, 12))
    )
    batches = bounded(data)
    assert batches.size_in_bytes() == len(data)
    assert read_all(batches) == read_all(MemoryRecords(data))


@pytest.mark.parametrize("codec", CODECS.values(), ids=CODECS)
def test_a_batch_says_what_the_fetcher_asks(codec: int, bounded: Any) -> None:
    """A batch has the attributes of the client's own one, by which the client skips aborted records."""
    data = batch(codec, [b"a", b"b"], base=40)
    bounded_batch, client_batch = bounded(data).next_batch(), BOUNDED[bounded](data).next_batch()
    names = ["base_offset", "next_offset", "producer_id", "is_control_batch", "is_transactional"]
    if bounded is BoundedLogRecords:
        names += ["magic", "leader_epoch", "last_offset"]
        assert bounded_batch.has_producer_id()
    for name in names:
        assert getattr(bounded_batch, name) == getattr(client_batch, name)
    broken = bytearray(data)
    broken[-1] ^= 1
    assert not bounded(bytes(broken)).next_batch().validate_crc()


def test_the_end_of_an_answer() -> None:
    """kafka-python reads on until there is no batch."""
    batches = BoundedLogRecords(batch(4, [b"a"]) + batch(0, [b"b"], base=1)[:-1])
    assert [record.value for record in batches.next_batch()] == [b"a"]
    assert batches.next_batch() is None


@pytest.mark.parametrize("codec", CODECS.values(), ids=CODECS)
def test_a_batch_of_many_megabytes_is_never_held_as_a_whole(codec: int, bounded: Any) -> None:
    """The reader takes its records one by one, and lets go of each."""
    data = batch(codec, [b"[" * MIB] * 64)
    tracemalloc.start()
    count = sum(record.value == b"[" * MIB for record in records(bounded(data)))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 64
    assert peak < PIECES_MAX * MIB


@pytest.mark.parametrize("codec", CODECS.values(), ids=CODECS)
@pytest.mark.parametrize("size", [RECORD_MAX_BYTES + 1, 40 * MIB + 17], ids=str)
def test_of_a_record_that_is_far_too_large_the_head_is_left(codec: int, size: int, bounded: Any) -> None:
    """The dead letter has the size and SHA-256 of the whole; records before and behind it are read."""
    value = random.Random(size).randbytes(MIB) + b"x" * (size - MIB)
    data = batch(codec, [b"before", value, b"between", value, None])
    tracemalloc.start()
    unpacked = list(records(bounded(data)))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < len(data) + 2 * PIECES_MAX * MIB
    assert [record.offset for record in unpacked] == [0, 1, 2, 3, 4]
    assert [record.timestamp for record in unpacked] == [1_000, 1_001, 1_002, 1_003, 1_004]
    assert [record.value for record in unpacked][::2] == [b"before", b"between", None]
    for record in (unpacked[1], unpacked[3]):
        assert (record.key, len(record.value) < MIB) == (b"u1", True)
        assert read(record.value, record.key, 1, Origin("visits", 0, 1)) == Undecodable("too_large")
        assert dead_letters.shortened(record.value) == value[: dead_letters.ORIGINAL_MAX_BYTES]
        headers = dict(dead_letters.headers(record.value, Undecodable("too_large"), Origin("visits", 0, 1), record.key))
        assert (headers["size"], headers["sha256"]) == (str(size).encode(), sha256(value).hexdigest().encode())


def test_kafka_pythons_fetcher_unpacks_what_it_hands_out() -> None:
    """The fetcher of kafka-python does not unpack a whole batch: of 64 MiB a few are held."""
    bound_log_batches()
    place = TopicPartition("visits", 0)
    tracemalloc.start()
    data = batch(4, [b"[" * MIB] * 64)
    tracemalloc.reset_peak()
    answer = fetcher.Fetcher.PartitionRecords(0, place, fetcher.MemoryRecords(data), check_crcs=False)
    taken = answer.take(2)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert [(record.offset, len(record.value)) for record in taken] == [(0, MIB), (1, MIB)]
    assert peak < 2 * PIECES_MAX * MIB
    offsets = [record.offset for _ in range(31) for record in answer.take(2)]
    assert offsets == list(range(2, 64))
    assert answer.next_fetch_offset == 64


@pytest.mark.parametrize("codec", CODECS.values(), ids=CODECS)
def test_a_batch_that_ends_too_early(codec: int, bounded: Any) -> None:
    """The batch is corrupt, wherever it ends: nothing is skipped."""
    data = batch(codec, [random.Random(1).randbytes(700_000)] * 8)
    for end in (100, len(data) // 2, len(data) - 9):
        cut = bytearray(data[:end])
        cut[8:12] = (end - 12).to_bytes(4, "big")
        with pytest.raises(
            (
                CorruptRecordError,
                CorruptRecordException,
                DecompressionError,
                OSError,
                EOFError,
                RuntimeError,
                ValueError,
                zlib.error,
                ZstdError,
            )
        ):
            list(bounded(bytes(cut)).next_batch())


def test_snappy_that_says_more_than_it_can_hold() -> None:
    """No memory is set aside for the size that it states."""
    with pytest.raises(CorruptRecordException):
        list(unpacked(2, b"\xff\xff\xff\xff\x0f" + b"\x00" * 20))


def test_pieces_are_bounded() -> None:
    """A batch of a few kilobytes comes out a piece at a time."""
    packed = ZstdCompressor().compress(b"[" * (256 * MIB))
    assert len(packed) < 64 * 1024
    sizes = [len(piece) for piece in unpacked(4, packed)]
    assert max(sizes) <= PIECE_BYTES
    assert sum(sizes) == 256 * MIB
