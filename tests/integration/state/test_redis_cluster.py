"""The store and a worker on a Redis Cluster of three shards; the store's contract itself is asked in
test_store_contract.

The one rule: what is true of one Redis is true of each shard, and one that is gone is as if all were.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis as sync_redis
import redis.asyncio as redis
from redis.crc import key_slot

from local.processes import Worker
from local.servers import SLOTS, Redis, RedisCluster, Tansu
from streams.errors import ClaimRefused, StoreFailed
from streams.kafka import admin
from streams.settings import Settings
from streams.state import redis_calls
from streams.state.redis import RedisStore
from streams.state.redis_reader import key
from tests.oracle import oracle
from tests.support import live
from tests.support.commands import segmenter
from tests.support.store_steps import claim, claimed, step, stored_customer, visible_state

YEAR_MS = 365 * 86_400_000
SPENDER = """
segments:
  spender:
    title: Spender
    when: {total: {agg: sum, of: total, event: Order Completed, at_least: 1}}
currency: USD
"""


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def on(cluster: RedisCluster, **more: Any) -> dict[str, Any]:
    return {"redis": cluster.url, "redis_cluster": True, **more}


def server_of(cluster: RedisCluster, name: str) -> int:
    """The index of the server that holds a key."""
    return int(key_slot(name.encode())) * len(cluster.servers) // SLOTS


def clients(cluster: RedisCluster) -> list[Any]:
    """A client of each server."""
    return [sync_redis.Redis.from_url(server.url) for server in cluster.servers]


async def test_partitions_spread_over_all_shards(
    redis_cluster: RedisCluster, cluster_client: redis.RedisCluster
) -> None:
    """Each partition is whole on one shard, and a few of them are enough to be on every one."""
    store = RedisStore(cluster_client, "spread:")
    for partition in range(12):
        await store.claim(claim(partition=partition))
        await store.begin(claim(partition=partition), {"visits": 10, "carts": 20})
        assert await store.save(partition, step(customers=[stored_customer(f"u{partition}", due=5)])) == "saved"
    keys_by_server = [{name.decode() for name in client.keys("spread:*")} for client in clients(redis_cluster)]
    assert all(keys_by_server)
    wanted = {key("spread:", partition, name) for partition in range(12) for name in ("meta", "customers", "due")}
    assert set().union(*keys_by_server) == wanted
    for partition in range(12):
        assert [customer async for customer in store.customers(partition)] == [(f"u{partition}", b"v")]


async def test_a_write_on_a_lost_connection_to_a_shard(
    cluster_client: redis.RedisCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A connection that is lost is not written to, whichever node it leads to; see `test_redis_store`."""

    def fail(_: object) -> None:
        raise TypeError("'NoneType' object is not callable")

    store = RedisStore(cluster_client, "lost:")
    for partition in range(12):
        await store.claim(claim(partition=partition))
    nodes: list[Any] = cluster_client.get_nodes()
    connections = [connection for node in nodes for connection in node._connections if connection.is_connected]
    assert len(connections) >= len(nodes) > 1
    for connection in connections:
        with monkeypatch.context() as patch:
            patch.setattr(connection._writer, "writelines", fail)
            connection._writer.transport.abort()
            with pytest.raises(redis.ConnectionError):
                await connection.send_packed_command([b"PING"])
    assert [await store.generation(partition) for partition in range(12)] == [claim().generation] * 12


async def test_scripts_that_shards_forgot(redis_cluster: RedisCluster, cluster_client: redis.RedisCluster) -> None:
    """A call goes on where any of the shards, which have scripts of their own, forgot them."""
    store = RedisStore(cluster_client, "scripts:")
    for partition in range(12):
        await claimed(store, partition=partition)
    for client in clients(redis_cluster):
        client.script_flush()
    for partition in range(12):
        assert await store.save(partition, step()) == "saved"


async def test_a_cluster_with_a_password(redis_cluster: RedisCluster) -> None:
    """The password is sent to every shard."""
    for client in clients(redis_cluster):
        client.acl_setuser("one", enabled=True, passwords=["+the password"], keys=["*"], commands=["+@all"])
    url = redis_cluster.url.replace("redis://", "redis://one@")
    for given, code in (("the password", -1), ("another", None)):
        store = RedisStore.of(Settings(redis=url, redis_cluster=True, redis_password=given))
        if code is None:
            with pytest.raises(StoreFailed, match="SEGMENTER_REDIS_PASSWORD"):
                await store.generation(0)
        else:
            assert {await store.generation(partition) for partition in range(100, 112)} == {code}
        await store.close()


async def test_one_shard_that_may_evict_is_refused(
    redis_cluster: RedisCluster, cluster_client: redis.RedisCluster
) -> None:
    """A cluster is refused whichever of its shards may evict."""
    store = RedisStore(cluster_client)
    await store.verify(now_ms)
    for client in clients(redis_cluster):
        client.config_set("maxmemory-policy", "allkeys-lru")
        with pytest.raises(ClaimRefused, match="set maxmemory-policy noeviction"):
            await store.verify(now_ms)
        client.config_set("maxmemory-policy", "noeviction")
    with pytest.raises(ClaimRefused, match=r"differ by \d+ ms"):
        await store.verify(lambda: now_ms() + 5_000)


async def test_the_clock_of_each_shard_is_looked_at(cluster_client: redis.RedisCluster) -> None:
    """The clock of each of three shards is compared with our time before and after the call."""
    clock_reads: list[int] = []

    def now() -> int:
        clock_reads.append(now_ms())
        return clock_reads[-1]

    await RedisStore(cluster_client).verify(now)
    assert len(clock_reads) == 6


async def test_any_node_that_answers_is_enough(redis_cluster: RedisCluster) -> None:
    """If the URL names several nodes, the first of them may be away."""
    url = redis_cluster.url.replace("redis://", "redis://127.0.0.1:1,")
    store = RedisStore.of(Settings(redis=url, redis_cluster=True))
    assert await store.generation(0) == -1
    await store.close()


async def test_a_single_redis_is_no_cluster(redis_server: Redis, redis_cluster: RedisCluster) -> None:
    """A single Redis taken for a cluster, and the reverse, is reported soon."""
    elsewhere = next(
        partition for partition in range(100) if server_of(redis_cluster, key("segmenter:", partition, "meta"))
    )
    one_of_them = redis_cluster.servers[0].url
    for settings in (Settings(redis=redis_server.url, redis_cluster=True), Settings(redis=one_of_them)):
        store = RedisStore.of(settings)
        began = time.monotonic()
        with pytest.raises(StoreFailed, match="SEGMENTER_REDIS_CLUSTER"):
            await store.generation(elsewhere)
        assert time.monotonic() - began < 5
        await store.close()


@pytest.fixture
def mortal() -> Iterator[RedisCluster]:
    """A cluster of the module's own, with every write synced."""
    with RedisCluster(aof=True, fsync="always") as servers:
        yield servers


async def test_a_shard_that_is_gone_and_comes_back(mortal: RedisCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """While it is gone a call fails as the contract says; then the same store goes on with what was saved."""
    store = RedisStore.of(Settings(**on(mortal)))
    await claimed(store)
    content = step(customers=[stored_customer("a", due=700)], outbox=[b"one"])
    assert await store.save(0, content) == "saved"
    before = await visible_state(store)
    server = mortal.servers[server_of(mortal, key("segmenter:", 0, "meta"))]
    server.kill9()
    with monkeypatch.context() as patch:
        patch.setattr(redis_calls, "CALL_MAX_S", 1.0)
        with pytest.raises(StoreFailed):
            await store.load(0, ["a"])
    server.start()
    assert await visible_state(store) == before
    assert await store.save(0, content) == "already"
    assert await store.save(0, step(2)) == "saved"
    await store.close()


# --- a worker ----------------------------------------------------------------------------------


def test_a_worker_on_a_cluster(tansu: Tansu, redis_cluster: RedisCluster, tmp_path: Path) -> None:
    """The changes of real events are the oracle's; and the commands that read Redis find what it stored."""
    definitions = tmp_path / "five.yaml"
    definitions.write_text(live.FOUR.read_text() + SPENDER)
    history = live.real_events()[:3_000]
    own = {"topic_prefix": "cluster-", "group": "cluster", "redis_prefix": "cluster:", "partitions": live.PARTITIONS}
    settings = on(
        redis_cluster, **own, brokers=tansu.address, broker="tansu", definitions=definitions, session_timeout_s=3
    )
    admin.create(Settings(**settings))
    live.publish(tansu.address, history, {name: f"cluster-{topic}" for name, topic in live.TOPICS.items()})
    until = oracle.milliseconds(history[-1]["timestamp"]) + YEAR_MS
    wanted = oracle.changes(history, oracle.BUILT_IN, until)
    buyers = {event["userId"] for event in history if event["event"] == "Order Completed"}
    with Worker(settings, log=tmp_path / "worker.log") as worker:
        live.wait_until_quiet(tansu.address, len(wanted) + len(buyers), 90, "cluster-")
        assert worker.exit_code is None, worker.tail()
        changes = live.changes(tansu.address, "cluster-", exact_ends=False)
        assert live.gaps(changes) == []
        spenders = [change for change in changes if change.segment == "spender"]
        assert {change.customer for change in spenders} == buyers
        assert live.per_customer(change for change in changes if change.segment != "spender") == live.per_customer(
            wanted
        )
        assert worker.stop() == 0
    explained = segmenter("explain", spenders[0].customer, **settings)
    assert "spender (Spender): in since" in explained.out, explained
    spread = segmenter("distribution", "--of", "spender", **settings)
    assert f"customers  {len(buyers):,}, from" in spread.out, spread
