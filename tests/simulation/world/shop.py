"""The shop: segments, customers, what they do, and how it reaches Kafka.

The one rule: times lie on the durations of the segments, give or take a millisecond, so that
boundaries are met; what is sent is a function of the seed alone, whatever the workers do.
"""

from __future__ import annotations

import json
import random
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from aiokafka.partitioner import murmur2
from faust.types import TP

from tests.simulation.world.kafka import Kafka, Record
from tests.simulation.world.sim import START_MS, Sim
from tests.support.evidence import Bad

TOPICS = ("profiles", "visits", "carts", "purchases")
TOPIC_OF = {
    "identify": "profiles",
    "erase": "profiles",
    "page": "visits",
    "NPS Submitted": "visits",
    "Product Viewed": "visits",
    "Product Added": "carts",
    "Product Removed": "carts",
    "Order Completed": "purchases",
    "Order Refunded": "purchases",
}
NAMES = (
    *("Product Added",) * 4, "Product Removed", *("Order Completed",) * 3, "Order Refunded", *("NPS Submitted",) * 2,
    *("Product Viewed",) * 2, "page", "identify",
)  # fmt: skip
STEPS_MS = (0, 100, 1_000, 2_000, 3_000, 5_000)
SEGMENTS: dict[str, Any] = {
    "abandoned": {"cart": {"idle_for": "2s", "until": "5s"}},
    "brief": {"cart": {"idle_for": "1s", "until": "2s"}},
    "recent": {"performed": {"event": "Order Completed", "within": "3s"}},
    "buyer": {"performed": {"event": "Order Completed", "count": {"at_least": 2}}},
    "back": {"sessions": {"count": {"at_least": 2}, "within": "5s", "gap": "2s"}},
    "vocal": {"performed": {"event": "NPS Submitted", "count": {"at_least": 2}}},
    "keen": {"performed": {"event": "Product Viewed", "count": {"at_least": 2}, "within": "3s"}},
    "spender": {"total": {"agg": "sum", "of": "total", "event": "Order Completed", "within": "5s", "at_least": 20}},
    "funnel": {"sequence": {"steps": [{"event": "Product Added"}, {"event": "Order Completed"}], "within": "3s"}},
    "gone": {"last": {"event": "page", "ago": {"at_least": "2s"}}},
    "pro": {"trait": {"plan": "pro"}},
    "lost": {"all": [{"in_segment": "abandoned"}, {"not": {"performed": {"event": "page", "within": "3s"}}}]},
}  # fmt: skip


class Send(NamedTuple):
    """A record on its way. ``at``: seconds after the start, when Kafka gets it."""

    at: float
    tp: TP
    key: bytes | None
    value: bytes | None
    bad: str | None


def definitions(rng: random.Random) -> dict[str, Any]:
    """Draw some of the segments."""
    keys = {*rng.sample(sorted(SEGMENTS), rng.choice((2, 3, 4)))}
    keys |= {"abandoned"} if "lost" in keys else set()
    segments = {key: {"title": key, "when": SEGMENTS[key]} for key in sorted(keys)}
    return {"version": 1, "currency": "EUR", "segments": segments}


def partition_of(customer: str, partitions: int) -> int:
    return int((murmur2(customer.encode()) & 0x7FFFFFFF) % partitions)


class Shop:
    """All that will be sent, drawn at once; `send` then lets it happen."""

    def __init__(self, sim: Sim, kafka: Kafka, partitions: int, lasts_s: float, *, people: bool = False) -> None:
        """``people``: a customer's events are under a device's id or the name, which one of them links."""
        self._people = people
        self.bad: list[Bad] = []
        self._sim = sim
        self._kafka = kafka
        self._partitions = partitions
        self._lasts_ms = int(lasts_s * 1000)
        rng = sim.rng
        self._late_rate = rng.choice((0.0, 0.0, 0.1, 0.3))
        self._ahead_rate = rng.choice((0.0, 0.0, 0.1))
        self._twice_rate = rng.choice((0.0, 0.1, 0.2))
        self._bad_rate = rng.choice((0.0, 0.05, 0.1))
        self._erase_rate = rng.choice((0.0, 0.0, 0.0, 0.1))
        self._hole_rate = rng.choice((0.0, 0.1, 0.3))
        self._transaction_rate = rng.choice((0.0, 0.1, 0.3))
        self._silent = rng.choice((None, None, None, *TOPICS))
        self._way_s = {topic: rng.choice((0.001, 0.02, 0.3)) for topic in TOPICS}
        if people:
            self._bad_rate = self._erase_rate = 0.0
        self.ends_at = 0.0

    def send(self) -> None:
        """Send everything at its time; each input in the order in which it was drawn to arrive."""
        for send in sorted(self._drawn(), key=lambda send: send.at):
            self._sim.later(send.at, self._append, send)
            self.ends_at = max(self.ends_at, send.at)

    def _append(self, send: Send) -> None:
        sim, log = self._sim, self._kafka.logs[send.tp]
        if sim.rng.random() < self._hole_rate:
            log.skip()
            sim.reached("hole in the offsets")
        in_transaction = sim.rng.random() < self._transaction_rate
        sent: list[Record] = []
        if in_transaction:
            log.begin()
            if aborted := sim.rng.random() < 0.3:
                sent.append(log.append(sim.wall_ms(), b"nobody", b"aborted"))
                log.finish(commit=False, of=sent)
                sim.reached("transaction aborted")
                sent, in_transaction = [], not aborted
        record = log.append(sim.wall_ms(), send.key, send.value)
        if send.bad:
            self.bad.append(Bad(send.tp.topic, send.tp.partition, record.offset, send.bad))
            sim.reached("bad record")
        if in_transaction:
            sim.reached("transaction committed")
            sim.later(sim.rng.uniform(0.0, 0.2), lambda: log.finish(commit=True, of=[record]))

    def _drawn(self) -> list[Send]:
        sim, rng = self._sim, self._sim.rng
        sends: list[Send] = []
        for number in range(rng.choice((2, 5, 8))):
            customer = f"u{rng.randrange(50)}-{number}"
            at_ms = rng.randrange(self._lasts_ms // 2)
            for index in range(rng.randint(4, 14)):
                at_ms = at_ms if index == 0 else self._next(at_ms)
                name = rng.choice(NAMES)
                if sim.happens("erase", self._erase_rate):
                    name = "erase"
                if at_ms < self._lasts_ms and TOPIC_OF[name] != self._silent:
                    sends += self._sends(customer, name, at_ms, f"{customer}/{index}")
        return sends

    def _next(self, at_ms: int) -> int:
        rng = self._sim.rng
        return at_ms + rng.choice(STEPS_MS) + rng.choice((0, 0, 0, 1, -1, rng.randrange(300)))

    def _sends(self, customer: str, name: str, at_ms: int, message_id: str) -> list[Send]:
        """One event, or what became of it: sent late, twice, with a clock that runs ahead, broken."""
        sim, rng = self._sim, self._sim.rng
        way_s = self._way_s[TOPIC_OF[name]]
        stamp_ms = at_ms
        is_ahead = sim.happens("clock of a client ahead", self._ahead_rate)
        if is_ahead:
            stamp_ms += rng.randrange(3_000)
        elif sim.happens("sent late", self._late_rate):
            way_s += rng.choice((0.5, 1.0, 3.0, 8.0))
        value = event(customer, name, stamp_ms, message_id)
        key = customer
        if self._people:
            key, value = self._as_one_id(customer, value, rng.random())
        tp = TP(TOPIC_OF[name], partition_of(key, self._partitions))
        first = Send(at_ms / 1000 + way_s, tp, key.encode(), value, None)
        sends = [first]
        if not is_ahead and sim.happens("sent twice", self._twice_rate):
            sends.append(first._replace(at=first.at + rng.choice((0.0, 0.01, 1.0, 4.0))))
        if rng.random() < self._bad_rate:
            sends.append(self._broken(first, customer, name, at_ms, message_id))
        return sends

    def _as_one_id(self, customer: str, value: bytes, drawn: float) -> tuple[str, bytes]:
        """The event under the device alone, under the name alone, or under both, which links them."""
        device = f"device-{customer}"
        fields = {name: field for name, field in json.loads(value).items() if name != "userId"}
        ids = {"anonymousId": device} if drawn < 0.4 else {"userId": customer}
        if drawn > 0.6:
            ids["anonymousId"] = device
        return ids.get("userId", device), json.dumps(fields | ids).encode()

    def _broken(self, good: Send, customer: str, name: str, at_ms: int, message_id: str) -> Send:
        """A record beside a good one that cannot be used."""
        reason = self._sim.pick(("not_json", "wrong_key", "wrong_partition", "bad_type", "absurd_timestamp"))
        value, tp, key = good.value, good.tp, good.key
        if reason == "not_json":
            value = self._sim.pick((b"{", None))
        elif reason == "wrong_key":
            key = b"somebody else"
        elif reason == "wrong_partition":
            if self._partitions == 1:
                return good._replace(value=b"[]", bad="not_object")
            # The same one each time: of three misplaced customers at its head a topic is refused, as it should be.
            stranger = "a stranger"
            home = partition_of(stranger, self._partitions)
            tp, key = TP(tp.topic, (home + 1) % self._partitions), stranger.encode()
            value = event(stranger, name, at_ms, message_id)
        else:
            wrong = {"timestamp": "1999-01-01T00:00:00Z"} if reason == "absurd_timestamp" else {"type": "gossip"}
            value = json.dumps(json.loads(good.value or b"{}") | wrong).encode()
        return good._replace(tp=tp, key=key, value=value, bad=reason)


def event(customer: str, name: str, at_ms: int, message_id: str) -> bytes:
    """A message of the Segment Spec; ``at_ms``: after the start."""
    at = datetime.fromtimestamp(START_MS / 1000, UTC) + timedelta(milliseconds=at_ms)
    number = sum(message_id.encode())
    kind = {"type": name} if name in ("page", "identify", "erase") else {"type": "track", "event": name}
    body = {
        "messageId": message_id,
        "userId": customer,
        "timestamp": at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "traits": {"plan": ("pro", "free")[number % 2]},
        "properties": {"product_id": f"p{number % 2}", "order_id": f"{customer}-o{number % 3}", "total": 15},
    }
    return json.dumps(kind | body).encode()
