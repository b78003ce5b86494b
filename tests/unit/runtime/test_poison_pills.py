"""The record under trial when a process died: what the next owner does with it, and which records are never blamed.

A death is an owner that leaves its attempt as it was; nothing else of a death is needed here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, NamedTuple, cast

import pytest

from rules.events import Event
from streams.errors import Fenced, PublishFailed, StoreFailed
from streams.kafka.fetch import Batch, FetchedRecord, FetchResponse, FetchStatus
from streams.runtime.input_merge import Merge, MergedBatch
from streams.runtime.outbox import Outbox
from streams.runtime.partition_task import Pace, PartitionTask, TaskContext
from streams.runtime.poison_pills import CARE_MAX_S, Attempt, Care, Trials, encode, judge
from streams.state.contract import Claim, Identity
from streams.state.memory import MemoryStore
from streams.stop import Stop
from streams.wire.dead_letters import Undecodable
from streams.wire.records import OutRecord

POSITIONS = {"visits": 5, "carts": 7}
IDENTITY = Identity("cluster", "group", 1, "definitions")
ENDS = {"visits": 10, "carts": 4}
FIRST, SECOND = ("visits", 5), ("visits", 6)


def record(offset: int, topic: str = "visits", value: bytes = b"{}") -> FetchedRecord:
    return FetchedRecord(topic, offset, 1_000, b"u", value)


def test_what_ended_in_order_is_no_attempt() -> None:
    """No record is suspected, and one death is no reason to be careful."""
    assert judge(b"", POSITIONS) == Attempt(POSITIONS)
    assert not judge(encode(Attempt(POSITIONS)), POSITIONS).needs_care


@pytest.mark.parametrize("stored", [b"{}", b"\xff", b'{"positions":[]}', b"null"])
def test_what_another_version_wrote_is_no_attempt(stored: bytes) -> None:
    """An attempt that another version wrote is ignored."""
    assert judge(stored, POSITIONS) == Attempt(POSITIONS)


def test_deaths_are_counted_at_one_position() -> None:
    """The second death in a row asks for care; one at another position is the first there."""
    once = judge(encode(Attempt(POSITIONS)), POSITIONS)
    twice = judge(encode(once), POSITIONS)
    assert (once.deaths, once.needs_care, twice.deaths, twice.needs_care) == (1, False, 2, True)
    elsewhere = judge(encode(twice), POSITIONS | {"carts": 8})
    assert (elsewhere.deaths, elsewhere.needs_care) == (1, False)


def test_a_death_in_a_trial_is_the_records() -> None:
    """Deaths in trials of one record count in a row, whatever deaths outside of trials lie between."""
    first = judge(encode(Attempt(POSITIONS, 2).trying(FIRST)), POSITIONS)
    assert (first.suspect, first.suspect_deaths, first.needs_care) == (FIRST, 1, True)
    idle = judge(encode(first), POSITIONS)
    assert (idle.suspect, idle.suspect_deaths) == (FIRST, 1)
    second = judge(encode(idle.trying(FIRST)), POSITIONS)
    assert (second.suspect, second.suspect_deaths) == (FIRST, 2)


def test_another_record_begins_anew() -> None:
    """Deaths of different records are no evidence against any of them."""
    first = judge(encode(Attempt(POSITIONS, 2).trying(FIRST)), POSITIONS)
    other = judge(encode(first.trying(SECOND)), POSITIONS)
    assert (other.suspect, other.suspect_deaths) == (SECOND, 1)


def test_what_was_saved_is_no_suspect() -> None:
    """The process died after the record was through."""
    passed = judge(encode(Attempt(POSITIONS, 2).trying(FIRST)), POSITIONS | {"visits": 6})
    assert (passed.suspect, passed.suspect_deaths, passed.needs_care) == (None, 0, False)


# --- one life after the other ------------------------------------------------------------------


class Died(BaseException):
    """The end of a process: nothing of it runs on."""


class Life(NamedTuple):
    """The result of one life."""

    saved: list[tuple[int, str]]  # the offset of each record of visits, and what it was read as
    is_careful: bool
    together: list[int]  # how many records were applied at once, of either input


class Steps:
    """A processor that decides nothing: it saves positions, and dies or raises where the test says."""

    next_due = 0
    clock = 0

    def __init__(self, world: World, fencing_token: str, positions: Mapping[str, int], number: int) -> None:
        self.world, self.fencing_token, self.positions, self.number = world, fencing_token, dict(positions), number
        self.saved: list[tuple[int, str]] = []
        self.together: list[int] = []

    async def fire(self, clock: int, limit: int) -> list[OutRecord]:
        return []

    @property
    def checkpointer(self) -> Any:
        return self

    async def save_time(self, clock: int, caught_up_until: int = 0) -> None:
        """Nothing is decided by time."""

    async def process_batch(self, taken: MergedBatch, clock: int, caught_up_until: int = 0) -> list[OutRecord]:
        self.together.append(len(taken.readings))
        for reading in taken.readings:
            if not isinstance(reading[3], Undecodable):
                self.world.reach("apply", reading[2])
        partition = self.world.store._of(0)
        partition.positions.update(taken.positions)
        self.positions.update(taken.positions)
        self.saved += [
            (reading[2], reading[3].reason if isinstance(reading[3], Undecodable) else "event")
            for reading in taken.readings
            if reading[4].topic == "visits"
        ]
        return []


class World:
    """A partition of ten records of visits and four of carts, read by one owner after the other."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        self.ends: dict[tuple[str, int], BaseException] = {}
        self.lives = 0

    def reach(self, where: str, offset: int) -> None:
        """End the process here if the test says so."""
        if (where, offset) in self.ends:
            raise self.ends[where, offset]

    def _read(self, record: Any, _batch: Batch) -> Event | Undecodable:
        self.reach("decode", record.offset)
        return cast(Event, Read(record.offset))

    async def life(self, *, in_order: bool = False) -> Life:
        """One owner, until all is read or it dies."""
        self.lives += 1
        fencing_token = f"t{self.lives}"
        claim = Claim(0, self.lives, fencing_token, IDENTITY)
        state = await self.store.claim(claim)
        await self.store.begin(claim, {"visits": 0, "carts": 0})
        state = await self.store.claim(claim)
        attempt = judge(state.attempt, state.positions)
        assert await self.store.set_attempt(0, fencing_token, encode(attempt))
        care = Care([0] if attempt.needs_care else [], 100)
        steps = Steps(self, fencing_token, state.positions, state.save_number)
        outbox = Outbox(self.store, cast(Any, None), 0, fencing_token, state, saved=lambda: 0)
        context = TaskContext(
            partition=0,
            merge=Merge(["visits", "carts"], state.positions),
            pace=Pace(100, 100, 10, 1_000),
            fetch_status=lambda topic: FetchStatus(FetchResponse(ENDS[topic], ENDS[topic], 10_000, 0.0), 0.0),
            now_ms=lambda: 20_000,
            monotonic=lambda: 0.0,
            trials=Trials(self.store, 0, fencing_token, attempt, care),
        )
        partition_task = PartitionTask(context, cast(Any, steps), outbox, read_record=self._read)
        for topic, end in ENDS.items():
            start = state.positions[topic]
            partition_task.receive(
                Batch(topic, 0, start, end, [record(offset, topic) for offset in range(start, end)], 1)
            )
        try:
            while await partition_task._moved():
                pass
        except (Died, Stop, StoreFailed, Fenced, PublishFailed, ValueError):
            pass
        else:
            in_order = True
        if in_order:
            await self.store.set_attempt(0, fencing_token, b"")
        return Life(steps.saved, attempt.needs_care, steps.together)

    @property
    def position(self) -> int:
        return self.store._of(0).positions["visits"]


class Read:
    """The part of an event that the merge needs."""

    def __init__(self, time: int) -> None:
        self.time = time


@pytest.mark.parametrize("where", ["decode", "apply"])
@pytest.mark.parametrize("end", [Died(), ValueError("a defect")], ids=["killed", "defect"])
async def test_a_record_that_kills_is_passed_after_two_deaths_in_its_trial(where: str, end: BaseException) -> None:
    """After two deaths at its position and two in its trial it is poison; each other record counts once."""
    world = World()
    world.ends[where, 6] = end
    lives = [await world.life() for _ in range(5)]
    assert [life.is_careful for life in lives] == [False, False, True, True, True]
    assert {count for life in lives[2:] for count in life.together} == {1}
    saved = [outcome for life in lives for outcome in life.saved]
    assert saved == [(offset, "poison" if offset == 6 else "event") for offset in range(10)]
    assert world.position == 10


async def test_two_records_that_kill() -> None:
    """The second is found with the care that the first asked for: two deaths are enough."""
    world = World()
    world.ends = {("apply", 6): Died(), ("decode", 8): Died()}
    lives = [await world.life() for _ in range(7)]
    saved = [outcome for life in lives for outcome in life.saved]
    assert saved == [(offset, "poison" if offset in (6, 8) else "event") for offset in range(10)]


@pytest.mark.parametrize("end", [Stop("why"), StoreFailed(), Fenced(), asyncio.CancelledError()], ids=repr)
async def test_an_end_that_says_why_is_not_the_records(end: BaseException) -> None:
    """An end with a known cause blames no record, however often it comes in the trial of one."""
    world = World()
    world.ends["apply", 6] = Died()
    for _ in range(2):
        await world.life()
    world.ends["apply", 6] = end
    for _ in range(5):
        if isinstance(end, asyncio.CancelledError):
            with pytest.raises(asyncio.CancelledError):
                await world.life()
        else:
            await world.life()
    world.ends.clear()
    assert (await world.life()).saved == [(offset, "event") for offset in range(6, 10)]


async def test_a_clean_end_begins_anew() -> None:
    """Deaths counted before it are forgotten."""
    world = World()
    world.ends["apply", 6] = Died()
    for _ in range(3):
        await world.life()
    await world.life(in_order=True)
    assert not (await world.life()).is_careful


async def test_deaths_outside_of_trials_blame_no_record() -> None:
    """Deaths outside of trials blame no record, whatever was read before them."""
    world = World()
    for _ in range(20):
        world.lives += 1
        claim = Claim(0, world.lives, f"t{world.lives}", IDENTITY)
        state = await world.store.claim(claim)
        await world.store.begin(claim, {"visits": 0, "carts": 0})
        state = await world.store.claim(claim)
        await world.store.set_attempt(0, claim.fencing_token, encode(judge(state.attempt, state.positions)))
    life = await world.life()
    assert life.is_careful
    assert life.saved == [(offset, "event") for offset in range(10)]


async def test_nothing_of_another_partition_happens_beside_a_trial() -> None:
    """A death while a record is under trial can have no other cause in the process."""
    care, beside, most = Care([0, 1], 100), 0, 0

    async def moved() -> bool:
        nonlocal beside, most
        beside += 1
        most = max(most, beside)
        await asyncio.sleep(0)
        beside -= 1
        return True

    tasks = []
    for partition in (0, 1):
        trials = Trials(MemoryStore(), partition, "t", Attempt(POSITIONS), care)
        steps: Any = Steps(World(), "t", POSITIONS, 0)
        context = TaskContext(
            partition=partition,
            merge=Merge(list(POSITIONS), POSITIONS),
            pace=Pace(1, 1, 1, 0),
            fetch_status=lambda _: FetchStatus(None, 0.0),
            now_ms=lambda: 0,
            trials=trials,
        )
        partition_task = PartitionTask(context, steps, cast(Any, None))
        partition_task._moved = moved  # type: ignore[method-assign]
        tasks.append(partition_task)
    running = [asyncio.create_task(partition_task.run()) for partition_task in tasks]
    await asyncio.sleep(0.05)
    for partition_task in tasks:
        partition_task.release()
    await asyncio.gather(*running)
    assert most == 1


# --- care --------------------------------------------------------------------------------------


def test_care_is_of_all_partitions_until_none_needs_it() -> None:
    """Care ends when a partition has passed so many records, or read all; unreadable ones do not prolong it."""
    now = 0.0
    care = Care([1, 2], 2, lambda: now)
    states = []
    for end, partition in ((care.passed, 0), (care.ended, 1), (care.passed, 2), (care.passed, 2)):
        end(partition)
        states.append(care.is_on)
    assert states == [True, True, True, False]
    care = Care([1], 2, lambda: now)
    now = CARE_MAX_S
    assert not care.is_on
    assert not Care().is_on


async def test_a_newer_owner_ends_a_trial_before_it_begins() -> None:
    """A trial that is not written must not begin."""
    store = MemoryStore()
    await store.claim(Claim(0, 1, "t1", IDENTITY))
    trials = Trials(store, 0, "t0", Attempt(POSITIONS), Care())
    tried = []
    with pytest.raises(Fenced):
        async with trials.of(record(5)):
            tried.append(5)
    assert tried == []
