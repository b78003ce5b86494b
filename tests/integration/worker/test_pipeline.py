"""From the input topics to the output topics through one running worker, on the embedded broker.

Records go in as a shop would send them, and results are read from the topics alone. The tests share the worker; each
has customers of its own.
"""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from itertools import count, islice
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml
from aiokafka.partitioner import murmur2
from jsonschema import Draft202012Validator
from kafka import KafkaConsumer, KafkaProducer, TopicPartition

from local.processes import Worker
from local.servers import Redis, Tansu
from streams.kafka import admin
from streams.settings import Settings
from tests.oracle import oracle
from tests.oracle.oracle import OracleChange, milliseconds
from tests.support import live
from tests.support.patience import PATIENCE

SCHEMAS = Path(__file__).parents[3] / "docs" / "reference" / "schemas"
PREFIX = "pipeline-"
PARTITIONS = 2
LETTER_VALUE_BYTES = 64 * 1024  # of a dead letter
IDLE_MS, GRACE_MS = 3_000, 1_000
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SLACK_MS = 1_500
SECOND_MS, HOUR_MS, DAY_MS = 1_000, 3_600_000, 86_400_000
DEFINITIONS: dict[str, Any] = {
    "version": 1,
    "segments": {
        "abandoned_cart": {"title": "Abandoned", "when": {"cart": {"idle_for": "3s", "until": "30d"}}},
        "open_cart": {"title": "Open", "when": {"cart": {"until": "30d"}}},
        "recently_purchased": {
            "title": "Bought", "when": {"performed": {"event": "Order Completed", "within": "30d"}},
        },
        "returning_visitor": {
            "title": "Back", "when": {"sessions": {"count": {"at_least": 2}, "within": "30d"}},
        },
    },
}  # fmt: skip

Event = dict[str, Any]
_numbers = count(1)


class Place(NamedTuple):
    """The place of a record: topic, partition and offset."""

    topic: str
    partition: int
    offset: int


class Outlet:
    """An output topic, read along from its beginning."""

    def __init__(self, brokers: str, name: str) -> None:
        self._consumer: Any = KafkaConsumer(bootstrap_servers=brokers, fetch_max_wait_ms=50)
        places = [TopicPartition(name, number) for number in range(PARTITIONS)]
        self._consumer.assign(places)
        self._consumer.seek_to_beginning(*places)
        self.records: list[Any] = []
        self.came_ms: list[int] = []

    def until(self, is_enough: Callable[[list[Any]], bool], timeout_s: float = 20) -> list[Any]:
        """Read until the records are enough; gives all so far."""
        end = time.monotonic() + PATIENCE * timeout_s
        while not is_enough(self.records):
            assert time.monotonic() < end, f"{len(self.records)} records, the last {self.records[-3:]}"
            for records in self._consumer.poll(timeout_ms=50).values():
                self.records += records
                self.came_ms += [now_ms()] * len(records)
        return self.records

    def close(self) -> None:
        self._consumer.close()


class Shop:
    """Topics, a worker behind them, and what comes out."""

    def __init__(self, settings: dict[str, Any], folder: Path) -> None:
        self._settings, self._folder = settings, folder
        admin.create(Settings(**settings))
        self._producer: Any = KafkaProducer(
            bootstrap_servers=settings["brokers"], enable_idempotence=False, max_request_size=8 << 20
        )
        self.segment_changes = Outlet(settings["brokers"], PREFIX + "segment-changes")
        self.dead_letters = Outlet(settings["brokers"], PREFIX + "dead-letters")
        self.table = Outlet(settings["brokers"], PREFIX + "segment-memberships")
        self.worker = self.start()

    def start(self) -> Worker:
        log = self._folder / f"worker-{next(_numbers)}.log"
        self.worker = Worker(self._settings, log=log).start().wait_ready()
        return self.worker

    def send(self, topic: str, partition: int, key: bytes | None, value: bytes | None) -> Any:
        """Send a record to this partition; gives its `Place` once it was acknowledged."""
        return self._producer.send(PREFIX + topic, value=value, key=key, partition=partition)

    def tell(self, *events: Event) -> list[Place]:
        """Send events to their topics, in this order."""
        sent = [
            self.send(
                live.TOPICS[event["event"]], partition_of(event["userId"]), event["userId"].encode(), value(event)
            )
            for event in events
        ]
        return [place(future) for future in sent]

    def changes(self, customers: Sequence[str], is_enough: Callable[[list[Any]], bool]) -> list[Any]:
        """The changes of these customers, once they are enough."""
        wanted = {customer.encode() for customer in customers}

        def own(records: list[Any]) -> list[Any]:
            return [json.loads(record.value) for record in records if record.key in wanted]

        return own(self.segment_changes.until(lambda records: is_enough(own(records))))

    def records(self, change_ids: set[str]) -> list[tuple[Any, int]]:
        """The records of these changes, and when each came."""
        both = zip(self.segment_changes.records, self.segment_changes.came_ms, strict=True)
        return [(record, came) for record, came in both if json.loads(record.value)["change_id"] in change_ids]

    def close(self) -> None:
        self.worker.stop()
        self.segment_changes.close()
        self.dead_letters.close()
        self.table.close()
        self._producer.close()


@pytest.fixture(scope="module")
def shop(tansu: Tansu, redis_server: Redis, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """A shop for all tests here, since starting a worker takes seconds."""
    folder = tmp_path_factory.mktemp("pipeline")
    definitions = folder / "segments.yaml"
    definitions.write_text(yaml.safe_dump(DEFINITIONS))
    shop = Shop(
        {
            "brokers": tansu.address,
            "broker": "tansu",
            "topic_prefix": PREFIX,
            "group": "pipeline",
            "redis": redis_server.url,
            "redis_prefix": "pipeline:",
            "partitions": PARTITIONS,
            "session_timeout_s": 2,
            "grace_ms": GRACE_MS,
            "definitions": definitions,
        },
        folder,
    )
    yield shop
    shop.close()


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def event(customer: str, name: str, at_ms: int, **properties: object) -> Event:
    number = next(_numbers)
    return {
        "type": "track",
        "event": name,
        "messageId": f"m{number}",
        "userId": customer,
        "timestamp": (EPOCH + timedelta(milliseconds=at_ms)).isoformat(timespec="milliseconds"),
        "properties": {"product_id": "p1", "order_id": f"o{number}", **properties},
    }


def value(event: Event) -> bytes:
    return json.dumps(event, ensure_ascii=False).encode()


def partition_of(customer: str) -> int:
    """The partition of a customer by Kafka's default partitioner."""
    return int((murmur2(customer.encode()) & 0x7FFFFFFF) % PARTITIONS)


def on_partition(partition: int, name: str) -> Iterator[str]:
    """Customers whose records lie on this partition."""
    return (f"{name}-{number}" for number in count() if partition_of(f"{name}-{number}") == partition)


def place(sent: Any) -> Place:
    """The place of an acknowledged record."""
    record = sent.get(10)
    return Place(record.topic, record.partition, record.offset)


def are(number: int) -> Callable[[list[Any]], bool]:
    return lambda changes: len(changes) >= number


def entered(segment: str) -> Callable[[list[Any]], bool]:
    return lambda changes: any((change["segment"], change["change"]) == (segment, "entered") for change in changes)


def changes_by_customer(changes: Sequence[Event]) -> dict[str, list[tuple[str, str, int, bool]]]:
    return live.per_customer(
        OracleChange(
            change["customer_id"],
            change["segment"],
            change["change"],
            milliseconds(change["occurred_at"]),
            change["late"],
        )
        for change in changes
    )


# --- dead letters ------------------------------------------------------------------------------


class Bad(NamedTuple):
    """A record that cannot be used, and the field which is wrong.

    ``elsewhere``: it lies on a partition that is not the customer's.
    """

    reason: str
    value: bytes | None
    key: bytes | None = b"bad"
    elsewhere: bool = False
    field: str = ""


def changed(**fields: object) -> bytes:
    """A valid record but for these fields."""
    return value({**event("bad", "Product Added", now_ms()), **fields})


def bad_records() -> list[Bad]:
    """At least one bad record for every reason; the sizes pass their limits by a byte."""
    ahead = event("bad", "x", now_ms() + 400 * SECOND_MS)["timestamp"]
    return [
        Bad("too_large", b" " * (1 << 20) + changed()),
        Bad("not_json", b"{"),
        Bad("not_json", b""),
        Bad("not_json", None),
        Bad("not_json", b"{", key=None),
        Bad("not_json", b'{"userId": "\xff"}', key=b"\xff\x00"),
        Bad("not_json", b" " * LETTER_VALUE_BYTES),
        Bad("not_json", b"x" * (LETTER_VALUE_BYTES + 1)),
        Bad("not_object", b"[1]"),
        Bad("no_customer", changed(userId=""), field="userId"),
        Bad("bad_id", changed(userId=["x"]), field="userId"),
        Bad("bad_id", changed(userId="x" * 257), field="userId"),
        Bad("no_message_id", changed(messageId=None), field="messageId"),
        Bad("absurd_timestamp", changed(timestamp="1999-12-31T23:59:59.999Z"), field="timestamp"),
        Bad("absurd_timestamp", changed(timestamp="2026-03-01T10:00:00"), field="timestamp"),
        Bad(
            "absurd_timestamp",
            changed(timestamp=ahead),
            field="timestamp",
        ),
        Bad("bad_type", changed(type="party"), field="type"),
        Bad("bad_value", changed(event=" "), field="event"),
        Bad("bad_value", changed(event=None), field="event"),
        Bad("wrong_key", changed(userId="کاربر"), key="مشتری".encode(), field="key"),
        Bad("wrong_key", changed(), key=None, field="key"),
        Bad("wrong_partition", changed(), elsewhere=True),
    ]


def test_every_dead_letter_arrives_once_and_whole(shop: Shop) -> None:
    """Bytes, key and headers say what came, from where, and why; good records beside them count."""
    reasons = json.loads((SCHEMAS / "dead-letter.json").read_text())
    closed = reasons["$defs"]["DeadLetter"]["properties"]["headers"]["properties"]["reason"]["enum"]
    bad, home = bad_records(), partition_of("bad")
    # A record of Kafka has a time. No record is made for the other two here: see
    # tests/unit/rules/test_profile_merge.py and tests/integration/worker/test_poison_pills.py.
    assert {bad_record.reason for bad_record in bad} == set(closed) - {"too_large_to_forward", "poison", "no_timestamp"}
    sent: dict[Place, Bad] = {}
    good = on_partition(home, "good")
    customers = []
    for bad_record in bad:
        sent[
            place(shop.send("carts", 1 - home if bad_record.elsewhere else home, bad_record.key, bad_record.value))
        ] = bad_record
        customers.append(next(good))
        shop.tell(event(customers[-1], "Product Added", now_ms()))
    for partition in range(PARTITIONS):  # what came twice would stand before the last of each partition
        sent[place(shop.send("carts", partition, b"last", b""))] = Bad("not_json", b"", b"last")

    opened = shop.changes(
        customers, lambda changes: len({change["customer_id"] for change in changes}) == len(customers)
    )
    letters = shop.dead_letters.until(lambda records: sum(record.key == b"last" for record in records) == PARTITIONS)

    assert [change["customer_id"] for change in opened if change["segment"] == "open_cart"] == customers
    assert sorted(map(place_of, letters)) == sorted(sent)
    for letter in letters:
        assert_whole(letter, sent[place_of(letter)])


def place_of(letter: Any) -> Place:
    """The place from which it was read, by its headers."""
    headers = {name: text.decode() for name, text in letter.headers}
    return Place(headers["topic"], int(headers["partition"]), int(headers["offset"]))


def assert_whole(letter: Any, bad: Bad) -> None:
    place, original = place_of(letter), bad.value
    wanted = {"reason": bad.reason, "topic": place.topic} | ({"field": bad.field} if bad.field else {})
    wanted |= {"partition": str(place.partition), "offset": str(place.offset)}
    if original is not None and len(original) > LETTER_VALUE_BYTES:
        wanted |= {"size": str(len(original)), "sha256": sha256(original).hexdigest()}
    assert {name: text.decode() for name, text in letter.headers} == wanted
    assert len(letter.headers) == len(wanted)
    assert (letter.key, letter.partition) == (bad.key, place.partition)
    assert letter.value == (None if original is None else original[:LETTER_VALUE_BYTES])


# --- the membership of each customer --------------------------------------------------------------


def test_the_table_says_where_a_customer_stands(shop: Shop) -> None:
    """Each step with a change writes a row, keyed alike, that fits its schema; the newest agrees with the change."""
    stays, leaves = islice(on_partition(0, "row"), 2)
    at = now_ms() - 10
    shop.tell(*(event(customer, "Product Added", at) for customer in (stays, leaves)))
    shop.changes([stays, leaves], are(2))
    shop.tell(event(leaves, "Order Completed", now_ms()))
    changes = shop.changes(
        [stays, leaves], lambda published: sum(change["customer_id"] == leaves for change in published) >= 3
    )
    last = {change["customer_id"]: change for change in changes}

    def rows(records: list[Any]) -> dict[str, Any]:
        return {record.key.decode(): json.loads(record.value) for record in records}

    ids = {change["change_id"] for change in last.values()}
    table_records = shop.table.until(lambda records: ids <= {row["change_id"] for row in rows(records).values()})
    check = Draft202012Validator(json.loads((SCHEMAS / "membership.json").read_text()))
    for customer in (stays, leaves):
        row = rows(table_records)[customer]
        check.validate(row)
        assert row == {name: last[customer][name] for name in row}
        assert row.keys() == {"customer_id", "segments", "sequence", "occurred_at", "change_id"}
    assert rows(table_records)[leaves]["segments"] == ["recently_purchased"]
    record = next(record for record in table_records if record.key == leaves.encode())
    assert dict(record.headers) | {"ce_type": b"segmenter.membership", "ce_subject": leaves.encode()} == dict(
        record.headers
    )
    assert dict(record.headers)["ce_id"] == json.loads(record.value)["change_id"].encode()


# --- time alone --------------------------------------------------------------------------------


def test_a_cart_goes_quiet(shop: Shop) -> None:
    """A change is published soon after due time and grace, never before; a purchase in time prevents it."""
    buyer, quiet = islice(on_partition(0, "quiet"), 2)
    other = next(on_partition(1, "quiet"))
    began = now_ms() - 10  # no event is ahead of its record
    # The buyer's would be due first, so it would be said first: due times of a partition fire in order.
    shop.tell(
        *(event(customer, "Product Added", began + after) for after, customer in enumerate((buyer, quiet, other)))
    )
    shop.changes([buyer], entered("open_cart"))
    shop.tell(event(buyer, "Order Completed", now_ms()))

    abandoned = [shop.changes([customer], entered("abandoned_cart"))[-1] for customer in (quiet, other)]

    for after, change in enumerate(abandoned, 1):
        due = began + after + IDLE_MS
        assert (milliseconds(change["occurred_at"]), change["cause"]) == (due, {"kind": "time", "event_id": None})
        assert milliseconds(change["emitted_at"]) >= due + GRACE_MS
    for record, came in shop.records({change["change_id"] for change in abandoned}):
        due = milliseconds(json.loads(record.value)["occurred_at"])
        assert came - (due + GRACE_MS) <= SLACK_MS
    bought = shop.changes([buyer], are(3))
    assert [(change["segment"], change["change"]) for change in bought] == [
        ("open_cart", "entered"), ("open_cart", "exited"), ("recently_purchased", "entered"),
    ]  # fmt: skip


def test_a_stopped_process_fires_nothing_that_a_purchase_has_settled(shop: Shop) -> None:
    """The due time passes while the worker is frozen; the purchase is read first when it goes on."""
    (buyer, quiet) = customers = ["frozen-1", "frozen-2"]
    began = now_ms()
    shop.tell(*(event(customer, "Product Added", began) for customer in customers))
    shop.changes(customers, are(2))
    os.kill(shop.worker.pid, signal.SIGSTOP)
    try:
        shop.tell(event(buyer, "Order Completed", now_ms()))
        while now_ms() < began + IDLE_MS + GRACE_MS + 500:
            time.sleep(0.1)
    finally:
        os.kill(shop.worker.pid, signal.SIGCONT)
    shop.changes([quiet], entered("abandoned_cart"))
    bought = shop.changes([buyer], entered("recently_purchased"))
    assert not entered("abandoned_cart")(bought)


# --- what a change says ------------------------------------------------------------------------


def test_a_change_is_a_cloud_event_that_fits_its_schema(shop: Shop) -> None:
    """Key, partition, headers and body agree, for a change by an event and for one by time."""
    customer = "مریم"
    ((_, partition, offset),) = shop.tell(cart := event(customer, "Product Added", now_ms() - IDLE_MS))
    changes = shop.changes([customer], are(2))
    records = [record for record, _ in shop.records({change["change_id"] for change in changes})]
    assert [change["segment"] for change in changes] == ["open_cart", "abandoned_cart"]
    check = Draft202012Validator(json.loads((SCHEMAS / "segment-change.json").read_text()))
    for record, body in zip(records, changes, strict=True):
        check.validate(body)
        assert (record.key.decode(), record.partition) == (customer, partition)
        assert {name: text.decode() for name, text in record.headers} == {
            "ce_specversion": "1.0",
            "ce_id": body["change_id"],
            "ce_source": "segmenter",
            "ce_type": "segmenter.segment.entered",
            "ce_subject": customer,
            "ce_time": body["occurred_at"],
            "content-type": "application/json",
        }
        assert abs(milliseconds(body["emitted_at"]) - record.timestamp) < SLACK_MS
        assert milliseconds(body["emitted_at"]) >= milliseconds(body["occurred_at"])
    assert [change["cause"] for change in changes] == [
        {
            "kind": "event", "event_id": cart["messageId"],
            "topic": PREFIX + "carts", "partition": partition, "offset": offset,
        },
        {"kind": "time", "event_id": None},
    ]  # fmt: skip
    assert [(change["sequence"], change["segments"]) for change in changes] == [
        (1, ["open_cart"]), (2, ["abandoned_cart", "open_cart"]),
    ]  # fmt: skip


def test_an_event_two_hours_late_takes_back_what_was_wrong(shop: Shop) -> None:
    """A late event makes ordinary changes at the customer's clock, marked late, as the oracle says."""
    customer, now = "late", now_ms()
    story = [event(customer, "Product Added", now - 3 * HOUR_MS), event(customer, "Product Viewed", now)]
    shop.tell(*story)
    shop.changes([customer], entered("returning_visitor"))
    late = event(customer, "Order Completed", now - 2 * HOUR_MS)
    shop.tell(late)
    changes = shop.changes([customer], entered("recently_purchased"))
    wanted = oracle.changes([*story, late], DEFINITIONS, now + DAY_MS)
    assert changes_by_customer(changes) == live.per_customer(wanted)
    assert [(change["segment"], change["change"], change["occurred_at"]) for change in changes if change["late"]] == [
        (segment, change, changes[-1]["occurred_at"])
        for segment, change in [
            ("abandoned_cart", "exited"), ("open_cart", "exited"), ("recently_purchased", "entered"),
        ]
    ]  # fmt: skip
    assert milliseconds(changes[-1]["occurred_at"]) >= now


# --- down and up again -------------------------------------------------------------------------


def test_a_worker_ended_in_order_goes_on_without_repeats(shop: Shop) -> None:
    """SIGTERM exits 0; former changes are not published again, and what came meanwhile is read."""
    customers = [f"again-{number}" for number in range(20)]
    at = now_ms() - HOUR_MS
    shop.tell(*(event(customer, "Product Added", at) for customer in customers))
    shop.changes(customers, are(2 * len(customers)))
    assert shop.worker.stop() == 0, shop.worker.tail()
    shop.tell(*(event(customer, "Order Completed", at + 1_000_000) for customer in customers))
    shop.start()
    changes = shop.changes(customers, are(5 * len(customers)))
    assert len(changes) == 5 * len(customers)
    assert len({change["change_id"] for change in changes}) == len(changes)
    for customer in customers:
        assert [change["sequence"] for change in changes if change["customer_id"] == customer] == [1, 2, 3, 4, 5]


def test_a_backlog_abandons_no_cart_that_was_bought(shop: Shop) -> None:
    """A backlog with purchases before the carts and after them gives the oracle's changes."""
    began = now_ms() - 20 * SECOND_MS
    first, last, left = ([f"{name}-{number}" for number in range(40)] for name in ("first", "last", "left"))
    carts = {
        customer: event(customer, "Product Added", began + index)
        for index, customer in enumerate([*first, *last, *left])
    }
    orders = {
        customer: event(customer, "Order Completed", began + index + IDLE_MS - 1)
        for index, customer in enumerate([*first, *last])
    }
    visits = [event("visitor", "Product Viewed", began + 5 * number) for number in range(2_000)]
    shop.worker.stop()
    shop.tell(
        *(orders[customer] for customer in first), *carts.values(), *(orders[customer] for customer in last), *visits
    )
    shop.start()

    story = sorted([*carts.values(), *orders.values()], key=lambda event: milliseconds(event["timestamp"]))
    wanted = oracle.changes(story, DEFINITIONS, began + DAY_MS)
    changes = shop.changes([*carts], are(len(wanted)))

    assert changes_by_customer(changes) == live.per_customer(wanted)
    abandoned = {change["customer_id"] for change in changes if change["segment"] == "abandoned_cart"}
    assert abandoned == set(left)


def test_nothing_was_said_twice(shop: Shop) -> None:
    """Of all that one worker published, each id comes once, sequences have no gap, and each body fits the schema."""
    shop.tell(event("end", "Order Completed", now_ms()))
    shop.changes(["end"], entered("recently_purchased"))
    check = Draft202012Validator(json.loads((SCHEMAS / "segment-change.json").read_text()))
    bodies = [json.loads(record.value) for record in shop.segment_changes.records]
    for body in bodies:
        check.validate(body)
    assert len({body["change_id"] for body in bodies}) == len(bodies)
    numbers: dict[str, list[int]] = {}
    for body in bodies:
        numbers.setdefault(body["customer_id"], []).append(body["sequence"])
    assert all(sequences == list(range(1, len(sequences) + 1)) for sequences in numbers.values())
