"""Trials of stops: each brings one about on real Kafka and Redis, does what its sentence says, and sees that it works.

The one rule: a trial ends with events that came after the stop applied, and `segmenter verify` finds every customer as
all events say; of triggers, with a message for each that was due and none twice.

Long because each sentence has a world of its own.
"""

from __future__ import annotations

import asyncio
import copy
import itertools
import json
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import redis
import yaml
from aiokafka.partitioner import murmur2
from faust.types import TP
from kafka import KafkaConsumer, KafkaProducer, TopicPartition

from local.processes import Ops, Triggers, Worker
from local.receivers import SECRET, Hook, Mailbox, now_ms
from local.servers import Kafka, Redis
from rules.event_names import INPUTS
from streams.kafka import admin, log_reader
from streams.kafka.log_reader import Logs
from streams.kafka.publisher import FencedPublisher
from streams.runtime import preflight
from streams.settings import Settings
from streams.settings.definitions_file import load
from streams.state.definition_documents import compress
from streams.stop import REBUILD, Stop
from streams.wire import customer_codec
from streams.wire.topics import ALL, OUTPUTS
from tests.support import live
from tests.support.commands import segmenter
from tests.support.patience import eventually
from tests.support.stop_shop import DEMO, REDIS_GONE_S, Shop, cart, order, recreate, refused, sentence, worker
from tests.support.trigger_processes import SEGMENTS, Sender, leave_a_cart, write

SKEW = Path(__file__).parents[2] / "scripts" / "fault_runs" / "skew"
_names = (f"trial{number}" for number in itertools.count())


class World(NamedTuple):
    """What a trial may use."""

    kafka: Kafka
    redis: Redis
    folder: Path


Trial = Callable[[World], str]
# By parts of the sentence, in their order.
TRIED: dict[tuple[str, ...], Trial] = {}


def tries(*parts: str) -> Callable[[Trial], Trial]:
    """Mark a trial of the sentence with these parts; the trial returns what was printed."""

    def note(trial: Trial) -> Trial:
        TRIED[parts] = trial
        return trial

    return note


# --- a shop, and that it goes on -----------------------------------------------------------------


def opened(world: World, kafka: Kafka | None = None, redis_server: Redis | None = None, **more: object) -> Shop:
    """A shop of one partition with two orders, which no worker has read yet."""
    shop = Shop(kafka or world.kafka, redis_server or world.redis, next(_names), **more)
    shop.publish("purchases", order(), order())
    return shop


def read(world: World, kafka: Kafka | None = None, redis_server: Redis | None = None, **more: object) -> Shop:
    """A shop after a worker that has read all of it and has ended."""
    shop = opened(world, kafka, redis_server, **more)
    goes_on(shop, world)
    return shop


def under(shop: Shop, **changed: Any) -> Shop:
    """A shop with other settings."""
    other = copy.copy(shop)
    other.settings = {**shop.settings, **changed}
    other.prefix = other.settings["topic_prefix"]
    other._redis = redis.Redis.from_url(other.settings["redis"])
    return other


def fresh(shop: Shop) -> Shop:
    """A shop on a Redis that holds nothing of it."""
    return under(shop, redis_prefix=f"{next(_names)}:")


def goes_on(shop: Shop, world: World, *arguments: str) -> None:
    """A worker with these arguments applies a new order, and every customer equals a replay of all events."""
    shop.publish("purchases", order())
    with worker(shop.settings, world.folder, *arguments) as running:
        eventually(lambda: running.exit_code is not None or is_read(shop), 60)
        assert running.exit_code is None, running.tail()
        eventually(lambda: "\nequal\n" in segmenter("verify", **shop.settings).out, 30)
    done = segmenter("verify", **shop.settings)
    assert "\nequal\n" in done.out, done


def is_read(shop: Shop) -> bool:
    """Whether all that the inputs hold is applied."""
    with closing(KafkaConsumer(bootstrap_servers=shop.settings["brokers"])) as consumer:
        ends = consumer.end_offsets([TopicPartition(shop.prefix + name, 0) for name in INPUTS])
    return all(shop.position(name) == ends[TopicPartition(shop.prefix + name, 0)] for name in INPUTS)


@contextmanager
def running(shop: Shop, world: World, *arguments: str, **variables: str) -> Iterator[Worker]:
    """A worker that has claimed the partition."""
    process = worker(shop.settings, world.folder, *arguments)
    process.environment |= variables
    with process:
        yield process.wait_ready()


def stopped(*arguments: str, **settings: Any) -> str:
    """The sentence with which a command stops."""
    done = segmenter(*arguments, **settings)
    assert done.code == 75, done
    return done.err.rpartition("segmenter stopped: ")[2].strip()


# --- topics --------------------------------------------------------------------------------------


@tries("ends at {} but records up to {} were already read; the topic was deleted and recreated")
def recreated_input(world: World) -> str:
    shop = opened(world)
    shop.publish("carts", *(cart() for _ in range(3)))
    goes_on(shop, world)
    recreate(world.kafka, shop, "purchases")
    message = refused(shop.settings, world.folder)
    assert message.endswith(REBUILD)
    goes_on(fresh(shop), world, "--rebuild")
    return message


@tries("topics are missing", "run `segmenter topics create")
def topics_missing(world: World) -> str:
    shop = under(read(world), topic_prefix=f"{next(_names)}-", redis_prefix=f"{next(_names)}:")
    message = refused(shop.settings, world.folder)
    assert segmenter("topics", "create", **shop.settings).code == 0
    goes_on(shop, world)
    return message


@tries("topic {} could not be created", "{}")
def topics_not_created(world: World) -> str:
    shop = under(read(world), topic_prefix=f"{next(_names)}-", redis_prefix=f"{next(_names)}:")
    message = stopped("topics", "create", **{**shop.settings, "replication": 3})
    assert "see SEGMENTER_PARTITIONS and SEGMENTER_REPLICATION" in message
    assert segmenter("topics", "create", **{**shop.settings, "replication": 1}).code == 0
    goes_on(shop, world)
    return message


@tries("Kafka gave nothing of", "try again")
def kafka_gives_nothing(world: World) -> str:
    shop = read(world)
    with pytest.MonkeyPatch.context() as patched, closing(Logs(Settings(**shop.settings))) as logs:
        patched.setattr(log_reader, "SILENT_MAX_S", 1.0)
        log = logs.open("purchases", 0)
        log._consumer.pause(log._tp)
        with pytest.raises(Stop) as raised:
            list(log.whole())
        log._consumer.resume(log._tp)
        again = logs.open("purchases", 0)
        assert len(list(again.whole())) == again.end > 0
    assert "\nequal\n" in segmenter("verify", **shop.settings).out
    return str(raised.value)


# --- Kafka that goes away ------------------------------------------------------------------------


@tries("Kafka did not answer for", "see that it is up")
def kafka_silent(world: World) -> str:
    with Kafka() as mortal:
        shop = opened(world, mortal, unread_s=2)
        with running(shop, world) as process:
            eventually(lambda: is_read(shop))
            mortal.kill9()
            message = sentence(process, 60)
        mortal.start()
        goes_on(shop, world)
    return message


@tries("when Kafka is back, start the worker again")
def kafka_gone_while_publishing(world: World) -> str:
    with Kafka() as mortal:
        shop = opened(world, mortal)
        with worker(shop.settings, world.folder) as process:
            process.stop()
        process = worker(shop.settings, world.folder)
        process.environment["SEGMENTER_FAIL_POINT"] = "before_fence:1:SIGSTOP"  # what is sent later is sent for long
        with process:
            eventually(lambda: is_frozen(process), 60)
            mortal.kill9()
            os.kill(process.pid, signal.SIGCONT)
            message = sentence(process, 60)
        mortal.start()
        goes_on(shop, world)
    return message


def is_frozen(process: Worker) -> bool:
    return Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


@tries("Kafka cannot be reached", "when it is back, start the worker again")
def kafka_gone_at_the_start(world: World) -> str:
    with Kafka() as mortal:
        shop = read(world, mortal)
        message = ""
        for _ in range(5):  # until it dies after the topics are verified and before the consumer is connected
            with worker(shop.settings, world.folder) as process:
                eventually(lambda: "Starting..." in process.log.read_text())  # of this turn
                os.kill(process.pid, signal.SIGSTOP)
                mortal.kill9()
                os.kill(process.pid, signal.SIGCONT)
                with suppress(AssertionError):
                    eventually(lambda: process.exit_code is not None, 4)  # of this turn
                process.kill()
            message = process.log.read_text().rpartition("segmenter stopped: ")[2]
            mortal.start()
            if message.startswith("Kafka cannot be reached"):
                break
        goes_on(shop, world)
    return message


@tries("Kafka fenced this process's producer of partition", "start the worker again")
def another_producer_of_its_id(world: World) -> str:
    shop = opened(world)

    async def take_it() -> None:
        client = {"bootstrap_servers": world.kafka.address}
        another = FencedPublisher(client, shop.prefix, shop.settings["group"], OUTPUTS, 1)
        await another.claim([0])
        await another.release()

    with running(shop, world) as process:
        eventually(lambda: is_read(shop))
        asyncio.run(take_it())
        publish_for(shop, "u2")
        message = sentence(process, 60)
    goes_on(shop, world)
    return message


def publish_for(shop: Shop, customer_id: str) -> None:
    """An order of another customer: a change."""
    producer: Any = KafkaProducer(bootstrap_servers=shop.settings["brokers"], enable_idempotence=False)
    value = {**json.loads(order()), "userId": customer_id}
    producer.send(shop.prefix + "purchases", json.dumps(value).encode(), customer_id.encode(), partition=0)
    producer.flush()
    producer.close()


# --- Redis ---------------------------------------------------------------------------------------


def redis_refuses(
    world: World, change: Callable[[Any, Redis], None], back: Callable[[Any, Redis], None], **options: str
) -> str:
    """A Redis of its own that refuses writes after ``change``, until ``back``."""
    with Redis(aof=True, options=options) as own:
        shop = opened(world, redis_server=own)
        client = redis.Redis.from_url(own.url)
        with running(shop, world) as process:
            eventually(lambda: is_read(shop))
            change(client, own)
            shop.publish("purchases", order())
            message = sentence(process, REDIS_GONE_S)
        back(client, own)
        goes_on(shop, world)
    return message


@tries("Redis is out of memory (maxmemory): give it more room, then start the worker again")
def redis_out_of_memory(world: World) -> str:
    return redis_refuses(
        world, lambda client, _: client.config_set("maxmemory", 1), lambda client, _: client.config_set("maxmemory", 0)
    )


@tries("Redis cannot save its snapshots, so it takes no writes: see its log, then start the worker again")
def redis_without_snapshots(world: World) -> str:
    def snapshot(client: Any, status: str) -> None:
        client.bgsave()
        eventually(lambda: client.info("persistence")["rdb_last_bgsave_status"] == status)

    def spoil(client: Any, own: Redis) -> None:
        assert own.folder is not None
        (own.folder / "dump.rdb").mkdir()
        client.config_set("save", "3600 1")
        snapshot(client, "err")

    def repair(client: Any, own: Redis) -> None:
        assert own.folder is not None
        (own.folder / "dump.rdb").rmdir()
        snapshot(client, "ok")

    return redis_refuses(world, spoil, repair)


@tries("Redis has fewer replicas than min-replicas-to-write: start them, then start the worker again")
def redis_without_replicas(world: World) -> str:
    with Redis() as replica:

        def join(client: Any, own: Redis) -> None:
            redis.Redis.from_url(replica.url).replicaof("127.0.0.1", own.port)
            eventually(lambda: client.info("replication").get("min_slaves_good_slaves") == 1)

        return redis_refuses(world, lambda client, _: client.config_set("min-replicas-to-write", 1), join)


@tries("Redis is a replica, which takes no writes: name its primary in SEGMENTER_REDIS, then start again")
def redis_a_replica(world: World) -> str:
    with Redis(aof=True) as primary, Redis() as replica:
        shop = read(world, redis_server=primary)
        other: Any = redis.Redis.from_url(replica.url)
        other.replicaof("127.0.0.1", primary.port)
        eventually(lambda: other.info("replication")["master_link_status"] == "up")
        with worker(under(shop, redis=replica.url).settings, world.folder) as process:
            message = sentence(process, REDIS_GONE_S)
        goes_on(shop, world)
    return message


@tries("Redis is busy with a script of another client: wait for it or end it (SCRIPT KILL), then start again")
def redis_busy(world: World) -> str:
    def keep_busy(client: Any, own: Redis) -> None:
        client.config_set("lua-time-limit", 100)
        endless = redis.Redis.from_url(own.url, socket_timeout=600)

        def run() -> None:
            with pytest.raises(redis.RedisError):
                endless.eval("while true do end", 0)

        threading.Thread(target=run, daemon=True).start()

    return redis_refuses(world, keep_busy, lambda client, _: client.script_kill())


@tries("Redis may evict keys", "set maxmemory-policy noeviction")
def redis_evicting(world: World) -> str:
    with Redis(aof=True, options={"maxmemory-policy": "allkeys-lru"}) as own:
        shop = opened(world, redis_server=own)
        message = refused(shop.settings, world.folder)
        redis.Redis.from_url(own.url).config_set("maxmemory-policy", "noeviction")
        goes_on(shop, world)
    return message


@tries("claiming failed", "see that Redis and Kafka can be reached")
def redis_not_there(world: World) -> str:
    with Redis(aof=True) as own:
        shop = read(world, redis_server=own)
        own.kill9()
        with worker(shop.settings, world.folder) as process:
            message = sentence(process, REDIS_GONE_S)
        own.start()
        goes_on(shop, world)
    return message


@tries("Redis no longer knows the claim of partition", "start the worker again, it says what to do")
def redis_emptied(world: World) -> str:
    with Redis() as own:
        shop = opened(world, redis_server=own)
        with running(shop, world) as process:
            eventually(lambda: shop.committed("purchases") == 2)
            redis.Redis.from_url(own.url).flushall()
            shop.publish("purchases", order())
            message = sentence(process)
        again = refused(shop.settings, world.folder)
        assert "use a fresh Redis and `segmenter worker --rebuild`" in again
        goes_on(shop, world, "--rebuild")
    return message


# --- clocks --------------------------------------------------------------------------------------


def skewed(world: World, seconds: int) -> dict[str, str]:
    """Variables of a worker whose clock is off by what a file says."""
    (world.folder / "skew").write_text(str(seconds))
    return {"SKEW_FILE": str(world.folder / "skew"), "PYTHONPATH": str(SKEW)}


@tries("the clocks of this machine and of Redis differ by", "set them right")
def clocks_that_differ(world: World) -> str:
    shop = opened(world)
    process = worker(shop.settings, world.folder)
    process.environment |= skewed(world, 30)
    with process:
        message = sentence(process)
    goes_on(shop, world)
    return message


@tries("the clock of this machine is ahead of the clock of Redis; set them right, then start the worker")
def clock_that_runs_ahead(world: World) -> str:
    shop = opened(world)
    with running(shop, world, **skewed(world, 0)) as process:
        eventually(lambda: is_read(shop))
        skewed(world, 30)
        message = sentence(process, 60)
    goes_on(shop, world)
    return message


# --- what the stored state belongs to ------------------------------------------------------------


@tries("another Kafka cluster; point SEGMENTER_REDIS to a fresh one")
def another_cluster(world: World) -> str:
    shop = read(world)
    with Kafka() as another, Redis(aof=True) as own:
        moved = under(shop, brokers=another.address)
        admin.create(Settings(**moved.settings))
        moved.publish("purchases", order())
        message = refused(moved.settings, world.folder)
        goes_on(under(moved, redis=own.url), world)
    goes_on(shop, world)
    return message


@tries("another group; set SEGMENTER_GROUP back or use a fresh Redis")
def another_group(world: World) -> str:
    shop = read(world)
    other = under(shop, group=next(_names))
    message = refused(other.settings, world.folder)
    goes_on(shop, world)
    goes_on(fresh(other), world)
    return message


@tries("other topics; set SEGMENTER_TOPIC_PREFIX back or use a fresh Redis")
def other_topics(world: World) -> str:
    shop, other = read(world), opened(world)
    mixed = under(shop, topic_prefix=other.prefix)
    message = refused(mixed.settings, world.folder)
    goes_on(shop, world)
    goes_on(fresh(mixed), world)
    return message


@tries("the definitions changed, and Redis does not hold the former file; run it once, or use a fresh Redis and")
def other_definitions(world: World) -> str:
    shop = read(world)
    shop._redis.hdel(f"{shop.settings['redis_prefix']}{{p0}}:meta", "epochs")
    other = under(shop, definitions=DEMO)
    message = refused(other.settings, world.folder)
    goes_on(fresh(other), world, "--rebuild")
    goes_on(shop, world)
    goes_on(other, world)
    return message


@tries("Redis does not hold the document of former definitions", "use a fresh Redis and `segmenter worker --rebuild`")
def a_document_is_gone(world: World) -> str:
    shop = read(world)
    files = f"{shop.settings['redis_prefix']}{{p0}}:files"
    stored: Any = shop._redis.hgetall(files)
    shop._redis.delete(files)
    other = under(shop, definitions=DEMO)
    message = refused(other.settings, world.folder)
    goes_on(fresh(other), world, "--rebuild")
    shop._redis.hset(files, mapping=stored)
    goes_on(other, world)
    return message


def tampered(world: World, document: dict[str, Any] | None = None) -> str:
    """Redis says of the newest definitions what no version of today would; both ways that are told work."""
    shop = read(world)
    meta, files = (f"{shop.settings['redis_prefix']}{{p0}}:{name}" for name in ("meta", "files"))
    before: Any = shop._redis.hget(meta, "epochs")
    documents: Any = shop._redis.hgetall(files)
    versions = json.loads(before)
    versions[-1]["fingerprint"] = "000000000000"
    shop._redis.hset(meta, "epochs", json.dumps(versions))
    if document is not None:
        shop._redis.hset(files, versions[-1]["number"], compress(document))
    message = refused(shop.settings, world.folder)
    goes_on(fresh(shop), world, "--rebuild")
    shop._redis.hset(meta, "epochs", before)  # as the version that wrote it reads it
    shop._redis.hset(files, mapping=documents)
    goes_on(shop, world)
    return message


@tries(
    "this version reads the former definitions in another way", "go back to the version",
    "or use a fresh Redis and `segmenter worker",
)  # fmt: skip
def definitions_read_otherwise(world: World) -> str:
    return tampered(world)


@tries(
    "the former definitions are no longer understood", "go back to the version", "or use a fresh Redis and `segmenter"
)
def definitions_not_understood(world: World) -> str:
    document = {"version": 1, "segments": {"x": {"title": "X", "when": {"of_the_future": {}}}}}
    return tampered(world, document)


@tries(
    "Redis does not hold the definitions that decided some customers", "bring its data back, or use a fresh Redis and"
)
def definitions_not_there(world: World) -> str:
    shop = read(world)
    key = f"{shop.settings['redis_prefix']}{{p0}}:customers"
    before: Any = shop._redis.hget(key, "u1")
    customer = customer_codec.decode(before)
    customer.definition_version = 7
    shop._redis.hset(key, "u1", customer_codec.encode(customer))
    shop.publish("purchases", order())
    message = refused(shop.settings, world.folder)
    goes_on(fresh(shop), world, "--rebuild")
    shop._redis.hset(key, "u1", before)
    goes_on(shop, world)
    return message


@tries("the definitions were changed since the worker was started; start it again")
def definitions_changed_under_a_rebuild(world: World) -> str:
    file = world.folder / "segments.yaml"
    file.write_bytes(live.FOUR.read_bytes())
    shop = read(world, definitions=file)
    with worker(shop.settings, world.folder, "--rebuild") as process:
        eventually(lambda: "Starting..." in process.log.read_text())  # the file is read by then
        file.write_bytes(DEMO.read_bytes())
        message = sentence(process, 60)
    assert message.endswith("; without --rebuild it goes on as it is")
    goes_on(shop, world, "--rebuild")
    return message


@tries("another partition sent a profile made under", "start all workers with the segments file of {}; once they have")
def workers_of_different_definitions(world: World) -> str:
    shop = Shop(world.kafka, world.redis, next(_names), partitions=2, session_timeout_s=3)
    files = [world.folder / "one.yaml", world.folder / "two.yaml"]
    for number, file in enumerate(files):
        named = {f"buyer{number}": {"title": "Buyer", "when": {"performed": {"event": "Order Completed"}}}}
        file.write_text(yaml.safe_dump({"version": 1, "currency": "EUR", "segments": named}))
    ids = [[f"{kind}{number}" for number in range(40)] for kind in ("device", "person")]
    homes = [[name for name in names if murmur2(name.encode()) & 1 == partition] for partition, names in enumerate(ids)]
    pairs = [*zip(homes[0], homes[1], strict=False)]
    both = [worker(under(shop, definitions=file).settings, world.folder) for file in files]
    producer: Any = KafkaProducer(bootstrap_servers=world.kafka.address, enable_idempotence=False)

    def send(key: str, **fields: str) -> None:
        value = {**json.loads(order()), **fields}
        producer.send(shop.prefix + "purchases", json.dumps(value).encode(), key.encode())
        producer.flush()

    def without_user(key: str) -> None:
        value = {name: field for name, field in json.loads(order()).items() if name != "userId"}
        producer.send(shop.prefix + "purchases", json.dumps({**value, "anonymousId": key}).encode(), key.encode())
        producer.flush()

    with both[0] as first, both[1] as second:
        first.wait_ready()
        second.wait_ready()
        for device, person in pairs[:5]:
            without_user(device)
            send(person, userId=person, anonymousId=device)
        eventually(lambda: first.exit_code is not None or second.exit_code is not None, 60)
        message = sentence(next(process for process in both if process.exit_code is not None))
    by_fingerprint = {load(file).fingerprint: file for file in files}
    advised = message
    for _ in range(3):  # profiles may have come from either side
        fingerprint = advised.partition("SEGMENTER_DEFINITIONS of ")[2].partition(",")[0]
        same = under(shop, definitions=by_fingerprint[fingerprint])
        with worker(same.settings, world.folder) as alone:
            eventually(partial(is_over, same, alone), 60)
            if alone.exit_code is None:
                break
            advised = sentence(alone)
    else:
        raise AssertionError(advised)
    for file in files:
        later = under(shop, definitions=file)
        with worker(later.settings, world.folder) as alone:
            eventually(partial(is_over, later, alone), 60)
            assert alone.exit_code is None, alone.tail()
    return message


def is_over(shop: Shop, process: Worker) -> bool:
    """Whether the worker has ended, or all is as the events say."""
    return process.exit_code is not None or "\nequal\n" in segmenter("verify", **shop.settings).out


# --- commands ------------------------------------------------------------------------------------


@tries("Redis holds nothing of partition {}; see SEGMENTER_REDIS and SEGMENTER_REDIS_PREFIX, and whether a worker")
def verify_before_a_worker(world: World) -> str:
    shop = opened(world)
    message = stopped("verify", **shop.settings)
    goes_on(shop, world)
    return message


@tries("partition {} came without", "`segmenter topics verify`")
def partition_without_an_input(world: World) -> str:
    shop = read(world)
    with pytest.raises(Stop) as raised:
        preflight.check_complete(frozenset({TP("a", 0)}), ["a", "b"], 1)
    assert "purchases: 1 partitions" in segmenter("topics", "verify", **shop.settings).out
    return str(raised.value)


@tries("anyone who can reach", "set SEGMENTER_OPS_TOKEN, or serve on 127.0.0.1")
def page_for_everybody(world: World) -> str:
    shop = read(world)
    message = stopped("ops", **{**shop.settings, "ops_http": "0.0.0.0:0"})
    with Ops({**shop.settings, "ops_http": "127.0.0.1:0"}) as ops:
        ops.wait_ready()
    return message


@tries("nothing can be served on", "see SEGMENTER_OPS_HTTP")
def page_on_a_port_of_another(world: World) -> str:
    shop = read(world)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        message = stopped("ops", **{**shop.settings, "ops_http": f"127.0.0.1:{taken.getsockname()[1]}"})
    with Ops({**shop.settings, "ops_http": "127.0.0.1:0"}) as ops:
        ops.wait_ready()
    return message


# --- triggers ------------------------------------------------------------------------------------


class Messages:
    """A shop with a worker, which sends a message to a customer that leaves a cart."""

    def __init__(self, world: World, hook: Hook, mailbox: Mailbox) -> None:
        name = next(_names)
        self._world = world
        self._hook = hook
        segments = world.folder / "segments.yaml"
        segments.write_text(SEGMENTS)
        self.settings: dict[str, Any] = {
            "brokers": world.kafka.address, "redis": world.redis.url, "partitions": 2, "session_timeout_s": 3,
            "topic_prefix": f"{name}-", "group": name, "redis_prefix": f"{name}:",
            "definitions": segments, "triggers": world.folder / "triggers.yaml",
        }  # fmt: skip
        admin.create(Settings(**self.settings), ALL)
        write(self.settings["triggers"], hook, mailbox, delay="1s")

    def worker(self) -> Worker:
        return Worker(self.settings, log=self._world.folder / f"{next(_names)}.log")

    def triggers(self, *arguments: str, **changed: object) -> Triggers:
        settings = {**self.settings, **changed}
        log = self._world.folder / f"{next(_names)}.log"
        process = Triggers({name: value for name, value in settings.items() if value is not None}, *arguments, log=log)
        process.environment["BOT_SECRET"] = SECRET
        return process

    def leave(self, customer_id: str) -> None:
        to = Sender(self.settings)
        leave_a_cart(to, customer_id, now_ms())
        to.flush()

    def come_to(self, *whom: str) -> None:
        """A message comes for each of these customers, and no second one."""
        eventually(lambda: len(self._hook.calls) >= len(whom), 40)
        assert sorted(call.body["data"]["change"]["customer_id"] for call in self._hook.calls) == sorted(whom)


@contextmanager
def messages(world: World) -> Iterator[Messages]:
    with Hook() as hook, Mailbox() as mailbox:
        made = Messages(world, hook, mailbox)
        with made.worker() as process:
            process.wait_ready()
            yield made


@tries("there is no triggers file; name one with --file or SEGMENTER_TRIGGERS")
def no_triggers_file(world: World) -> str:
    with messages(world) as shop:
        shop.leave("u1")
        with shop.triggers(triggers=None) as without:
            message = sentence(without)
        with shop.triggers("--file", str(shop.settings["triggers"]), triggers=None):
            shop.come_to("u1")
        with shop.triggers():
            shop.leave("u2")
            shop.come_to("u1", "u2")
    return message


@tries("is segmented by other definitions", "give triggers and worker the same SEGMENTER_DEFINITIONS")
def triggers_of_other_definitions(world: World) -> str:
    other = world.folder / "other.yaml"
    other.write_text(SEGMENTS + "  buyer: {title: Buyer, when: {performed: {event: Order Completed}}}\n")
    with messages(world) as shop:
        with shop.triggers(definitions=other) as wrong:
            shop.leave("u1")
            message = sentence(wrong, 60)
        with shop.triggers():
            shop.come_to("u1")
    return message


@tries("Redis holds nothing of partition {} but the group has read it; bring the Redis data back, or")
def triggers_on_an_empty_redis(world: World) -> str:
    with messages(world) as shop:
        shop.leave("u1")
        with shop.triggers() as former:
            shop.come_to("u1")
            former.stop()
        client: Any = redis.Redis.from_url(world.redis.url)
        prefix = f"{shop.settings['redis_prefix']}triggers:"
        stored = {name: client.dump(name) for name in client.keys(f"{prefix}*")}
        assert client.delete(*stored) == len(stored) > 0
        shop.leave("u2")
        with shop.triggers() as refused_to:
            message = sentence(refused_to, 60)
        assert f"remove the keys under {prefix} in Redis and start `segmenter triggers --rebuild`" in message
        with shop.triggers("--rebuild"):
            shop.come_to("u1", "u2")
        client.delete(*client.keys(f"{prefix}*"))
        for name, value in stored.items():  # the data as it was
            client.restore(name, 0, value)
        shop.leave("u3")
        with shop.triggers():
            shop.come_to("u1", "u2", "u3")
    return message
