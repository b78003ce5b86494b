"""The users of docs/operations/rights.md on a real Redis: each right is needed, none is missing, none reaches further.

Each use of Redis goes through the process's own `RedisStore`, by the methods that it calls. Whether whole processes run
with these rights is tested in test_process_rights.
"""

from __future__ import annotations

import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import redis
from redis.exceptions import NoPermissionError

from local.servers import Redis, RedisCluster
from streams.errors import RightMissing, StoreFailed
from streams.rights.acl_lines import CLUSTER, acl_line, kafka_lines
from streams.rights.process_rights import AS_PROCESS, NEEDS, NEITHER, TRIGGERS_PROCESS, USERS
from streams.settings import Settings, of_triggers
from streams.state import redis_client
from streams.state.contract import StoredCustomer
from streams.state.redis import RedisStore
from streams.state.redis_reader import key
from tests.support import user_rights
from tests.support.store_steps import POSITIONS, claim, claimed, step, stored_customer

PREFIX = "segmenter:"
TRIGGERS = of_triggers(Settings.model_construct()).redis_prefix
WORKER = "segmenter-worker"


@pytest.fixture(scope="module")
def server() -> Iterator[Redis]:
    """A Redis with the users of the page."""
    with Redis() as running:
        user_rights.grant_redis(redis.Redis.from_url(running.url))
        yield running


@pytest.fixture
def admin(server: Redis) -> Iterator[Any]:
    """A client which may do everything; nothing is stored yet."""
    with redis.Redis.from_url(server.url) as client:
        client.flushdb()
        client.script_flush()
        yield client


@asynccontextmanager
async def store_of(server: Redis, user: str, prefix: str = PREFIX) -> AsyncIterator[RedisStore]:
    """A store that connects as this user's process does."""
    url = server.url.replace("://", f"://{user}:{user_rights.PASSWORD}@")
    store = RedisStore.connect(url, prefix)
    try:
        yield store
    finally:
        await store.close()


def now_ms() -> int:
    return int(time.time() * 1000)


# --- what each does ----------------------------------------------------------------------------


async def own(store: RedisStore, *, follows: bool = False) -> None:
    """What an owner does with a partition; ``follows``: it may go on from other definitions, as workers do."""
    await store.verify(now_ms)
    await store.memory()
    await claimed(store, follows=follows)
    await store.set_attempt(0, "t1", b"attempt")
    assert await store.load(0, ["a", "b"]) == [None, None]
    assert (
        await store.save(
            0, step(1, customers=[stored_customer("a", due=5), stored_customer("b", due=6)], outbox=[b"1"])
        )
        == "saved"
    )
    gone = StoredCustomer("b", b"gone", 0, erased=True)
    assert await store.save(0, step(2, customers=[stored_customer("a", due=0), gone], outbox=[b"2"])) == "saved"
    await store.due(0, 10, 10)
    await store.next_due(0)
    await store.generation(0)
    await store.trim(0, "t1", 1, {"segment-changes": 1}, 2)


async def of_worker(store: RedisStore, _: RedisStore) -> None:
    await own(store, follows=True)
    await store.count(0)
    await store.scan(0, 0, 10)


async def of_triggers_process(segmenter: RedisStore, store: RedisStore) -> None:
    await own(store)
    await segmenter.look(0, ["a"])


async def of_ops(store: RedisStore, _: RedisStore) -> None:
    await store.meta(0, ["clock"])
    await store.snapshot(0, [], ["clock"], documents=True)
    await store.memory()
    await store.load(0, ["a"])
    assert [name async for name, _ in store.customers(0)] == []


async def of_support(*stores: RedisStore) -> None:
    for store in stores:
        await store.snapshot(0, ["a"])
        await store.outbox(0)
        await store.erased(0, "a")


async def of_reader(*stores: RedisStore) -> None:
    await of_support(*stores)
    for store in stores:
        await store.meta(0, ["clock"])
        await store.load(0, ["a"])
        assert [name async for name, _ in store.customers(0)] == []


# What each user does with the segmenter's store and with that of triggers.
DOES: Mapping[str, Callable[[RedisStore, RedisStore], Awaitable[None]]] = {
    WORKER: of_worker,
    "segmenter-triggers": of_triggers_process,
    "segmenter-ops": of_ops,
    "segmenter-reader": of_reader,
    "segmenter-support": of_support,
}


async def do(server: Redis, user: str) -> None:
    async with store_of(server, user) as segmenter, store_of(server, user, TRIGGERS) as triggers:
        await DOES[user](segmenter, triggers)


# --- no right is missing, and none is superfluous ----------------------------------------------


@pytest.mark.parametrize("user", DOES)
async def test_the_rights_are_enough(user: str, server: Redis, admin: Any) -> None:
    """With these rights alone everything goes, and Redis notes no refusal."""
    admin.execute_command("ACL", "LOG", "RESET")
    await do(server, user)
    assert admin.acl_log() == []


@pytest.mark.parametrize("user", DOES)
async def test_each_right_is_needed(user: str, server: Redis, admin: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without any of them something fails, by a sentence that names it; on Redis 6.2, 7 and Valkey alike."""
    rules = user_rights.redis_rules(admin)[user]
    commands = [rule for rule in rules if rule.startswith("+")]
    keys = [rule for rule in rules if "~" in rule]
    for missing in (*commands, *keys):
        admin.flushdb()
        admin.script_flush()
        admin.execute_command("ACL", "SETUSER", user, *(rule for rule in rules if rule != missing))
        # PING is sent on a connection that was idle for so long.
        monkeypatch.setattr(redis_client, "HEALTH_CHECK_S", 1e-6 if missing == "+ping" else 30)
        with pytest.raises(RightMissing) as refused:
            await do(server, user)
        name = f"keys ~{missing.partition('~')[2]}" if "~" in missing else missing
        assert str(refused.value).startswith(f"Redis does not allow this user {name} ("), missing
        assert str(refused.value).endswith(": see docs/operations/rights.md, then start again")
    admin.execute_command("ACL", "SETUSER", user, *rules)


# --- none reaches further ----------------------------------------------------------------------


def test_who_reads_has_no_command_that_writes(admin: Any) -> None:
    """A reading user has no command that writes by Redis's own list, and no script."""
    writes = {name.decode() for name in admin.execute_command("ACL", "CAT", "write")} | {
        "evalsha",
        "eval",
        "script|load",
    }
    readers = [user for user in USERS if not user.needs.owns]
    assert {user.name for user in readers} >= {"segmenter-ops", "segmenter-reader", "segmenter-support"}
    for user in readers:
        assert not user.needs.commands & writes
    assert {"hset", "rpush"} <= writes


def test_users_stay_with_their_own_keys(server: Redis, admin: Any) -> None:
    """No user has a right to all keys or to a kind of command; a worker's keys are not those of triggers."""
    for rules in user_rights.redis_rules(admin).values():
        assert not [rule for rule in rules if rule in ("~*", "%R~*", "allkeys", "allcommands") or "@" in rule]
    with redis.Redis.from_url(server.url.replace("://", f"://{WORKER}:{user_rights.PASSWORD}@")) as worker:
        worker.hset(key(PREFIX, 3, "any part, also of a later version"), "a", "1")
        for name in (key(TRIGGERS, 0, "meta"), "segmenter:other", "other"):
            with pytest.raises(NoPermissionError):
                worker.hset(name, "a", "1")


def test_triggers_only_read_what_the_segmenter_stores(server: Redis, admin: Any) -> None:
    """Triggers may not write the segmenter's keys, where Redis tells reading from writing; 6.2 does not."""
    if not user_rights.tells_reading_from_writing(admin):
        pytest.skip("Redis 6.2 knows no right to read alone")
    with redis.Redis.from_url(server.url.replace("://", f"://segmenter-triggers:{user_rights.PASSWORD}@")) as triggers:
        assert triggers.hgetall(key(PREFIX, 0, "meta")) == {}
        with pytest.raises(NoPermissionError):
            triggers.hset(key(PREFIX, 0, "meta"), "a", "1")


# --- nothing is lost ---------------------------------------------------------------------------

# What a save and a trim write, of which a user may lose the right while they run.
OF_A_SAVE = ("hset", "zadd", "zrem", "rpush", "hdel")


def stored(admin: Any) -> dict[str, Any]:
    """All of the partition that counts: a digest says nothing without its number."""
    parts = {name: admin.dump(key(PREFIX, 0, name)) for name in ("customers", "due", "outbox", "erased")}
    meta = admin.hgetall(key(PREFIX, 0, "meta"))
    meta.pop(b"digest", None)
    return {**parts, "meta": meta}


@pytest.mark.parametrize("command", OF_A_SAVE)
async def test_a_save_that_may_not_write_it_all_writes_nothing(command: str, server: Redis, admin: Any) -> None:
    """Whichever right a running worker loses, nothing is saved; once it is back, the same save succeeds."""
    async with store_of(server, WORKER) as store:
        await claimed(store)
        first = step(
            1,
            customers=[stored_customer("a", due=5), stored_customer("b", due=6), stored_customer("c", due=7)],
            outbox=[b"1"],
        )
        assert await store.save(0, first) == "saved"
        before = stored(admin)
        gone = StoredCustomer("b", b"gone", 0, erased=True)
        save = step(
            2, customers=[stored_customer("a", b"w", due=0), gone, stored_customer("c", due=8)], outbox=[b"2", b"3"]
        )
        admin.execute_command("ACL", "SETUSER", WORKER, f"-{command}")
        with pytest.raises(RightMissing, match=rf"user \+{command} \("):
            await store.save(0, save)
        assert stored(admin) == before
        admin.execute_command("ACL", "SETUSER", WORKER, f"+{command}")
        assert await store.save(0, save) == "saved"
        assert await store.outbox(0) == [b"1", b"2", b"3"]
        assert await store.load(0, ["a", "c"]) == [b"w", b"v"]


@pytest.mark.parametrize("command", ["hset", "ltrim"])
async def test_a_trim_that_may_not_write_it_all_drops_nothing(command: str, server: Redis, admin: Any) -> None:
    """A refused trim drops nothing, or a later trim would drop entries that are not published."""
    async with store_of(server, WORKER) as store:
        await claimed(store)
        assert await store.save(0, step(1, outbox=[b"1", b"2", b"3"])) == "saved"
        before = stored(admin)
        admin.execute_command("ACL", "SETUSER", WORKER, f"-{command}")
        with pytest.raises(RightMissing, match=rf"user \+{command} \("):
            await store.trim(0, "t1", 1, {}, 1)
        assert stored(admin) == before
        admin.execute_command("ACL", "SETUSER", WORKER, f"+{command}")
        assert await store.trim(0, "t1", 2, {}, 1)
        assert await store.outbox(0) == [b"3"]


# --- the page ----------------------------------------------------------------------------------


def test_names_of_ones_own() -> None:
    """The rights use the prefixes and the group of the settings, and escape characters of key patterns."""
    settings = Settings(topic_prefix="shop-", group="crm", redis_prefix="eu*:")
    worker, triggers = (user for user in USERS if user.needs.owns)
    assert r" ~eu\*:{p* " in acl_line(worker, settings)
    assert r" ~eu\*:triggers:{p* %R~eu\*:{p* " in acl_line(triggers, settings)
    commands = "\n".join(kafka_lines(worker, settings))
    assert "--operation Write --transactional-id crm-shop-segment-changes- --resource-pattern-type prefixed" in commands
    assert "--operation Read --group crm\n" in commands
    assert set(re.findall(r"--topic (\S+)", commands)) == {
        f"shop-{name}" for name in (*worker.needs.topics.read, *worker.needs.topics.written)
    }


def test_all_commands_have_rights() -> None:
    """Each command of the command line is listed once, or needs nothing of Kafka and Redis."""
    from streams.cli.main import _COMMANDS  # noqa: PLC0415  # the list of the command line itself

    run = [name for user in USERS for name in user.runs]
    assert sorted([*run, *NEITHER, *AS_PROCESS]) == sorted(_COMMANDS)
    assert set(run) == set(NEEDS)


def test_the_rights_cover_what_the_scripts_call() -> None:
    """A script runs with its caller's rights, so each of its calls must be named there."""
    scripts = (Path(__file__).parents[3] / "streams" / "state" / "lua").glob("*.lua")
    calls = {name.lower() for script in scripts for name in re.findall(r"call\('(\w+)'", script.read_text())}
    assert {"hset", "zadd", "ltrim"} <= calls
    assert calls <= NEEDS["worker"].commands
    assert calls - {"hexists"} <= NEEDS[TRIGGERS_PROCESS].commands, "triggers follow no definitions"


# --- a cluster ---------------------------------------------------------------------------------


async def test_the_rights_on_a_cluster(redis_cluster: RedisCluster) -> None:
    """A worker's rights with the page's additions are enough on every shard; without one the first call fails."""
    more = [f"+{command}" for command in CLUSTER]
    url = redis_cluster.url.replace("://", f"://{WORKER}@")
    settings = Settings(redis=url, redis_cluster=True, redis_password=user_rights.PASSWORD)
    admins: list[Any] = [redis.Redis.from_url(server.url) for server in redis_cluster.servers]
    for missing in (None, *more):
        for admin in admins:
            admin.execute_command("ACL", "SETUSER", WORKER, *user_rights.redis_rules(admin)[WORKER])
            admin.execute_command("ACL", "SETUSER", WORKER, *(rule for rule in more if rule != missing))
        store = RedisStore.of(settings)
        if missing is None:
            for partition in range(6):
                await store.claim(claim(partition=partition))
                await store.begin(claim(partition=partition), POSITIONS)
                assert (
                    await store.save(partition, step(1, customers=[stored_customer("a", due=5)], outbox=[b"1"]))
                    == "saved"
                )
                assert await store.scan(partition, 0, 10) == (0, [("a", b"v")])
            await store.verify(now_ms)
        else:
            with pytest.raises(StoreFailed, match=r"docs/operations/rights\.md"):
                await store.generation(0)
        await store.close()
    for admin in admins:
        admin.execute_command("ACL", "DELUSER", WORKER)
        admin.flushdb()
