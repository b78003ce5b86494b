"""What the store on Redis alone can get wrong: its keys, its scripts, a Redis that is gone, hangs, or may forget.

The one rule: whatever Redis does, the caller sees the store's contract and its exceptions.
"""

import asyncio
import contextlib
import itertools
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

import pytest
import redis.asyncio as redis
from redis import Redis as SyncRedis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ResponseError

from local.servers import Redis
from streams.errors import ClaimRefused, RightMissing, StoreFailed, StoreRefused
from streams.state import redis_calls, redis_reader
from streams.state.contract import Identity, StoredCustomer
from streams.state.redis import CLOCK_SKEW_MAX_MS, RedisStore
from streams.state.redis_client import REFUSALS
from streams.state.redis_reader import key
from tests.support.patience import eventually
from tests.support.store_steps import NOTHING, PERSIAN, POSITIONS, claim, claimed, step, stored_customer, visible_state

_prefixes = (f"test_redis_store{number}:" for number in itertools.count())


async def test_all_keys_of_a_partition_share_its_hash_tag(client: redis.Redis) -> None:
    """All keys have the prefix and the partition in braces: one slot of a cluster."""
    prefix = next(_prefixes)
    redis_store = RedisStore(client, prefix)
    await redis_store.claim(claim(partition=12))
    await redis_store.begin(claim(partition=12), POSITIONS)
    content = step(customers=[stored_customer("a", due=5)], outbox=[b"1"])
    assert await redis_store.save(12, content) == "saved"
    keys = {str(name, "utf-8") for name in await client.keys(prefix + "*") if isinstance(name, bytes)}
    assert keys == {f"{prefix}{{p12}}:{part}" for part in ("meta", "customers", "due", "outbox")}
    assert key(prefix, 12, "due") in keys


async def test_of_who_is_erased_redis_has_no_name(client: redis.Redis) -> None:
    """No key holds an erased customer's id, and another claim still finds what stays."""
    prefix = next(_prefixes)
    redis_store = RedisStore(client, prefix)
    await claimed(redis_store)
    await redis_store.save(0, step(1, customers=[stored_customer(PERSIAN, due=5)]))
    await redis_store.save(0, step(2, customers=[StoredCustomer(PERSIAN, b"gone", 0, erased=True)]))
    dumps = [await client.dump(name) or b"" for name in await client.keys(prefix + "*")]
    assert len(dumps) == 2  # meta, and what stays
    assert not any(PERSIAN.encode() in value for value in dumps)
    another = RedisStore(client, prefix)
    assert await another.load(0, [PERSIAN]) == [None]  # a store that only reads finds no customer
    await another.claim(claim("t2", 6))
    assert await another.load(0, [PERSIAN]) == [b"gone"]
    assert await another.erased(0, PERSIAN) == b"gone"


async def test_prefixes_are_apart(client: redis.Redis) -> None:
    """Two stores on one Redis do not see each other."""
    store, other = RedisStore(client, next(_prefixes)), RedisStore(client, next(_prefixes))
    await claimed(store)
    assert await store.save(0, step(customers=[stored_customer("a")])) == "saved"
    assert await other.claim(claim(identity=Identity("x", "x", 1, "x"))) == NOTHING


async def test_scripts_that_redis_forgot_are_sent_again(client: redis.Redis) -> None:
    """A restarted Redis, or SCRIPT FLUSH, knows no scripts: each call goes on as if nothing had been."""
    redis_store = RedisStore(client, next(_prefixes))
    calls: list[Callable[[], Awaitable[object]]] = [
        lambda: redis_store.claim(claim()),
        lambda: redis_store.begin(claim(), POSITIONS),
        lambda: redis_store.save(0, step(outbox=[b"1"])),
        lambda: redis_store.trim(0, "t1", 1, {"segment-changes": 7}, 1),
    ]
    answers = []
    for call in calls:
        await client.script_flush()
        answers.append(await call())
    assert answers == [NOTHING, True, "saved", True]
    assert (await redis_store.claim(claim())).positions == {name: offset + 1 for name, offset in POSITIONS.items()}


@pytest.mark.parametrize(("ahead_ms", "answer"), [(0, "saved"), (CLOCK_SKEW_MAX_MS + 5_000, "too_early")])
async def test_a_clock_ahead_of_that_of_redis(redis_store: RedisStore, ahead_ms: int, answer: str) -> None:
    """A step with a clock ahead of Redis's is not written: what fell due by then was decided too early."""
    await claimed(redis_store)
    clock = int(time.time() * 1000) + ahead_ms
    content = step(clock=clock, customers=[stored_customer("a", due=5)], outbox=[b"1"])
    assert await redis_store.save(0, content) == answer
    state = await redis_store.claim(claim())
    assert (state.save_number, state.clock) == ((1, clock) if answer == "saved" else (0, 0))
    assert await redis_store.load(0, ["a"]) == [b"v" if answer == "saved" else None]


@pytest.fixture(scope="module")
def own_redis() -> Iterator[Redis]:
    """A Redis that is set to refuse one thing after the other."""
    with Redis(options={"lua-time-limit": "1"}) as server:
        yield server


@contextlib.contextmanager
def configured(server: Redis, **options: object) -> Iterator[None]:
    """Set these options, written with ``_`` for ``-``, for a while."""
    with SyncRedis.from_url(server.url) as connected:
        before = {name: connected.config_get(name.replace("_", "-")) for name in options}
        for name, value in options.items():
            connected.config_set(name.replace("_", "-"), str(value))
        yield
        for former in before.values():
            for name, value in former.items():
                connected.config_set(name, value)


@contextlib.contextmanager
def without_snapshots(server: Redis) -> Iterator[None]:
    """Make snapshots fail: a folder is in the place of the file."""
    assert server.folder is not None
    (server.folder / "dump.rdb").mkdir()
    with SyncRedis.from_url(server.url) as connected, configured(server, save="3600 1"):
        connected.bgsave()
        eventually(lambda: connected.info("persistence")["rdb_last_bgsave_status"] == "err")
        yield
        (server.folder / "dump.rdb").rmdir()
        connected.bgsave()
        eventually(lambda: connected.info("persistence")["rdb_last_bgsave_status"] == "ok")


@contextlib.contextmanager
def a_replica(server: Redis, serves: str) -> Iterator[None]:
    """Make the server a replica of a primary that does not answer; ``serves``: whether it may be read."""
    with SyncRedis.from_url(server.url) as connected, configured(server, replica_serve_stale_data=serves):
        connected.replicaof("127.0.0.1", "1")
        yield
        connected.replicaof("NO", "ONE")


@contextlib.contextmanager
def with_a_script_that_does_not_end(server: Redis) -> Iterator[None]:
    """Run an endless script of another client."""
    another, connected = SyncRedis.from_url(server.url), SyncRedis.from_url(server.url)
    with another, connected, ThreadPoolExecutor(1) as pool:
        running = pool.submit(another.eval, "while true do end", 0)
        eventually(lambda: is_busy(connected))
        yield
        connected.script_kill()
        assert running.exception() is not None


def is_busy(connected: SyncRedis) -> bool:
    try:
        return not connected.ping()
    except ResponseError:
        return True


@pytest.mark.parametrize(
    ("code", "refusing"),
    [
        ("OOM", lambda server: configured(server, maxmemory=1)),
        ("NOREPLICAS", lambda server: configured(server, min_replicas_to_write=1)),
        ("MISCONF", without_snapshots),
        ("READONLY", lambda server: a_replica(server, "yes")),
        ("MASTERDOWN", lambda server: a_replica(server, "no")),
        ("BUSY", with_a_script_that_does_not_end),
    ],
)
async def test_why_redis_refuses_is_said_in_words(
    own_redis: Redis, code: str, refusing: Callable[[Redis], contextlib.AbstractContextManager[None]]
) -> None:
    """The sentence is that of the code, however this kind of Redis and its client word the error."""
    store = RedisStore.connect(own_redis.url, next(_prefixes))
    await claimed(store)
    with refusing(own_redis), pytest.raises(StoreRefused) as refused:
        await store.save(0, step())
    assert str(refused.value) == REFUSALS[code]
    assert await store.save(0, step()) == "saved"
    await store.close()


async def test_a_command_in_a_script_that_the_user_may_not_send(own_redis: Redis) -> None:
    """The sentence names the command, however this kind of Redis words the error."""
    with SyncRedis.from_url(own_redis.url) as connected:
        connected.execute_command("ACL", "SETUSER", "reader", "on", ">p", "~*", "+@all", "-hset")
    store = RedisStore.connect(own_redis.url.replace("://", "://reader:p@"), next(_prefixes))
    with pytest.raises(
        RightMissing, match=r"^Redis does not allow this user \+hset \(.*: see docs/operations/rights.md"
    ):
        await store.claim(claim())
    await store.close()


async def test_what_was_saved_survives_a_crash() -> None:
    """With every write synced, a killed Redis comes back with all of it, and the same client goes on."""
    with Redis(aof=True, fsync="always") as server:
        store = RedisStore.connect(server.url, "crash:")
        await claimed(store)
        assert await store.save(0, step(customers=[stored_customer(PERSIAN, b"1", 500)], outbox=[b"1"])) == "saved"
        before = await visible_state(store, (PERSIAN,))
        server.kill9()
        server.start()
        assert await visible_state(store, (PERSIAN,)) == before
        assert await store.save(0, step(1, customers=[], outbox=[])) == "already"
        assert await store.save(0, step(2)) == "saved"
        await store.close()


async def test_a_redis_that_is_gone_is_one_exception() -> None:
    """Each call fails with the contract's own exception, not the client's."""
    with Redis() as server:
        client = redis.from_url(server.url, retry=Retry(NoBackoff(), 0))
        store = RedisStore(client)
        await claimed(store)
        server.kill9()
        calls: list[Callable[[], Awaitable[object]]] = [
            lambda: store.verify(lambda: 0),
            lambda: store.claim(claim()),
            lambda: store.begin(claim(), POSITIONS),
            lambda: store.load(0, ["a"]),
            lambda: store.due(0, 1, 1),
            lambda: store.next_due(0),
            lambda: store.save(0, step()),
            lambda: store.trim(0, "t1", 1, {"segment-changes": 7}, 1),
            lambda: store.generation(0),
            lambda: store.meta(0, ["clock"]),
        ]
        for call in calls:
            with pytest.raises(StoreFailed):
                await call()
        await client.aclose()


async def _read_all(store: RedisStore, partition: int) -> list[str]:
    return [customer async for customer, _ in store.customers(partition)]


CANCELLED: dict[str, Callable[[RedisStore], Coroutine[Any, Any, Any]]] = {
    "a call": lambda store: store.meta(0, ("clock",)),
    "all customers": lambda store: _read_all(store, 0),
    "no customers": lambda store: _read_all(store, 1),
}


@pytest.mark.parametrize("read", CANCELLED.values(), ids=CANCELLED)
async def test_a_call_that_is_cancelled_is_cancelled(
    own_redis: Redis, read: Callable[[RedisStore], Coroutine[Any, Any, Any]]
) -> None:
    """A call can be cancelled at any moment, or a released partition would go on for ever."""
    writer = RedisStore.connect(own_redis.url, "cancelled:")
    await claimed(writer)
    await writer.save(0, step(1, customers=[stored_customer("a")]))
    await writer.close()
    lost = []
    for moment in range(200):
        store = RedisStore.connect(own_redis.url, "cancelled:")
        call = asyncio.create_task(read(store))
        for _ in range(moment):  # turns of the loop: each may be the one in which the client's own wait ends
            await asyncio.sleep(0)
        if call.cancel():
            await asyncio.wait([call])
            if not call.cancelled():
                lost.append(moment)
        await store.close()
        if call.done() and not call.cancelled() and not lost:
            break
    assert lost == []


async def test_a_write_on_a_lost_connection(own_redis: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection that is lost is not written to, as some loops raise an error then that is none of a connection."""

    def fail(_: object) -> None:
        raise TypeError("'NoneType' object is not callable")

    store = RedisStore.connect(own_redis.url, "lost:")
    await claimed(store)
    (connection,) = cast(Any, store)._client.connection_pool._available_connections
    monkeypatch.setattr(connection._writer, "writelines", fail)
    connection._writer.transport.abort()
    with pytest.raises(redis.ConnectionError):
        await connection.send_packed_command([b"PING"])
    assert await store.generation(0) > 0
    await store.close()


async def test_a_redis_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """One time limit holds for a call with all its retries, not one for each of them."""
    monkeypatch.setattr(redis_calls, "CALL_MAX_S", 0.3)
    monkeypatch.setattr(redis_reader, "TIMEOUT_S", 0.1)
    accepted: list[asyncio.StreamWriter] = []
    async with await asyncio.start_server(lambda _, writer: accepted.append(writer), "127.0.0.1", 0) as hanging:
        port = hanging.sockets[0].getsockname()[1]
        store = RedisStore.connect(f"redis://127.0.0.1:{port}/0", next(_prefixes))
        began = time.monotonic()
        with pytest.raises(StoreFailed):
            await store.load(0, ["a"])
        assert 0.3 <= time.monotonic() - began < 5
        assert accepted
        await store.close()
        for writer in accepted:
            writer.close()


@pytest.mark.parametrize("policy", ["allkeys-lru", "volatile-ttl"])
async def test_a_redis_that_may_evict_is_refused(policy: str) -> None:
    """The sentence names the policy and the one that is needed; once it is set, nothing is refused."""
    with Redis(options={"maxmemory-policy": policy}) as server:
        connected = redis.from_url(server.url)
        store = RedisStore(connected)
        with pytest.raises(ClaimRefused, match=rf"\({policy}\); set maxmemory-policy noeviction"):
            await store.verify(lambda: int(time.time() * 1000))
        await connected.config_set("maxmemory-policy", "noeviction")
        await store.verify(lambda: int(time.time() * 1000))
        await connected.aclose()


@pytest.mark.parametrize("skew_ms", [-60_000, -CLOCK_SKEW_MAX_MS - 500, CLOCK_SKEW_MAX_MS + 500, 60_000])
async def test_clocks_that_differ_are_refused(redis_store: RedisStore, skew_ms: int) -> None:
    """A difference of more than a second either way is refused; the sentence says how much."""
    with pytest.raises(ClaimRefused, match=r"differ by \d+ ms; set them right"):
        await redis_store.verify(lambda: int(time.time() * 1000) + skew_ms)
    await redis_store.verify(lambda: int(time.time() * 1000))


async def test_up_to_when_all_is_read_never_goes_back(redis_store: RedisStore) -> None:
    """The time is saved with its step; a step without it, or with an earlier one, leaves it."""
    await claimed(redis_store)
    stored = []
    for number, caught_up in enumerate((0, 500, 0, 400, 700), 1):
        assert await redis_store.save(0, step(number, caught_up_until=caught_up)) == "saved"
        stored.append((await redis_store.meta(0, ["caught_up"])).get("caught_up"))
    assert stored == [None, "500", "500", "500", "700"]
