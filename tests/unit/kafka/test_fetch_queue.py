"""What was fetched and is not decoded yet: every record comes once, in slices of a bounded cost."""

from __future__ import annotations

import random

from streams.kafka.fetch import Batch, FetchedRecord
from streams.kafka.fetch_queue import RECORD_COST_BYTES, FetchQueue
from streams.wire.records import size_of


def batch(start: int, sizes: list[int | None], end: int | None = None) -> Batch:
    """Records from ``start`` on, of values of these sizes; ``end``: where offsets have a hole behind them."""
    records = [
        FetchedRecord("visits", start + index, 0, None, None if length is None else bytes(length))
        for index, length in enumerate(sizes)
    ]
    return Batch("visits", 0, start, start + len(sizes) if end is None else end, records, 1)


def test_every_record_comes_once_in_slices_of_a_bounded_cost() -> None:
    """Counts and bytes in hand are those of what is left, and ends follow on, whatever the batches."""
    rng = random.Random(7)
    for _ in range(200):
        queue, start = FetchQueue({"visits": 3, "carts": 0}), 3
        for _ in range(rng.randint(1, 5)):
            made = batch(start, [rng.choice((None, 0, 10, 3_000)) for _ in range(rng.randint(0, 9))])
            start = rng.randint(made.end, made.end + 2)
            queue.add(Batch(made.topic, 0, made.start, start, made.records, 1), 1.0)
        assert queue.fetched("visits") == start
        left, limit, offsets, reached = queue.count("visits"), rng.choice((1, 2_000, 10**6)), [], 3
        while (piece := queue.take("visits", limit)) is not None:
            cost = [size_of(record) + RECORD_COST_BYTES for record in piece.records]
            assert piece.cost == sum(cost)
            assert sum(cost[:-1]) < limit
            assert all(reached <= record.offset < piece.end for record in piece.records)
            offsets += [record.offset for record in piece.records]
            reached = piece.end
            assert queue.count("visits") == left - len(offsets)
        assert (offsets, reached) == (sorted(set(offsets)), start)
        assert (len(offsets), queue.count("visits"), queue.size("visits"), bool(queue)) == (left, 0, 0, False)


def test_what_was_received_before_is_skipped() -> None:
    """A batch may come twice, or begin before what is awaited."""
    queue = FetchQueue({"visits": 3})
    queue.add(batch(3, [1, 1, 1]), 1.0)
    queue.add(batch(4, [1, 1, 1]), 1.0)
    offsets = []
    while (piece := queue.take("visits", 10**6)) is not None:
        offsets += [record.offset for record in piece.records]
    assert offsets == [3, 4, 5, 6]


def test_a_batch_without_records_moves_the_position() -> None:
    """A batch that holds only markers of transactions, or that was compacted, moves the position."""
    queue = FetchQueue({"visits": 3})
    queue.add(batch(3, [], end=9), 1.0)
    piece = queue.take("visits", 1)
    assert piece is not None
    assert (piece.records, piece.end, queue.fetched("visits"), bool(queue)) == ([], 9, 9, False)
