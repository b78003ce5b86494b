"""The merge gives a partition's inputs in event-time order, and stops where something older may be unread."""

import math
import random
from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import NamedTuple

import pytest

from rules.events import Event
from streams.runtime.input_merge import STEP_MAX_BYTES, Merge, MergedBatch, Reading
from streams.wire.dead_letters import Undecodable

TOPICS = ("profiles", "visits", "carts", "purchases")
FROM = {"profiles": 0, "visits": 10, "carts": 200, "purchases": 3_000}
SEEDS = range(2_000)
ALL = 10**9


class PlacedRecord(NamedTuple):
    """A record of which only the place matters."""

    topic: str
    offset: int
    timestamp: int = -1
    key: bytes | None = None
    value: bytes | None = None


Read = tuple[Event | Undecodable, PlacedRecord]


def read(topic: str, offset: int, time: int | None) -> Read:
    """A record that became an event, or without a time a dead letter."""
    decoded = Undecodable("not_json") if time is None else Event("u", "page", time, f"{topic}{offset}")
    return decoded, PlacedRecord(topic, offset)


def merge(*topics: str) -> Merge:
    return Merge(topics or TOPICS, FROM)


def place(reading: Reading) -> tuple[str, int]:
    return reading[4].topic, reading[4].offset


def places(taken: MergedBatch) -> list[tuple[str, int]]:
    return [place(reading) for reading in taken.readings]


def nobody(_: str) -> float:
    return -math.inf


def everybody(_: str) -> float:
    return math.inf


def only(*topics: str) -> Callable[[str], float]:
    return lambda topic: math.inf if topic in topics else -math.inf


# --- random inputs -----------------------------------------------------------------------------


class Batch(NamedTuple):
    readings: list[Read]
    end: int


class Inputs(NamedTuple):
    """What the inputs hold, cut into batches, and the order in which the merge must give it."""

    batches: dict[str, list[Batch]]
    expected: list[tuple[str, int]]


def inputs(rng: random.Random, *, in_order: bool) -> Inputs:
    """1-4 inputs with holes in their offsets, times that meet often, and dead letters."""
    topics = TOPICS[: rng.randint(1, 4)]
    batches: dict[str, list[Batch]] = {}
    placed: list[tuple[int, int, int, str]] = []
    for rank, topic in enumerate(topics):
        times = [rng.randrange(12) for _ in range(rng.choice((0, 1, 5, 20)))]
        times = sorted(times) if in_order else times
        offsets = list(accumulate((rng.choice((1, 1, 1, 2, 5)) for _ in times), initial=FROM[topic]))
        records = [read(topic, offset, time + 1) for offset, time in zip(offsets[:-1], times, strict=True)]
        records = [read(topic, pair[1].offset, None) if rng.random() < 0.1 else pair for pair in records]
        batches[topic] = cut(rng, records, offsets[-1] + rng.choice((0, 0, 3)))
        newest = 0
        for decoded, record in records:
            newest = newest if isinstance(decoded, Undecodable) else max(newest, decoded.time)
            placed.append((newest, rank, record.offset, topic))
    return Inputs(batches, [(topic, offset) for _, _, offset, topic in sorted(placed)])


def cut(rng: random.Random, records: Sequence[Read], end: int) -> list[Batch]:
    """Batches of any size, some of them empty; the last one ends at `end`."""
    cuts = sorted(rng.randint(0, len(records)) for _ in range(rng.randint(0, 4)))
    pieces = [list(records[a:b]) for a, b in zip([0, *cuts], [*cuts, len(records)], strict=True)]
    ends = [piece[-1][1].offset + 1 if piece else None for piece in pieces]
    last_end = FROM[records[0][1].topic] if records else None
    batches = []
    for piece, piece_end in zip(pieces[:-1], ends[:-1], strict=True):
        last_end = piece_end if piece_end is not None else last_end
        if last_end is not None:
            batches.append(Batch(piece, last_end))
    return [*batches, Batch(pieces[-1], end)]


class Partition:
    """A merge that is fed a batch at a time, and checked at every take."""

    def __init__(self, given: Inputs, rng: random.Random) -> None:
        self.waiting = {topic: list(batches) for topic, batches in given.batches.items()}
        self.merge = merge(*given.batches)
        self.rng = rng
        self.positions = {topic: FROM[topic] for topic in given.batches}
        self.in_hand: dict[str, list[int]] = {topic: [] for topic in given.batches}
        self.taken: list[tuple[str, int]] = []
        self.blocked = 0

    def caught_up(self, topic: str) -> bool:
        return not self.waiting[topic]

    def feed(self) -> None:
        """The next batch of some input."""
        topic = self.rng.choice([topic for topic, batches in self.waiting.items() if batches])
        batch = self.waiting[topic].pop(0)
        self.merge.add(topic, batch.end, batch.readings)
        self.in_hand[topic] += [record.offset for _, record in batch.readings]
        assert self.merge.fetched(topic) == batch.end
        self.look()

    def take(self, limit: int) -> None:
        """Take records and check that positions follow on: behind the last one, or at the batch's end."""
        blocked = any(not self.in_hand[topic] and not self.caught_up(topic) for topic in self.waiting)
        taken = self.merge.take(limit, only(*filter(self.caught_up, self.waiting)))
        if blocked:
            assert (list(taken.readings), dict(taken.positions), bool(taken)) == ([], {}, False)
            self.blocked += 1
            return
        assert len(taken.readings) <= limit
        assert taken.starts == self.positions
        for topic, offset in places(taken):
            assert self.in_hand[topic].pop(0) == offset, "an input is read in its order"
        for topic, offsets in self.in_hand.items():
            last = [offset for where, offset in places(taken) if where == topic][-1:]
            behind = [offset + 1 for offset in last] or [self.positions[topic]]
            expected = behind[0] if offsets else self.merge.fetched(topic)
            assert taken.positions[topic] == expected
        assert bool(taken) == bool(taken.readings or taken.positions != self.positions)
        self.positions = dict(taken.positions)
        self.taken += places(taken)
        self.look()

    def look(self) -> None:
        for topic, offsets in self.in_hand.items():
            assert self.merge.in_hand(topic) == len(offsets)


def run(seed: int, *, in_order: bool) -> tuple[Inputs, Partition]:
    """Batches of the inputs in random order, takes in between, until nothing is left."""
    rng = random.Random(seed)
    given = inputs(rng, in_order=in_order)
    partition = Partition(given, rng)
    while any(partition.waiting.values()):
        partition.feed()
        for _ in range(rng.randint(0, 2)):
            partition.take(rng.choice((1, 3, ALL)))
    partition.take(ALL)
    return given, partition


def test_inputs_in_time_order_come_out_sorted() -> None:
    """Records go by time, then input, then offset, whatever the batches and the order of their arrival."""
    for seed in SEEDS:
        given, partition = run(seed, in_order=True)
        assert partition.taken == given.expected, f"seed {seed}"
        ends = {topic: batches[-1].end for topic, batches in given.batches.items()}
        assert partition.positions == ends, f"seed {seed}"


def test_a_record_out_of_order_is_read_right_after_the_one_before_it() -> None:
    """Within an input nothing is turned round: an older record counts as no earlier than what precedes it."""
    for seed in SEEDS:
        given, partition = run(seed, in_order=False)
        assert partition.taken == given.expected, f"seed {seed}"


def test_the_random_inputs_put_it_to_the_test() -> None:
    """Merges stop often, records wait often, and times are often equal across inputs."""
    blocked = mixed = 0
    for seed in SEEDS:
        given, partition = run(seed, in_order=True)
        blocked += partition.blocked > 0
        topics = [topic for topic, _ in given.expected]
        mixed += topics != sorted(topics, key=TOPICS.index)
    assert blocked > len(SEEDS) // 4
    assert mixed > len(SEEDS) // 4


# --- where it stops ----------------------------------------------------------------------------


def test_an_input_with_unread_records_stops_the_merge() -> None:
    """While one input has none in hand and is not caught up, nothing of any other is read."""
    merger = merge("visits", "carts")
    merger.add("visits", 12, [read("visits", 10, 5), read("visits", 11, 6)])
    taken = merger.take(ALL, nobody)
    assert not taken
    assert (taken.readings, taken.starts, taken.positions) == ((), {}, {})
    assert merger.in_hand("visits") == 2


def test_an_input_without_lag_does_not() -> None:
    """An input that is caught up with nothing in hand does not hold back one that is not caught up."""
    merger = merge("visits", "carts")
    merger.add("visits", 12, [read("visits", 10, 5), read("visits", 11, 6)])
    taken = merger.take(ALL, only("carts"))
    assert places(taken) == [("visits", 10), ("visits", 11)]


def test_nothing_is_read_past_what_may_be_unread() -> None:
    """Reading goes up to the newest in hand of an input that has more; what is later waits, on each input."""
    merger = merge("visits", "carts")
    merger.add("visits", 13, [read("visits", 10, 1), read("visits", 11, 5), read("visits", 12, 9)])
    merger.add("carts", 201, [read("carts", 200, 5)])
    assert places(merger.take(ALL, nobody)) == [("visits", 10), ("visits", 11), ("carts", 200)]
    assert not merger.take(ALL, nobody)
    merger.add("carts", 202, [read("carts", 201, 9)])
    assert places(merger.take(ALL, nobody)) == [("visits", 12)], "the next visit may be of the same millisecond"
    assert places(merger.take(ALL, everybody)) == [("carts", 201)]


def test_ties_go_by_input_then_offset() -> None:
    """The order is profiles, visits, carts, purchases, though they arrive the other way round."""
    merger = merge()
    for topic in reversed(TOPICS):
        merger.add(topic, FROM[topic] + 2, [read(topic, FROM[topic], 7), read(topic, FROM[topic] + 1, 7)])
    assert places(merger.take(ALL, everybody)) == [(topic, FROM[topic] + index) for topic in TOPICS for index in (0, 1)]


def test_an_equal_time_may_come_only_from_an_input_that_goes_first() -> None:
    """A purchase waits while a visit of its millisecond may be unread; a visit does not wait for a purchase."""
    merger = merge("visits", "purchases")
    merger.add("visits", 11, [read("visits", 10, 7)])
    merger.add("purchases", 3_001, [read("purchases", 3_000, 7)])
    assert places(merger.take(ALL, nobody)) == [("visits", 10)]
    other_merger = merge("visits", "purchases")
    other_merger.add("visits", 11, [read("visits", 10, 7)])
    other_merger.add("purchases", 3_001, [read("purchases", 3_000, 6)])
    assert places(other_merger.take(ALL, only("visits"))) == [("purchases", 3_000)]


@pytest.mark.parametrize("limit", [1, 2, 3, 4, 99])
def test_at_most_the_limit_is_taken(limit: int) -> None:
    """The oldest records of all inputs are taken, and the rest next time."""
    merger = merge("visits", "carts")
    merger.add("visits", 13, [read("visits", 10 + index, 2 * index) for index in range(3)])
    merger.add("carts", 203, [read("carts", 200 + index, 2 * index + 1) for index in range(3)])
    order = [("visits", 10), ("carts", 200), ("visits", 11), ("carts", 201), ("visits", 12), ("carts", 202)]
    taken = []
    while some := merger.take(limit, everybody):
        assert len(some.readings) <= limit
        taken.append(places(some))
    assert sum(taken, []) == order  # noqa: RUF017 - six of them
    assert [len(some) for some in taken[:-1]] == [limit] * (len(taken) - 1)
    assert (merger.in_hand("visits"), merger.in_hand("carts")) == (0, 0)


HALF = STEP_MAX_BYTES // 2


@pytest.mark.parametrize(
    ("sizes", "steps"),
    [
        ([HALF, HALF, 1], [2, 1]),
        ([HALF, HALF + 1, 1], [1, 2]),
        ([STEP_MAX_BYTES + 1, STEP_MAX_BYTES * 2, 0, 1], [1, 1, 2]),
        ([0, STEP_MAX_BYTES, 0, 1], [3, 1]),
        ([100] * 7, [7]),
    ],
    ids=["exactly", "the one that passes it", "each larger than a step", "without a value", "many small ones"],
)
def test_a_step_has_so_many_bytes(sizes: list[int], steps: list[int]) -> None:
    """All of a step may become dead letters of one save; one that is larger than all is a step by itself."""
    merger, offset = merge("visits", "carts"), 10
    records = [
        (read("visits", offset + index, index)[0], PlacedRecord("visits", offset + index, value=bytes(size)))
        for index, size in enumerate(sizes)
    ]
    merger.add("visits", offset + len(sizes), records)
    left = sum(sizes)
    for count in steps:
        taken = merger.take(ALL, everybody)
        assert len(taken.readings) == count
        left -= sum(len(reading[4].value or b"") for reading in taken.readings)
        offset += count
        assert (taken.positions["visits"], merger.bytes_in_hand("visits")) == (offset, left)
    assert not merger.take(ALL, everybody)


def test_what_came_long_after_an_input_was_asked_stays_in_hand() -> None:
    """Each batch counts by its arrival, even when a part of it is left, and nothing passes it."""
    merger = Merge(("visits", "carts", "purchases"), {"visits": 10, "carts": 200, "purchases": 3_000})
    merger.add("visits", 12, [read("visits", 10, 1), read("visits", 11, 2)], 100.0)
    merger.add("visits", 20, [], 101.0)
    merger.add("visits", 22, [read("visits", 20, 3), read("visits", 21, 5)], 102.0)
    merger.add("carts", 201, [read("carts", 200, 4)], 103.0)

    def take(limit: int, until: float) -> list[tuple[str, int]]:
        return places(merger.take(limit, lambda topic: until if topic == "purchases" else math.inf))

    assert take(ALL, 99.9) == []
    assert take(1, 101.9) == [("visits", 10)]
    assert take(ALL, 101.9) == [("visits", 11)]
    assert take(ALL, 101.9) == []
    assert take(ALL, 102.0) == [("visits", 20)]
    assert take(ALL, 103.0) == [("carts", 200), ("visits", 21)]


def test_an_input_that_has_enough_in_hand_is_not_asked_again() -> None:
    """What lies behind its last record waits, however long ago it was asked, and nothing else does."""
    merger = merge("visits", "carts")
    merger.add("visits", 12, [read("visits", 10, 1), read("visits", 11, 5)], 100.0)
    merger.add("carts", 202, [read("carts", 200, 4), read("carts", 201, 6)], 200.0)
    requested_at = {"visits": 101.0, "carts": 201.0}
    assert places(merger.take(ALL, requested_at.__getitem__)) == [("visits", 10), ("carts", 200), ("visits", 11)]
    assert places(merger.take(ALL, {"visits": 201.0, "carts": 201.0}.__getitem__)) == [("carts", 201)]


# --- positions ---------------------------------------------------------------------------------


def test_positions_step_over_holes() -> None:
    """A position is behind the last record taken, or at the end of the batch once all are."""
    merger = merge("visits")
    merger.add("visits", 30, [read("visits", 10, 1), read("visits", 15, 2), read("visits", 22, 3)])
    steps = [merger.take(1, everybody) for _ in range(3)]
    assert [(step.starts["visits"], step.positions["visits"]) for step in steps] == [(10, 11), (11, 16), (16, 30)]
    assert not merger.take(1, everybody)


def test_a_position_moves_without_a_record() -> None:
    """Transaction markers and compacted records are passed: a take with no reading that still says so, once."""
    merger = merge("visits", "carts")
    merger.add("visits", 14, [])
    taken = merger.take(ALL, everybody)
    assert taken
    assert (places(taken), taken.starts["visits"], taken.positions["visits"]) == ([], 10, 14)
    assert taken.positions["carts"] == 200
    assert not merger.take(ALL, everybody)


def test_a_move_behind_what_waits_is_made_with_the_last_record() -> None:
    """While a record waits, its place is the position, however far was fetched."""
    merger = merge("visits")
    merger.add("visits", 12, [read("visits", 10, 1), read("visits", 11, 2)])
    merger.add("visits", 20, [])
    assert merger.fetched("visits") == 20
    assert merger.take(1, everybody).positions == {"visits": 11}
    assert merger.take(1, everybody).positions == {"visits": 20}


def test_a_dead_letter_keeps_its_place() -> None:
    """A dead letter has no time: it is read right after the record before it, and the first one at once."""
    merger = merge("visits", "carts")
    merger.add("visits", 14, [read("visits", 10, None), read("visits", 11, 5), read("visits", 12, None)])
    merger.add("carts", 202, [read("carts", 200, 4), read("carts", 201, 6)])
    taken = merger.take(ALL, everybody)
    assert places(taken) == [("visits", 10), ("carts", 200), ("visits", 11), ("visits", 12), ("carts", 201)]
    decoded = [reading[3] for reading in taken.readings]
    assert [entry.reason if isinstance(entry, Undecodable) else entry.time for entry in decoded] == [
        "not_json", 4, 5, "not_json", 6,
    ]  # fmt: skip


def test_from_when_on_an_input_is_unread() -> None:
    """An input is unread from its first record in hand, or from the newest that came; that never goes back."""
    merger = merge("visits", "carts")
    assert merger.unread_from("visits") == 0
    merger.add("visits", 12, [read("visits", 10, 5), read("visits", 11, 9)])
    assert merger.unread_from("visits") == 5
    merger.take(1, everybody)
    assert merger.unread_from("visits") == 9
    merger.take(ALL, everybody)
    assert merger.unread_from("visits") == 9
    merger.add("visits", 13, [read("visits", 12, 3)])
    assert (merger.unread_from("visits"), merger.unread_from("carts")) == (9, 0)
