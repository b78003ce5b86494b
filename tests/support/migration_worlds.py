"""Histories which are read under one definitions file and then under another."""

from __future__ import annotations

import json
import random
from typing import Any

import msgspec

from rules.changes import Change
from rules.customer import Customer
from rules.definition_migration import DefinitionMigration, history_gaps
from rules.definitions.segments_file import build
from rules.engine import Engine
from streams.offline.replay import Replay
from streams.state.definition_list import DefinitionVersion
from streams.state.definition_versions import DefinitionVersions
from tests.oracle import oracle
from tests.strategies import histories, worlds
from tests.support.partition_lives import Lives


class World:
    """A history in two parts, two files of one scene, and what each makes of it."""

    def __init__(self, seed: int) -> None:
        self.rng = rng = random.Random(seed)
        of = histories.scene(rng.choice)
        self.sent = histories.history(rng, of, rng.choice((6, 12, 25)))
        self.old, self.new = two_files(rng, of)
        self.before, self.after = Engine(build(self.old, "old.yaml")), Engine(build(self.new, "new.yaml"))
        self.cut = rng.randrange(len(self.sent) + 1)
        times = [oracle.fact(event).time for event in self.sent]
        at = times[self.cut - 1] if self.cut else times[0]
        # When the files are changed: somewhere between the last event of the first part and the next.
        until = times[self.cut] if self.cut < len(times) else at + histories.DAY
        self.at = rng.choice((at, at, max(at, until - 1), (at + until) // 2))
        self.until = max(self.at, times[-1]) + rng.choice((0, histories.HOUR, 40 * histories.DAY))

    def run(self) -> tuple[list[Change], dict[str, Customer]]:
        """All changes, and all customers in the end, by the second file."""
        first, second = Replay(self.before), Replay(self.after)
        changes = list(first.run(worlds.decoded(self.sent[: self.cut]), self.at))
        succession = DefinitionMigration(self.before.definitions, self.after)
        second.customers = first.customers
        for customer_id in sorted(first.customers):
            changes += succession.migrate(customer_id, first.customers[customer_id], self.at)
        changes += second.run(worlds.decoded(self.sent[self.cut :]), self.until)
        return changes, second.customers

    def complete(self) -> set[str]:
        """The segments of the second file of which everything was kept."""
        missing = {gap.segment for gap in history_gaps(self.before.definitions, self.after.definitions)}
        return {segment.key for segment in self.after.definitions.segments} - missing


def two_files(rng: random.Random, of: histories.Scene) -> tuple[dict[str, Any], dict[str, Any]]:
    """Two files with segments of one scene: some in both, some changed, some in one alone."""
    pool: dict[str, Any] = {}
    for number in range(3):
        drawn: Any = histories.without_hold(histories.random_definitions(rng, of))
        if "in_segment" not in json.dumps(drawn):
            pool |= {f"{key}{number}": node for key, node in drawn["segments"].items()}
    pool |= {"buyer": {"title": "Buyer", "when": {"performed": {"event": "Order Completed"}}}}
    files: list[dict[str, Any]] = []
    for _ in range(2):
        keys = rng.sample(sorted(pool), rng.randint(1, len(pool)))
        files.append({"version": 1, "currency": "EUR", "segments": {key: pool[key] for key in keys}})
    plain = [key for key, node in sorted(files[1]["segments"].items()) if "when" in node]
    swapped = rng.sample(plain, min(2, len(plain)))
    if len(swapped) == 2 and rng.random() < 0.5:  # of the same key, another condition
        first, other = (files[1]["segments"][key] for key in swapped)
        files[1]["segments"] |= {
            swapped[0]: {**first, "when": other["when"]},
            swapped[1]: {**other, "when": first["when"]},
        }
    return files[0], files[1]


BOUGHT = {"performed": {"event": "Order Completed"}}
TWICE = {"performed": {"event": "Order Completed", "count": {"at_least": 2}}}


def engine_of(**segments: object) -> Engine:
    named = {key: {"title": key, "when": when} for key, when in segments.items()}
    return Engine(build({"version": 1, "currency": "EUR", "segments": named}, "f.yaml"))


def epochs(lives: Lives, engine: Engine) -> DefinitionVersions:
    return DefinitionVersions(
        msgspec.json.decode(lives.store._partitions[0].definition_versions, type=list[DefinitionVersion]), engine
    )


def only(members: dict[str, frozenset[str]], keys: set[str] | None) -> dict[str, frozenset[str]]:
    """The customers' memberships in these segments, `None`: in all; customers in none of them are left out."""
    memberships = {customer_id: own if keys is None else own & keys for customer_id, own in members.items()}
    return {customer_id: own for customer_id, own in memberships.items() if own}


def bought(engine: Engine) -> Customer:
    """A customer with one order."""
    replay = Replay(engine)
    order = {"type": "track", "event": "Order Completed", "messageId": "m", "userId": "u"}
    list(replay.run(worlds.decoded([{**order, "properties": {"order_id": "o"}, "timestamp": "2026-03-01T10:00:00Z"}])))
    return replay.customers["u"]
