"""Definitions files of a partition in a real Redis: what stays of them, how large it is, and what reads them.

The one rule: whatever the number of changes, the size is bounded, and a customer is read by the file that decided it.
"""

from __future__ import annotations

import asyncio
import json
import random
import zlib
from collections.abc import Mapping
from typing import Any

import msgspec
import pytest
import redis.asyncio as redis

from rules.engine import Engine
from streams.offline.explain import explained
from streams.ops.metrics import OpsMetrics
from streams.ops.state_poller import StatePoller
from streams.settings import Settings
from streams.state.contract import Claim, PartitionState
from streams.state.definition_versions import FORMER_MAX_BYTES, VERSIONS_MAX, DefinitionVersions
from streams.state.redis import RedisStore
from streams.triggers.membership_lookup import MembershipLookup
from streams.wire import customer_codec
from tests.oracle import oracle
from tests.strategies.worlds import failing
from tests.support.migration_worlds import BOUGHT, TWICE, World, bought, engine_of, epochs, only
from tests.support.partition_lives import GRACE_MS, Lives, inputs
from tests.support.store_steps import IDENTITY, POSITIONS, step, stored_customer

LIVES = range(40)


def numbered(number: int, text: str = "") -> Engine:
    """The engine of a file which differs for each number, with segments of the same keys."""
    page = {"performed": {"event": "page", "count": {"at_least": number + 1}, "within": "30d"}}
    named = {"performed": {"event": "page", "where": {"x": {"in": [f"{number}{text}"]}}}}
    return engine_of(buyer=BOUGHT, viewer=page, named=named)


class Partition:
    """A partition of a Redis, claimed by one worker after the other."""

    def __init__(self, store: RedisStore) -> None:
        self.store = store
        self.generation = 0
        self.saves = 0

    async def claimed(self, engine: Engine) -> tuple[Claim, PartitionState]:
        """A claim under a file, before it is begun."""
        self.generation += 1
        identity = msgspec.structs.replace(IDENTITY, definitions=engine.definitions.fingerprint)
        claim = Claim(0, self.generation, f"t{self.generation}", identity, follows=True)
        return claim, await self.store.claim(claim)

    async def begun(self, engine: Engine) -> DefinitionVersions:
        """Begin a worker's claim under a file."""
        claim, state = await self.claimed(engine)
        if state.positions:
            files = DefinitionVersions.loaded(state, engine).for_engine(engine, state.clock)
        else:
            files = DefinitionVersions.initial(engine)
        assert await self.store.begin(claim, POSITIONS, files.files(), self.saves)
        return files

    async def saved(self, files: DefinitionVersions, name: str, *, is_last: bool = False) -> None:
        """Save a customer that bought once, decided by the newest file; ``is_last``: all customers were migrated."""
        customer = bought(files.engine)
        customer.definition_version = files.number
        if is_last:
            files.settle()
        content = step(
            self.saves + 1,
            fencing_token=f"t{self.generation}",
            customers=[stored_customer(name, customer_codec.encode(customer))],
            definition_version=files.number,
            files=files.listing() if is_last else None,
        )
        assert await self.store.save(0, content) == "saved"
        self.saves += 1

    async def changed(self, engine: Engine) -> DefinitionVersions:
        """Change the file and migrate all customers."""
        files = await self.begun(engine)
        await self.saved(files, "u", is_last=True)
        return files


@pytest.fixture
def partition(redis_store: RedisStore) -> Partition:
    return Partition(redis_store)


async def sizes(client: redis.Redis, store: RedisStore) -> tuple[int, int, int]:
    """Bytes of the partition's fields, how many documents there are, and their bytes."""
    hashes: Any = client
    meta = await hashes.hgetall(store._key(0, "meta"))
    files = await hashes.hgetall(store._key(0, "files"))
    return sum(map(len, meta.values())), len(files), sum(map(len, files.values()))


@pytest.mark.parametrize("count", [50, 500])
async def test_the_size_is_bounded_whatever_the_number_of_changes(
    partition: Partition, client: redis.Redis, count: int
) -> None:
    """After so many files some documents stay, by which a profile of another partition is read."""
    engines = [numbered(number) for number in range(count)]
    files = DefinitionVersions.initial(engines[0])
    for engine in engines:
        files = await partition.changed(engine)
    meta, documents, size = await sizes(client, partition.store)
    assert documents == min(count, VERSIONS_MAX)
    assert meta < 12_000
    assert size < 30_000
    assert [version.number for version in files.versions] == list(range(count - documents, count))
    came = msgspec.msgpack.encode(bought(engines[-20]).profile)
    profile = (await partition.begun(engines[-1])).translated_profile(came, engines[-20].definitions.fingerprint)
    assert profile == msgspec.msgpack.encode(bought(engines[-1]).profile)


async def test_large_files_stay_by_their_bytes(partition: Partition, client: redis.Redis) -> None:
    """If documents cannot be compressed, the newest stays, and former ones of 1 MiB in all."""
    rng = random.Random(1)
    for number in range(12):
        values = [rng.randbytes(200).hex() for _ in range(900)]
        within = {"performed": {"event": "page", "where": {"x": {"in": values}}}}
        await partition.changed(engine_of(buyer=BOUGHT, viewer=within, **{f"n{number}": TWICE}))
    _, documents, size = await sizes(client, partition.store)
    assert 2 < documents < 10
    assert size < FORMER_MAX_BYTES * (1 + 1 / (documents - 1)) + 1_000


async def test_every_file_stays_until_everybody_is_brought_over(partition: Partition, client: redis.Redis) -> None:
    """Files stay until a step has migrated the last customer; the same step sent twice removes no more."""
    count = VERSIONS_MAX + 5
    first = await partition.begun(numbered(0))
    await partition.saved(first, "oldest")
    for number in range(1, count):
        await partition.begun(numbered(number))
    files = await partition.begun(numbered(count - 1))
    assert (await sizes(client, partition.store))[1] == count
    (value,) = await partition.store.load(0, ["oldest"])
    customer = customer_codec.decode(value or b"")
    assert files.engine_of(customer).definitions.fingerprint == numbered(0).definitions.fingerprint
    explanation = await explained(numbered(count - 1), partition.store, [0], "oldest")
    assert explanation is not None
    assert {membership.segment: membership.member for membership in explanation.segments}["buyer"]

    files.migrate("oldest", customer)
    await partition.saved(files, "oldest", is_last=True)
    assert (await sizes(client, partition.store))[1] == VERSIONS_MAX
    again = step(
        partition.saves,
        fencing_token=f"t{partition.generation}",
        definition_version=files.number,
        files=files.listing(),
    )
    assert await partition.store.save(0, again) == "already"
    assert (await sizes(client, partition.store))[1] == VERSIONS_MAX


async def test_a_worker_dies_between_any_two_calls_of_a_change(partition: Partition, client: redis.Redis) -> None:
    """After a death between claim, begin, save and settle the next worker has every file it needs."""
    await partition.saved(await partition.begun(numbered(0)), "a")
    await partition.claimed(numbered(1))  # and no more
    assert (await sizes(client, partition.store))[1] == 1
    await partition.begun(numbered(1))
    assert (await sizes(client, partition.store))[1] == 2
    begun = await partition.begun(numbered(1))
    assert (begun.number, (await sizes(client, partition.store))[1]) == (1, 2)
    await partition.saved(begun, "b")
    after = await partition.begun(numbered(1))
    values = await partition.store.load(0, ["a", "b"])
    fingerprints = [after.engine_of(customer_codec.decode(value or b"")).definitions.fingerprint for value in values]
    assert fingerprints == [numbered(number).definitions.fingerprint for number in (0, 1)]
    newest = numbered(2)
    _, state = await partition.claimed(newest)
    assert DefinitionVersions.loaded(state, newest).for_engine(newest, state.clock).number == 2
    assert {
        number: json.loads(zlib.decompress(document))["version"] for number, document in state.documents.items()
    } == {
        0: 1,
        1: 1,
    }


async def test_another_owner_changes_no_file(partition: Partition, client: redis.Redis) -> None:
    """A claim that is no longer held writes neither the list nor a document, and removes none."""
    await partition.changed(numbered(0))
    files = await partition.begun(numbered(1))
    stale, _ = await partition.claimed(numbered(1))
    await partition.claimed(numbered(1))
    before = await sizes(client, partition.store)
    assert not await partition.store.begin(stale, {}, files.with_next(numbered(2), 0).files(), partition.saves)
    files.settle()
    content = step(partition.saves + 1, fencing_token=stale.fencing_token, definition_version=1, files=files.listing())
    assert await partition.store.save(0, content) == "fenced"
    assert (await sizes(client, partition.store))[1:] == before[1:]


# --- what a former version wrote ---------------------------------------------------------------


def as_before(files: DefinitionVersions) -> bytes:
    """The list with the documents in it, as the version before this wrote it; it had no other place for them."""
    documents = {number: json.loads(zlib.decompress(document)) for number, document in files.documents.items()}
    return msgspec.json.encode(
        [{**msgspec.to_builtins(version), "document": documents[version.number]} for version in files.versions]
    )


@pytest.mark.parametrize("changes", [False, True], ids=["the same file", "another file"])
@pytest.mark.parametrize("is_settled", [False, True], ids=["not settled", "settled"])
async def test_a_redis_of_the_version_before(
    partition: Partition, client: redis.Redis, is_settled: bool, changes: bool
) -> None:
    """The state of the version before is read as it is, and the next claim moves its documents to their key."""
    await partition.changed(numbered(0))
    files = await partition.begun(numbered(1))
    if is_settled:
        await partition.saved(files, "u", is_last=True)
    hashes: Any = client
    await hashes.hset(partition.store._key(0, "meta"), "epochs", as_before(files))
    await hashes.delete(partition.store._key(0, "files"))
    explanation = await explained(numbered(1), partition.store, [0], "u")
    assert explanation is not None
    assert {membership.segment: membership.member for membership in explanation.segments}["buyer"]

    now = await partition.begun(numbered(2) if changes else numbered(1))
    meta, documents, _ = await sizes(client, partition.store)
    assert (meta < 1_500, documents) == (True, 3 if changes else 2)
    (value,) = await partition.store.load(0, ["u"])
    customer = customer_codec.decode(value or b"")
    now.migrate("u", customer)
    assert (customer.definition_version, now.engine.membership(customer)) == (now.number, ("buyer",))


def test_lives_on_a_store_of_the_version_before() -> None:
    """Migrated from the version before, with deaths at any place, the end is that of the oracle."""
    halfway: list[bool] = []

    def fails(seed: int) -> object:
        world = World(seed)
        lives = Lives(world.rng, world.before, inputs(world.rng, world.sent, 0))

        async def lived() -> None:
            await lives.live(world.until, world.rng.choice((None, world.rng.randrange(20, 80))))
            lives.engine = world.after
            await lives.live(world.until, world.rng.randrange(1, 15))
            stored = lives.store._of(0)
            if stored.definition_versions:
                files = DefinitionVersions(epochs(lives, world.after).versions, world.after, stored.documents)
                halfway.append(files.number == 1 and not files.is_settled)
                stored.definition_versions, stored.documents = as_before(files), {}
            await lives.live(world.until, world.rng.randrange(5, 40))
            assert await lives.live(world.until)

        asyncio.run(lived())
        right = only(oracle.membership(world.sent, world.new, lives.wall - GRACE_MS), world.complete())
        return only(lives.members(), world.complete()) != right or lives.stop_messages

    assert failing(LIVES, fails) == {}
    assert sum(halfway) > len(LIVES) / 4, "these worlds have nothing to bring over"


async def test_a_worker_of_the_version_before_reads_the_list(partition: Partition, client: redis.Redis) -> None:
    """In a roll-out an older worker may claim after a newer one: it requires a document, if empty, in each entry."""
    await partition.changed(numbered(0))
    await partition.changed(numbered(1))
    hashes: Any = client
    for entry in json.loads(await hashes.hget(partition.store._key(0, "meta"), "epochs")):
        assert set(entry) == {"number", "fingerprint", "document", "since", "short", "is_swept", "rebuilt"}
        assert entry["document"] == {}


# --- what reads it -----------------------------------------------------------------------------


async def hash_reads(client: redis.Redis) -> int:
    """How often a whole hash was read."""
    stats: Mapping[str, Any] = await client.info("commandstats")
    return int(stats.get("cmdstat_hgetall", {}).get("calls", 0))


async def test_what_reads_the_clock_reads_no_file(partition: Partition, client: redis.Redis) -> None:
    """Triggers and the page, which read every second and before each message, read single fields."""
    files = await partition.changed(numbered(0))
    engine = numbered(0)
    before = await hash_reads(client)
    memberships = MembershipLookup(partition.store, engine.definitions)
    assert await memberships.reached(0) == 0
    assert (await memberships.look(0, ["u"])).of["u"].waits_for is None
    poller = StatePoller(Settings(partitions=1), partition.store, engine, 1, OpsMetrics(), lambda: 0)
    watching = asyncio.create_task(poller.poll())
    await asyncio.sleep(0.1)  # which looks at once
    assert poller.clocks == {0: 1000 * partition.saves}
    assert await poller.customer("u", "en", 1.0) is not None
    watching.cancel()
    assert await hash_reads(client) == before
    assert files.number == 0


async def test_the_page_reads_a_customer_of_a_former_file_by_that_file(partition: Partition) -> None:
    """During a migration the page explains a customer by the file that decided it."""
    await partition.changed(numbered(0))
    await partition.begun(numbered(1))
    poller = StatePoller(Settings(partitions=1), partition.store, numbered(1), 1, OpsMetrics(), lambda: 0)
    customer = await poller.customer("u", "en", 1.0)
    assert customer is not None
    assert {membership.segment for membership in customer.segments if membership.member} == {"buyer"}
