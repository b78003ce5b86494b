"""A rebuild beside the running state: all events are read again, and only what differs is told.

The one rule: in the end everybody is as a replay of everything makes them under the new file, whatever was kept before,
whatever died meanwhile; and the changes lead there from what was said.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import msgspec
import pytest

from rules.conditions import CustomerView
from rules.definition_migration import DefinitionMigration
from rules.engine import Engine
from rules.events import ERASE, Event
from rules.published_ahead import PublishedChange
from streams.offline.rebuild_process import newest
from streams.offline.replay import Replay
from streams.state.definition_versions import DefinitionVersions
from streams.wire import customer_codec, memberships
from streams.wire.topics import CHANGES
from streams.worker.rebuild import Rebuild, RebuildResult
from tests.oracle import oracle
from tests.strategies import worlds
from tests.strategies.worlds import failing
from tests.support.migration_worlds import BOUGHT, TWICE, World, bought, engine_of, epochs, only
from tests.support.partition_lives import GRACE_MS, Lives, inputs
from tests.support.recovery_cases import DIES_WITHIN, LIVES_MAX, LOST, fold

LIVES = range(60)
NIGHTLY = range(len(LIVES), 1_520)
PARTS = [LIVES, *(pytest.param(NIGHTLY[at : at + 146], marks=pytest.mark.nightly) for at in range(0, 1_460, 146))]


def lives_of(one: World, engine: Engine) -> Lives:
    """Of this world, under one of its files first."""
    return Lives(one.rng, engine, inputs(one.rng, one.sent, 0))


def lived(seed: int) -> tuple[World, Lives]:
    """Lives under either file, with rebuilds and without, that end anywhere; then a rebuild under the second."""
    one = World(seed)
    lives = lives_of(one, one.before)
    asyncio.run(_through(one, lives))
    return one, lives


async def _through(one: World, lives: Lives) -> None:
    rng = one.rng
    for _ in range(rng.randrange(1, LIVES_MAX)):
        lives.engine = rng.choice((one.before, one.before, one.after))
        lives.rebuilds = rng.random() < 0.5
        at = len(lives.store.was) + rng.randrange(DIES_WITHIN)
        lives.store.loses = rng.choice((None, (at, rng.choice(LOST))))
        await lives.live(one.until, rng.choice(range(DIES_WITHIN)))
        lives.store.lose(rng.choice(LOST))
    lives.store.loses, lives.engine, lives.rebuilds = None, one.after, True
    assert await lives.live(one.until)


@pytest.mark.parametrize("seeds", PARTS, ids=lambda seeds: f"seeds {seeds.start}-{seeds.stop - 1}")
def test_the_end_is_that_of_a_replay(seeds: range) -> None:
    """For every segment, also of those facts that the former file did not keep."""

    def fails(seed: int) -> object:
        one, lives = lived(seed)
        folded, strange = fold(lives.outputs.changes())
        right = only(oracle.membership(one.sent, one.new, lives.wall - GRACE_MS), None)
        found = {
            "sequence, alternation or segments": strange,
            "still ahead": lives.ahead(),
            "not settled": not epochs(lives, one.after).is_settled,
            "short": [epoch.short for epoch in epochs(lives, one.after).versions if epoch.short],
            "the topic": folded != right and (folded, right),
            "the store": (held := lives.members()) != right and (held, right),
            "decided otherwise than a replay decides": _otherwise(one, lives),
            "stops": lives.said,
        }
        return {name: value for name, value in found.items() if value}

    assert failing(seeds, fails) == {}


def _otherwise(one: World, lives: Lives) -> list[str]:
    """Whose facts decide something otherwise than those of a replay, now or later."""
    fresh = Replay(one.after)
    list(fresh.run(worlds.decoded(one.sent), lives.wall - GRACE_MS))
    found = []
    for who, value in lives.store._partitions[0].customers.items():
        known, right = customer_codec.decode(value), fresh.customers[who]
        for segment in one.after.definitions.segments:
            decided, expected = (
                segment.when.decide(CustomerView(who, each.profile, right.since), known.instant)
                for each in (known, right)
            )
            if decided != expected:
                found.append(f"{who} {segment.key}")
    return found


def test_who_is_right_has_no_change_and_who_is_wrong_is_put_right() -> None:
    """Facts that are wrong although nothing wrong was said yet, and a customer whom Redis no longer knows."""
    forgotten = 0
    for seed in range(40):
        one = World(seed)
        lives = lives_of(one, one.after)
        assert asyncio.run(lives.live(one.until))
        before, right = lives.outputs.changes(), lives.members()
        kept = lives.store._partitions[0]
        for who, value in kept.customers.items():
            wrong = customer_codec.decode(value)
            wrong.profile, wrong.dues, wrong.due = one.after.new().profile, {}, 0
            kept.customers[who] = customer_codec.encode(wrong)
        asyncio.run(rebuilt(lives, one))
        assert lives.outputs.changes() == before, "what was said is so, so nothing is told"
        assert lives.members() == right
        assert _otherwise(one, lives) == []
        lost = one.rng.choice(sorted(kept.customers))
        del kept.customers[lost]
        asyncio.run(rebuilt(lives, one))
        assert (lives.members(), lives.outputs.changes()) == (right, before), "the topic knows what was said of them"
        forgotten += lost in right
    assert forgotten > 10


def test_whom_redis_no_longer_knows_goes_on_in_number() -> None:
    """Under another file too: what the topic says of them is what the changes go on from."""
    gone_on = 0
    for seed in range(60):
        one = World(seed)
        lives = lives_of(one, one.before)
        assert asyncio.run(lives.live(one.until))
        before, kept = lives.outputs.changes(), lives.store._partitions[0]
        lost = set(one.rng.sample(sorted(kept.customers), len(kept.customers) // 2))
        for who in lost:
            del kept.customers[who]
        lives.engine = one.after
        asyncio.run(rebuilt(lives, one))
        folded, strange = fold(lives.outputs.changes())
        assert strange == [], seed
        assert folded == lives.members() == only(oracle.membership(one.sent, one.new, lives.wall - GRACE_MS), None)
        own = [change for change in lives.outputs.changes()[len(before) :] if change.customer_id in lost]
        gone_on += sum(change.backfill and change.sequence > 1 for change in own)
        assert kept_dues(lives) == lives.store._partitions[0].dues, seed
    assert gone_on > 10


def kept_dues(lives: Lives) -> dict[str, int]:
    """As the customers say."""
    return {who: due for who, value in kept_of(lives).items() if (due := customer_codec.decode(value).due)}


def test_whom_redis_lost_while_it_went_on() -> None:
    """Events and due times come to who is not known before all is read again: the membership is right all the same."""
    for seed in range(60):
        one = World(seed)
        lives = lives_of(one, one.before)
        asyncio.run(lives.live(one.until, one.rng.randrange(5, 30)))
        kept = lives.store._partitions[0]
        for who in one.rng.sample(sorted(kept.customers), len(kept.customers) // 2):
            del kept.customers[who]
        asyncio.run(lives.live(one.until, one.rng.choice((0, 5, 20, None))))
        lives.engine = one.after
        asyncio.run(rebuilt(lives, one))
        told_last = newest_of(lives)
        right = only(oracle.membership(one.sent, one.new, lives.wall - GRACE_MS), None)
        assert lives.members() == right, seed
        assert {who: frozenset(told.segments) for who, told in told_last.items() if told.segments} == right, seed
        stored = {who: customer_codec.decode(value).sequence for who, value in kept_of(lives).items()}
        assert {who: told.sequence for who, told in told_last.items()} == {who: stored[who] for who in told_last}, seed
        assert kept_dues(lives) == lives.store._partitions[0].dues, seed


def test_rows_of_whom_redis_lost_while_it_went_on() -> None:
    """Where what is so is what was said last before, but other rows were written since."""
    put_right = 0
    for seed in range(80):
        one = World(seed)
        lives = lives_of(one, one.after)
        asyncio.run(lives.live(one.until, one.rng.randrange(40, 100)))
        lives.store._partitions[0].customers.clear()
        assert asyncio.run(lives.live(one.until))
        before = lives.outputs.table()
        lives.rebuilds = True
        for _ in range(2):
            asyncio.run(lives.live(one.until, one.rng.randrange(30)))
        asyncio.run(rebuilt(lives, one))
        table = lives.outputs.table()
        assert table == {who: memberships.of_published(who, told) for who, told in newest_of(lives).items()}, seed
        put_right += table != before
    assert put_right > 5


def kept_of(lives: Lives) -> dict[str, bytes]:
    return lives.store._partitions[0].customers


def newest_of(lives: Lives) -> dict[str, PublishedChange]:
    return newest(record.value for record in lives.outputs.records[CHANGES])


async def rebuilt(lives: Lives, one: World) -> None:
    """One more life, whole."""
    lives.rebuilds = True
    assert await lives.live(one.until)


def test_nothing_is_in_the_way() -> None:
    """Without a rebuild asked for, the same lives under the new file leave what was not kept short."""
    short = 0
    for seed in LIVES:
        one = World(seed)
        lives = lives_of(one, one.before)
        assert asyncio.run(lives.live(one.until))
        lives.engine = one.after
        assert asyncio.run(lives.live(one.until))
        short += lives.members() != only(oracle.membership(one.sent, one.new, lives.wall - GRACE_MS), None)
    assert short > 5, "these worlds have nothing to rebuild"


def test_a_profile_that_comes_of_the_file_that_is_to_come() -> None:
    """Another partition has switched already and sends what it knew: an order is an order here too, at once."""
    old, new = engine_of(buyer=BOUGHT), engine_of(twice=TWICE)
    sender, waiting = bought(new), DefinitionVersions.initial(old)
    here = DefinitionVersions.read({"epochs": waiting.encoded().decode()}, waiting.documents, new)
    assert here.engine.definitions.fingerprint == old.definitions.fingerprint
    known = here.translated_profile(msgspec.msgpack.encode(sender.profile), new.definitions.fingerprint)
    assert known is not None
    decided, _ = old.definitions.segments[0].when.decide(
        CustomerView("u", customer_codec.profile(known), {}), sender.instant
    )
    assert decided
    assert here.translated_profile(msgspec.msgpack.encode(sender.profile), "unknown") is None


def test_a_profile_that_came_under_the_former_file() -> None:
    """Read again under another: each fact in its own place, however the two files number them."""
    viewed = {"performed": {"event": "Product Viewed"}}
    old, new = engine_of(buyer=BOUGHT), engine_of(a_viewer=viewed, buyer=BOUGHT)
    before = DefinitionVersions.initial(old)
    known = DefinitionVersions.decoded(before.encoded(), before.documents, new).for_engine(new, 0)
    came = known.translated_profile(msgspec.msgpack.encode(bought(old).profile), old.definitions.fingerprint)
    assert came is not None
    who = CustomerView("u", customer_codec.profile(came), {})
    decided = {one.key: one.when.decide(who, bought(old).instant)[0] for one in new.definitions.segments}
    assert decided == {"a_viewer": False, "buyer": True}


@pytest.mark.parametrize("lost", ["tombstone", "erasure"])
def test_an_erasure_that_redis_lost(lost: str) -> None:
    """It is found again: in nothing, nothing at or before it counts, and nothing is kept under the id."""
    engine = engine_of(buyer=BOUGHT)
    anew, known = bought(engine), bought(engine) if lost == "erasure" else engine.new()
    at = anew.instant + 10
    engine.apply("u", anew, Event("u", ERASE, at, "e"))
    assert anew.is_erased
    told = DefinitionMigration(engine.definitions, engine).rebuild("u", known, anew, at + 5)
    assert [one.kind for one in told] == (["exited"] if lost == "erasure" else [])
    assert known.is_erased
    assert known.erased >= at
    assert (known.since, known.profile) == ({}, engine.new().profile)


def test_who_leaves_what_is_gone_is_not_undisturbed() -> None:
    """As many changes as a replay would count, one of them of a segment that it does not know."""
    old, new = engine_of(x1=BOUGHT, x2=BOUGHT), engine_of(y=TWICE)
    known, anew = bought(old), bought(new)
    anew.sequence = known.sequence
    told = DefinitionMigration(old.definitions, new).rebuild("u", known, anew, known.instant + 5)
    assert [one.segment for one in told] == ["x1", "x2"]
    assert known.out_of_order


async def test_a_turn_is_given_back_whatever_becomes_of_who_had_it() -> None:
    """A release that is broken off while a process ends does not keep the others from theirs."""
    turn = asyncio.Lock()
    made = Stuck()

    async def recompute() -> Stuck:
        return made

    async def follow(_: RebuildResult) -> None:
        raise AssertionError

    one = Rebuild(recompute, dict, follow, turn)
    one.start()
    await asyncio.sleep(0.01)
    assert turn.locked()
    ending = asyncio.create_task(one.end())
    await asyncio.sleep(0.01)
    ending.cancel()
    await asyncio.gather(ending, return_exceptions=True)
    assert not turn.locked()


class Stuck:
    """It comes to nothing, and does not end."""

    def __init__(self) -> None:
        self.customers: dict[str, bytes] = {}
        self.published: dict[str, PublishedChange] = {}

    async def upto(self, _: Mapping[str, int]) -> None:
        await asyncio.sleep(60)

    async def close(self) -> None:
        await asyncio.sleep(60)
