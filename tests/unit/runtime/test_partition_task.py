"""A partition's task between its steps, and its outbox: how often the task looks, and how much may wait.

The test sets the time, and nothing is published before the test allows it.
"""

from __future__ import annotations

import asyncio
import json
import math
import time
from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest

from rules.times import format_instant
from streams.errors import Fenced, NotRenewed
from streams.kafka.fetch import Batch, FetchResponse, FetchStatus
from streams.kafka.fetch_queue import RECORD_COST_BYTES
from streams.runtime import outbox as outbox_module
from streams.runtime.input_buffer import IN_HAND_MAX_BYTES, SLICE_MAX_COST, RecordReader
from streams.runtime.input_merge import Merge
from streams.runtime.outbox import WAITING_MAX, WAITING_MAX_BYTES, Outbox
from streams.runtime.partition_task import Pace, PartitionTask, TaskContext
from streams.state.contract import Claim, Identity, Save
from streams.state.memory import MemoryStore
from streams.wire.dead_letters import Undecodable
from streams.wire.records import OutRecord

TOPICS = ("profiles", "visits", "carts", "purchases")
DUE_MS = 1_000_000
GRACE_MS = 1_000
NOON_MS = 1_772_366_400_000


class Clock:
    """The wall clock (ms)."""

    now: float = 0

    def __call__(self) -> int:
        return int(self.now)


def task(
    *,
    next_due: int = 0,
    clock: int = 0,
    position: int = 5,
    in_hand_max: int = 10,
    read_record: RecordReader | None = None,
    **context: Any,
) -> PartitionTask:
    """A task of a partition of which nothing is processed."""
    saved = SimpleNamespace(next_due=next_due, clock=clock, positions=dict.fromkeys(TOPICS, position))
    processor: Any = SimpleNamespace(checkpointer=saved)
    pace = Pace(10, in_hand_max, 10, GRACE_MS)
    of_task = TaskContext(partition=0, merge=Merge(TOPICS, saved.positions), pace=pace, **context)
    return PartitionTask(of_task, processor, cast(Any, None), read_record=read_record)


def waiting_task(clock: Clock, heard: FetchStatus) -> PartitionTask:
    """A task with one due time, of which only the waiting is looked at."""
    return task(next_due=DUE_MS, fetch_status=lambda _: heard, now_ms=clock)


def looks(partition_task: PartitionTask, clock: Clock, for_ms: int) -> int:
    """The number of looks in a time."""
    until, count = clock.now + for_ms, 0
    while clock.now < until:
        clock.now += partition_task._wait_s() * 1000
        count += 1
    return count


def test_a_due_time_that_kafka_does_not_confirm() -> None:
    """A silent Kafka holds the clock back: the looks become as rare as when nothing is due."""
    clock = Clock()
    partition_task = waiting_task(clock, FetchStatus(None, 0.0))
    clock.now = DUE_MS + GRACE_MS
    assert looks(partition_task, clock, 10_000) < 10_000 / 50 + 50


def test_a_due_time_is_looked_for_in_time() -> None:
    """The look comes right after the wall clock passes it, then within a quarter of its lateness."""
    clock = Clock()
    partition_task = waiting_task(clock, FetchStatus(None, 0.0))
    for late_ms, wait_ms in ((-100, 50), (-30, 30), (-1, 2), (0, 2), (8, 2), (40, 10), (100, 25), (5_000, 50)):
        clock.now = DUE_MS + GRACE_MS + late_ms
        assert partition_task._wait_s() == pytest.approx(wait_ms / 1000)


def test_how_an_input_is_fetched() -> None:
    """Until the first answer an input counts as fetched to its end; then Kafka's answer counts."""
    silent = waiting_task(Clock(), FetchStatus(None, 7.0)).fetching("carts")
    assert (silent.fetched, silent.high_watermark, silent.last_stable_offset) == (5, 5, 5)
    assert (silent.requested_at, silent.heard) == (-math.inf, 7.0)
    answered = waiting_task(Clock(), FetchStatus(FetchResponse(9, 8, 1, 6.5), 7.0)).fetching("carts")
    assert (answered.name, answered.fetched, answered.high_watermark, answered.last_stable_offset) == (
        "carts-0",
        5,
        9,
        8,
    )
    assert (answered.requested_at, answered.heard) == (6.5, 7.0)


# --- the clock ---------------------------------------------------------------------------------


def visit(time_ms: int, offset: int = 5) -> Batch:
    """A batch of one page view."""
    body = {"type": "page", "messageId": "m", "userId": "u", "timestamp": format_instant(time_ms)}
    record = SimpleNamespace(
        topic="visits", offset=offset, timestamp=time_ms, key=b"u", value=json.dumps(body).encode()
    )
    return Batch("visits", 0, offset, offset + 1, cast(Any, [record]), 1)


def receive(partition_task: PartitionTask, batch: Batch) -> None:
    """Take a batch in and decode it."""
    assert partition_task.receive(batch) is None
    asyncio.run(partition_task._inputs.decode())


def clocked(heard: dict[str, FetchStatus], now_ms: int) -> PartitionTask:
    return task(clock=NOON_MS, fetch_status=heard.__getitem__, now_ms=lambda: now_ms, monotonic=lambda: 100.0)


def at_its_end(requested_ms: int, end: int = 5, age_s: float = 0.1) -> FetchStatus:
    return FetchStatus(FetchResponse(end, end, requested_ms, 100.0 - age_s), 100.0)


def with_a_visit(heard: dict[str, FetchStatus], now_ms: int, ago_ms: int) -> PartitionTask:
    """A task with a visit in hand, whose purchases were last requested so long ago."""
    heard |= {topic: at_its_end(now_ms) for topic in TOPICS}
    heard |= {"purchases": at_its_end(now_ms - ago_ms, age_s=ago_ms / 1000), "visits": at_its_end(now_ms, end=6)}
    partition_task = clocked(heard, now_ms)
    receive(partition_task, visit(now_ms - 100))
    return partition_task


@pytest.mark.parametrize(("ago_ms", "taken"), [(300, [5]), (400, []), (3_000, [])])
def test_the_clock_waits_for_an_input_that_cannot_be_reached(ago_ms: int, taken: list[int]) -> None:
    """Whatever the others give, the clock stays before its last request, by the grace."""
    now_ms = NOON_MS + 60_000
    partition_task = with_a_visit({}, now_ms, ago_ms)
    assert partition_task.time.clock() == now_ms - ago_ms - GRACE_MS
    assert [reading[2] for reading in partition_task.merge.take(10, partition_task.time.read_until).readings] == taken
    assert partition_task.time.clock() == now_ms - ago_ms - GRACE_MS


def test_what_comes_long_after_another_input_was_asked_waits() -> None:
    """A purchase before this visit may have come since: it is taken once purchases were asked again."""
    now_ms, heard = NOON_MS + 60_000, dict[str, FetchStatus]()
    partition_task = with_a_visit(heard, now_ms, 400)
    assert not partition_task.merge.take(10, partition_task.time.read_until)
    heard["purchases"] = at_its_end(now_ms, age_s=0.0)
    assert [reading[2] for reading in partition_task.merge.take(10, partition_task.time.read_until).readings] == [5]


def test_the_clock_does_not_pass_what_is_in_hand() -> None:
    """A record that comes long after others of its time holds the clock until it is taken."""
    now_ms = NOON_MS + 60_000
    heard = {topic: at_its_end(now_ms) for topic in TOPICS} | {"visits": at_its_end(now_ms, end=6)}
    partition_task = clocked(heard, now_ms)
    receive(partition_task, visit(NOON_MS + 5_000))
    assert partition_task.time.clock() == NOON_MS + 5_000
    partition_task.merge.take(10, partition_task.time.read_until)
    assert partition_task.time.clock() == now_ms - GRACE_MS


def test_the_clock_of_an_input_that_is_behind() -> None:
    """The clock follows the newest record that came; without one since the claim, it stands."""
    now_ms = NOON_MS + 60_000
    heard = {topic: at_its_end(now_ms) for topic in TOPICS} | {"visits": at_its_end(now_ms, end=100)}
    partition_task = clocked(heard, now_ms)
    assert partition_task.time.clock() == NOON_MS
    receive(partition_task, visit(NOON_MS + 5_000))
    partition_task.merge.take(10, lambda _: True)
    assert partition_task.time.clock() == NOON_MS + 5_000


# --- the outbox --------------------------------------------------------------------------------


class Slow:
    """A publisher that acknowledges entries once the test lets it."""

    def __init__(self, renew_s: float | None = None) -> None:
        self.renew_s = renew_s
        self.renewed = 0
        self.fails: list[NotRenewed] = []
        self.may = asyncio.Event()
        self.published = 0

    async def renew(self, partition: int) -> None:
        self.renewed += 1
        if self.fails:
            raise self.fails.pop()

    async def claim(self, partitions: Sequence[int]) -> None:
        """Do nothing: there is nothing to prepare."""

    async def publish(self, partition: int, records: Sequence[OutRecord]) -> Mapping[str, int]:
        await self.may.wait()
        self.published += len(records)
        return {}

    async def release(self) -> None:
        """Do nothing: there is nothing to release."""


@pytest.mark.parametrize(
    ("size", "fit"),
    [(WAITING_MAX_BYTES // 4, 4), (WAITING_MAX_BYTES // 2 + 1, 2), (2 * WAITING_MAX_BYTES, 1), (10, WAITING_MAX)],
    ids=["exactly", "the one that passes it", "one that is larger than all", "many small ones"],
)
async def test_what_may_wait_in_the_outbox(size: int, fit: int) -> None:
    """After so many entries, or bytes of them, the writer waits until some are published and trimmed."""
    store, publisher = MemoryStore(), Slow()
    claim = Claim(0, 1, "t", Identity("cluster", "group", 1, "definitions"))
    state = await store.claim(claim)
    outbox = Outbox(store, publisher, 0, "t", state, saved=lambda: 1)
    records = [OutRecord("dead-letters", None, bytes(size - 2), []), OutRecord("dead-letters", b"kk", None, [])]
    await store.save(0, Save("t", 1, b"", {}, {}, 0, [], [b""] * (fit + 1)))
    for _ in range(fit):
        await asyncio.wait_for(outbox.put(records), 1)
    one_more = asyncio.create_task(outbox.put(records))
    await asyncio.sleep(0.05)
    assert not one_more.done()
    running = asyncio.create_task(outbox.run())
    publisher.may.set()
    await asyncio.wait_for(one_more, 1)
    await asyncio.wait_for(outbox.drained(), 1)
    assert publisher.published == 2 * (fit + 1)
    running.cancel()


@pytest.mark.parametrize("is_busy", [False, True], ids=["idle", "busy"])
async def test_what_keeps_others_away_is_renewed_as_long_as_the_claim_stands(is_busy: bool) -> None:
    """A fence is renewed with or without records; an owner that fenced a newer one publishes nothing more."""
    store, publisher = MemoryStore(), Slow(renew_s=0.05)
    claim = Claim(0, 1, "t", Identity("cluster", "group", 1, "definitions"))
    state = await store.claim(claim)
    await store.begin(claim, {})
    outbox = Outbox(store, publisher, 0, "t", state, saved=lambda: 0)
    publisher.may.set()
    running = asyncio.create_task(outbox.run())
    until = time.monotonic() + 0.5
    while time.monotonic() < until:
        if is_busy:
            await outbox.put([])
        await asyncio.sleep(0 if is_busy else 0.1)
    assert publisher.renewed >= 3
    await store.claim(msgspec.structs.replace(claim, generation=2, fencing_token="newer"))
    with pytest.raises(Fenced):
        await asyncio.wait_for(running, 1)


async def test_an_owner_that_tries_again_to_renew_lets_go_of_what_another_has(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each attempt may have fenced a newer owner, so the claim is checked after each."""
    monkeypatch.setattr(outbox_module, "AGAIN_S", 0.01)
    store, publisher = MemoryStore(), Slow(renew_s=0.05)
    claim = Claim(0, 1, "t", Identity("cluster", "group", 1, "definitions"))
    state = await store.claim(claim)
    await store.begin(claim, {})
    publisher.fails = [NotRenewed("no answer", has_begun=True) for _ in range(1_000)]
    running = asyncio.create_task(Outbox(store, publisher, 0, "t", state, saved=lambda: 0).run())
    await asyncio.sleep(0.3)
    assert publisher.renewed > 2
    await store.claim(msgspec.structs.replace(claim, generation=2, fencing_token="newer"))
    with pytest.raises(Fenced):
        await asyncio.wait_for(running, 1)


def test_caught_up_is_said_of_all_inputs_at_their_ends() -> None:
    """Caught up until: the oldest request less the grace; with a record in hand or not fetched, 0."""
    now_ms = NOON_MS + 60_000
    heard = {topic: at_its_end(now_ms) for topic in TOPICS} | {"carts": at_its_end(now_ms - 300)}
    assert clocked(heard, now_ms).time.caught_up_until() == now_ms - 300 - GRACE_MS
    assert clocked(heard | {"visits": at_its_end(now_ms, end=6)}, now_ms).time.caught_up_until() == 0
    assert clocked(heard | {"visits": FetchStatus(None, 100.0)}, now_ms).time.caught_up_until() == 0
    in_hand = clocked(heard | {"visits": at_its_end(now_ms, end=6)}, now_ms)
    receive(in_hand, visit(NOON_MS + 5_000))
    assert in_hand.time.clock() > 0
    assert in_hand.time.caught_up_until() == 0
    in_hand.merge.take(10, in_hand.time.read_until)
    assert in_hand.time.caught_up_until() == now_ms - 300 - GRACE_MS


# --- what is decoded at once -------------------------------------------------------------------


async def test_decoding_lets_the_loop_turn() -> None:
    """Between two turns no more is decoded than a slice costs, and the record that passes it."""
    since_turn, most = 0, 0

    def reading(record: Any, _: Batch) -> Undecodable:
        nonlocal since_turn, most
        since_turn += len(record.value) + RECORD_COST_BYTES
        most = max(most, since_turn)
        return Undecodable("not_json")

    async def turn() -> None:
        nonlocal since_turn
        while True:
            since_turn = 0
            await asyncio.sleep(0)

    partition_task = task(
        position=0,
        fetch_status=lambda _: FetchStatus(None, 0.0),
        now_ms=lambda: 0,
        in_hand_max=5_000,
        read_record=reading,
    )
    sizes = [100_000] * 30 + [10] * 3_000
    records = [
        SimpleNamespace(topic="visits", offset=index, timestamp=0, key=b"", value=bytes(n))
        for index, n in enumerate(sizes)
    ]
    assert not partition_task.is_full("visits")
    partition_task.receive(Batch("visits", 0, 0, len(records), cast(Any, records), 1))
    assert partition_task.in_hand("visits") == len(records)
    turning = asyncio.create_task(turn())
    await asyncio.sleep(0)
    await partition_task._inputs.decode()
    turning.cancel()
    assert partition_task.in_hand("visits") == partition_task.merge.in_hand("visits") == len(records)
    assert SLICE_MAX_COST <= most < SLICE_MAX_COST + 100_000 + RECORD_COST_BYTES


@pytest.mark.parametrize("part", ["value", "key"])
def test_what_waits_to_be_decoded_is_in_hand(part: str) -> None:
    """Records that wait to be decoded count as in hand, with their bytes, so no more are fetched."""
    now_ms = NOON_MS + 60_000
    partition_task = clocked({topic: at_its_end(now_ms) for topic in TOPICS}, now_ms)
    partition_task.receive(visit(NOON_MS))
    assert (partition_task.in_hand("visits"), partition_task.is_full("visits")) == (1, False)
    large = SimpleNamespace(
        **{"topic": "visits", "offset": 6, "timestamp": 0, "key": b"u", "value": None, part: bytes(IN_HAND_MAX_BYTES)}
    )
    partition_task.receive(Batch("visits", 0, 6, 7, cast(Any, [large]), 1))
    assert partition_task.is_full("visits")
    assert partition_task.fetching("visits").fetched == 7
    assert partition_task.merge.fetched("visits") == 5
