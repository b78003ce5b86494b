"""Topics that get more partitions, on real Kafka and Redis: what stops says so, and what it advises works.

The one rule: nothing is lost. In the end each customer is as all events say, and nothing was published twice.
"""

from __future__ import annotations

import itertools
import json
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from kafka import KafkaProducer
from kafka.admin import NewPartitions

from local.server_process import free_port
from local.servers import Kafka, Redis
from local.tcp_proxy import Proxy
from rules.event_names import INPUTS
from streams.kafka import admin as topics
from streams.kafka.admin import retention
from streams.kafka.partitioner import partition_of
from streams.settings import Settings
from streams.wire.topics import WORKERS
from streams.worker import placement
from tests.support import live
from tests.support.commands import Done, assert_stopped, segmenter
from tests.support.patience import eventually
from tests.support.stop_shop import administrator, refused, sentence, worker
from tests.support.stop_trials import World, messages

CUSTOMERS = 120
_names = (f"partitions{number}" for number in itertools.count())
_messages = itertools.count()

Event = tuple[str, str, datetime]


# --- on real parts -------------------------------------------------------------------------------


class Grown:
    """A shop whose topics get more partitions."""

    def __init__(self, kafka: Kafka, redis_server: Redis, partitions: int) -> None:
        name = next(_names)
        self.kafka = kafka
        self.settings: dict[str, Any] = {
            "brokers": kafka.address, "broker": "kafka", "redis": redis_server.url, "partitions": partitions,
            "session_timeout_s": 2, "topic_prefix": f"{name}-", "group": name, "redis_prefix": f"{name}:",
            "definitions": live.FOUR,
        }  # fmt: skip
        topics.create(Settings(**self.settings))

    def grow(self, partitions: int, names: Sequence[str] = WORKERS) -> None:
        with administrator(self.kafka) as admin:
            wanted = {self.settings["topic_prefix"] + name: NewPartitions(total_count=partitions) for name in names}
            admin.create_partitions(wanted)
        self.settings["partitions"] = partitions

    def publish(
        self,
        topic: str,
        events: Iterable[Event],
        partitions: int | None = None,
        place: Callable[[str, int], int] = partition_of,
    ) -> None:
        """Publish events (customer, name, time) as a producer with that many partitions and this partitioner."""
        producer: Any = KafkaProducer(bootstrap_servers=self.settings["brokers"], enable_idempotence=False)
        for customer, name, at in events:
            number = next(_messages)
            body = {
                "type": "track", "event": name, "messageId": f"m{number}", "userId": customer,
                "timestamp": at.isoformat(), "properties": {"order_id": f"o{number}", "product_id": "p1"},
            }  # fmt: skip
            at_place = place(customer, partitions or self.settings["partitions"])
            producer.send(
                self.settings["topic_prefix"] + topic, json.dumps(body).encode(), customer.encode(), None, at_place
            )
        producer.flush()
        producer.close()

    def run(self, folder: Path, settings: Mapping[str, Any], customers: int) -> Done:
        """Run a worker until all is read; gives what `verify` says of so many customers."""
        with worker(settings, folder) as running:
            eventually(lambda: running.exit_code is not None or equal(settings, customers), 60)
            assert running.exit_code is None, running.tail()
        return segmenter("verify", **settings)

    def changes(self, settings: Mapping[str, Any]) -> list[str]:
        records = live.committed(
            settings["brokers"], settings["topic_prefix"] + "segment-changes", settings["partitions"]
        )
        return [json.loads(record.value)["change_id"] for record in records]


def equal(settings: Mapping[str, Any], customers: int) -> bool:
    done = segmenter("verify", **settings)
    return done.code == 0 and f"{customers} customers" in done.out


def orders(first: int, last: int, ago: timedelta = timedelta(hours=2)) -> list[Event]:
    at = datetime.now(UTC) - ago
    return [(f"u{number}", "Order Completed", at + timedelta(milliseconds=number)) for number in range(first, last)]


def carts(first: int, last: int) -> list[Event]:
    at = datetime.now(UTC) - timedelta(hours=3)
    return [(f"u{number}", "Product Added", at) for number in range(first, last)]


def there(settings: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    """Settings as the sentence advises: new topics, and another prefix in Redis."""
    return {**settings, "topic_prefix": prefix, "redis_prefix": f"{prefix}:"}


@pytest.mark.kafka
@pytest.mark.parametrize(("before", "now"), [(2, 4), pytest.param(3, 5, marks=pytest.mark.nightly)])
def test_partitions_are_added(before: int, now: int, kafka: Kafka, redis_server: Redis, tmp_path: Path) -> None:
    """The worker stops, on a fresh Redis too, with `--rebuild` or another group; a copy has all customers."""
    shop = Grown(kafka, redis_server, before)
    shop.publish("carts", carts(0, CUSTOMERS))
    shop.publish("purchases", orders(0, CUSTOMERS))
    assert "equal" in shop.run(tmp_path, shop.settings, CUSTOMERS).out
    changes_before = shop.changes(shop.settings)
    shop.grow(now)
    shop.publish("purchases", orders(0, CUSTOMERS + 20, timedelta(hours=1)))  # of most customers on two partitions

    stop_sentence = refused(shop.settings, tmp_path)
    assert stop_sentence.startswith(f"partitions stored {before}, here {now}: the number of partitions changed")
    fresh = {**shop.settings, "redis_prefix": f"{shop.settings['group']}-fresh:"}
    another = {**fresh, "redis_prefix": f"{shop.settings['group']}-other:", "group": f"{shop.settings['group']}-other"}
    with worker(fresh, tmp_path, "--rebuild") as rebuilding, worker(another, tmp_path) as reading:
        again, other = sentence(rebuilding), sentence(reading)
    for text in (again, other):
        assert "belong to other partitions, as partitions were added after they were written" in text
    for text in (stop_sentence, again, other):
        assert "while nothing writes to these topics, copy them to new ones" in text
        assert "`segmenter topics copy --to PREFIX`" in text
        assert "SEGMENTER_TOPIC_PREFIX=PREFIX and another SEGMENTER_REDIS_PREFIX" in text

    prefix = f"{shop.settings['group']}-new-"
    copied = segmenter("topics", "copy", "--to", prefix, **shop.settings)
    assert copied.code == 0, copied.err
    moved = there(shop.settings, prefix)
    assert "\nequal\n" in shop.run(tmp_path, moved, CUSTOMERS + 20).out
    counted = Counter(shop.changes(moved))
    assert set(counted.values()) == {1}
    assert counted.keys() > set(changes_before), "what was said is not said again, nor forgotten"
    letters = live.committed(shop.settings["brokers"], prefix + "dead-letters", now)
    assert letters == []
    assert_stopped(segmenter("topics", "copy", "--to", prefix, **shop.settings), "are there already", "another prefix")


@pytest.mark.kafka
def test_records_of_an_open_transaction_are_judged(kafka: Kafka, redis_server: Redis, tmp_path: Path) -> None:
    """Records of an open transaction, the first larger than what is fetched of a partition, are checked as well."""
    shop = Grown(kafka, redis_server, 2)
    name = shop.settings["topic_prefix"] + "purchases"
    producer: Any = KafkaProducer(bootstrap_servers=kafka.address, transactional_id=name)
    producer.init_transactions()
    producer.begin_transaction()
    for customer, _, _ in orders(0, CUSTOMERS):
        producer.send(name, b"x" * (900_000 if customer in {"u0", "u1"} else 10), customer.encode())
    producer.flush()
    shop.grow(4)
    assert "of purchases belong to other partitions" in refused(shop.settings, tmp_path)
    producer.abort_transaction()
    producer.close()


@pytest.mark.kafka
@pytest.mark.nightly
def test_partitions_are_added_to_a_far_kafka(redis_server: Redis, tmp_path: Path) -> None:
    """Misplaced records are noticed however long Kafka takes to answer."""
    behind = free_port()
    with Proxy(behind) as proxy, Kafka(proxied=(behind, proxy.port)) as kafka:
        shop = Grown(kafka, redis_server, 2)
        shop.publish("purchases", orders(0, CUSTOMERS))
        shop.grow(4)
        proxy.latency_s = 0.2
        settings = {**shop.settings, "brokers": f"127.0.0.1:{proxy.port}", "session_timeout_s": 10}
        with worker(settings, tmp_path) as far:
            assert "of purchases belong to other partitions" in sentence(far, 60)


@pytest.mark.kafka
@pytest.mark.nightly
def test_partitions_are_added_under_a_running_worker(kafka: Kafka, redis_server: Redis, tmp_path: Path) -> None:
    """The worker stops once the group assigns it a new partition, before reading from it."""
    shop = Grown(kafka, redis_server, 2)
    shop.publish("purchases", orders(0, CUSTOMERS))
    with worker(shop.settings, tmp_path) as first:
        eventually(lambda: equal(shop.settings, CUSTOMERS), 60)
        shop.grow(4)
        with worker(shop.settings, tmp_path) as second:
            stop_sentence = sentence(first, 60)
            assert sentence(second, 60).startswith("partitions stored 2, here 4")
    assert stop_sentence.startswith(
        "the topics now have more than 2 partitions, so customers would move; while nothing writes"
    )
    prefix = shop.settings["topic_prefix"] + "new-"
    assert segmenter("topics", "copy", "--to", prefix, **shop.settings).code == 0
    assert "\nequal\n" in shop.run(tmp_path, there(shop.settings, prefix), CUSTOMERS).out


@pytest.mark.kafka
@pytest.mark.nightly
def test_messages_that_were_sent_are_not_sent_again(kafka: Kafka, redis_server: Redis, tmp_path: Path) -> None:
    """On a copy, triggers have their former decisions, and only later messages are sent."""
    before = [f"before{number}" for number in range(12)]
    with messages(World(kafka, redis_server, tmp_path)) as shop:
        with shop.triggers():
            for customer in before:
                shop.leave(customer)
            shop.come_to(*before)
        name = shop.settings["topic_prefix"]
        copied = segmenter("topics", "copy", "--to", f"{name}new-", **{**shop.settings, "partitions": 5})
        assert copied.code == 0, copied.err
        shop.settings |= {"partitions": 5, "topic_prefix": f"{name}new-", "redis_prefix": f"{name}new:"}
        with shop.worker() as there, shop.triggers():
            there.wait_ready()
            for customer in ("later1", "later2"):
                shop.leave(customer)
            shop.come_to(*before, "later1", "later2")
            time.sleep(3)  # what should not come would come now
            shop.come_to(*before, "later1", "later2")


@pytest.mark.kafka
def test_records_are_copied_as_they_are(kafka: Kafka, redis_server: Redis) -> None:
    """Key, bytes, headers, Kafka time and order are copied, of records of any size, with the retention."""
    shop = Grown(kafka, redis_server, 2)
    prefix = shop.settings["topic_prefix"]
    with administrator(kafka) as admin:
        admin.delete_topics([prefix + "visits"])
        eventually(lambda: prefix + "visits" not in admin.list_topics())
    large = b"x" * 1_500_000
    configs = {"retention.ms": "86400000000", "max.message.bytes": "2000000"}
    topics.create(Settings(**shop.settings), ["visits"], {"visits": configs})
    producer: Any = KafkaProducer(bootstrap_servers=kafka.address, enable_idempotence=False, max_request_size=2_000_000)
    at = int(datetime.now(UTC).timestamp() * 1000) - 1_000_000
    for number in range(40):
        # One customer on two partitions, in turns.
        value = large if number == 7 else b"%d" % number
        producer.send(prefix + "visits", value, b"u1", [("h", b"1")], number % 2, at + number)
    producer.flush()
    producer.close()
    settings = {**shop.settings, "partitions": 3}
    assert segmenter("topics", "copy", "--to", prefix + "to-", **settings).code == 0
    records = live.committed(kafka.address, prefix + "to-visits", 3)
    assert [(record.value, record.key, record.timestamp) for record in records] == [
        (large if number == 7 else b"%d" % number, b"u1", at + number) for number in range(40)
    ]
    assert {(record.partition, tuple(record.headers)) for record in records} == {
        (partition_of("u1", 3), (("h", b"1"),))
    }
    copied_retention = retention(Settings(**there(settings, prefix + "to-")), ["visits"])["visits"]
    assert copied_retention.for_ms == 86_400_000_000


@pytest.mark.kafka
@pytest.mark.nightly
def test_topics_differ_in_their_number(kafka: Kafka, redis_server: Redis, tmp_path: Path) -> None:
    """Partitions are added to the topics that hold nothing; else that is refused, and a copy has all customers."""
    shop = Grown(kafka, redis_server, 2)
    shop.publish("carts", carts(0, CUSTOMERS))
    shop.grow(3, ["profiles"])
    advised = "where those with fewer hold nothing yet, add partitions to them; else, while nothing writes"
    assert advised in refused(shop.settings, tmp_path)
    shop.grow(3, [name for name in WORKERS if name != "profiles"])  # carts, too: against the advice
    assert "events on partition 0 of carts belong to other partitions" in refused(shop.settings, tmp_path)
    prefix = shop.settings["topic_prefix"] + "new-"
    assert segmenter("topics", "copy", "--to", prefix, **shop.settings).code == 0
    moved = there(shop.settings, prefix)
    assert "\nequal\n" in shop.run(tmp_path, moved, CUSTOMERS).out

    empty = Grown(kafka, redis_server, 2)
    empty.grow(3, ["carts"])
    empty.publish("carts", carts(0, CUSTOMERS))
    assert advised in refused(empty.settings, tmp_path)
    empty.grow(3, [name for name in WORKERS if name != "carts"])
    assert "\nequal\n" in empty.run(tmp_path, empty.settings, CUSTOMERS).out


@pytest.mark.kafka
@pytest.mark.nightly
def test_a_producer_of_another_partitioner(kafka: Kafka, redis_server: Redis, tmp_path: Path) -> None:
    """A few records of another partitioner become dead letters, and keep no worker from starting."""
    shop = Grown(kafka, redis_server, 2)
    shop.publish("purchases", orders(0, CUSTOMERS))
    lost = [event for event in orders(1_000, 1_010) if partition_of(event[0], 2)]
    shop.publish("purchases", lost, partitions=1)
    assert "\nequal\n" in shop.run(tmp_path, shop.settings, CUSTOMERS).out
    letters = live.committed(kafka.address, shop.settings["topic_prefix"] + "dead-letters", 2)
    assert len(letters) == len(lost) > placement.MISPLACED_MIN


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"partitioner": "none"}, "SEGMENTER_PARTITIONER=none"),
        ({"topic_prefix": "nowhere-"}, "topics are missing: nowhere-profiles"),
    ],
)
@pytest.mark.kafka
def test_what_cannot_be_copied(settings: Mapping[str, Any], sentence: str, kafka: Kafka, redis_server: Redis) -> None:
    """A sentence is printed, and nothing is created."""
    shop = Grown(kafka, redis_server, 1)
    assert_stopped(segmenter("topics", "copy", "--to", "never-", **{**shop.settings, **settings}), sentence)
    assert names_of(kafka, "never-") == []


@pytest.mark.kafka
@pytest.mark.nightly
def test_a_copy_that_is_refused(kafka: Kafka, redis_server: Redis, tmp_path: Path) -> None:
    """What the sentence advises is done, and works."""
    shop = Grown(kafka, redis_server, 1)
    shop.publish("purchases", orders(0, 3))
    to, another = (shop.settings["topic_prefix"] + name for name in ("to-", "another-"))
    copy = partial(segmenter, "topics", "copy", "--to", to)
    missing = copy(**{**shop.settings, "topic_prefix": "nowhere-"})
    assert_stopped(missing, "topics are missing: nowhere-profiles", "; see SEGMENTER_TOPIC_PREFIX")
    assert copy(**shop.settings).code == 0
    assert_stopped(copy(**shop.settings), "topics are there already", "; delete them, or copy to another prefix")
    assert segmenter("topics", "copy", "--to", another, **shop.settings).code == 0
    with administrator(kafka) as admin:
        admin.delete_topics(names_of(kafka, to))
        eventually(lambda: not names_of(kafka, to))
    assert copy(**shop.settings).code == 0
    for prefix in (to, another):
        assert "\nequal\n" in shop.run(tmp_path, there(shop.settings, prefix), 3).out


def names_of(kafka: Kafka, prefix: str) -> list[str]:
    """The names of the topics with this prefix."""
    with administrator(kafka) as admin:
        return [name for name in admin.list_topics() if name.startswith(prefix)]


def place_of(customer: str, partitions: int) -> int:
    """The partition of a custom partitioner."""
    return sum(customer.encode()) % partitions


@pytest.mark.kafka
@pytest.mark.nightly
def test_topics_of_ones_own_partitioner(kafka: Kafka, redis_server: Redis, tmp_path: Path) -> None:
    """The owner of a partitioner copies the topics with it, to more partitions; no change is published twice."""
    shop = Grown(kafka, redis_server, 2)
    shop.settings["partitioner"] = "none"
    shop.publish("purchases", orders(0, CUSTOMERS), place=place_of)
    assert "\nequal\n" in shop.run(tmp_path, shop.settings, CUSTOMERS).out
    to = shop.settings["topic_prefix"] + "to-"
    refused_to = segmenter("topics", "copy", "--to", to, **shop.settings)
    assert_stopped(refused_to, "so copy the topics with a tool that uses it")
    moved = {**there(shop.settings, to), "partitions": 3}
    topics.create(Settings(**moved))
    producer: Any = KafkaProducer(bootstrap_servers=kafka.address, enable_idempotence=False)
    for name in (*INPUTS, "segment-changes"):
        for record in live.committed(kafka.address, shop.settings["topic_prefix"] + name, 2):
            place = place_of(record.key.decode(), 3)
            producer.send(to + name, record.value, record.key, [*record.headers], place, record.timestamp)
    producer.flush()
    producer.close()
    assert "\nequal\n" in shop.run(tmp_path, moved, CUSTOMERS).out
    assert sorted(shop.changes(moved)) == sorted(shop.changes(shop.settings))
