"""`segmenter verify` on real Kafka and Redis: equal views are called equal, and each difference is named.

Every damage is done from outside, to stored or published data, and mended again.
"""

from __future__ import annotations

import itertools
import json
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import redis
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import NewTopic

from local.processes import Worker
from local.servers import Kafka, Redis
from rules.customer import Customer
from streams.cli import verify
from streams.kafka import admin as topics
from streams.settings import Settings
from streams.wire import customer_codec
from tests.support import live
from tests.support.commands import Done, assert_stopped, event, moved_to_now, partition_of, segmenter
from tests.support.patience import eventually

pytestmark = pytest.mark.kafka

DEMO = Path(__file__).parents[3] / "rules" / "demo.yaml"
EVENTS = 3_000
_shops = itertools.count()


class Shop:
    """Topics, a Redis prefix, and a worker's settings, all of one name."""

    def __init__(self, kafka: Kafka, redis_server: Redis, name: str, **more: object) -> None:
        self.prefix = f"verify-{name}-"
        self.settings: dict[str, Any] = {
            "brokers": kafka.address, "redis": redis_server.url, "partitions": live.PARTITIONS,
            "topic_prefix": self.prefix, "group": self.prefix, "redis_prefix": self.prefix,
            "definitions": live.FOUR, "session_timeout_s": 3, **more,
        }  # fmt: skip
        self.redis: Any = redis.Redis.from_url(redis_server.url)
        topics.create(Settings(**self.settings))

    def key(self, partition: int, name: str) -> str:
        return f"{self.prefix}{{p{partition}}}:{name}"

    def publish(self, events: list[dict[str, Any]]) -> None:
        live.publish(
            self.settings["brokers"], events, {name: self.prefix + topic for name, topic in live.TOPICS.items()}
        )

    def caught_up(self) -> bool:
        """Whether all that stands in the inputs was applied, fired up to some seconds ago, and published."""
        consumer: Any = KafkaConsumer(bootstrap_servers=self.settings["brokers"])
        ends = consumer.end_offsets(
            [
                TopicPartition(self.prefix + name, partition)
                for name in live.TOPICS.values()
                for partition in range(live.PARTITIONS)
            ]
        )
        consumer.close()
        metas = [self.redis.hgetall(self.key(partition, "meta")) for partition in range(live.PARTITIONS)]
        read = all(int(metas[tp.partition].get(f"position:{tp.topic}".encode(), -1)) == end for tp, end in ends.items())
        overdue_ms = int(time.time() * 1000) - 10_000
        waits = any(
            self.redis.llen(self.key(partition, "outbox"))
            or self.redis.zcount(self.key(partition, "due"), 0, overdue_ms)
            for partition in range(live.PARTITIONS)
        )
        return read and not waits

    def verify(self, *arguments: str, **more: object) -> Done:
        return segmenter("verify", *arguments, timeout_s=120, **{**self.settings, **more})

    def member(self) -> tuple[str, str]:
        """A customer that is in a segment and was never late, and the key of the hash that holds it."""
        for partition in range(live.PARTITIONS):
            where = self.key(partition, "customers")
            for name, value in self.redis.hscan_iter(where):
                customer = customer_codec.decode(value)
                if customer.since and not customer.out_of_order:
                    return name.decode(), where
        raise AssertionError("no customer is in a segment")

    @contextmanager
    def changed(self, where: str, name: str, value: bytes | None) -> Iterator[None]:
        """Store another value of a customer, or none, for a while."""
        before = self.redis.hget(where, name)
        if value is None:
            self.redis.hdel(where, name)
        else:
            self.redis.hset(where, name, value)
        yield
        self.redis.hset(where, name, before)


def buying(customer: str, number: int, after_m: float, name: str = "Order Completed") -> dict[str, Any]:
    return event(customer, number, name, after_m, order_id=f"o{customer}{number}", product_id="p1")


@pytest.fixture(scope="module")
def shop(kafka: Kafka, redis_server: Redis) -> Shop:
    """Real events of 2019, and of now: orders, of which one is aborted, and what came late. The worker has ended."""
    # The module may be left and come back to, on the same servers: then another shop is made.
    shop = Shop(kafka, redis_server, f"done{next(_shops)}")
    shop.publish(live.real_events()[:EVENTS])
    now = moved_to_now(
        buying("buyer", 1, 0), buying("other", 1, 10, "Product Added"), buying("cart", 1, 1, "Product Added")
    )
    shop.publish(now)
    aborted(shop, buying("buyer", 2, 2))
    with Worker(shop.settings) as worker:
        eventually(shop.caught_up, 90)
        # One after its cart was told abandoned, and one that changes nothing any more but would have in its time.
        shop.publish(moved_to_now(buying("buyer", 3, -60, "Product Added"), buying("other", 2, 5)))
        eventually(shop.caught_up, 60)
        assert worker.exit_code is None, worker.tail()
    return shop


def aborted(shop: Shop, what: dict[str, Any]) -> None:
    """Publish an order in a transaction which is aborted: the log holds it, and no reader may see it."""
    producer: Any = KafkaProducer(bootstrap_servers=shop.settings["brokers"], transactional_id=shop.prefix)
    producer.init_transactions()
    producer.begin_transaction()
    key = what["userId"].encode()
    value = json.dumps({**what, "timestamp": datetime.now(UTC).isoformat()}).encode()
    producer.send(shop.prefix + "purchases", key=key, value=value, partition=partition_of(key)).get(30)
    producer.abort_transaction()
    producer.close()


# --- equal ------------------------------------------------------------------------------------


def test_what_a_worker_made_is_equal(shop: Shop) -> None:
    """The exit code is 0; an aborted order does not count, and with late events only membership is compared."""
    done = shop.verify()
    assert (done.code, done.out.splitlines()[-1]) == (0, "equal"), done
    stored = sum(shop.redis.hlen(shop.key(partition, "customers")) for partition in range(live.PARTITIONS))
    assert done.out.startswith(f"{stored:,} customers, 4 partitions, {EVENTS + 5:,} records recomputed, ")
    assert "2 customers had events out of order" in done.out


def test_it_shows_how_far_it_is(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Progress is shown of what takes long: Redis's customers, the changes, the events."""
    monkeypatch.setattr(verify, "_PROGRESS_EVERY_S", 0.0)
    assert verify.run(Settings(**shop.settings), 5) == 0
    lines = capsys.readouterr().err.splitlines()
    for what in ("customers", "changes", "events"):
        progress = rf"partition 0 of 4: [\d,]+ of [\d,]+ {what}, \d+ s"
        assert [line for line in lines if re.fullmatch(progress, line)], what


def test_beside_a_running_worker(kafka: Kafka, redis_server: Redis) -> None:
    """While events come in and changes are published, each comparison is equal."""
    shop = Shop(kafka, redis_server, "running", batch_max=20)
    history = live.real_events()
    shop.publish(history[:1_000])
    done = threading.Event()

    def go_on() -> None:
        for start in range(1_000, len(history), 50):
            if done.wait(0.05):
                return
            shop.publish(history[start : start + 50])

    with Worker(shop.settings) as worker:
        worker.wait_ready()
        publishing = threading.Thread(target=go_on)
        publishing.start()
        try:
            for _ in range(3):
                report = shop.verify()
                assert report.code == 0, report.out
        finally:
            done.set()
            publishing.join()
        assert worker.exit_code is None, worker.tail()


def test_changes_that_wait_in_the_outbox(kafka: Kafka, redis_server: Redis) -> None:
    """The worker died between save and publish: what it decided is not lost, so nothing differs."""
    shop = Shop(kafka, redis_server, "waiting")
    shop.publish(moved_to_now(buying("u1", 1, 0)))
    with Worker({**shop.settings, "fail_point": "before_publish:1"}) as worker:
        eventually(lambda: worker.exit_code == -9, 60)
    assert shop.redis.llen(shop.key(partition_of(b"u1"), "outbox")) == 1
    assert values(shop) == []
    done = shop.verify()
    assert done.code == 0, done
    assert "1 records recomputed, 1 changes folded" in done.out


def test_a_customer_who_was_erased_before_the_first_start(kafka: Kafka, redis_server: Redis) -> None:
    """What is erased was never decided, so there are fewer changes than events would make: that is no difference."""
    shop = Shop(kafka, redis_server, "erased")
    before, erasure, after = moved_to_now(
        buying("u1", 1, 0), {**event("u1", 2, "erase", 1), "type": "erase"}, buying("u1", 3, 2)
    )
    shop.publish([before, after])
    live.publish(shop.settings["brokers"], [erasure], {"erase": shop.prefix + "profiles"})
    with Worker(shop.settings):
        eventually(shop.caught_up, 60)
    assert [json.loads(record.value)["sequence"] for record in values(shop)] == [1]
    done = shop.verify()
    assert (done.code, done.out.splitlines()[-1]) == (0, "equal"), done


def test_an_erasure_that_takes_newer_events_along(kafka: Kafka, redis_server: Redis) -> None:
    """A late alias of an erased person erases the device with all that was read of it: that is no difference."""
    shop = Shop(kafka, redis_server, "along")
    erasure, order, *links, newer = moved_to_now(
        {**event("ann", 1, "erase", 5), "type": "erase"}, buying("phone", 1, 10),
        {**event("ann", 2, "alias", 1), "type": "alias", "previousId": "phone"},
        {**event("ann", 3, "alias", 1), "type": "alias", "previousId": "tablet"}, buying("tablet", 3, 12),
    )  # fmt: skip
    phone, tablet = ({**order, "userId": name, "messageId": name} for name in ("phone", "tablet"))
    with Worker(shop.settings):
        profiles = dict.fromkeys(("erase", "alias"), shop.prefix + "profiles")
        live.publish(shop.settings["brokers"], [erasure], profiles)
        shop.publish([phone, tablet])
        eventually(lambda: len(values(shop)) == 2, 60)
        live.publish(shop.settings["brokers"], links, profiles)
        eventually(lambda: len(values(shop)) == 4, 60)
        shop.publish([newer])
        eventually(lambda: len(values(shop)) == 5, 60)
    published = [
        (change["customer_id"], change["change"]) for change in (json.loads(record.value) for record in values(shop))
    ]
    assert sorted(published) == sorted([("phone", "entered"), ("phone", "exited")] + [
        ("tablet", kind) for kind in ("entered", "exited", "entered")
    ])  # fmt: skip
    done = shop.verify()
    assert (done.code, done.out.splitlines()[-1]) == (0, "equal"), done


def test_an_erasure_that_is_read_after_newer_events(kafka: Kafka, redis_server: Redis) -> None:
    """An erasure deletes newer events that were read before it; only events that were read later are compared."""
    shop = Shop(kafka, redis_server, "late")
    order, erasure, newer, again = moved_to_now(
        buying("u1", 1, 0), {**event("u1", 2, "erase", 5), "type": "erase"}, buying("u1", 3, 10),
        buying("u1", 4, 12),
    )  # fmt: skip
    with Worker(shop.settings):
        shop.publish([order, newer])
        eventually(lambda: len(values(shop)) == 2, 60)
        live.publish(shop.settings["brokers"], [erasure], {"erase": shop.prefix + "profiles"})
        eventually(lambda: len(values(shop)) == 4, 60)
        shop.publish([again])
        eventually(shop.caught_up, 60)
    where = shop.key(partition_of(b"u1"), "customers")
    stored = decoded(shop, where, "u1")
    assert stored.erased
    assert len(stored.since) == 1
    done = shop.verify()
    assert (done.code, done.out.splitlines()[-1]) == (0, "equal"), done
    stored.since.clear()
    with shop.changed(where, "u1", customer_codec.encode(stored)):
        done = shop.verify()
    assert done.code == 1
    assert "recently_purchased  recomputed: in; Redis: not in; topic: in" in done.out


# --- different --------------------------------------------------------------------------------


def decoded(shop: Shop, where: str, name: str) -> Customer:
    return customer_codec.decode(shop.redis.hget(where, name))


def test_a_customer_was_changed_in_redis(shop: Shop) -> None:
    """The exit code is 1; customer and segment are named, with what each of the three sources says."""
    name, where = shop.member()
    customer = decoded(shop, where, name)
    segment = next(iter(customer.since))
    true_since = customer.since[segment]
    customer.since[segment] = true_since + 1
    with shop.changed(where, name, customer_codec.encode(customer)):
        done = shop.verify()
    assert done.code == 1
    lines = done.out.splitlines()
    assert len(lines) == 4
    assert lines[0].startswith(f"{name}  ")
    (recomputed, stored, folded) = lines[0].split("  ")[2].split("; ")
    assert recomputed.startswith("recomputed: in since ")
    assert stored.startswith("Redis: in since ")
    assert recomputed.split()[-1] == folded.split()[-1] != stored.split()[-1]
    assert lines[-1].startswith("1 differences of 1 customers: ")


def test_a_number_of_changes_was_changed_in_redis(shop: Shop) -> None:
    """The sequence in Redis differs from both others; with `--first` the remaining differences are counted."""
    name, where = shop.member()
    customer = decoded(shop, where, name)
    customer.sequence += 1
    customer.since.clear()
    with shop.changed(where, name, customer_codec.encode(customer)):
        done = shop.verify("--first", "1")
    assert done.code == 1
    assert "… and " in done.out
    assert "sequence 1" in done.out.splitlines()[-1]


def test_a_customer_is_gone_from_redis(shop: Shop) -> None:
    name, where = shop.member()
    with shop.changed(where, name, None):
        done = shop.verify()
    assert done.code == 1
    assert done.out.startswith(f"{name}  customer  recomputed: known; Redis: unknown; topic: ")


def test_a_customer_whom_no_event_made(shop: Shop) -> None:
    """A customer in Redis which neither the events nor the topic have is a difference."""
    name, where = shop.member()
    shop.redis.hset(where, "nobody", shop.redis.hget(where, name))
    done = shop.verify()
    shop.redis.hdel(where, "nobody")
    assert done.code == 1
    assert "nobody  customer  recomputed: unknown; Redis: known; topic: unknown" in done.out


def test_a_due_time_that_is_not_listed(shop: Shop) -> None:
    """A due time missing from the list is a difference: it would never fire."""
    place = next(partition for partition in range(live.PARTITIONS) if shop.redis.zcard(shop.key(partition, "due")))
    ((name, due),) = shop.redis.zrange(shop.key(place, "due"), 0, 0, withscores=True)
    shop.redis.zrem(shop.key(place, "due"), name)
    done = shop.verify()
    shop.redis.zadd(shop.key(place, "due"), {name: due})
    assert done.code == 1
    assert f"{name.decode()}  due time  Redis: " in done.out
    assert "but it is listed for none" in done.out


@pytest.fixture
def small(request: pytest.FixtureRequest, kafka: Kafka, redis_server: Redis) -> Shop:
    """One customer of two orders 40 days apart, so of four changes; the worker has ended."""
    shop = Shop(kafka, redis_server, request.node.name)
    shop.publish(moved_to_now(buying("u1", 1, -60 * 24 * 40), buying("u1", 2, 0)))
    with Worker(shop.settings):
        eventually(shop.caught_up, 60)
    return shop


def values(shop: Shop, topic: str = "segment-changes") -> list[Any]:
    return live.read_topic(shop.settings["brokers"], shop.prefix + topic)


def recreate(shop: Shop, topic: str, records: list[Any]) -> None:
    """Create the topic anew, with these records and no others."""
    admin: Any = KafkaAdminClient(bootstrap_servers=shop.settings["brokers"])
    admin.delete_topics([shop.prefix + topic])
    eventually(lambda: shop.prefix + topic not in admin.list_topics())
    admin.create_topics([NewTopic(shop.prefix + topic, live.PARTITIONS, 1)])
    admin.close()
    producer: Any = KafkaProducer(bootstrap_servers=shop.settings["brokers"])
    for record in records:
        producer.send(shop.prefix + topic, key=record.key, value=record.value, partition=record.partition)
    producer.close()


def test_a_change_is_missing_from_the_topic(small: Shop) -> None:
    """A missing change is a difference and exits 1; repeats alone are none."""
    records = values(small)
    assert len(records) == 4
    recreate(small, "segment-changes", [*records[:2], *records])
    done = small.verify()
    assert (done.code, done.out.splitlines()[-1]) == (0, "equal"), done
    assert "2 repeats dropped" in done.out
    recreate(small, "segment-changes", [*records[:1], *records[2:]])
    done = small.verify()
    assert done.code == 1
    assert "u1  sequence" in done.out
    assert "change 3 follows 1" in done.out


def test_a_change_that_nobody_decided(small: Shop) -> None:
    """A change of a customer which only the topic has is a difference."""
    records = values(small)
    stranger = {**json.loads(records[0].value), "customer_id": "u2", "change_id": "0" * 32}
    recreate(small, "segment-changes", [*records, records[0]._replace(value=json.dumps(stranger).encode())])
    done = small.verify()
    assert done.code == 1
    assert done.out.startswith("u2  customer  recomputed: unknown; Redis: unknown; topic: 1 changes")


# --- what cannot be done ----------------------------------------------------------------------


def test_retention_has_removed_events(small: Shop) -> None:
    """Removed events exit 75: what they made cannot be recomputed."""
    partition = partition_of(b"u1")
    admin: Any = KafkaAdminClient(bootstrap_servers=small.settings["brokers"])
    admin.delete_records({TopicPartition(small.prefix + "purchases", partition): 1})
    admin.close()
    assert_stopped(small.verify(), f"{small.prefix}purchases-{partition} begins at 1")


def test_an_input_was_created_anew(small: Shop) -> None:
    """A recreated input exits 75, without a long list of differences."""
    recreate(small, "purchases", [])
    place = f"{small.prefix}purchases-{partition_of(b'u1')}"
    assert_stopped(small.verify(), f"{place} ends at 0 but records up to 2 were already read")


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ({"redis_prefix": "nothing:"}, "Redis holds nothing of partition 0"),
        ({"definitions": DEMO}, "definitions stored"),
        ({"group": "other"}, "SEGMENTER_GROUP"),
        ({"topic_prefix": "no-"}, "run `segmenter topics create`"),
    ],
)
def test_it_is_about_something_else(shop: Shop, setting: dict[str, Any], words: str) -> None:
    assert_stopped(shop.verify(**setting), words)
