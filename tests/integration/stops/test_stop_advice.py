"""The advice of each stop sentence is followed, several in one shop.

The one rule: in the end all customers equal a replay of all events, and nothing is published twice. Most stops have a
trial of their own, see `tests.support.stop_trials`. Intervals of hours take seconds here: a process is started with
lines of its own before the program.
"""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from kafka import KafkaConsumer

from local.processes import Worker
from local.servers import Kafka, Redis
from streams.offline import rebuild_process
from tests.support import live
from tests.support.commands import segmenter
from tests.support.live import append_only_file
from tests.support.patience import eventually
from tests.support.silent_kafka import RUN, falling_silent, run_altered
from tests.support.stop_shop import DEMO, Shop, administrator, order, refused, sentence, worker
from tests.support.stop_trials import World, goes_on, is_frozen, is_read, opened, publish_for, running, stopped, under

pytestmark = pytest.mark.kafka

# A signal that the program has no use for.
ON_SIGHUP = "import signal, time\nsignal.signal(signal.SIGHUP, {})"


def altered(shop: Shop, world: World, lines: str, *arguments: str, **variables: str) -> Worker:
    """A worker that runs these lines first."""
    process = worker(shop.settings, world.folder, *arguments)
    process.program = ("-c", f"{lines}\n{RUN}")
    process.environment |= variables
    return process


def frozen(worker: Worker) -> None:
    """Wait until the worker has stopped its own process."""
    eventually(lambda: worker.exit_code is not None or is_frozen(worker), 60)
    assert worker.exit_code is None, worker.tail()


def thawed(worker: Worker, within_s: float = 60) -> str:
    """Let the worker go on; gives the sentence with which it stops."""
    os.kill(worker.pid, signal.SIGCONT)
    return sentence(worker, within_s)


@contextmanager
def silent(server: Kafka | Redis) -> Iterator[None]:
    """Stop a server's process for a while: it does not answer."""
    os.kill(server.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(server.pid, signal.SIGCONT)


def reads_on(shop: Shop, worker: Worker) -> None:
    """A new order is applied by this worker: the stop before it is over."""
    shop.publish("purchases", order())
    eventually(lambda: worker.exit_code is not None or is_read(shop), 60)
    assert worker.exit_code is None, worker.tail()


def meta(shop: Shop) -> str:
    return f"{shop.settings['redis_prefix']}{{p0}}:meta"


def assert_published_once(shop: Shop) -> None:
    """No change is on the topic twice."""
    records = live.committed(shop.settings["brokers"], shop.prefix + "segment-changes", shop.settings["partitions"])
    ids = [json.loads(record.value)["change_id"] for record in records]
    assert len(ids) == len(set(ids)) > 0


def verified(shop: Shop) -> str:
    return segmenter("verify", **shop.settings).out


# --- start the worker again ----------------------------------------------------------------------

Step = Callable[[World, Shop, Redis], str]


def a_claim_is_lost(world: World, shop: Shop, _: Redis) -> str:
    with altered(shop, world, "", SEGMENTER_FAIL_POINT="after_claim:1:SIGSTOP") as worker:
        frozen(worker)
        shop._redis.hdel(meta(shop), "token")  # the last write
        return thawed(worker)


def a_newer_owner(world: World, shop: Shop, _: Redis) -> str:
    with altered(
        shop, world, "from streams.runtime import partition_runner\npartition_runner.NEWER_OWNER_WAIT_S = 1"
    ) as worker:
        reads_on(shop, worker)
        shop._redis.hincrby(meta(shop), "generation", 5)
        shop._redis.hset(meta(shop), "token", "of another")
        shop.publish("purchases", order())
        return sentence(worker, 30)


BROKEN_OFF = """
import asyncio
from streams.runtime.assignment import Assignment
async def claim(*_, **__):
    raise asyncio.CancelledError
Assignment.claim = claim
"""


def a_claim_that_is_broken_off(world: World, shop: Shop, _: Redis) -> str:
    with altered(shop, world, BROKEN_OFF) as worker:
        return sentence(worker, 60)


def last_writes_are_lost(world: World, shop: Shop, own: Redis) -> str:
    with running(shop, world) as worker:
        reads_on(shop, worker)
        eventually(lambda: shop._redis.llen(f"{shop.settings['redis_prefix']}{{p0}}:outbox") == 0)
        log = append_only_file(own)
        size = log.stat().st_size
        reads_on(shop, worker)
        own.kill9()
        os.truncate(log, size)
        own.start()
        shop.publish("purchases", order())
        return sentence(worker, 60)


def a_claim_without_answers(world: World, shop: Shop, own: Redis) -> str:
    lines = "from streams.runtime import rebalance_listener\nrebalance_listener.CLAIM_MAX_S = 3"
    with altered(shop, world, lines, SEGMENTER_FAIL_POINT="after_claim:1:SIGSTOP") as worker:
        frozen(worker)
        with silent(own):
            return thawed(worker)


def a_loop_that_stands_still(world: World, shop: Shop, _: Redis) -> str:
    with altered(under(shop, stuck_s=2), world, ON_SIGHUP.format("lambda *_: time.sleep(600)")) as worker:
        reads_on(shop, worker)
        os.kill(worker.pid, signal.SIGHUP)
        return sentence(worker)


SLOW = """
import asyncio
from streams.kafka import output_reader
from streams.runtime import rebalance_listener
from streams.worker.output_recovery import PartitionRecovery
rebalance_listener.CLAIM_MAX_S, output_reader.CHUNK_MAX = 2, 1
read = PartitionRecovery.read
async def slow(*of):
    await read(*of)
    await asyncio.sleep(0.7)
PartitionRecovery.read = slow
"""


def a_reading_back_that_takes_too_long(world: World, shop: Shop, _: Redis) -> str:
    """The worker is started again as often as it stops; each time it comes further."""
    shop._redis.hdel(meta(shop), *[name for name in shop.saved() if name.startswith("output:")])
    sentences = []
    for _try in range(10):
        with altered(shop, world, SLOW) as worker:
            eventually(lambda: worker.exit_code is not None or "claimed partitions" in worker.log.read_text(), 60)
            if worker.exit_code is None:
                break
            sentences.append(sentence(worker))
    assert len(sentences) > 1
    assert len(set(sentences)) == 1
    return sentences[0]


NOT_FETCHED = """
from streams.runtime.rebalance_listener import PartitionOwner
receive, lost = PartitionOwner.receive, []
async def receive_some(self, batch):
    if not lost:
        await receive(self, batch)
PartitionOwner.receive = receive_some
"""


def records_that_are_not_fetched(world: World, shop: Shop, _: Redis) -> str:
    lines = NOT_FETCHED + ON_SIGHUP.format("lambda *_: lost.append(True)")
    with altered(under(shop, unread_s=2), world, lines) as worker:
        reads_on(shop, worker)
        os.kill(worker.pid, signal.SIGHUP)
        shop.publish("purchases", order())
        return sentence(worker, 30)


def a_process_that_stood_still_for_long(world: World, shop: Shop, _: Redis) -> str:
    lines = "from streams.kafka import publisher\npublisher.FENCE_MAX_S = 4"
    with altered(shop, world, lines, SEGMENTER_FAIL_POINT="before_publish:1:SIGSTOP") as worker:
        publish_for(shop, "of an hour ago")
        frozen(worker)
        time.sleep(4)
        return thawed(worker)


def a_reading_process_that_ends(world: World, shop: Shop, _: Redis) -> str:
    with worker(shop.settings, world.folder, "--rebuild") as process:
        eventually(lambda: bool(reading_processes(process)), 60)
        for pid in reading_processes(process):
            os.kill(pid, signal.SIGKILL)
        return sentence(process, 60)


REBUILD_PROCESS = rebuild_process.__name__.encode()


def reading_processes(worker: Worker) -> list[int]:
    """The processes that read events again for this worker."""
    children = Path(f"/proc/{worker.pid}/task/{worker.pid}/children").read_text().split()
    return [int(pid) for pid in children if REBUILD_PROCESS in Path(f"/proc/{pid}/cmdline").read_bytes()]


# Those of which the remedy is seen at a claim, and those whose worker reads on first, in turns.
START_AGAIN: list[tuple[Step, tuple[str, ...]]] = [
    (a_claim_is_lost, ("a claim was lost while it was made", "start the worker again")),
    (a_newer_owner, ("has a newer owner but the group did not say so", "start the worker again")),
    (a_claim_that_is_broken_off, ("claiming was broken off by Kafka's client; start the worker again",)),
    (last_writes_are_lost, ("was changed by someone else or Redis lost its last writes", "start the worker again")),
    (a_claim_without_answers, ("claiming took over", "see that Redis and Kafka answer")),
    (a_loop_that_stands_still, ("the event loop stood still", "start the worker again")),
    (a_reading_back_that_takes_too_long, ("claiming took over", "are still being read back: start the worker again")),
    (records_that_are_not_fetched, ("has records that were not fetched", "start again")),
    (
        a_process_that_stood_still_for_long,
        ("or could not renew its fence", "longer than Kafka remembers it; start the worker again"),
    ),
    (a_reading_process_that_ends, ("the process that read its events has ended", "then start the worker again")),
]


@pytest.mark.nightly
def test_the_worker_is_started_again(kafka: Kafka, tmp_path: Path) -> None:
    """After each stop the next worker goes on from where the one before it stopped."""
    with Redis(aof=True) as own:
        world = World(kafka, own, tmp_path)
        shop = opened(world, instance_id="always the same")
        for number in range(6):
            publish_for(shop, f"buyer {number}")
        for step, parts in START_AGAIN:
            stop_sentence = step(world, shop, own)
            assert all(part in stop_sentence for part in parts), (step.__name__, stop_sentence)
        goes_on(shop, world, "--rebuild")
        assert_published_once(shop)


# --- a Kafka that is set right, or answers again -------------------------------------------------


def without_room_for_transactions(world: World, shop: Shop, mortal: Kafka) -> str:
    """A single broker has a transaction log which requires three copies."""
    lines = "from streams.kafka import producer_fence\nproducer_fence.FENCE_WAIT_S = 3"
    with altered(shop, world, lines) as worker:
        stop_sentence = sentence(worker, 60)
    assert mortal.folder is not None
    config = mortal.folder / "server.properties"
    mortal.kill9()
    factor = "transaction.state.log.replication.factor"
    config.write_text(config.read_text().replace(f"{factor}=3", f"{factor}=1"))
    mortal.start()
    with running(shop, world) as worker:
        reads_on(shop, worker)
    return stop_sentence


def publish_to_a_kafka_that_falls_silent(_: World, shop: Shop, mortal: Kafka) -> str:
    lines = [order() for _ in range(400)]
    lines[2] = b"{"
    before = len(shop.read("purchases", 1_000, within_s=2))
    with falling_silent(mortal, 100) as altered_so:
        done = run_altered(altered_so, "publish", "-", stdin=b"\n".join(lines), **shop.settings)
    assert done.code == 75, done
    *counted, stop_sentence = done.err.splitlines()
    assert counted == ["line 3: not_json", "98 events published, 1 lines refused"]
    assert stop_sentence.endswith("; when Kafka answers, publish from line 100 on")
    assert segmenter("publish", "-", stdin=b"\n".join(lines[99:]), **shop.settings).code == 0
    values = [record.value for record in shop.read("purchases", 1_000, within_s=2)][before:]
    assert sorted({*values}) == sorted({*lines} - {b"{"})
    return stop_sentence


def copy_on_a_kafka_that_falls_silent(world: World, shop: Shop, mortal: Kafka) -> str:
    prefix = f"{shop.prefix}new-"
    with falling_silent(mortal, 100) as altered_so:
        done = run_altered(altered_so, "topics", "copy", "--to", prefix, **shop.settings)
    assert done.code == 75, done
    with administrator(mortal) as admin:
        new = [name for name in admin.list_topics() if name.startswith(prefix)]
        admin.delete_topics(new)
        eventually(lambda: not {*new} & {*admin.list_topics()})
    again = segmenter("topics", "copy", "--to", prefix, **shop.settings)
    assert again.code == 0, again
    shop.settings |= {"topic_prefix": prefix, "redis_prefix": f"{prefix}:"}
    shop.prefix = prefix
    with running(shop, world) as worker:
        reads_on(shop, worker)
    return done.err.splitlines()[-1]


def partitions_that_nothing_follows(world: World, shop: Shop, mortal: Kafka) -> str:
    """Kafka falls silent after a worker has let go of its partitions and before another one has them."""
    process = worker(under(shop, unread_s=1).settings, world.folder)
    process.environment["SEGMENTER_FAIL_POINT"] = "before_release:1:SIGSTOP"
    with process:
        process.wait_ready()
        with worker(shop.settings, world.folder) as other:
            frozen(process)
            with silent(mortal):
                stop_sentence = thawed(process)
                other.kill()
    return stop_sentence


@pytest.mark.nightly
def test_kafka_answers_again(redis_server: Redis, tmp_path: Path) -> None:
    """After Kafka's silence, what was not sent is sent again, and each command and worker goes on."""
    steps: list[tuple[Callable[[World, Shop, Kafka], str], tuple[str, ...]]] = [
        (without_room_for_transactions, ("Kafka kept no transaction", "replication.factor is at most the number")),
        (publish_to_a_kafka_that_falls_silent, ("line 100 could not be sent", "when Kafka answers, publish from line")),
        (copy_on_a_kafka_that_falls_silent, ("did not take a record", "delete the new topics, and copy again")),
        (partitions_that_nothing_follows, ("nothing was claimed for", "see that Kafka is up, and start again")),
    ]
    with Kafka(heap_mb=256, properties={"transaction.state.log.replication.factor": "3"}) as mortal:
        world = World(mortal, redis_server, tmp_path)
        shop = opened(world)
        for step, parts in steps:
            stop_sentence = step(world, shop, mortal)
            assert all(part in stop_sentence for part in parts), (step.__name__, stop_sentence)
        goes_on(shop, world)
        assert_published_once(shop)


# --- groups --------------------------------------------------------------------------------------


@pytest.mark.nightly
def test_a_group_that_cannot_be_joined(kafka: Kafka, redis_server: Redis, tmp_path: Path) -> None:
    """The group is of another kind, or the session timeout is one that Kafka refuses."""
    world = World(kafka, redis_server, tmp_path)
    shop = opened(world)
    consumer: Any = KafkaConsumer(shop.prefix + "visits", bootstrap_servers=kafka.address, group_id=shop.prefix)
    eventually(lambda: consumer.poll(100) is not None and bool(consumer.assignment()), 30)
    taken = refused(under(shop, group=shop.prefix).settings, tmp_path)
    with worker(under(shop, session_timeout_s=0.5).settings, tmp_path) as process:
        too_long = sentence(process)
    for stop_sentence in (taken, too_long):
        assert stop_sentence.startswith("the group cannot be joined (")
        assert stop_sentence.endswith("; see SEGMENTER_GROUP and SEGMENTER_SESSION_TIMEOUT_S")
    goes_on(shop, world)
    consumer.close()


# --- more partitions than a process has producers for --------------------------------------------


@pytest.mark.nightly
def test_more_of_them_are_started(kafka: Kafka, redis_server: Redis, tmp_path: Path) -> None:
    """A process that is assigned too many partitions stops; enough processes at the same time go on."""
    world = World(kafka, redis_server, tmp_path)
    shop = opened(world, partitions=2)
    few = (
        "from streams.kafka import producer, publisher\n"
        "producer.PRODUCERS_MAX = publisher.PRODUCERS_MAX = 1\n"
        "publisher.OTHERS_WAIT_S = 12"
    )
    with altered(shop, world, few) as worker:
        stop_sentence = sentence(worker, 60)
    assert stop_sentence.endswith("but can own at most 1; run at least 2 processes at the same time")
    with altered(shop, world, few) as worker:
        eventually(lambda: "waiting for others" in worker.log.read_text(), 30)
        with altered(shop, world, few) as other:
            eventually(lambda: "\nequal\n" in verified(shop), 60)
            assert (worker.exit_code, other.exit_code) == (None, None), worker.tail() + other.tail()


# --- definitions ---------------------------------------------------------------------------------


def test_verify_waits_for_changed_definitions(kafka: Kafka, redis_server: Redis, tmp_path: Path) -> None:
    """`verify` refuses while a migration runs; once the worker has logged its end, it compares all customers."""
    world = World(kafka, redis_server, tmp_path)
    shop = opened(world)
    with running(shop, world) as process:
        eventually(lambda: is_read(shop))
        process.stop()
    changed = under(shop, definitions=DEMO)
    process = worker(changed.settings, tmp_path)
    process.environment["SEGMENTER_FAIL_POINT"] = "after_begin:1:SIGSTOP"
    with process:
        frozen(process)
        stop_sentence = stopped("verify", **changed.settings)
        os.kill(process.pid, signal.SIGCONT)
        eventually(lambda: "all customers re-evaluated under the new definitions" in process.log.read_text())
        assert "\nequal\n" in verified(changed)
    assert "changed and the backfill is still running; run verify again once" in stop_sentence
