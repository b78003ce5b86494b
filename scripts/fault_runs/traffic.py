"""The traffic of a run: a history of two hours at once, and present events.

The sender never makes an event late. The history is published whole, each input in the order of its times. Two present
events of one customer are so far apart that a program which reads them in another order has a defect.
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

from load.generate import records

__all__ = [
    "EVENTS_EACH",
    "EXPECTED",
    "HISTORY_MS",
    "Shop",
    "Traffic",
    "TrafficRecord",
    "history",
    "partition_of",
    "producer",
    "publish",
]  # fmt: skip

HISTORY_MS = 2 * 3_600_000
BAD_SHARE = 0.01
AGAIN_SHARE = 0.01
APART_S = 1.2
TICK_S = 0.03  # events due within it are sent at once, at least one
EVENTS_EACH = 12  # about so many present events per customer, as the oracle compares all pairs
EXPECTED = "expected"  # a header for the audit alone: why the record will be a dead letter

NAMES = {
    "Product Viewed": "visits", "page": "visits", "Product Added": "carts", "Product Removed": "carts",
    "Cart Viewed": "carts", "Order Completed": "purchases", "identify": "profiles",
}  # fmt: skip
WEIGHTS = (3, 2, 4, 1, 1, 3, 1)


REASONS = (
    "not_json", "no_customer", "absurd_timestamp", "bad_type", "bad_value", "wrong_key",
    "wrong_partition",
)  # fmt: skip


class TrafficRecord(NamedTuple):
    """A record to send; ``bad``: why it cannot be used, if so; ``astray``: how many partitions away from its own."""

    topic: str
    key: bytes | None
    value: bytes
    bad: str | None = None
    astray: int = 0


def partition_of(key: bytes, partitions: int) -> int:
    """The partition of a key by Kafka's default partitioner."""
    return int((murmur2(key) & 0x7FFFFFFF) % partitions)


def history(seed: int, events: int, ends_ms: int) -> list[TrafficRecord]:
    """Make two hours of events up to `ends_ms`, in the order of their times, some twice, and some bad records."""
    rng = random.Random(f"history {seed}")
    customers = max(1, events // 5)
    generated = records(events, customers, seed, "change-heavy", ends_ms - HISTORY_MS, HISTORY_MS)
    sent: list[TrafficRecord] = []
    for topic, key, value, _ in generated:
        sent.append(TrafficRecord(topic, key, value))
        if rng.random() < BAD_SHARE:
            sent.append(_bad(rng, topic, key, value))
        if rng.random() < AGAIN_SHARE:  # as by an upstream producer that retries
            sent.append(TrafficRecord(topic, key, value))
    return sent


def of_devices(seed: int, records: Sequence[TrafficRecord]) -> Iterator[TrafficRecord]:
    """Change events to those of persons with a device until they log in; some devices are not used again."""
    rng = random.Random(f"devices {seed}")
    devices: set[bytes] = set()
    for number, record in enumerate(records):
        key = record.key or b""
        if record.bad is not None or rng.random() < 0.3:
            yield record
            continue
        event, device = json.loads(record.value), key + b"-device"
        name = event.pop("userId", None) or event.pop("anonymousId")
        if key not in devices and rng.random() < 0.2:
            devices.add(key)
            link = {"type": "alias", "messageId": f"link-{number}", "timestamp": event["timestamp"]}
            link |= {"userId": name, "previousId": device.decode()}
            yield TrafficRecord("profiles", key, json.dumps(link).encode())
        yield TrafficRecord(record.topic, device, json.dumps({**event, "anonymousId": device.decode()}).encode())


def stamp() -> str:
    """The present time in the form of events."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _bad(rng: random.Random, topic: str, key: bytes, value: bytes) -> TrafficRecord:
    """Make a bad record of an event."""
    event = json.loads(value)
    event["messageId"] += "-bad"
    reason = rng.choice(REASONS)
    if reason == "not_json":
        return TrafficRecord(topic, key, value[: len(value) // 2], reason)
    if reason == "no_customer":
        del event["userId"]
        event.pop("anonymousId", None)
    elif reason == "absurd_timestamp":
        event["timestamp"] = "1999-12-31T23:59:59Z"
    elif reason == "bad_type":
        event["type"] = "gossip"
    elif reason == "bad_value":
        event |= {"type": "track", "event": ""}
    elif reason == "wrong_key":
        return TrafficRecord(topic, rng.choice((None, b"somebody else")), json.dumps(event).encode(), reason)
    return TrafficRecord(topic, key, json.dumps(event).encode(), reason, int(reason == "wrong_partition"))


def producer(brokers: str, **more: Any) -> Any:
    """A producer of kafka-python, which shares no code with the tested program."""
    return KafkaProducer(bootstrap_servers=brokers, acks="all", **more)


def publish(sender: Any, prefix: str, partitions: int, records: Sequence[TrafficRecord]) -> None:
    """Send records in their order, and wait until all are acknowledged."""
    futures = [_send(sender, prefix, partitions, record) for record in records]
    sender.flush()
    for future in futures:
        future.get(60)


def _send(sender: Any, prefix: str, partitions: int, record: TrafficRecord) -> Any:
    headers = [] if record.bad is None else [(EXPECTED, record.bad.encode())]
    place = (partition_of(record.key or b"", partitions) + record.astray) % partitions
    return sender.send(prefix + record.topic, key=record.key, value=record.value, partition=place, headers=headers)


class Shop:
    """Draws present events, of some customers at a time, and of others once these have had enough events."""

    def __init__(self, seed: int, customers: int, bad_share: float = 0.0) -> None:
        self._rng = random.Random(f"traffic {seed}")
        self._customers = customers
        self._bad_share = bad_share
        self._count = 0
        self._generation = 0
        self._last: dict[str, float] = {}

    def event(self, now: float) -> TrafficRecord | None:
        """An event of a drawn customer; ``None`` if that one had an event a short time ago."""
        if self._generation != (generation := self._count // (EVENTS_EACH * self._customers)):
            self._generation = generation
            self._last.clear()  # these customers never come again
        name = f"live-{generation}-{self._rng.randrange(self._customers)}"
        kind = self._rng.choices(list(NAMES), WEIGHTS)[0]
        if now - self._last.get(name, 0.0) < APART_S:
            return None
        self._last[name] = now
        topic, key, value = NAMES[kind], name.encode(), json.dumps(_body(kind, name, self._count, now)).encode()
        self._count += 1
        if self._bad_share and self._rng.random() < self._bad_share:
            return _bad(self._rng, topic, key, value)
        return TrafficRecord(topic, key, value)


def _body(kind: str, name: str, number: int, now: float) -> dict[str, Any]:
    properties = {"product_id": "p1", "order_id": f"o{number}", "total": 40, "currency": "USD", "price": 9.5}
    return {
        **({"type": kind} if kind in ("page", "identify") else {"type": "track", "event": kind}),
        **({"traits": {"plan": "pro"}} if kind == "identify" else {"properties": properties}),
        "messageId": f"{name}-{number}",
        "userId": name,
        "timestamp": datetime.fromtimestamp(int(now * 1000) / 1000, UTC).isoformat(timespec="milliseconds"),
    }


class Traffic:
    """Sends present events at a rate, from a thread: those of a tick at once, the next tick when all are acknowledged.

    So an event after a slow answer is not late: it is made, and gets its time, after that answer.
    """

    def __init__(self, shop: Shop, brokers: str, prefix: str, partitions: int, rate: float) -> None:
        self.sent = 0
        self.paused_s = 0.0
        self._shop = shop
        self._brokers, self._prefix, self._partitions = brokers, prefix, partitions
        self._each = max(1, round(rate * TICK_S))
        self._draws = 1 if self._each == 1 else 2 * self._each  # customers with a recent event are drawn, too
        self._tick_s = self._each / rate
        self._going = threading.Event()
        self._sending = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="traffic", daemon=True)

    def start(self) -> Self:
        self._going.set()
        self._thread.start()
        return self

    def end(self) -> None:
        """Stop sending; all sent records are acknowledged then."""
        self._going.clear()
        if self._thread.is_alive():
            self._thread.join(90)

    @property
    def is_going(self) -> bool:
        """Whether the thread still sends: a missing answer ends it."""
        return self._thread.is_alive()

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Pause sending: an event that waits for a broker would be late through no fault of the tested program."""
        with self._sending:
            began = time.monotonic()
            try:
                yield
            finally:
                self.paused_s += time.monotonic() - began

    def _run(self) -> None:
        sender = producer(self._brokers)
        due = time.monotonic()
        while self._going.is_set():
            with self._sending:
                self._send_tick(sender)
            due = max(due + self._tick_s, time.monotonic())  # events that could not be sent in time are left out
            time.sleep(max(0.001, due - time.monotonic()))  # so that a pause can begin at all
        sender.close()

    def _send_tick(self, sender: Any) -> None:
        futures: list[Any] = []
        for _ in range(self._draws):
            event = self._shop.event(time.time())
            if event is not None:
                futures.append(_send(sender, self._prefix, self._partitions, event))
            if len(futures) == self._each:
                break
        for future in futures:
            future.get(60)
        self.sent += len(futures)
