"""A shop on real Kafka and Redis with two definitions files, and a check of its changes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import redis
import yaml

from local.servers import Kafka, Redis
from streams.kafka import admin
from streams.settings import Settings
from streams.state.redis_reader import key
from tests.support import live
from tests.support.commands import Done, segmenter

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
        positions = (
            int(value) for meta in self.metas() for name, value in meta.items() if name.startswith("position:")
        )
        return sum(positions) >= self._published

    def changes(self) -> list[dict[str, Any]]:
        records = live.read_topic(self.settings["brokers"], self.prefix + "segment-changes")
        return [json.loads(record.value) for record in records]

    def forget(self) -> None:
        """Delete all that Redis holds of the shop."""
        for name in self.redis.keys(self.prefix + "*"):
            self.redis.delete(name)

    def metas(self) -> list[dict[str, str]]:
        """What Redis says of each partition."""
        keys = (key(self.prefix, partition, "meta") for partition in range(live.PARTITIONS))
        hashes = [self.redis.hgetall(meta_key) for meta_key in keys]
        return [{name.decode(): value.decode() for name, value in meta.items()} for meta in hashes]

    def is_equal(self, name: str, count: int) -> bool:
        """Whether so many customers or more are as the events make them."""
        if not self.is_read():  # a look, where the comparison is a process of its own
            return False
        done = self.verify(name)
        return done.code == 0 and int(done.out.split(" customers")[0].replace(",", "").split()[-1]) >= count


def consistent(changes: list[dict[str, Any]]) -> list[object]:
    """Find changes that a consumer that drops repeats by their id cannot follow."""
    members: dict[str, set[str]] = {}
    sequences: dict[str, int] = {}
    strange: list[object] = []
    for change in {change["change_id"]: change for change in changes}.values():
        customer_id = change["customer_id"]
        own = members.setdefault(customer_id, set())
        if (change["segment"] in own) != (change["change"] == "exited") or change["sequence"] != sequences.get(
            customer_id, 0
        ) + 1:
            strange.append(change)
        own ^= {change["segment"]}
        sequences[customer_id] = change["sequence"]
    return strange
