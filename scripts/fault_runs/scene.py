"""The scene of one run: a shop on shared Kafka with a Redis of its own, its workers, and what is asked of them.

The one rule: a scene is given a seed and draws everything from it; what it waits for is what is
stored and published, never that time has passed.
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
AFTER_MS = 2_000  # so much longer than anything is sent, the clock goes on
# Small steps: a history of two thousand events lasts for seconds, so that a fault finds it unfinished.
STEP = 3


class TimedOut(Exception):
    """What should have come true did not."""


def impatient(server: Redis) -> Any:
    """A client which, whatever happens to the server in between, does not wait for long, nor tries again."""
    return redis.Redis(port=server.port, socket_timeout=2.0, retry=Retry(NoBackoff(), 0))


class Lane:
    """A Kafka for one run after the other, with a proxy beside it."""

    def __init__(self, **properties: str) -> None:
        # Kafka's own time in each record: how long it was on its way to Kafka can be seen.
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
        self.rate, self.customers = 25.0, 25  # events of now a second, and of how many at a time
        self.bad_share = 0.0  # of them; the history always has some that are none
        self.clock_is_right = True  # the workers', by which they say when they published
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

    # --- what is done ------------------------------------------------------------------------

    def publish_history(self) -> None:
        """Two hours of the shop, all of it before now, to all inputs at once."""
        self.publish(fault_traffic.history(self.seed, self.events, self.began_ms))

    def publish(self, records: Sequence[TrafficRecord], **more: Any) -> None:
        sender = fault_traffic.producer(self.lane.kafka.address, linger_ms=20, **more)
        fault_traffic.publish(sender, self.prefix, PARTITIONS, records)
        sender.close()

    def begin(self, workers: int = 2, fail_points: Sequence[str] = ()) -> None:
        """History, workers, and events of now."""
        self.publish_history()
        for number in range(workers):
            self.crew.hire(fail_point=fail_points[number] if number < len(fail_points) else "")
        self.traffic.start()

    def decide(self, definitions: str) -> None:
        """By these definitions; before any worker is hired."""
        file = self.folder / "segments.yaml"
        file.write_text(definitions)
        self.settings["definitions"] = file
        self.crew = Crew(self.settings, self.folder, self._stops)

    def move_to(self, redis: Redis) -> None:
        """Another Redis has the address from now on."""
        assert self.redis_proxy is not None, "workers reach Redis through a proxy"
        self.redis_proxy.lead_to(redis.port)
        self.client.close()
        former, self.redis, self.client = self.redis, redis, impatient(redis)
        former.stop()

    def admin(self) -> Any:
        return KafkaAdminClient(bootstrap_servers=self.lane.kafka.address)

    def delete_topics(self, names: Sequence[str]) -> None:
        """As far as they are there."""
        admin = self.admin()
        existing = set(admin.list_topics())
        admin.delete_topics([name for name in names if name in existing])
        admin.close()

    @property
    def definitions(self) -> Path:
        """What its workers decide."""
        return Path(self.settings["definitions"])

    # --- what is seen ------------------------------------------------------------------------

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
        """The end offsets, as Kafka tells them."""
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
        """How many offsets were applied; -1 where Redis does not say."""
        try:
            return sum(self.positions().values())
        except (RedisError, OSError):
            return -1

    def wait(self, condition: Callable[[], bool], what: str, within_s: float = 240.0) -> None:
        """Until it is true, tending the crew. Raises `TimedOut`."""
        until = time.monotonic() + within_s
        while True:
            self.crew.tend()
            try:
                if condition():
                    return
            except (RedisError, OSError):
                pass  # it is away, which may be what this run is about
            if time.monotonic() > until or self.crew.findings:
                raise TimedOut(f"{what}: not within {within_s:.0f} s; {self.state()}")
            time.sleep(0.05)

    def state(self) -> str:
        """In a line, for a failure."""
        try:
            saved = {partition: self.meta(partition) for partition in range(PARTITIONS)}
        except (RedisError, OSError) as error:
            return f"Redis: {error!r}"
        parts = [f"p{p}: {meta.get('save')} saves, clock {meta.get('clock')}" for p, meta in saved.items()]
        return f"applied {self.applied()}, {'; '.join(parts)}, deaths {self.crew.deaths}"

    def wait_stopped(self, text: str, times: int, within_s: float = 240.0) -> None:
        """Until workers have stopped with this sentence so often."""
        self.wait(lambda: sum(text in death for death in self.crew.deaths) >= times, f"{times} × {text!r}", within_s)

    def wait_applied(self, share: float) -> None:
        """Until so much of the history is applied."""
        goal = share * self.events
        self.wait(lambda: self.applied() >= goal, f"{goal:.0f} records applied")

    def settle(self) -> None:
        """No more events of now; until all is read, published, and decided up to some seconds after the last."""
        self.traffic.end()
        last = int(time.time() * 1000) + AFTER_MS
        ends: dict[tuple[str, int], int] = {}
        while ends != (ends := self.ends()):  # the markers of a transaction come after its producer was answered
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
        """Of each partition the group's generation that claimed it last."""
        return [int(self.meta(partition).get("generation", -1)) for partition in range(PARTITIONS)]

    def _watch(self) -> None:
        """What can be seen only while it happens: I9."""
        newest = [-1] * PARTITIONS
        while self._watching.is_set():
            with contextlib.suppress(RedisError, OSError):
                generations = self.generations()
                if not self.forgets and any(map(operator.lt, generations, newest)):
                    self.went_back.append(f"I9: generations went from {newest} to {generations}")
                newest = generations
            time.sleep(0.1)
