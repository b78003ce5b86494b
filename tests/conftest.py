"""What all tests share: the servers that they may use, each started once, when the first test asks for it.

The one rule: a test that needs a real Apache Kafka is marked `kafka`; where none can run it is skipped with
the reason, but in CI it fails, since there a skip would hide it.
"""

import itertools
import os
from collections.abc import AsyncIterator, Iterator

import pytest
import redis.asyncio as redis

from local import processes
from local.servers import Kafka, Redis, RedisCluster, Tansu, kafka_available
from streams.settings import Settings, redis_urls
from streams.state import redis_client
from streams.state.contract import Store
from streams.state.memory import MemoryStore
from streams.state.redis import RedisStore
from streams.state.redis_reader import TIMEOUT_S
from tests.support import command_server

# Importing what a worker needs takes longer than most tests let it run.
processes.launcher = command_server.launch
_prefixes = (f"test{number}:" for number in itertools.count())


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Spreads the modules that start servers over the processes: each gets a part of this order, and steals the rest.

    By path they would all be in the part of one process, and each module that is stolen from starts its servers twice.
    """
    items.sort(key=lambda item: (item.path.name, str(item.path)))


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skips or fails a `kafka` test where no Kafka can run, before any fixture tries to start one."""
    if item.get_closest_marker("kafka") and (reason := kafka_available()):
        if os.environ.get("CI") == "true":
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)


@pytest.fixture(scope="session")
def redis_server() -> Iterator[Redis]:
    """One Redis for all tests; each uses key prefixes of its own, or a server of its own to restart."""
    with Redis(aof=True) as server:
        yield server


@pytest.fixture(scope="session")
def redis_cluster() -> Iterator[RedisCluster]:
    """One Redis Cluster of three shards for all tests; each uses key prefixes of its own."""
    with RedisCluster() as servers:
        yield servers


@pytest.fixture(scope="session")
def tansu() -> Iterator[Tansu]:
    """One in-memory broker for all tests; each uses topics and groups of its own."""
    with Tansu() as server:
        yield server


@pytest.fixture(scope="session")
def kafka() -> Iterator[Kafka]:
    """One Apache Kafka for all tests marked `kafka`; each uses topics and groups of its own."""
    with Kafka() as server:
        yield server


@pytest.fixture
async def client(redis_server: Redis) -> AsyncIterator[redis.Redis]:
    """A client of the server that all tests share."""
    connected = redis.from_url(redis_server.url)
    yield connected
    await connected.aclose()


@pytest.fixture
def redis_store(client: redis.Redis) -> RedisStore:
    """A store on Redis, empty."""
    return RedisStore(client, next(_prefixes))


@pytest.fixture
async def cluster_client(redis_cluster: RedisCluster) -> AsyncIterator[redis.RedisCluster]:
    """A client of the cluster that all tests share."""
    urls = redis_urls(Settings(redis=redis_cluster.url, redis_cluster=True).redis)
    connected = redis_client.connect_cluster(urls, TIMEOUT_S)
    yield connected
    await connected.aclose()


@pytest.fixture(params=["memory", "redis", "cluster"])
def store(request: pytest.FixtureRequest) -> Store:
    """Each of the stores, empty."""
    if request.param == "memory":
        return MemoryStore()
    client = request.getfixturevalue("cluster_client" if request.param == "cluster" else "client")
    return RedisStore(client, next(_prefixes))
