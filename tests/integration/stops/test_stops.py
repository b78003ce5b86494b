"""A process that cannot go on safely stops: exit code 75 and one sentence that says what to do.

The sentence is judged by the remedy that it names, and where it can be, the remedy is tried.

Long because every stop has a small world of its own, made beside its test.
"""

from __future__ import annotations

import copy
import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from kafka import TopicPartition

from local.processes import Worker
from local.servers import Kafka, Redis, Tansu
from rules.event_names import INPUTS
from streams.kafka import admin as topics
from streams.settings import Settings
from streams.wire.records import BATCH_MAX_BYTES
from streams.wire.topics import OUTPUTS
from tests.oracle import oracle
from tests.oracle.oracle import OracleChange, milliseconds
from tests.support import live
from tests.support.patience import eventually
from tests.support.stop_shop import (
    DEMO,
    REDIS_GONE_S,
    Shop,
    administrator,
    cart,
    create,
    order,
    recreate,
    refused,
    refusing,
    sentence,
    set_batch_size,
    worker,
)

YEAR_MS = 365 * 86_400_000


def oracle_changes(records: list[Any]) -> list[OracleChange]:
    """Segment changes as the oracle writes them, repeats dropped by their ids."""
    bodies = {body["change_id"]: body for body in (json.loads(record.value) for record in records)}
    changes = [OracleChange(*(body[name] for name in OracleChange._fields)) for body in bodies.values()]
    return [change._replace(occurred_at=milliseconds(change.occurred_at)) for change in changes]


# --- what does not fit to the stored state -----------------------------------------------------


@pytest.fixture(scope="module")
def ran(tansu: Tansu, redis_server: Redis, tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """A shop whose worker has committed two orders, has applied a third, and has ended in order."""
    shop = Shop(tansu, redis_server, "ran")
    shop.publish("purchases", order(), order())
    with worker(shop.settings, tmp_path_factory.mktemp("ran")) as orderly:
        eventually(lambda: shop.committed("purchases") == 2)
        shop.publish("purchases", order())
        eventually(lambda: shop.position("purchases") == 3)
        assert orderly.stop() == 0
    return shop


class Orphan(NamedTuple):
    """A worker in the middle of a backlog whose Redis has died."""

    shop: Shop
    redis: Redis
    worker: Worker
    died: float

    def applied(self) -> int:
        """Records applied, of all inputs and partitions."""
        inputs = set(live.TOPICS.values())
        return sum(self.shop.position(topic, partition) for topic in inputs for partition in range(live.PARTITIONS))


@pytest.fixture(scope="module")
def history() -> list[dict[str, Any]]:
    """A part of the real events: a few seconds of work in small steps."""
    return live.real_events()[:6_000]


@pytest.fixture(scope="module")
def orphan(history: list[dict[str, Any]], tansu: Tansu, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orphan]:
    with Redis(aof=True) as mortal:
        shop = Shop(tansu, mortal, "orphan", partitions=live.PARTITIONS, batch_max=10)
        live.publish(tansu.address, history, {name: shop.prefix + topic for name, topic in live.TOPICS.items()})
        with worker(shop.settings, tmp_path_factory.mktemp("orphan")) as begun:
            orphaned = Orphan(shop, mortal, begun, died=time.time())
            eventually(lambda: orphaned.applied() > 300)
            mortal.kill9()
            yield orphaned._replace(died=time.time())


@pytest.fixture(scope="module")
def begun(
    ran: Shop, orphan: Orphan, tansu: Tansu, redis_server: Redis, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Worker]]:
    """Workers that are not in each other's way, begun together: they wait for seconds, without Redis for more."""
    folder = tmp_path_factory.mktemp("begun")
    with Redis(options={"maxmemory-policy": "allkeys-lru"}) as evicting:
        no_redis = Shop(tansu, redis_server, "no-redis").settings | {"redis": "redis://127.0.0.1:1"}
        workers = {
            "another group": refusing({**ran.settings, "group": "other"}, folder),
            "evicting": refusing(Shop(tansu, evicting, "evicting").settings, folder),
            "no Redis": refusing(no_redis, folder),
        }
        for process in workers.values():
            process.start()
        yield workers
        for process in workers.values():
            process.stop()


def test_another_group(begun: dict[str, Worker]) -> None:
    """A second group on the same keys would apply everything once more."""
    stop_sentence = sentence(begun["another group"])
    assert stop_sentence.startswith("group stored 'ran', here 'other'")
    assert "set SEGMENTER_GROUP back or use a fresh Redis" in stop_sentence


def test_other_definitions(ran: Shop, tmp_path: Path) -> None:
    """Where Redis lacks the former definitions, no customer is decided by others, and nothing is written."""
    ran._redis.hdel(f"{ran.settings['redis_prefix']}{{p0}}:meta", "epochs")
    before = ran.saved()
    stop_sentence = refused({**ran.settings, "definitions": DEMO}, tmp_path)
    assert stop_sentence.startswith(f"definitions stored '{before['definitions']}'")
    assert "Redis does not hold the former file; run it once" in stop_sentence
    assert "fresh Redis and `segmenter worker --rebuild`" in stop_sentence
    assert ran.saved() == before


def test_another_number_of_partitions(ran: Shop, tmp_path: Path) -> None:
    """With more partitions customers would stand elsewhere than their state; nothing is written."""
    before = ran.saved()
    settings = {**ran.settings, "topic_prefix": "more-", "partitions": 2}
    topics.create(Settings(**settings))
    stop_sentence = refused(settings, tmp_path)
    assert stop_sentence.startswith("partitions stored 1, here 2")
    assert "`segmenter topics copy --to PREFIX`" in stop_sentence
    assert ran.saved() == before


@pytest.mark.kafka
def test_another_cluster(ran: Shop, kafka: Kafka, tmp_path: Path) -> None:
    """Positions of one cluster mean nothing on another."""
    settings = {**ran.settings, "brokers": kafka.address, "broker": "kafka"}
    topics.create(Settings(**settings))
    stop_sentence = refused(settings, tmp_path)
    assert stop_sentence.startswith("cluster stored ")
    assert "SEGMENTER_REDIS" in stop_sentence


def test_an_orderly_end_leaves_its_positions_committed(ran: Shop) -> None:
    """All positions are committed: lag monitors see them, and an emptied Redis is noticed after a short run."""
    assert ran.committed("purchases") == ran.position("purchases") == 3


def test_an_empty_redis_beside_committed_offsets(ran: Shop, tmp_path: Path) -> None:
    """The worker stops; `worker --rebuild` reads from the earliest offset and publishes nothing again."""
    emptied = {**ran.settings, "redis_prefix": "emptied:"}
    stop_sentence = refused(emptied, tmp_path)
    assert stop_sentence.startswith("Redis holds nothing of partition 0 but the group has read it")
    assert "bring the Redis data back" in stop_sentence
    assert "`segmenter worker --rebuild`" in stop_sentence
    before = [record.value for record in ran.read("segment-changes", 2)]
    rebuilt = copy.copy(ran)
    rebuilt.settings = emptied
    with worker(emptied, tmp_path, "--rebuild"):
        eventually(lambda: rebuilt.position("purchases") == 3)
        after = [record.value for record in ran.read("segment-changes", 3, within_s=2)]
    assert after == before
    customer = rebuilt.customer("u1")
    assert (customer.sequence, len(customer.since), customer.published_ahead) == (2, 2, None)


# --- what is wrong with Redis ------------------------------------------------------------------


def test_a_redis_that_may_evict(begun: dict[str, Worker]) -> None:
    """A Redis that may evict is refused: what it evicted would be lost."""
    stop_sentence = sentence(begun["evicting"])
    assert "allkeys-lru" in stop_sentence
    assert "set maxmemory-policy noeviction" in stop_sentence


def test_no_redis_at_the_start(begun: dict[str, Worker]) -> None:
    """A worker without Redis stops soon, and does not restart in a loop inside."""
    assert "see that Redis and Kafka can be reached" in sentence(begun["no Redis"], REDIS_GONE_S)


def test_redis_dies_under_the_worker_and_comes_back(
    orphan: Orphan, history: list[dict[str, Any]], tmp_path: Path
) -> None:
    """The worker stops in bounded time, and the next one goes on with Redis's data: as the oracle says."""
    stop_sentence = sentence(orphan.worker, REDIS_GONE_S)
    assert orphan.worker.log.stat().st_mtime - orphan.died < REDIS_GONE_S
    assert "Redis failed" in stop_sentence
    assert "when it is back, start the worker again" in stop_sentence
    orphan.redis.start()
    assert 300 < orphan.applied() < len(history)
    wanted = oracle.changes(history, oracle.BUILT_IN, oracle.latest(history) + YEAR_MS)
    with worker(orphan.shop.settings, tmp_path) as second:
        changes = oracle_changes(orphan.shop.read("segment-changes", len(wanted)))
        assert second.exit_code is None
    assert not any(change.late for change in changes)
    assert live.per_customer(changes) == live.per_customer(wanted)


# --- what is wrong with the topics -------------------------------------------------------------


def test_missing_topics(tansu: Tansu, redis_server: Redis, tmp_path: Path) -> None:
    """Missing topics are named, with the command that creates them."""
    settings = Shop(tansu, redis_server, "some").settings | {"topic_prefix": "none-"}
    stop_sentence = refused(settings, tmp_path)
    for name in (*INPUTS, *OUTPUTS):
        assert f"none-{name}" in stop_sentence
    assert "run `segmenter topics create`" in stop_sentence


@pytest.mark.parametrize("name", ["visits", "dead-letters"])
def test_differing_partition_counts(name: str, tansu: Tansu, redis_server: Redis, tmp_path: Path) -> None:
    """An input or output with one more partition stops the worker: that one would have no place or no owner."""
    create(tansu, f"differing-{name}-{name}", 3)
    stop_sentence = refused(Shop(tansu, redis_server, f"differing-{name}", partitions=2).settings, tmp_path)
    assert f"{name} 3" in stop_sentence
    assert "carts 2" in stop_sentence
    assert (
        "where those with fewer hold nothing yet, add partitions to them; else, while nothing writes" in stop_sentence
    )


def delete_records(kafka: Kafka, shop: Shop, topic: str, before: int) -> None:
    """Delete the records before an offset, as retention does."""
    with administrator(kafka) as admin:
        admin.delete_records({TopicPartition(shop.prefix + topic, 0): before})


@pytest.fixture
def read_once(request: pytest.FixtureRequest, kafka: Kafka, redis_server: Redis, tmp_path: Path) -> Shop:
    """A shop on real Kafka whose worker has applied five cart events, and has ended."""
    shop = Shop(kafka, redis_server, request.node.name)
    shop.publish("carts", *(cart() for _ in range(5)))
    with worker(shop.settings, tmp_path):
        eventually(lambda: shop.position("carts") == 5)
    return shop


@pytest.mark.kafka
def test_a_topic_that_takes_no_more(kafka: Kafka, redis_server: Redis, tmp_path: Path) -> None:
    """Under a running worker and at the start the topic is named; once it is set the change comes."""
    shop = Shop(kafka, redis_server, "takes-no-more")
    changes = shop.prefix + "segment-changes"
    with worker(shop.settings, tmp_path) as running:
        running.wait_ready()
        set_batch_size(kafka, changes, 300)
        shop.publish("purchases", order())
        stop_sentence = sentence(running)
        assert stop_sentence.startswith(f"publishing failed: {changes} does not take a batch of ")
        assert "set max.message.bytes of the topic" in stop_sentence
    assert refused(shop.settings, tmp_path) == (
        f"topics take only smaller batches than are published: max.message.bytes is 300 of {changes} "
        f"(set it to {BATCH_MAX_BYTES} or more)"
    )
    set_batch_size(kafka, changes, BATCH_MAX_BYTES)
    with worker(shop.settings, tmp_path):
        assert [json.loads(record.value)["segment"] for record in shop.read("segment-changes", 1)] == [
            "recently_purchased"
        ]


@pytest.mark.kafka
def test_retention_has_passed_the_position(read_once: Shop, kafka: Kafka, tmp_path: Path) -> None:
    """Deleted unread records stop the worker, and a rebuild reads what is left; applied records may be deleted."""
    shop = read_once
    shop.publish("carts", *(cart() for _ in range(5)))
    delete_records(kafka, shop, "carts", 8)
    stop_sentence = refused(shop.settings, tmp_path)
    assert stop_sentence.startswith(
        f"{shop.prefix}carts-0: records 5 to 7 were removed by retention before they were read"
    )
    assert "fresh Redis and `segmenter worker --rebuild`" in stop_sentence
    assert "longer retention" in stop_sentence
    shop.settings["redis_prefix"] = "after-retention:"
    with worker(shop.settings, tmp_path, "--rebuild") as rebuilt:
        eventually(lambda: shop.position("carts") == 10)
        delete_records(kafka, shop, "carts", 10)
        shop.publish("carts", cart())
        eventually(lambda: shop.position("carts") == 11)
        assert rebuilt.exit_code is None


@pytest.mark.kafka
def test_an_input_was_created_anew(read_once: Shop, kafka: Kafka, tmp_path: Path) -> None:
    """A position beyond the end stops the worker: new records would be taken for ones already read."""
    shop = read_once
    recreate(kafka, shop, "carts")
    shop.publish("carts", cart())
    stop_sentence = refused(shop.settings, tmp_path)
    assert stop_sentence.startswith(
        f"{shop.prefix}carts-0 ends at 1 but records up to 5 were already read; the topic was deleted and recreated"
    )
    assert "fresh Redis and `segmenter worker --rebuild`" in stop_sentence


class Frozen:
    """A worker that is stopped, to change the world under it."""

    def __init__(self, shop: Shop, worker: Worker) -> None:
        self.shop, self._worker = shop, worker
        os.kill(worker.pid, signal.SIGSTOP)

    def thaw(self) -> str:
        """Let the worker go on; gives the sentence with which it stops."""
        os.kill(self._worker.pid, signal.SIGCONT)
        return sentence(self._worker)


@pytest.fixture
def frozen(request: pytest.FixtureRequest, kafka: Kafka, redis_server: Redis, tmp_path: Path) -> Iterator[Frozen]:
    """A worker on real Kafka that has applied five cart events."""
    shop = Shop(kafka, redis_server, request.node.name, unread_s=2)
    shop.publish("carts", *(cart() for _ in range(5)))
    with worker(shop.settings, tmp_path) as process:
        eventually(lambda: shop.position("carts") == 5)
        yield Frozen(shop, process)
        if process.exit_code is None:
            os.kill(process.pid, signal.SIGCONT)


@pytest.mark.kafka
def test_retention_passes_the_position_of_a_running_worker(frozen: Frozen, kafka: Kafka) -> None:
    """The worker stops as at a start, instead of requesting deleted records for ever."""
    frozen.shop.publish("carts", *(cart() for _ in range(5)))
    delete_records(kafka, frozen.shop, "carts", 8)
    stop_sentence = frozen.thaw()
    assert f"{frozen.shop.prefix}carts-0" in stop_sentence
    assert "longer retention" in stop_sentence


@pytest.mark.kafka
def test_an_input_is_created_anew_under_a_running_worker(frozen: Frozen, kafka: Kafka) -> None:
    """A running worker stops as at a start, instead of skipping as many records as it had read before."""
    recreate(kafka, frozen.shop, "carts")
    frozen.shop.publish("carts", cart())
    stop_sentence = frozen.thaw()
    assert stop_sentence.startswith(
        f"{frozen.shop.prefix}carts-0 ends at 1 but records up to 5 were already read; "
        "the topic was deleted and recreated"
    )


# --- too many dead letters ---------------------------------------------------------------------


def test_more_dead_letters_than_the_ceiling(tansu: Tansu, redis_server: Redis, tmp_path: Path) -> None:
    """Half of the last twenty is not yet too much; one more stops, what was good before it counts.

    With a producer that is corrected it goes on, and with a higher share the same records are gone on with."""
    shop = Shop(tansu, redis_server, "ceiling", dead_letter_window=20)
    shop.publish("purchases", *(order() for _ in range(10)))
    with worker(shop.settings, tmp_path) as strict:
        eventually(lambda: shop.position("purchases") == 10)
        shop.publish("purchases", *[b"{"] * 10)
        assert len(shop.read("dead-letters", 10)) == 10
        assert strict.exit_code is None
        shop.publish("purchases", b"{")
        stop_sentence = sentence(strict)
    assert stop_sentence.startswith("11 of the last 20 records of partition 0 are dead letters")
    assert "SEGMENTER_DEAD_LETTER_SHARE" in stop_sentence
    changes = [json.loads(record.value) for record in shop.read("segment-changes", 2)]
    assert {change["segment"] for change in changes} == {"recently_purchased", "repeat_buyer"}
    with worker(shop.settings, tmp_path) as corrected:
        shop.publish("purchases", *(order() for _ in range(10)))
        eventually(lambda: shop.position("purchases") == 31)
        assert corrected.exit_code is None
    with worker({**shop.settings, "dead_letter_share": 1}, tmp_path) as lenient:
        shop.publish("purchases", *[b"{"] * 30)
        assert len(shop.read("dead-letters", 41)) == 41
        assert lenient.exit_code is None
