"""Faults of Redis: killed, without its last writes or all of them, full, frozen, without its scripts.

Lost writes are cut off the append-only file, as after a loss of power; the server itself is never asked to delete them.
"""

import contextlib
import os
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path

from redis.exceptions import RedisError

from fault_runs.kinds import REDIS_AWAY, REDIS_FORGOT, kind
from fault_runs.scene import Scene, TimedOut, impatient
from local.servers import Redis

HOLDS_NOTHING = "Redis holds nothing of partition"
FULL = "Redis is out of memory (maxmemory)"
CANNOT_SAVE = "Redis cannot save its snapshots"
FORGOTTEN_S = 1.0
FROZEN_S = 12.0  # longer than the client's patience with one answer
COMMITTED_S = 5.0  # workers commit their positions to Kafka about every three seconds


def append_only(scene: Scene) -> Path:
    """The append-only file that grows: with Redis 7 the newest of several, before it the only one."""
    folder = scene.redis.folder
    assert folder is not None, "Redis runs"
    files = [*folder.glob("appendonly.aof"), *folder.glob("appendonlydir/*.incr.aof")]
    return max(files, key=lambda file: (len(file.name), file.name))  # they are numbered, the tenth after the ninth


def pause(seconds: float) -> None:
    """Wait for the duration of a fault."""
    time.sleep(seconds)


def moments(scene: Scene, first: float, last: float) -> Iterator[None]:
    """Give two moments of the run, at random shares of the records to apply."""
    for share in sorted(scene.rng.uniform(first, last) for _ in range(2)):
        scene.wait_applied(share)
        yield


def restart(scene: Scene) -> None:
    """Kill Redis (kill -9), and start it on the same data."""
    scene.redis.kill9()
    pause(scene.rng.uniform(0.1, 1.5))
    scene.redis.start()


@kind("redis-kill", "kill -9 and restart, AOF everysec", stops=REDIS_FORGOT)
def _(scene: Scene) -> None:
    scene.forgets = True
    scene.begin(2)
    for _ in moments(scene, 0.05, 1.0):
        restart(scene)


@kind("redis-kill-always", "kill -9 and restart, AOF always: nothing may be forgotten", stops=REDIS_AWAY,
      redis={"fsync": "always"}, quick=False)  # fmt: skip
def _(scene: Scene) -> None:
    scene.begin(2)
    for _ in moments(scene, 0.05, 1.0):
        before = scene.applied()
        restart(scene)
        if scene.applied() < before:
            raise TimedOut(f"{before} records were applied, {scene.applied()} after a restart under fsync always")


def rob(scene: Scene, size: int) -> None:
    """Kill Redis, cut its file to a size, and start it again."""
    scene.redis.kill9()
    file = append_only(scene)
    if size < file.stat().st_size:  # else Redis has rewritten the file meanwhile
        os.truncate(file, size)
    scene.redis.start()


def lose_a_second(scene: Scene, seconds: float = FORGOTTEN_S) -> None:
    """Lose the writes of the last second, many of which were published."""
    size = append_only(scene).stat().st_size
    pause(seconds)
    rob(scene, size)


@kind("redis-lost-second", "the last second of the AOF is lost, what it held was published", stops=REDIS_FORGOT)
def _(scene: Scene) -> None:
    scene.forgets = True
    scene.begin(2)
    for _ in moments(scene, 0.1, 0.8):
        lose_a_second(scene)


@kind("redis-failover", "a replica that lost the last writes takes over", stops=REDIS_FORGOT, through="redis")
def _(scene: Scene) -> None:
    scene.forgets = True
    scene.begin(2)
    scene.wait_applied(scene.rng.uniform(0.1, 0.7))
    replica = Redis(aof=True).start()
    client = impatient(replica)
    client.replicaof("127.0.0.1", scene.redis.port)
    scene.wait(lambda: client.info("replication")["master_link_status"] == "up", "a replica that follows")
    client.replicaof("NO", "ONE")
    client.close()
    pause(scene.rng.uniform(0.3, 1.5))
    scene.redis.kill9()
    scene.move_to(replica)


@kind("redis-lost-ten-seconds", "so much of the AOF is lost", stops=REDIS_FORGOT, quick=False)
def _(scene: Scene) -> None:
    scene.forgets = True
    scene.begin(2)
    scene.wait_applied(scene.rng.uniform(0.1, 0.8))
    lose_a_second(scene, 10.0)


@kind("redis-lost-half", "the AOF ends in the middle of a record", stops=REDIS_FORGOT, quick=False)
def _(scene: Scene) -> None:
    scene.forgets = True
    scene.begin(2)
    scene.wait_applied(scene.rng.uniform(0.1, 0.8))
    rob(scene, append_only(scene).stat().st_size - scene.rng.randint(1, 400))


@kind("redis-empty", "all data are gone: stops, again and again, until told to rebuild",
      stops=(*REDIS_FORGOT, HOLDS_NOTHING))  # fmt: skip
def _(scene: Scene) -> None:
    scene.forgets = True
    scene.begin(2)
    scene.wait_applied(scene.rng.uniform(0.3, 0.9))
    pause(COMMITTED_S)
    rob(scene, 0)
    scene.wait_stopped(HOLDS_NOTHING, 3)
    scene.crew.replaces = False
    scene.wait(lambda: not scene.crew.members, "no worker runs on an empty Redis")
    scene.crew.replaces = True
    scene.crew.hire("--rebuild")


@kind("redis-full", "out of memory under noeviction: stops until there is room",
      stops=(*REDIS_AWAY, f"^{re.escape(FULL)}"))  # fmt: skip
def _(scene: Scene) -> None:
    scene.begin(2)
    scene.wait_applied(scene.rng.uniform(0.1, 0.5))
    # Far below the used memory: a worker's end frees its connections' buffers, which may make room for the other one.
    scene.client.config_set("maxmemory", scene.client.info("memory")["used_memory"] // 2)
    scene.wait_stopped(FULL, 2)
    scene.client.config_set("maxmemory", 0)


@kind("redis-cannot-save", "a snapshot fails, and Redis refuses writes (MISCONF): stops until one succeeds",
      stops=(*REDIS_AWAY, f"^{CANNOT_SAVE}"), quick=False)  # fmt: skip
def _(scene: Scene) -> None:
    assert scene.redis.folder is not None
    in_the_way = scene.redis.folder / scene.client.config_get("dbfilename")["dbfilename"]
    scene.begin(2)
    scene.wait_applied(scene.rng.uniform(0.1, 0.5))
    in_the_way.unlink(missing_ok=True)
    in_the_way.mkdir()
    scene.client.config_set("save", "3600 1")
    snapshot(scene, "err")
    scene.wait_stopped(CANNOT_SAVE, 2)
    in_the_way.rmdir()
    snapshot(scene, "ok")


def snapshot(scene: Scene, status: str) -> None:
    """Take one more snapshot, which must end with this status."""
    scene.client.bgsave()
    scene.wait(lambda: scene.client.info("persistence")["rdb_last_bgsave_status"] == status, f"a snapshot: {status}")


@kind("redis-noscript", "its scripts are flushed, again and again")
def _(scene: Scene) -> None:
    scene.begin(2)
    for share in (0.1, 0.2, 0.3, 0.5, 0.8):
        scene.wait_applied(share)
        scene.client.script_flush()


@kind("redis-busy", "a script of another client blocks it for seconds", stops=(*REDIS_AWAY, "^Redis is busy"),
      quick=False, redis={"options": {"lua-time-limit": "500"}})  # fmt: skip
def _(scene: Scene) -> None:
    scene.begin(2)
    scene.wait_applied(scene.rng.uniform(0.1, 0.5))
    with contextlib.suppress(RedisError):
        scene.client.eval("while true do end", 0)
    scene.client.script_kill()


@contextlib.contextmanager
def frozen(pid: int) -> Iterator[None]:
    """Freeze a process for the time of the context."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def freeze(scene: Scene) -> None:
    """Freeze Redis: it accepts connections and does not answer."""
    with frozen(scene.redis.pid):
        pause(FROZEN_S)


@kind("redis-frozen", f"takes connections and says nothing for {FROZEN_S:.0f} s", stops=REDIS_AWAY, quick=False)
def _(scene: Scene) -> None:
    scene.begin(2)
    scene.wait_applied(scene.rng.uniform(0.1, 0.6))
    freeze(scene)


@kind("redis-frozen-long", "is silent for longer than clients wait: stops until it answers", stops=REDIS_AWAY,
      quick=False)  # fmt: skip
def _(scene: Scene) -> None:
    scene.begin(2)
    scene.wait_applied(scene.rng.uniform(0.1, 0.6))
    with frozen(scene.redis.pid):
        scene.wait_stopped(" failed (", 2)


@kind("redis-evicts", "a Redis that may evict is refused, at once", stops=("may evict",), audited=False, quick=False,
      redis={"options": {"maxmemory-policy": "allkeys-lru"}})  # fmt: skip
def _(scene: Scene) -> None:
    scene.publish_history()
    scene.crew.hire()
    scene.wait_stopped("set maxmemory-policy noeviction", 2)
    if scene.applied() > 0:
        raise TimedOut("something was applied to a Redis that may forget it")
