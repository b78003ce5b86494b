"""Changed definitions: a customer that a former file decided goes on under another, without anything being read again.

The one rule: for facts that the former file stored, the result is that of a replay of all events under the new file.
The published changes lead from the former memberships to these, in whichever order customers are migrated.
"""

from __future__ import annotations

import asyncio
import json
import random

import msgspec
import pytest

from rules.changes import Change
from rules.conditions.base import CustomerView
from rules.definition_migration import DefinitionMigration, HistoryGap, history_gaps
from rules.definitions.segments_file import Definitions, build, built_in
from rules.engine import Engine
from rules.profile_migration import carrying, missing_history
from rules.reasons import REMOVED
from rules.sentences.reason_sentence import sentence
from streams.offline.replay import Replay
from streams.wire import changes
from tests.oracle import oracle
from tests.strategies import histories, worlds
from tests.strategies.worlds import failing
from tests.support.migration_worlds import BOUGHT, TWICE, World, engine_of, epochs, only
from tests.support.partition_lives import GRACE_MS, Lives, inputs
from tests.support.recovery_cases import DIES_WITHIN, LIVES_MAX, LOST, fold

SEEDS = range(400)
LIVES = range(60)
NIGHTLY = range(len(LIVES), 1_520)


# --- what is decided ---------------------------------------------------------------------------


def test_the_end_is_that_of_a_replay_under_the_new_file() -> None:
    """Segments of which everything was kept have the members that a replay under the new file gives them."""

    def fails(seed: int) -> object:
        world = World(seed)
        _, customers = world.run()
        fresh = Replay(world.after)
        for _ in fresh.run(worlds.decoded(world.sent), world.until):
            pass
        complete = world.complete()
        members = {
            customer_id: set(world.after.membership(customer)) & complete for customer_id, customer in customers.items()
        }
        right = {
            customer_id: set(world.after.membership(customer)) & complete
            for customer_id, customer in fresh.customers.items()
        }
        return members != right and (members, right)

    assert failing(SEEDS, fails) == {}


def test_what_was_kept_is_what_a_replay_keeps() -> None:
    """The whole profile, fact by fact, is that of a replay where the former file asked for all of it."""
    count = 0
    for seed in SEEDS:
        world = World(seed)
        if missing_history(world.before.definitions.facts, world.after.definitions.facts) is not False:
            continue
        count += 1
        _, customers = world.run()
        fresh = Replay(world.after)
        list(fresh.run(worlds.decoded(world.sent), world.until))
        for customer_id, customer in customers.items():
            for index, segment in enumerate(world.after.definitions.segments):
                decided = segment.when.decide(
                    CustomerView(customer_id, customer.profile, customer.since), customer.instant
                )
                right = segment.when.decide(
                    CustomerView(customer_id, fresh.customers[customer_id].profile, customer.since), customer.instant
                )
                assert decided == right, (seed, segment.key, index)
    assert count > 60


def test_changes_lead_from_what_was_said_to_what_is() -> None:
    """Sequences have no gap, entered and exited alternate, and the segments told are the membership."""

    def fails(seed: int) -> object:
        all_changes, customers = World(seed).run()
        problems: list[object] = []
        for customer_id, own in worlds.per_customer(all_changes).items():
            members: set[str] = set()
            for number, change in enumerate(own, 1):
                if change.sequence != number or (change.segment in members) != (change.kind == "exited"):
                    problems.append((customer_id, change))
                members ^= {change.segment}
                if change.segments != tuple(sorted(members)):
                    problems.append((customer_id, change))
            if customers[customer_id].sequence != len(own):
                problems.append((customer_id, customers[customer_id].sequence, len(own)))
        return problems

    assert failing(SEEDS, fails) == {}


def test_worlds_have_what_they_are_for() -> None:
    """Segments go, come, stay and change; of some not everything was kept."""
    kinds = {"removed": 0, "entered": 0, "exited": 0, "short": 0, "complete": 0}
    for seed in SEEDS:
        world = World(seed)
        all_changes, _ = world.run()
        for change in all_changes:
            if change.backfill:
                kinds["removed" if change.reason == REMOVED else change.kind] += 1
        kinds["short"] += len(world.after.definitions.segments) - len(world.complete())
        kinds["complete"] += len(world.complete())
    assert min(kinds.values()) > 40, kinds


def test_a_change_by_definition() -> None:
    """The change has its cause, its mark, an instant of the customer or the file, and always the same id."""
    old = engine_of(buyer=BOUGHT, twice=TWICE)
    new = engine_of(twice=BOUGHT)
    migrations = [migrated_changes(old, new, at) for at in (T + 5_000, T + 5_000, T - 5_000)]
    assert migrations[0] == migrations[1]
    (gone, came), (gone_early, _) = migrations[0], migrations[2]
    assert (gone.segment, gone.kind, came.segment, came.kind) == ("buyer", "exited", "twice", "entered")
    assert (gone.occurred_at, gone_early.occurred_at) == (T + 5_000, T + 1)
    assert gone.id != gone_early.id
    assert gone.definition == new.definitions.fingerprint
    assert came.definition == new.definitions.segments[0].fingerprint
    public = json.loads(changes.encode(changes.of(gone)))
    assert (public["cause"], public["backfill"], public["late"]) == (
        {"kind": "definition", "event_id": None},
        True,
        False,
    )
    assert public["said"]["en"] == "this segment is no longer defined" == sentence(REMOVED)


T = 1_772_359_200_000


def migrated_changes(old: Engine, new: Engine, at: int) -> list[Change]:
    """The changes of a customer that bought once at T."""
    replay = Replay(old)
    order = {
        "type": "track",
        "event": "Order Completed",
        "messageId": "m",
        "userId": "u",
        "properties": {"order_id": "o"},
    }
    list(replay.run(worlds.decoded([{**order, "timestamp": "2026-03-01T10:00:00Z"}])))
    return DefinitionMigration(old.definitions, new).migrate("u", replay.customers["u"], at)


# --- a partition that lives several lives ------------------------------------------------------


@pytest.mark.parametrize(
    "seeds",
    [
        LIVES,
        *(
            pytest.param(NIGHTLY[start : start + 146], marks=pytest.mark.nightly)
            for start in range(0, len(NIGHTLY), 146)
        ),
    ],
    ids=lambda seeds: f"seeds {seeds.start}-{seeds.stop - 1}",
)
def test_files_that_change_between_lives(seeds: range) -> None:
    """Whatever dies when and whatever the store loses, the end is right and nothing contradicts."""

    def fails(seed: int) -> object:
        world = World(seed)
        lives = Lives(world.rng, world.before, inputs(world.rng, world.sent, 0))
        used = asyncio.run(through_files(world, lives))
        folded, strange = fold(lives.outputs.changes())
        complete = (
            world.complete() if world.before in used else {segment.key for segment in world.after.definitions.segments}
        )
        members = oracle.membership(world.sent, world.new, lives.wall - GRACE_MS)
        right = only(members, complete)
        problems = {
            "sequence, alternation or segments": strange,
            "still ahead": lives.ahead(),
            "not settled": not epochs(lives, world.after).is_settled,
            "the topic and the store": folded != (stored_members := lives.members()) and (folded, stored_members),
            "the topic and the oracle": only(folded, complete) != right and (folded, right),
            "the store and the oracle": only(lives.members(), complete) != right,
            "stops": lives.stop_messages,
        }
        return {name: value for name, value in problems.items() if value}

    assert failing(seeds, fails) == {}


async def through_files(world: World, lives: Lives) -> list[Engine]:
    """Lives under either file that end anywhere, each followed by a loss; then one under the second to the end.

    Which of them were begun.
    """
    rng, used = world.rng, list[Engine]()
    for _ in range(rng.randrange(1, LIVES_MAX)):
        lives.engine = rng.choice((world.before, world.before, world.after))
        used.append(lives.engine)
        at = len(lives.store.was) + rng.randrange(DIES_WITHIN)
        lives.store.loses = rng.choice((None, (at, rng.choice(LOST))))
        await lives.live(world.until, rng.choice(range(DIES_WITHIN)))
        lives.store.lose(rng.choice(LOST))
    lives.store.loses, lives.engine = None, world.after
    assert await lives.live(world.until)
    return used


# --- what was not kept -------------------------------------------------------------------------


def viewed(within: str, **more: object) -> object:
    return {"performed": {"event": "page", "within": within, **more}}


def ordered(**more: object) -> object:
    return {"performed": {"event": "Order Completed", **more}}


def came(count: int, **more: object) -> object:
    return {"sessions": {"count": count, "within": "1d", **more}}


def summed(of: str, **more: object) -> object:
    return {"total": {"agg": "sum", "of": of, "event": "Order Completed", "at_least": 1, **more}}


SHORT: list[tuple[str, object, object, int | bool | None]] = [
    ("the same", BOUGHT, BOUGHT, False),
    ("a shorter window", viewed("7d"), viewed("1d"), False),
    ("a longer window", viewed("1d"), viewed("7d"), 7 * histories.DAY),
    ("more of them", viewed("1d"), viewed("1d", count={"at_least": 3}), histories.DAY),
    ("another event", {"performed": {"event": "page"}}, {"performed": {"event": "Signed Up"}}, None),
    ("orders that are picked otherwise", BOUGHT, ordered(where={"coupon": "x"}, within="1d"), histories.DAY),
    ("more orders of the same", BOUGHT, ordered(within="1d", count={"at_least": 9}), False),
    ("a property of orders", summed("total"), summed("tax", within="1d"), histories.DAY),
    ("the same property over less", summed("total"), summed("total", within="1d"), False),
    ("value, which counts in one currency", BOUGHT, summed("total"), None),
    ("a cart", BOUGHT, {"cart": {"idle_for": "1h"}}, 90 * histories.DAY),
    ("prices of a cart", {"cart": {"idle_for": "1h"}}, {"cart": {"value": {"at_least": 3}}}, 90 * histories.DAY),
    ("sessions", came(2), came(3), False),
    ("sessions of another gap", came(2), came(2, gap="1h"), histories.DAY),
    ("a trait asked otherwise", {"trait": {"plan": "pro"}}, {"trait": {"plan": "free"}}, None),
    ("an attribute asked otherwise", {"context": {"country": "Iran"}}, {"context": {"country": "Chile"}}, False),
    ("another attribute", {"context": {"country": "Iran"}}, {"context": {"city": "Qom"}}, None),
    ("the date alone", BOUGHT, {"calendar": {"weekday": ["mon"]}}, False),
]


@pytest.mark.parametrize(("old", "new", "for_ms"), [row[1:] for row in SHORT], ids=[row[0] for row in SHORT])
def test_what_starts_from_now(old: object, new: object, for_ms: int | bool | None) -> None:
    """Segments of which something was not kept, and how long that makes a difference."""
    gaps = history_gaps(engine_of(s=old).definitions, engine_of(other=BOUGHT, s=new).definitions)
    own = [gap for gap in gaps if gap.segment == "s"]
    assert own == ([] if for_ms is False else [HistoryGap("s", for_ms)])


def test_an_attribute_is_asked_of_what_it_says() -> None:
    """What is shown of it is all of it, so a test that is new has its answer at once."""
    old, new = engine_of(s={"context": {"country": "Iran"}}), engine_of(s={"context": {"country": "Chile"}})
    replay = Replay(old)
    page = {"type": "page", "messageId": "m", "userId": "u", "context": {"location": {"country": "Chile"}}}
    list(replay.run(worlds.decoded([{**page, "timestamp": "2026-03-01T10:00:00Z"}])))
    (change,) = DefinitionMigration(old.definitions, new).migrate("u", replay.customers["u"], 0)
    assert (change.segment, change.kind) == ("s", "entered")


# --- documents ---------------------------------------------------------------------------------


def documents() -> list[Definitions]:
    drawn = [random.Random(seed) for seed in range(150)]
    built = [build(histories.random_definitions(rng), "drawn.yaml") for rng in drawn]
    return [built_in(), built_in("demo.yaml"), *built]


def test_a_file_can_be_built_again_from_what_is_stored() -> None:
    """A file's document, through JSON, gives the same fingerprint and facts in the same places."""
    for definitions in documents():
        again = build(msgspec.json.decode(msgspec.json.encode(definitions.document)), "again")
        assert again.fingerprint == definitions.fingerprint
        assert again.facts.by_key == definitions.facts.by_key
        assert [segment.key for segment in again.segments] == [segment.key for segment in definitions.segments]


def test_what_is_carried_to_the_same_file_is_the_same() -> None:
    """A profile that is carried over to the same file loses nothing, whatever is asked."""
    for seed in range(200):
        rng = random.Random(seed)
        sent, drawn = histories.world(rng, 25)
        engine = Engine(build(drawn, "f.yaml"))
        replay = Replay(engine)
        list(replay.run(worlds.decoded(sent)))
        carries = carrying(engine.definitions.facts, engine.definitions.facts)
        for customer in replay.customers.values():
            profile = engine.new().profile
            for carry in carries:
                carry(customer.profile, profile)
            assert msgspec.msgpack.encode(profile) == msgspec.msgpack.encode(customer.profile)
