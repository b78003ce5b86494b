"""What the shop sends while things go wrong: a history of two hours at once, and events of now.

The one rule: nobody can be late through our own doing. The history is published whole, each input in
the order of its times; of now, two events of one customer are so far apart that what reads them in
another order has done wrong.
"""

import contextlib
import json
import random
import threading
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple, Self

from aiokafka.partitioner import murmur2
from kafka import KafkaProducer

from generate import records

__all__ = ["EXPECTED", "HISTORY_MS", "Record", "Traffic", "history", "partition_of", "producer", "publish"]

HISTORY_MS = 2 * 3_600_000
BAD_SHARE = 0.01
APART_S = 0.6
EVENTS_EACH = 12  # about so many events of now has a customer: the oracle looks at all pairs of them
EXPECTED = "expected"  # a header that the product does not read: why this record is a dead letter

NAMES = {
    "Product Viewed": "visits", "page": "visits", "Product Added": "carts", "Product Removed": "carts",
    "Cart Viewed": "carts", "Order Completed": "purchases", "identify": "profiles",
}  # fmt: skip
WEIGHTS = (3, 2, 4, 1, 1, 3, 1)


class Record(NamedTuple):
    """A record to be sent; ``bad``: why it cannot be used, if so."""

    topic: str
    key: bytes
    value: bytes
    bad: str | None = None


def partition_of(key: bytes, partitions: int) -> int:
    """Where Kafka's default partitioner puts it."""
    return int((murmur2(key) & 0x7FFFFFFF) % partitions)


def history(seed: int, events: int, ends_ms: int) -> list[Record]:
    """Two hours of events up to `ends_ms`, in the order of their times, and some records that are none."""
    rng = random.Random(f"history {seed}")
    customers = max(1, events // 5)
    made = records(events, customers, seed, "change-heavy", ends_ms - HISTORY_MS, HISTORY_MS)
    found: list[Record] = []
    for topic, key, value, _ in made:
        found.append(Record(topic, key, value))
        if rng.random() < BAD_SHARE:
            found.append(_bad(rng, topic, key, value))
    return found


def _bad(rng: random.Random, topic: str, key: bytes, value: bytes) -> Record:
    """A record that was an event before something happened to it."""
    event = json.loads(value)
    event["messageId"] += "-bad"
    reason = rng.choice(("not_json", "no_customer", "no_timestamp", "absurd_timestamp", "bad_type", "wrong_key"))
    if reason == "not_json":
        return Record(topic, key, value[: len(value) // 2], reason)
    if reason == "no_customer":
        del event["userId"], event["anonymousId"]
    elif reason == "no_timestamp":
        del event["timestamp"]
    elif reason == "absurd_timestamp":
        event["timestamp"] = "1999-12-31T23:59:59Z"
    elif reason == "bad_type":
        event["type"] = "gossip"
    elif reason == "wrong_key":
        event["userId"] = "somebody else"
    return Record(topic, key, json.dumps(event).encode(), reason)


def producer(brokers: str, **more: Any) -> Any:
    """kafka-python's, which has no code in common with what is tried."""
    return KafkaProducer(bootstrap_servers=brokers, acks="all", **more)


def publish(sender: Any, prefix: str, partitions: int, found: Sequence[Record]) -> None:
    """Send these in their order, and wait until all are acknowledged."""
    futures = [_send(sender, prefix, partitions, one) for one in found]
    sender.flush()
    for future in futures:
        future.get(60)


def _send(sender: Any, prefix: str, partitions: int, one: Record) -> Any:
    headers = [] if one.bad is None else [(EXPECTED, one.bad.encode())]
    place = partition_of(one.key, partitions)
    return sender.send(prefix + one.topic, key=one.key, value=one.value, partition=place, headers=headers)


class Traffic:
    """Events of now, so many a second, sent one by one from a thread."""

    def __init__(self, seed: int, brokers: str, prefix: str, partitions: int, rate: float, customers: int) -> None:
        self.sent = 0
        self._rng = random.Random(f"traffic {seed}")
        self._brokers, self._prefix, self._partitions = brokers, prefix, partitions
        self._rate = rate
        self._customers = customers
        self._last: dict[str, float] = {}
        self._going = threading.Event()
        self._sending = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="traffic", daemon=True)

    def start(self) -> Self:
        self._going.set()
        self._thread.start()
        return self

    def end(self) -> None:
        """Send nothing more; what was sent is acknowledged."""
        self._going.clear()
        if self._thread.is_alive():
            self._thread.join(90)

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Send nothing for a while: what waited for a broker would be late through our own doing."""
        with self._sending:
            yield

    def _run(self) -> None:
        sender = producer(self._brokers)
        while self._going.is_set():
            with self._sending:
                one = self._event(time.time())
                if one is not None:
                    _send(sender, self._prefix, self._partitions, one).get(60)
                    self.sent += 1
            time.sleep(1 / self._rate)
        sender.close()

    def _event(self, now: float) -> Record | None:
        """Of a customer who has not sent anything for a while; there are new ones all the time."""
        generation = self.sent // (EVENTS_EACH * self._customers)
        name = f"live-{generation}-{self._rng.randrange(self._customers)}"
        kind = self._rng.choices(list(NAMES), WEIGHTS)[0]
        if now - self._last.get(name, 0.0) < APART_S:
            return None
        self._last[name] = now
        properties = {"product_id": "p1", "order_id": f"o{self.sent}", "total": 40, "currency": "USD", "price": 9.5}
        event = {
            **({"type": kind} if kind in ("page", "identify") else {"type": "track", "event": kind}),
            **({"traits": {"plan": "pro"}} if kind == "identify" else {"properties": properties}),
            "messageId": f"{name}-{self.sent}",
            "userId": name,
            "timestamp": datetime.fromtimestamp(int(now * 1000) / 1000, UTC).isoformat(timespec="milliseconds"),
        }
        return Record(NAMES[kind], name.encode(), json.dumps(event).encode())
