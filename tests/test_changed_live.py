"""Changed definitions on real Kafka and Redis, with two workers, one of which is killed on the way.

The one rule: what is right is what `segmenter verify` recomputes from all events under the new file, and what the
topic says by itself.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
import yaml

from local.processes import Worker
from local.servers import Kafka, Redis
from rules.definitions.segments_file import build
from streams.kafka import admin
from streams.settings import Settings
from streams.state.redis import key
from tests import live
from tests.commands import Done, event, moved_to_now, segmenter
from tests.patience import eventually

pytestmark = pytest.mark.kafka

ORDERED = {"event": "Order Completed"}
OLD: dict[str, Any] = {
    "buyer": {"performed": {**ORDERED, "within": "3000d"}},
    "repeat_buyer": {"performed": {**ORDERED, "count": {"at_least": 2}, "within": "3000d"}},
    "cart": {"cart": {"idle_for": "30m", "until": "3000d"}},
    "came_back": {"sessions": {"count": {"at_least": 2}, "within": "3000d"}},
}
NEW: dict[str, Any] = {
    "buyer": {"performed": {**ORDERED, "count": {"at_least": 2}, "within": "3000d"}},  # asks for more
    "one_order": {"performed": {**ORDERED, "count": 1, "within": "3000d"}},  # new, of what was kept
    "came_back": OLD["came_back"],  # as it was
    "viewer": {"performed": {"event": "Product Viewed"}},  # new, of what was not kept
}  # repeat_buyer and cart are gone
EVENTS = 6_000


class Shop:
    """Topics, a Redis, and the settings of workers; two files of definitions."""

    def __init__(self, kafka: Kafka, redis_server: Redis, folder: Path, prefix: str = "changed-") -> None:
        self.files = {name: folder / f"{name}.yaml" for name in ("old", "new")}
        for name, segments in (("old", OLD), ("new", NEW)):
            named = {key: {"title": key, "when": when} for key, when in segments.items()}
            self.files[name].write_text(yaml.safe_dump({"version": 1, "currency": "EUR", "segments": named}))
        self.prefix = prefix
        self.settings: dict[str, Any] = {
            "brokers": kafka.address, "redis": redis_server.url, "partitions": live.PARTITIONS,
            "topic_prefix": prefix, "group": prefix, "redis_prefix": prefix, "session_timeout_s": 3,
        }  # fmt: skip
        self.redis: Any = redis.Redis.from_url(redis_server.url)
        self.topics = {name: prefix + topic for name, topic in live.TOPICS.items()}
        self._published = 0
        admin.create(Settings(**self.settings))

    def under(self, name: str) -> dict[str, Any]:
        return {**self.settings, "definitions": self.files[name]}

    def verify(self, name: str) -> Done:
        return segmenter("verify", timeout_s=120, **self.under(name))

    def publish(self, events: list[dict[str, Any]]) -> None:
        live.publish(self.settings["brokers"], events, self.topics)
        self._published += len(events)

    def is_read(self) -> bool:
        """Whether all that was published is applied, by the positions in Redis."""
        found = (int(value) for meta in self.metas() for name, value in meta.items() if name.startswith("position:"))
        return sum(found) >= self._published

    def changes(self) -> list[dict[str, Any]]:
        records = live.read_topic(self.settings["brokers"], self.prefix + "segment-changes")
        return [json.loads(one.value) for one in records]

    def forget(self) -> None:
        """Redis holds nothing of it any more."""
        for name in self.redis.keys(self.prefix + "*"):
            self.redis.delete(name)

    def metas(self) -> list[dict[str, str]]:
        """What Redis says of each partition."""
        keys = (key(self.prefix, partition, "meta") for partition in range(live.PARTITIONS))
        found = [self.redis.hgetall(one) for one in keys]
        return [{name.decode(): value.decode() for name, value in meta.items()} for meta in found]

    def is_equal(self, name: str, count: int) -> bool:
        """Whether so many customers or more are as the events make them."""
        if not self.is_read():  # a look, where the comparison is a process of its own
            return False
        done = self.verify(name)
        return done.code == 0 and int(done.out.split(" customers")[0].replace(",", "").split()[-1]) >= count


_shops = itertools.count()


@pytest.fixture
def shop(kafka: Kafka, redis_server: Redis, tmp_path: Path) -> Iterator[Shop]:
    shop = Shop(kafka, redis_server, tmp_path, prefix=f"changed{next(_shops)}-")
    yield shop
    shop.forget()


def test_a_file_is_changed_and_changed_back(shop: Shop) -> None:
    """Beside events, and with a death in the middle: everybody is as if it had always been so, where it was kept."""
    events = live.real_events()[:EVENTS]
    customers = len({event["userId"] for event in events})
    half = len(events) // 2
    early = len({event["userId"] for event in events[:half]})
    shop.publish(events[:half])
    with Worker(shop.under("old")) as worker:
        worker.wait_ready()
        eventually(lambda: shop.is_equal("old", early), 90)

    first, second = (Worker(shop.under("new")) for _ in range(2))
    try:
        first.start()
        second.start()
        shop.publish(events[half:])
        first.wait_ready()
        first.kill()
        first.start()
        eventually(lambda: shop.is_equal("new", customers), 120)
        assert "segments not compared with the events, as stored history begins later: viewer" in shop.verify("new").out
    finally:
        first.stop()
        second.stop()
    told = shop.changes()
    by_file = [one for one in told if one["cause"]["kind"] == "definition"]
    assert {(one["segment"], one["change"]) for one in by_file} >= {
        ("buyer", "exited"),
        ("cart", "exited"),
        ("one_order", "entered"),
    }
    assert {(one["backfill"], one["late"]) for one in by_file} == {(True, False)}
    assert not any(one["backfill"] for one in told if one["cause"]["kind"] != "definition")
    assert consistent(told) == []

    with Worker(shop.under("old")) as worker:
        worker.wait_ready()
        eventually(lambda: shop.verify("old").code == 0, 120)
    before = {one["change_id"] for one in told}
    back = [one for one in shop.changes() if one["change_id"] not in before]
    assert {(one["cause"]["kind"], one["backfill"]) for one in back} == {("definition", True)}
    assert consistent(shop.changes()) == []


def test_placeholders_are_added(shop: Shop) -> None:
    """A text under which a customer is stored becomes no id: what comes with it from then on is another's."""
    named = {key: {"title": key, "when": when} for key, when in OLD.items()}
    more = {"version": 1, "currency": "EUR", "placeholders": ["visitor"], "segments": named}
    shop.files["more"] = shop.files["old"].with_name("more.yaml")
    shop.files["more"].write_text(yaml.safe_dump(more))
    first, second = moved_to_now(
        *(event("visitor", number, "Order Completed", number, order_id=f"o{number}", total=10) for number in (1, 2))
    )
    shop.publish([first])
    with Worker(shop.under("old")) as worker:
        worker.wait_ready()
        eventually(lambda: [change["customer_id"] for change in shop.changes()] == ["visitor"], 60)

    with Worker(shop.under("more")) as worker:
        worker.wait_ready()
        # Its key is the text, so the owner of that partition sends it on to its customer's.
        shop.publish([{**second, "anonymousId": "b"}])
        eventually(lambda: [change["customer_id"] for change in shop.changes()] == ["visitor", "b"], 60)
        assert worker.exit_code is None
    (fingerprint,) = {meta["definitions"] for meta in shop.metas()}
    assert fingerprint == build(more, "more.yaml").fingerprint


def consistent(told: list[dict[str, Any]]) -> list[object]:
    """What a consumer that drops repeats by their id cannot follow."""
    members: dict[str, set[str]] = {}
    sequences: dict[str, int] = {}
    strange: list[object] = []
    for one in {change["change_id"]: change for change in told}.values():
        who = one["customer_id"]
        own = members.setdefault(who, set())
        if (one["segment"] in own) != (one["change"] == "exited") or one["sequence"] != sequences.get(who, 0) + 1:
            strange.append(one)
        own ^= {one["segment"]}
        sequences[who] = one["sequence"]
    return strange
