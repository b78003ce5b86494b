"""Recovery: the published records and the store agree again, whichever process died and whatever the store lost.

The output topics are judged as a consumer reads them, which drops repeats by their ids; with transactions there are no
repeats. A failure names its seed.
"""

from __future__ import annotations

import asyncio
import random
from collections import defaultdict
from collections.abc import Sequence
from functools import cache
from typing import TypeVar, cast

import msgspec
import pytest

from rules.definitions.segments_file import parse
from rules.engine import Engine
from rules.reasons import Observed, Reason
from streams.runtime import checkpoint
from streams.wire import changes, memberships
from streams.wire.changes import SegmentChange
from streams.wire.records import OutRecord, encode_entry
from streams.wire.topics import CHANGES, MEMBERSHIPS
from streams.worker import output_recovery
from streams.worker.segmenter import Segmenter
from tests.oracle import oracle
from tests.oracle.oracle import Json, milliseconds
from tests.strategies import histories, worlds
from tests.strategies.worlds import failing
from tests.support import live
from tests.support.partition_lives import GRACE_MS, Lives, Record, inputs
from tests.support.recovery_cases import DIES_WITHIN, LIVES_MAX, Case, fold, through_all

SEEDS = range(60)
NIGHTLY = range(len(SEEDS), 10_000)
IN_BLOCKS = pytest.mark.parametrize(
    "seeds",
    [
        SEEDS,
        *(
            pytest.param(NIGHTLY[start : start + 150], marks=pytest.mark.nightly)
            for start in range(0, len(NIGHTLY), 150)
        ),
    ],
    ids=lambda seeds: f"seeds {seeds.start}-{seeds.stop - 1}",
)


T = TypeVar("T")


def drawn(seed: int, *, late: bool) -> Case:
    rng = random.Random(seed)
    sent, definitions = histories.world(rng, rng.choice((6, 12, 25)))
    world = worlds.made(rng, sent, definitions)
    if late:
        return Case(rng, world.shuffled, world.plain_definitions, world.plain, world.until)
    return Case(rng, world.sent, world.definitions, world.engine, world.until)


def wrong(case: Case, lives: Lives, *, late: bool) -> object:
    """Find what is not as it must be, once all was read."""
    changes = lives.outputs.changes()
    letters = lives.outputs.letters()
    garbage = {place for topic in case.topics.values() for place in garbage_of(topic)}
    right, members = case.right(lives.wall - GRACE_MS)
    folded, strange = fold(changes)
    newest = {change.customer_id: change for change in sorted(changes, key=lambda change: change.sequence)}
    table = {customer_id: memberships.of(change) for customer_id, change in newest.items()}
    rows = lives.outputs.table()
    differing = {
        customer_id for customer_id in table.keys() | rows.keys() if table.get(customer_id) != rows.get(customer_id)
    }
    problems = {
        "repeats": (len(changes) - len({change.change_id for change in changes}), len(letters) - len(set(letters)))
        != (0, 0),
        "sequence, alternation or segments": strange,
        "still ahead": lives.ahead(),
        "the topic and the store": folded != lives.members() and (folded, lives.members()),
        "the topic and the oracle": folded != members and (folded, members),
        "the table and the topic": differing,
        "dead letters": set(letters) != garbage,
        "changes": not late and differs(changes, right),
        "stops": lives.stop_messages,
    }
    return {name: value for name, value in problems.items() if value}


def garbage_of(topic: Sequence[Record]) -> set[tuple[str, int]]:
    return {
        (record.topic, record.offset)
        for record in topic
        if record.value is not None and record.value.startswith(b"garbage")
    }


def differs(changes: Sequence[SegmentChange], right: dict[str, list[worlds.PlainChange]]) -> object:
    by_customer: dict[str, list[worlds.PlainChange]] = defaultdict(list)
    for change in changes:
        by_customer[change.customer_id].append(
            (change.segment, change.change, milliseconds(change.occurred_at), change.late)
        )
    return dict(by_customer) != right and (dict(by_customer), right)


# --- lives -------------------------------------------------------------------------------------


@IN_BLOCKS
@pytest.mark.parametrize("late", [False, True], ids=["in time order", "late events"])
def test_lives_that_end_anywhere(seeds: range, late: bool) -> None:
    """The topic says what the oracle says; of late events, in the end; a customer's changes follow one another."""

    def fails(seed: int) -> object:
        case = drawn(seed, late=late)
        lives = case.lives()
        asyncio.run(through_all(case, lives))
        return wrong(case, lives, late=late)

    assert failing(seeds, fails) == {}


@IN_BLOCKS
def test_each_life_ends_with_a_request_under_way_and_a_save_that_is_lost(seeds: range) -> None:
    """The next owner has forgotten what the former one may still publish."""

    async def live_all(case: Case, lives: Lives) -> None:
        for _ in range(case.rng.randrange(1, LIVES_MAX)):
            await lives.live(case.until, case.rng.randrange(12), in_publishing=True)
            lives.store.lose(case.rng.choice((1, 1, 2, 2, 3, 4, 6)))
        assert await lives.live(case.until)

    def fails(seed: int) -> object:
        case = drawn(seed, late=True)
        lives = case.lives()
        asyncio.run(live_all(case, lives))
        return wrong(case, lives, late=True)

    assert failing(seeds, fails) == {}


@cache
def night() -> tuple[Sequence[Json], Engine]:
    """A history with enough of everything for a few dozen writes: the four segments, by events and by time."""
    rng = random.Random(22)
    return histories.history(rng, size=120), Engine(parse(live.FOUR.read_text(), "four.yaml"))


def whole_life() -> tuple[Case, Lives]:
    """A night to its end, and a month of time after it."""
    events, engine = night()
    case = Case(random.Random(1), events, oracle.BUILT_IN, engine, oracle.latest(events) + 31 * histories.DAY)
    first = case.lives()
    assert asyncio.run(first.live(case.until))
    return case, first


def test_every_cut() -> None:
    """After a whole life the store goes back to any of its writes, and in a second life to any of those."""
    case, first = whole_life()
    count = len(first.store.was)
    assert count > 100
    assert len(first.outputs.changes()) > 70
    for cut in range(1, count):
        lives = first.having_lost(cut)
        asyncio.run(lives.live(case.until, cut % DIES_WITHIN))
        lives.store.lose(cut % 7)
        assert asyncio.run(lives.live(case.until))
        assert wrong(case, lives, late=False) == {}, f"cut {cut} of {count}"


@pytest.mark.parametrize("writes", [1, 2, 4])
def test_every_loss_under_a_running_worker(writes: int) -> None:
    """The store loses its last writes and the worker goes on: it finds out before it makes anything worse."""
    events, engine = night()
    until = oracle.latest(events) + 31 * histories.DAY
    case = Case(random.Random(2), events, oracle.BUILT_IN, engine, until)
    stopped = 0
    for write_number in range(4, 160, 3):
        lives = Lives(random.Random(3), engine, case.topics)
        lives.store.loses = write_number, writes
        stopped += not asyncio.run(lives.live(until))
        assert asyncio.run(lives.live(until))
        assert wrong(case, lives, late=False) == {}, f"at write {write_number}"
    assert stopped > 20


def test_every_loss_while_what_was_published_is_read_back() -> None:
    """Customers ahead are saved before the position: a store that lost the one must not take the other."""
    case, first = whole_life()
    for cut in range(5, len(first.store.was), 40):
        for after in range(1, 8):
            lives = first.having_lost(cut)
            lives.store.loses = len(lives.store.was) + after, 1
            asyncio.run(lives.live(case.until))
            assert asyncio.run(lives.live(case.until))
            assert wrong(case, lives, late=False) == {}, f"cut {cut}, lost after {after}"


# --- one claim ---------------------------------------------------------------------------------


def lived() -> tuple[Case, Lives]:
    """A partition after a life that came to its end; there were dead letters."""
    events, engine = night()
    case = Case(random.Random(1), events, oracle.BUILT_IN, engine, oracle.latest(events))
    case.topics = inputs(random.Random(1), events, 3)
    lives = case.lives()
    assert asyncio.run(lives.live(case.until))
    return case, lives


def test_of_what_is_known_nothing_is_remembered() -> None:
    """On a store without positions of the outputs, all of them is read back, and nothing in it is new."""
    _, lives = lived()
    lives.store._partitions[0].outputs.clear()
    before = lives.store.was[-1][0]
    runner = asyncio.run(lives.claim())
    after = lives.store._partitions[0]
    assert cast(Segmenter, runner.task.processor)._published_dead_letters == set()
    assert (after.save_number, after.customers) == (before.save_number, before.customers)
    assert after.outputs == {name: len(lives.outputs.records[name]) for name in output_recovery.OUTPUTS}


def test_records_that_are_not_ours(caplog: pytest.LogCaptureFixture) -> None:
    """Records of other writers are passed over, and one line says how many; a tombstone is nothing strange."""
    _, lives = lived()
    strange = [OutRecord("segment-changes", b"u1", value, []) for value in (b"", b"{", b"[]", b'{"change_id": 1}')]
    lives.outputs.append([*strange, OutRecord("dead-letters", None, b"x", [("offset", b"x")])])
    lives.outputs.rng = random.Random(5)
    customers = dict(lives.store._partitions[0].customers)
    asyncio.run(lives.claim())
    assert lives.store._partitions[0].customers == customers
    assert "records that are no segment changes" in caplog.text
    caplog.clear()
    lives.store._partitions[0].outputs = {"segment-changes": len(lives.outputs.records["segment-changes"])}
    lives.outputs.append([OutRecord("segment-changes", b"u1", None, [])])
    asyncio.run(lives.claim())
    assert not [record for record in caplog.records if record.name == output_recovery.log.name]


def test_a_save_of_which_the_reply_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    """A save whose reply is lost is sent a second time, and nothing is there twice."""
    monkeypatch.setattr(checkpoint, "happens", lambda name: name == "lost_save_reply")
    case, lives = lived()
    assert wrong(case, lives, late=False) == {}


def test_rows_of_entries_that_are_not_seen_whole() -> None:
    """An entry with a record for another partition is published again, but no row replaces a newer one."""
    case, lives = lived()
    of_store, published = lives.store._partitions[0], lives.outputs.records
    table = lives.outputs.table()
    changes_of = [record for record in published[CHANGES] if record.key == published[CHANGES][-1].key]
    rows_of = [record for record in published[MEMBERSHIPS] if record.key == changes_of[0].key]
    assert len(changes_of) > 2
    elsewhere = OutRecord("merges", b"another", b"{}", [])
    of_store.outbox = [encode_entry([changes_of[0], rows_of[0], elsewhere])]
    of_store.trimmed -= 1
    of_store.outputs = {CHANGES: 0}
    published["merges"] = []
    asyncio.run(lives.claim())
    assert of_store.outbox == []
    assert published["merges"] == [elsewhere]
    assert lives.outputs.table() == table
    assert wrong(case, lives, late=False) == {}


def test_repeats_set_no_row_back() -> None:
    """The last record of a customer on the topic need not be its newest change."""
    _, lives = lived()
    of_store, published = lives.store._partitions[0], lives.outputs.records
    table = lives.outputs.table()
    of_store.outputs = {CHANGES: len(published[CHANGES])}
    lives.outputs.append(published[CHANGES][:10])
    asyncio.run(lives.claim())
    assert lives.outputs.table() == table
    assert of_store.outputs[CHANGES] == len(published[CHANGES])


def test_a_change_that_is_too_large_to_be_published_is_cut() -> None:
    """A change that a former version saved and could not publish is cut; nothing else of its entry is another."""
    case, lives = lived()
    of_store, published = lives.store._partitions[0], lives.outputs.records
    change, row = published[CHANGES].pop(), published[MEMBERSHIPS].pop()
    decoded = changes.decode(change.value or b"")
    long = Reason(True, "sample", Observed(), {"salt": "x" * 1_200_000})
    value = msgspec.json.encode(msgspec.structs.replace(decoded, reason=long))
    of_store.outbox = [encode_entry([OutRecord(CHANGES, change.key, value, change.headers), row])]
    of_store.trimmed -= 1
    of_store.outputs = {CHANGES: len(published[CHANGES])}
    asyncio.run(lives.claim())
    assert of_store.outbox == []
    assert published[MEMBERSHIPS][-1] == row
    cut = changes.decode(published[CHANGES][-1].value or b"")
    assert len(published[CHANGES][-1].value or b"") < 20_000
    assert cut.reason.cut is not None
    assert msgspec.structs.replace(cut, reason=decoded.reason) == decoded
    assert wrong(case, lives, late=False) == {}
