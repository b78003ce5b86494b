"""The scene of one run: a shop on shared Kafka with a Redis of its own, its workers, and its expected state.

A scene draws everything from its seed. It waits for stored and published data, never for a time to pass.
"""

import contextlib
import operator
import random
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import redis
from kafka import KafkaAdminClient, KafkaConsumer, TopicPartition
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from fault_runs import traffic as fault_traffic
from fault_runs.supervisor import Crew
from fault_runs.traffic import TrafficRecord
from local.server_process import free_port
from local.servers import Kafka, Redis
from local.tcp_proxy import Proxy
from streams.kafka import admin as topics
from streams.settings import Settings
from streams.wire.topics import WORKERS

__all__ = ["DEFINITIONS", "INPUTS", "OUTPUTS", "PARTITIONS", "Lane", "Scene", "TimedOut", "impatient"]

DEFINITIONS = Path(__file__).with_name("segments.yaml")
PARTITIONS = 4
INPUTS = ("profiles", "visits", "carts", "purchases")
OUTPUTS = ("segment-changes", "segment-memberships", "dead-letters")
SETTLED_S = 300.0
AFTER_MS = 2_000  # the clock goes on for this long after the last record is sent
# Small steps, so that a history of two thousand events lasts for seconds, and a fault comes before its end.
STEP = 3


class TimedOut(Exception):
    """A condition did not become true in time."""


def impatient(server: Redis) -> Any:
    """A client of Redis with short timeouts and without retries."""
    return redis.Redis(port=server.port, socket_timeout=2.0, retry=Retry(NoBackoff(), 0))


class Lane:
    """A Kafka for successive runs, with a proxy beside it."""

    def __init__(self, **properties: str) -> None:
        # Kafka writes its own time into each record, which shows how long the record took to Kafka.
        self._properties = {"log.message.timestamp.type": "LogAppendTime", **properties}
        self._behind = free_port()
        self.proxy = Proxy(self._behind)

    def __enter__(self) -> Self:
        self.proxy.__enter__()
        self.kafka = Kafka(properties=self._properties, proxied=(self._behind, self.proxy.port), heap_mb=384).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.proxy.__exit__(None, None, None)
        self.kafka.stop()


class Scene:
    """One run. ``through``: the server that workers reach through a proxy, if any."""

    def __init__(
        self,
        lane: Lane,
        name: str,
        seed: int,
        events: int,
        *,
        stops: Sequence[str] = (),
        through: str = "",
        redis_options: Mapping[str, Any] | None = None,
        settings: Mapping[str, object] | None = None,
    ) -> None:
        self.rng = random.Random(f"{name} {seed}")
        self.began_ms = int(time.time() * 1000) - 1_000
        self.seed, self.events, self.lane = seed, events, lane
        self.prefix = f"{name}-{seed}-{int(time.time() * 1000) % 1_000_000}-"
        self.redis = Redis(**{"aof": True, **(redis_options or {})})
        self.redis_proxy = Proxy(self.redis.port) if through == "redis" else None
        self.folder = Path(tempfile.mkdtemp(prefix=f"segmenter-{name}-"))
        self.went_back: list[str] = []
        self.rate, self.customers = 25.0, 25  # present events a second, and the customers active at a time
        self.bad_share = 0.0  # of the present events; the history always has some bad records
        self.clock_is_right = True  # of the workers' clock, which dates published changes
        self.forgets = False  # this Redis loses writes, so a generation in it may go back
        self._watching = threading.Event()
        self._stops = stops
        self._through = through
        self._more = settings or {}

    def __enter__(self) -> Self:
        self.redis.start()
        if self.redis_proxy is not None:
            self.redis_proxy.__enter__()
        self.client = impatient(self.redis)
        kafka = self.lane.kafka
        self.settings: dict[str, Any] = {
            "brokers": f"127.0.0.1:{self.lane.proxy.port}" if self._through == "kafka" else kafka.address,
            "redis": self.redis.url if self.redis_proxy is None else f"redis://127.0.0.1:{self.redis_proxy.port}/0",
            "partitions": PARTITIONS,
            "topic_prefix": self.prefix,
            "group": self.prefix,
            "redis_prefix": self.prefix,
            "definitions": DEFINITIONS,
            # Short, so that the partitions of a dead worker get another owner within the run.
            "session_timeout_s": 2.5,
            "batch_max": STEP,
            "in_hand_max": 20,
            **self._more,
        }
        topics.create(Settings(**{**self.settings, "brokers": kafka.address}))
        self.crew = Crew(self.settings, self.folder, self._stops)
        self._watching.set()
        threading.Thread(target=self._watch, name="watch", daemon=True).start()
        shop = fault_traffic.Shop(self.seed, self.customers, self.bad_share)
        self.traffic = fault_traffic.Traffic(shop, kafka.address, self.prefix, PARTITIONS, self.rate)
        return self

    def __exit__(self, *_: object) -> None:
        self.lane.proxy.latency_s = 0.0
        self._watching.clear()
        self.traffic.end()
        self.crew.kill_all()
        if self.redis_proxy is not None:
            self.redis_proxy.__exit__(None, None, None)
        self.client.close()
        self.redis.stop()
        self.delete_topics([self.prefix + name for name in WORKERS])
        shutil.rmtree(self.folder, ignore_errors=True)

    # --- actions -----------------------------------------------------------------------------

    def publish_history(self) -> None:
        """Publish two hours of the shop, all of them before now, to all inputs at once."""
        self.publish(fault_traffic.history(self.seed, self.events, self.began_ms))

    def publish(self, records: Sequence[TrafficRecord], **more: Any) -> None:
        sender = fault_traffic.producer(self.lane.kafka.address, linger_ms=20, **more)
        fault_traffic.publish(sender, self.prefix, PARTITIONS, records)
        sender.close()

    def begin(self, workers: int = 2, fail_points: Sequence[str] = ()) -> None:
        """Publish the history, and start workers and present events."""
        self.publish_history()
        for number in range(workers):
            self.crew.hire(fail_point=fail_points[number] if number < len(fail_points) else "")
        self.traffic.start()

    def decide(self, definitions: str) -> None:
        """Set the definitions, before any worker is started."""
        file = self.folder / "segments.yaml"
        file.write_text(definitions)
        self.settings["definitions"] = file
        self.crew = Crew(self.settings, self.folder, self._stops)

    def move_to(self, redis: Redis) -> None:
        """Lead the address to another Redis from now on."""
        assert self.redis_proxy is not None, "workers reach Redis through a proxy"
        self.redis_proxy.lead_to(redis.port)
        self.client.close()
        former, self.redis, self.client = self.redis, redis, impatient(redis)
        former.stop()

    def admin(self) -> Any:
        return KafkaAdminClient(bootstrap_servers=self.lane.kafka.address)

    def delete_topics(self, names: Sequence[str]) -> None:
        """Delete those of these topics that exist."""
        admin = self.admin()
        existing = set(admin.list_topics())
        admin.delete_topics([name for name in names if name in existing])
        admin.close()

    @property
    def definitions(self) -> Path:
        """The definitions of the workers."""
        return Path(self.settings["definitions"])

    # --- observations ------------------------------------------------------------------------

    def key(self, partition: int, name: str) -> str:
        return f"{self.prefix}{{p{partition}}}:{name}"

    def meta(self, partition: int) -> dict[str, str]:
        return {
            name.decode(): value.decode() for name, value in self.client.hgetall(self.key(partition, "meta")).items()
        }

    def positions(self) -> dict[tuple[str, int], int]:
        """The saved position of each input partition."""
        metas = [self.meta(partition) for partition in range(PARTITIONS)]
        return {
            (name, partition): int(meta.get(f"position:{self.prefix}{name}", 0))
            for partition, meta in enumerate(metas)
            for name in INPUTS
        }

    def ends(self, names: Sequence[str] = INPUTS) -> dict[tuple[str, int], int]:
        """The end offsets, as Kafka gives them."""
        consumer: Any = KafkaConsumer(
            bootstrap_servers=self.lane.kafka.address, group_id=None, enable_auto_commit=False
        )
        places = {
            (name, partition): TopicPartition(self.prefix + name, partition)
            for name in names
            for partition in range(PARTITIONS)
        }
        ends = consumer.end_offsets(list(places.values()))
        consumer.close()
        return {place: ends[tp] for place, tp in places.items()}

    def applied(self) -> int:
        """How many offsets were applied; -1 if Redis does not answer."""
        try:
            return sum(self.positions().values())
        except (RedisError, OSError):
            return -1

    def wait(self, condition: Callable[[], bool], description: str, within_s: float = 240.0) -> None:
        """Wait until a condition is true, and tend the crew meanwhile. Raises `TimedOut`."""
        until = time.monotonic() + within_s
        while True:
            self.crew.tend()
            try:
                if condition():
                    return
            except (RedisError, OSError):
                pass  # the server is away, which may be the fault of this run
            if time.monotonic() > until or self.crew.findings:
                raise TimedOut(f"{description}: not within {within_s:.0f} s; {self.state()}")
            time.sleep(0.05)

    def state(self) -> str:
        """The state in a line, for an error."""
        try:
            saved = {partition: self.meta(partition) for partition in range(PARTITIONS)}
        except (RedisError, OSError) as error:
            return f"Redis: {error!r}"
        parts = [f"p{p}: {meta.get('save')} saves, clock {meta.get('clock')}" for p, meta in saved.items()]
        return f"applied {self.applied()}, {'; '.join(parts)}, deaths {self.crew.deaths}"

    def wait_stopped(self, text: str, times: int, within_s: float = 240.0) -> None:
        """Wait until workers have stopped with this sentence so many times."""
        self.wait(lambda: sum(text in death for death in self.crew.deaths) >= times, f"{times} × {text!r}", within_s)

    def wait_applied(self, share: float) -> None:
        """Wait until this share of the history is applied."""
        goal = share * self.events
        self.wait(lambda: self.applied() >= goal, f"{goal:.0f} records applied")

    def settle(self) -> None:
        """End the present events; wait until all are read, decided to some seconds after the last, and published."""
        self.traffic.end()
        last = int(time.time() * 1000) + AFTER_MS
        ends: dict[tuple[str, int], int] = {}
        while ends != (ends := self.ends()):  # markers of a transaction are written after its producer was answered
            self.wait(lambda: self._is_settled(ends, last), f"all of {ends} settled", SETTLED_S)
        self.crew.end_all()

    def _is_settled(self, ends: Mapping[tuple[str, int], int], last: int) -> bool:
        positions = self.positions()
        if any(positions[place] < end for place, end in ends.items()):
            return False
        for partition in range(PARTITIONS):
            clock = int(self.meta(partition).get("clock", 0))
            due = self.client.zrange(self.key(partition, "due"), 0, 0, withscores=True)
            if clock < last or (due and due[0][1] <= clock) or self.client.llen(self.key(partition, "outbox")):
                return False
        return True

    def generations(self) -> list[int]:
        """The generation of the group that claimed each partition last."""
        return [int(self.meta(partition).get("generation", -1)) for partition in range(PARTITIONS)]

    def _watch(self) -> None:
        """Check I9, which can be observed only during the run."""
        newest = [-1] * PARTITIONS
        while self._watching.is_set():
            with contextlib.suppress(RedisError, OSError):
                generations = self.generations()
                if not self.forgets and any(map(operator.lt, generations, newest)):
                    self.went_back.append(f"I9: generations went from {newest} to {generations}")
                newest = generations
            time.sleep(0.1)
