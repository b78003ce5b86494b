"""A rebuild beside the running state: all events are read again, and only differences are published.

The one rule: after a rebuild every customer equals a replay of all events under the new file, whatever was stored
before and whatever died meanwhile. The published changes lead from the former memberships to these.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import msgspec
import pytest

from rules.conditions.base import CustomerView
from rules.definition_migration import DefinitionMigration
from rules.engine import Engine
from rules.event_names import ERASE
from rules.events import Event
from rules.published_ahead import PublishedChange
from streams.offline.rebuild_process import newest
from streams.offline.replay import Replay
from streams.state.definition_versions import DefinitionVersions
from streams.wire import customer_codec, memberships
from streams.wire.topics import CHANGES
from streams.worker.rebuild_handover import Rebuild, RebuildResult
from tests.oracle import oracle
from tests.strategies import worlds
from tests.strategies.worlds import failing
from tests.support.migration_worlds import BOUGHT, TWICE, World, bought, engine_of, epochs, only
from tests.support.partition_lives import GRACE_MS, Lives, inputs
from tests.support.recovery_cases import DIES_WITHIN, LIVES_MAX, LOST, fold

LIVES = range(60)
NIGHTLY = range(len(LIVES), 1_520)
PARTS = [
    LIVES,
    *(pytest.param(NIGHTLY[start : start + 146], marks=pytest.mark.nightly) for start in range(0, 1_460, 146)),
]


def lives_of(world: World, engine: Engine) -> Lives:
    """Lives of this world, under one of its files first."""
    return Lives(world.rng, engine, inputs(world.rng, world.sent, 0))


def lived(seed: int) -> tuple[World, Lives]:
    """Lives under either file, with rebuilds and without, that end anywhere; then a rebuild under the second."""
    world = World(seed)
    lives = lives_of(world, world.before)
    asyncio.run(_through(world, lives))
    return world, lives


async def _through(world: World, lives: Lives) -> None:
    rng = world.rng
    for _ in range(rng.randrange(1, LIVES_MAX)):
        lives.engine = rng.choice((world.before, world.before, world.after))
        lives.rebuilds = rng.random() < 0.5
        at = len(lives.store.was) + rng.randrange(DIES_WITHIN)
        lives.store.loses = rng.choice((None, (at, rng.choice(LOST))))
        await lives.live(world.until, rng.choice(range(DIES_WITHIN)))
        lives.store.lose(rng.choice(LOST))
    lives.store.loses, lives.engine, lives.rebuilds = None, world.after, True
    assert await lives.live(world.until)


@pytest.mark.parametrize("seeds", PARTS, ids=lambda seeds: f"seeds {seeds.start}-{seeds.stop - 1}")
def test_the_end_is_that_of_a_replay(seeds: range) -> None:
    """Every segment ends as in a replay, also those of facts that the former file did not keep."""

    def fails(seed: int) -> object:
        world, lives = lived(seed)
        folded, strange = fold(lives.outputs.changes())
        right = only(oracle.membership(world.sent, world.new, lives.wall - GRACE_MS), None)
        problems = {
            "sequence, alternation or segments": strange,
            "still ahead": lives.ahead(),
            "not settled": not epochs(lives, world.after).is_settled,
            "short": [epoch.short for epoch in epochs(lives, world.after).versions if epoch.short],
            "the topic": folded != right and (folded, right),
            "the store": (stored_members := lives.members()) != right and (stored_members, right),
            "decided otherwise than a replay decides": _otherwise(world, lives),
            "stops": lives.stop_messages,
        }
        return {name: value for name, value in problems.items() if value}

    assert failing(seeds, fails) == {}


def _otherwise(world: World, lives: Lives) -> list[str]:
    """Customers whose facts decide something otherwise than those of a replay, now or later."""
    fresh = Replay(world.after)
    list(fresh.run(worlds.decoded(world.sent), lives.wall - GRACE_MS))
    differing = []
    for customer_id, value in lives.store._partitions[0].customers.items():
        customer, right = customer_codec.decode(value), fresh.customers[customer_id]
        for segment in world.after.definitions.segments:
            decided, expected = (
                segment.when.decide(CustomerView(customer_id, each.profile, right.since), customer.instant)
                for each in (customer, right)
            )
            if decided != expected:
                differing.append(f"{customer_id} {segment.key}")
    return differing


def test_who_is_right_has_no_change_and_who_is_wrong_is_put_right() -> None:
    """Wrong facts are put right without a change if nothing wrong was published; so is a customer that Redis lost."""
    forgotten = 0
    for seed in range(40):
        world = World(seed)
        lives = lives_of(world, world.after)
        assert asyncio.run(lives.live(world.until))
        before, right = lives.outputs.changes(), lives.members()
        partition = lives.store._partitions[0]
        dues = []
        for customer_id, value in partition.customers.items():
            wrong = customer_codec.decode(value)
            dues.append(wrong.due)
            wrong.profile, wrong.dues, wrong.due = world.after.new().profile, {}, 0
            partition.customers[customer_id] = customer_codec.encode(wrong)
        asyncio.run(rebuilt(lives, world))
        if any(0 < due <= lives.wall - GRACE_MS for due in dues):
            continue  # the clock went on, and time alone turned an answer
        assert lives.outputs.changes() == before, "what was said is so, so nothing is told"
        assert lives.members() == right
        assert _otherwise(world, lives) == []
        lost = world.rng.choice(sorted(partition.customers))
        del partition.customers[lost]
        asyncio.run(rebuilt(lives, world))
        assert (lives.members(), lives.outputs.changes()) == (right, before), "the topic knows what was said of them"
        forgotten += lost in right
    assert forgotten > 10


def test_whom_redis_no_longer_knows_goes_on_in_number() -> None:
    """The changes of a customer that Redis lost go on from those on the topic, under another file too."""
    gone_on = 0
    for seed in range(60):
        world = World(seed)
        lives = lives_of(world, world.before)
        assert asyncio.run(lives.live(world.until))
        before, partition = lives.outputs.changes(), lives.store._partitions[0]
        lost = set(world.rng.sample(sorted(partition.customers), len(partition.customers) // 2))
        for customer_id in lost:
            del partition.customers[customer_id]
        lives.engine = world.after
        asyncio.run(rebuilt(lives, world))
        folded, strange = fold(lives.outputs.changes())
        assert strange == [], seed
        assert folded == lives.members() == only(oracle.membership(world.sent, world.new, lives.wall - GRACE_MS), None)
        own = [change for change in lives.outputs.changes()[len(before) :] if change.customer_id in lost]
        gone_on += sum(change.backfill and change.sequence > 1 for change in own)
        assert stored_dues(lives) == lives.store._partitions[0].dues, seed
    assert gone_on > 10


def stored_dues(lives: Lives) -> dict[str, int]:
    """The due times of the stored customers."""
    return {
        customer_id: due
        for customer_id, value in stored_values(lives).items()
        if (due := customer_codec.decode(value).due)
    }


def test_whom_redis_lost_while_it_went_on() -> None:
    """Events and due times reach a customer that is unknown until the rebuild ends: the membership is right."""
    for seed in range(60):
        world = World(seed)
        lives = lives_of(world, world.before)
        asyncio.run(lives.live(world.until, world.rng.randrange(5, 30)))
        partition = lives.store._partitions[0]
        for customer_id in world.rng.sample(sorted(partition.customers), len(partition.customers) // 2):
            del partition.customers[customer_id]
        asyncio.run(lives.live(world.until, world.rng.choice((0, 5, 20, None))))
        lives.engine = world.after
        asyncio.run(rebuilt(lives, world))
        last_published = newest_of(lives)
        right = only(oracle.membership(world.sent, world.new, lives.wall - GRACE_MS), None)
        assert lives.members() == right, seed
        assert {
            customer_id: frozenset(published.segments)
            for customer_id, published in last_published.items()
            if published.segments
        } == right, seed
        stored = {
            customer_id: customer_codec.decode(value).sequence for customer_id, value in stored_values(lives).items()
        }
        assert {customer_id: published.sequence for customer_id, published in last_published.items()} == {
            customer_id: stored[customer_id] for customer_id in last_published
        }, seed
        assert stored_dues(lives) == lives.store._partitions[0].dues, seed


def test_rows_of_whom_redis_lost_while_it_went_on() -> None:
    """Rows are put right where the last change still holds, but other rows were written since."""
    put_right = 0
    for seed in range(80):
        world = World(seed)
        lives = lives_of(world, world.after)
        asyncio.run(lives.live(world.until, world.rng.randrange(40, 100)))
        lives.store._partitions[0].customers.clear()
        assert asyncio.run(lives.live(world.until))
        before = lives.outputs.table()
        lives.rebuilds = True
        for _ in range(2):
            asyncio.run(lives.live(world.until, world.rng.randrange(30)))
        asyncio.run(rebuilt(lives, world))
        table = lives.outputs.table()
        assert table == {
            customer_id: memberships.of_published(customer_id, published)
            for customer_id, published in newest_of(lives).items()
        }, seed
        put_right += table != before
    assert put_right > 5


def stored_values(lives: Lives) -> dict[str, bytes]:
    return lives.store._partitions[0].customers


def newest_of(lives: Lives) -> dict[str, PublishedChange]:
    return newest(record.value for record in lives.outputs.records[CHANGES])


async def rebuilt(lives: Lives, world: World) -> None:
    """Live one more life, whole, with a rebuild."""
    lives.rebuilds = True
    assert await lives.live(world.until)


def test_nothing_is_in_the_way() -> None:
    """Without a rebuild asked for, the same lives under the new file leave what was not kept short."""
    short = 0
    for seed in LIVES:
        world = World(seed)
        lives = lives_of(world, world.before)
        assert asyncio.run(lives.live(world.until))
        lives.engine = world.after
        assert asyncio.run(lives.live(world.until))
        short += lives.members() != only(oracle.membership(world.sent, world.new, lives.wall - GRACE_MS), None)
    assert short > 5, "these worlds have nothing to rebuild"


def test_a_profile_that_comes_of_the_file_that_is_to_come() -> None:
    """Another partition has switched already and sends what it knew: an order is an order here too, at once."""
    old, new = engine_of(buyer=BOUGHT), engine_of(twice=TWICE)
    sender, waiting = bought(new), DefinitionVersions.initial(old)
    here = DefinitionVersions.read({"epochs": waiting.encoded().decode()}, waiting.documents, new)
    assert here.engine.definitions.fingerprint == old.definitions.fingerprint
    translated = here.translated_profile(msgspec.msgpack.encode(sender.profile), new.definitions.fingerprint)
    assert translated is not None
    decided, _ = old.definitions.segments[0].when.decide(
        CustomerView("u", customer_codec.profile(translated), {}), sender.instant
    )
    assert decided
    assert here.translated_profile(msgspec.msgpack.encode(sender.profile), "unknown") is None


def test_a_profile_that_came_under_the_former_file() -> None:
    """Read again under another file, each fact is in its own place, however the two files number them."""
    viewed = {"performed": {"event": "Product Viewed"}}
    old, new = engine_of(buyer=BOUGHT), engine_of(a_viewer=viewed, buyer=BOUGHT)
    before = DefinitionVersions.initial(old)
    versions = DefinitionVersions.decoded(before.encoded(), before.documents, new).for_engine(new, 0)
    came = versions.translated_profile(msgspec.msgpack.encode(bought(old).profile), old.definitions.fingerprint)
    assert came is not None
    view = CustomerView("u", customer_codec.profile(came), {})
    decided = {segment.key: segment.when.decide(view, bought(old).instant)[0] for segment in new.definitions.segments}
    assert decided == {"a_viewer": False, "buyer": True}


@pytest.mark.parametrize("lost", ["tombstone", "erasure"])
def test_an_erasure_that_redis_lost(lost: str) -> None:
    """A lost erasure is found again: nothing at or before it counts, and nothing is kept under the id."""
    engine = engine_of(buyer=BOUGHT)
    replayed, stored = bought(engine), bought(engine) if lost == "erasure" else engine.new()
    at = replayed.instant + 10
    engine.apply("u", replayed, Event("u", ERASE, at, "e"))
    assert replayed.is_erased
    changes = DefinitionMigration(engine.definitions, engine).rebuild("u", stored, replayed, at + 5)
    assert [change.kind for change in changes] == (["exited"] if lost == "erasure" else [])
    assert stored.is_erased
    assert stored.erased >= at
    assert (stored.since, stored.profile) == ({}, engine.new().profile)


def test_who_leaves_what_is_gone_is_not_undisturbed() -> None:
    """There are as many changes as in a replay, but one of them is of a segment that the replay does not know."""
    old, new = engine_of(x1=BOUGHT, x2=BOUGHT), engine_of(y=TWICE)
    stored, replayed = bought(old), bought(new)
    replayed.sequence = stored.sequence
    changes = DefinitionMigration(old.definitions, new).rebuild("u", stored, replayed, stored.instant + 5)
    assert [change.segment for change in changes] == ["x1", "x2"]
    assert stored.out_of_order


async def test_a_turn_is_given_back_whatever_becomes_of_who_had_it() -> None:
    """A release that is broken off while a process ends does not keep the others from theirs."""
    turn = asyncio.Lock()
    made = Stuck()

    async def recompute() -> Stuck:
        return made

    async def follow(_: RebuildResult) -> None:
        raise AssertionError

    rebuild = Rebuild(recompute, dict, follow, turn)
    rebuild.start()
    await asyncio.sleep(0.01)
    assert turn.locked()
    ending = asyncio.create_task(rebuild.end())
    await asyncio.sleep(0.01)
    ending.cancel()
    await asyncio.gather(ending, return_exceptions=True)
    assert not turn.locked()


class Stuck:
    """A recomputation that comes to nothing, and does not end."""

    def __init__(self) -> None:
        self.customers: dict[str, bytes] = {}
        self.published: dict[str, PublishedChange] = {}

    async def upto(self, _: Mapping[str, int]) -> None:
        await asyncio.sleep(60)

    async def close(self) -> None:
        await asyncio.sleep(60)
