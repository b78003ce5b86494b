"""The systems that drain a backlog in the benchmark: this worker, and alternatives.

Each system is given the same records on topics of its own. It is timed from the moment when it has its partitions until
all records are done: saved or committed, with their changes published. Its published memberships are compared with
those of the rules. The time of starting is left out for all.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any, NamedTuple

from kafka import KafkaConsumer, TopicPartition
from redis import Redis

from benchmarks.peer_programs import await_line, java_running, quix_python, running, say
from benchmarks.stage import PARTITIONS, Stage, StageLoad, consumed, cpu_s, settings_of
from local import servers
from local.processes import Worker
from rules.event_names import INPUTS
from streams.settings import Settings
from streams.state.redis_reader import key
from streams.wire.topics import MERGES, READ

SOURCES = Path(__file__).parent / "peer_sources"
ALL_SEGMENTS = frozenset({"abandoned_cart", "recently_purchased", "repeat_buyer", "returning_visitor"})
SETTLES_WITHIN_S = 8
DRAIN_MAX_S = 300.0
SLOWEST_RATE = 4_000.0  # events per second, with those that links cause; a slower drain times out
LOOK_S = 0.1


class Drained(NamedTuple):
    """The result of one run. CPU: of the system itself, the broker and Redis while it drained; 0: there is none."""

    events: int
    seconds: float
    own_cpu_s: float = 0.0
    broker_cpu_s: float = 0.0
    redis_cpu_s: float = 0.0
    redis_bytes_per_customer: float = 0.0

    @property
    def rate(self) -> float:
        return self.events / self.seconds


class RunClock:
    """Measures time and CPU from a moment on."""

    def __init__(self, stage: Stage, pids: list[int], redis: Any = None) -> None:
        self._stage, self._pids, self._redis = stage, pids, redis
        self._began = self._now()

    def _now(self) -> tuple[float, float, float, float]:
        used = self._redis.info("cpu") if self._redis else {"used_cpu_user": 0.0, "used_cpu_sys": 0.0}
        return (
            time.monotonic(),
            sum(map(cpu_s, self._pids)),
            cpu_s(self._stage.kafka.pid),
            used["used_cpu_user"] + used["used_cpu_sys"],
        )

    def drained(self, events: int) -> Drained:
        return Drained(events, *(now - then for now, then in zip(self._now(), self._began, strict=True)))


class BareLoop:
    """The lower bound for a consumer in Python: fetch and parse."""

    name = "bare loop: aiokafka getmany + json.loads"
    segments: frozenset[str] = frozenset()
    load: StageLoad | None = None

    def drain(self, stage: Stage, prefix: str, load: StageLoad) -> Drained:
        clock = RunClock(stage, [os.getpid()])
        seconds = asyncio.run(
            consumed(
                stage.kafka.address,
                [prefix + name for name in INPUTS],
                load.events,
                lambda record: json.loads(record.value),
            )
        )
        return clock.drained(load.events)._replace(seconds=seconds)


class SegmenterPeer:
    """The segmenter itself: workers of one group, Redis with an AOF that is synced every second."""

    segments = ALL_SEGMENTS

    def __init__(self, workers: int) -> None:
        self.name = f"segmenter, {workers} worker{'s' * (workers > 1)}"
        self._workers = workers

    def drain(self, stage: Stage, prefix: str, load: StageLoad) -> Drained:
        with servers.Redis(aof=True) as redis, ExitStack() as crew, Redis.from_url(redis.url) as client:
            settings = settings_of(
                stage.kafka.address,
                redis.url,
                topic_prefix=prefix,
                group=prefix + "segmenter",
            )
            empty = client.info("memory")["used_memory"]
            environment = settings.model_dump(exclude_none=True)
            workers = [crew.enter_context(Worker(environment)) for _ in range(self._workers)]
            return drained_by(workers, stage, client, settings, load.events, empty)


def drained_by(
    workers: list[Worker], stage: Stage, client: Any, settings: Settings, events: int, empty: int
) -> Drained:
    """Measure started workers from when they are ready; ``empty``: bytes that Redis used before their start."""
    for worker in workers:
        worker.wait_ready()
    before = applied(client, settings)
    clock = RunClock(stage, [worker.pid for worker in workers], client)
    wait_drained(client, settings, events, workers)
    drained = clock.drained(events - before)
    stored = sum(client.hlen(key(settings.redis_prefix, partition, "customers")) for partition in range(PARTITIONS))
    return drained._replace(redis_bytes_per_customer=(_settled_memory(client) - empty) / stored)


def _settled_memory(client: Any) -> int:
    """The bytes that Redis uses once it has released the large buffers of its connections (2 s after their use)."""
    time.sleep(2)
    used = client.info("memory")["used_memory"]
    for _ in range(SETTLES_WITHIN_S):
        time.sleep(1)
        before, used = used, client.info("memory")["used_memory"]
        if abs(before - used) < before // 1_000:
            break
    return int(used)


def wait_drained(client: Any, settings: Settings, events: int, workers: list[Worker]) -> None:
    """Wait until so many events are applied, and their changes and the events of links are published and applied."""
    until = time.monotonic() + max(DRAIN_MAX_S, events / SLOWEST_RATE)
    while applied(client, settings) < events or waiting(client, settings) or unlinked(client, settings):
        for worker in workers:
            if worker.exit_code is not None or time.monotonic() > until:
                raise RuntimeError(f"the backlog was not drained:\n{worker.tail()}")
        time.sleep(LOOK_S)


def applied(client: Any, settings: Settings) -> int:
    """The number of events applied so far, over all partitions, without those that workers send one another."""
    return sum(_positions(client, settings, name) for name in READ if name != MERGES)


def unlinked(client: Any, settings: Settings) -> bool:
    """Whether events that workers sent one another wait to be applied. The end may be a transaction's mark."""
    places = [TopicPartition(settings.topic_prefix + MERGES, partition) for partition in range(PARTITIONS)]
    with closing(KafkaConsumer(bootstrap_servers=settings.brokers)) as consumer:
        ends = consumer.end_offsets(places)
    return bool(_positions(client, settings, MERGES) < sum(ends.values()) - PARTITIONS)


def _positions(client: Any, settings: Settings, name: str) -> int:
    field = f"position:{settings.topic_prefix}{name}"
    keys = (key(settings.redis_prefix, partition, "meta") for partition in range(PARTITIONS))
    return sum(int(client.hget(key, field) or 0) for key in keys)


def waiting(client: Any, settings: Settings) -> int:
    """The number of saves whose changes are not yet known to be published."""
    return sum(client.llen(key(settings.redis_prefix, partition, "outbox")) for partition in range(PARTITIONS))


class KafkaStreams:
    """The four segments in Java, on RocksDB with a changelog; its JVM is warmed by another load first."""

    segments = ALL_SEGMENTS

    def __init__(self, guarantee: str, threads: int, commit_ms: int, warm: StageLoad) -> None:
        self.name = f"Kafka Streams, {threads} threads, {guarantee}, commit {commit_ms} ms"
        self._options = [guarantee, str(threads), str(commit_ms)]
        self._warm = warm

    def drain(self, stage: Stage, prefix: str, load: StageLoad) -> Drained:
        warm = stage.fill(self._warm)
        with java_running(stage.kafka.address, self._options, warm, prefix) as process:
            await_line(process, f"RUNNING {warm}")
            self._settled(stage, warm, self._warm.events)
            say(process)
            await_line(process, f"RUNNING {prefix}")
            clock = RunClock(stage, [process.pid])
            self._settled(stage, prefix, load.events)
            drained = clock.drained(load.events)
            say(process)
            process.wait(40)
        stage.clear(warm)
        return drained

    @staticmethod
    def _settled(stage: Stage, prefix: str, events: int) -> None:
        until = time.monotonic() + DRAIN_MAX_S
        with stage.watching(f"{prefix}peer", prefix) as committed:
            while committed() < events:
                if time.monotonic() > until:
                    raise TimeoutError(f"Kafka Streams has committed {committed():,} of {events:,} records")
                time.sleep(LOOK_S)


class Quix:
    """One segment, repeat_buyer, on Quix Streams; it is given the purchases alone."""

    name = "Quix Streams, repeat_buyer alone, exactly-once"
    segments = frozenset({"repeat_buyer"})

    def drain(self, stage: Stage, prefix: str, load: StageLoad) -> Drained:
        count = sum(topic == "purchases" for topic, *_ in load.records())
        command = [str(quix_python()), str(SOURCES / "quix.py"), stage.kafka.address, prefix, str(count)]
        with running(lambda folder: [*command, folder]) as process:
            return _self_timed(stage, count, process)


class Obvious:
    """The obvious loop; so slow that it gets a load of its own."""

    name = "obvious loop: Faust agent, GET, SET and send per event"
    segments = frozenset({"recently_purchased", "repeat_buyer"})

    def drain(self, stage: Stage, prefix: str, load: StageLoad) -> Drained:
        with servers.Redis(aof=True) as redis:
            arguments = [stage.kafka.address, redis.url, prefix, str(load.events), str(PARTITIONS)]
            command = [sys.executable, str(SOURCES / "obvious.py"), *arguments]
            with running(lambda folder: [*command, folder]) as process:
                return _self_timed(stage, load.events, process)


def _self_timed(stage: Stage, events: int, process: subprocess.Popen[str]) -> Drained:
    """The result of a peer that itself prints how long it took from its first record to its last."""
    clock = RunClock(stage, [process.pid])
    seconds = float(await_line(process, "DONE").split()[1])
    drained = clock.drained(events)._replace(seconds=seconds)
    process.terminate()  # on SIGTERM it still sends its last records
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
    return drained
