"""A drawn history of changes, rows, erasures and decisions, as workers and triggers publish it, and what follows.

What follows is computed from the whole history, by nothing of the code under test.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import msgspec

from rules.times import format_instant
from streams.triggers import decision_log
from streams.wire import memberships, step_records
from streams.wire.changes import SegmentChange
from streams.wire.records import OutRecord
from tests.oracle.oracle import milliseconds
from tests.support.in_memory_triggers import change as segment_change

START = 1_790_000_000_000
SEGMENTS = ("cart", "vip", "new", "back")
# Foreign texts in what changes carry; PostgreSQL stores no U+0000.
TEXTS = ("tea", "a\0b", "\\u0000", "چای", "😀", 'x"y', "")


class Step(NamedTuple):
    """The records that a worker publishes together."""

    records: list[OutRecord]


class Stay(NamedTuple):
    """A stay as the table should have it; times in ms."""

    customer_id: str
    segment: str
    entered_at: int | None
    left_at: int | None


class SinkHistory:
    """Draws the steps of a shop with so many customers."""

    def __init__(self, seed: int, customers: int, steps: int) -> None:
        self._random = random.Random(seed)
        self._now = START
        self.changes: dict[str, list[SegmentChange]] = {f"c{number}": [] for number in range(customers)}
        self.erased_to: dict[str, int] = {}
        self.decisions: dict[str, decision_log.Decision] = {}
        self._segments: dict[str, set[str]] = {name: set() for name in self.changes}
        self._sequence: dict[str, int] = dict.fromkeys(self.changes, 0)
        self.steps = [self._step() for _ in range(steps)]

    def _step(self) -> Step:
        records: list[OutRecord] = []
        for name in self._random.sample(sorted(self.changes), min(4, len(self.changes))):
            self._now += self._random.choice((1, 250, 60_000))
            if self._random.random() < 0.08:
                records += self._erased(name)
                continue
            made = [self._change(name, self._random.choice(SEGMENTS)) for _ in range(self._random.choice((1, 1, 1, 3)))]
            records += step_records.published_records(made, (), _never_erased)
            if self._random.random() < 0.5:
                records.append(self._decision(self._random.choice(self.changes[name])))
        if records and self._random.random() < 0.1:
            records.append(self._random.choice(records))
        return Step(records)

    def _change(self, name: str, segment: str, **more: Any) -> SegmentChange:
        inside = self._segments[name]
        kind = "exited" if segment in inside else "entered"
        inside ^= {segment}
        self._sequence[name] += 1
        sentences = {"en": self._random.choice(TEXTS)}
        made = segment_change(
            name, segment, kind, self._now, self._sequence[name], sorted(inside), said=sentences,
            data={"cart": [{"name": self._random.choice(TEXTS)}]}, late=self._random.random() < 0.1,
            change_id=f"{name}-{self._sequence[name]}", emitted_at=format_instant(self._now + 5), **more,
        )  # fmt: skip
        self.changes[name].append(made)
        return made

    def _erased(self, name: str) -> list[OutRecord]:
        """An erasure: changes out of each segment, if there are any, and the deletion of the row."""
        made = [self._change(name, segment, cause={"kind": "erasure"}) for segment in sorted(self._segments[name])]
        self.erased_to[name] = self._sequence[name]
        if made:
            return step_records.published_records(made, (), _never_erased)
        return [memberships.tombstone(name, self._sequence[name])]

    def _decision(self, on: SegmentChange) -> OutRecord:
        decision = decision_log.Decision(
            decision_id=f"d-{on.change_id}-{len(self.decisions)}", trigger="cart_mail", change_id=on.change_id,
            customer_id=on.customer_id, sequence=on.sequence, channel="shop",
            decision=self._random.choice(("sent", "skipped", "retried")), at=format_instant(self._now),
            occurred_at=on.occurred_at, reason=self._random.choice((None, *TEXTS)),
            attempts=self._random.choice((0, 2)),
        )  # fmt: skip
        self.decisions[decision.decision_id] = decision
        return decision_log.record(decision)

    def changes_after(self) -> Iterator[SegmentChange]:
        """The changes that are kept."""
        for name, made in self.changes.items():
            yield from (each for each in made if each.sequence > self.erased_to.get(name, 0))

    def decisions_after(self) -> set[str]:
        """The ids of the decisions that are kept."""
        return {key for key, each in self.decisions.items() if each.sequence > self.erased_to.get(each.customer_id, 0)}

    def stays_after(self) -> list[Stay]:
        """The stays that are kept, each known whole."""
        return stays_of(list(self.changes_after()))


def stays_of(changes: Sequence[SegmentChange]) -> list[Stay]:
    """Each entry with the next exit of the same customer and segment."""
    stays = []
    for entry in changes:
        if entry.change == "entered":
            later = [
                each for each in changes
                if (each.customer_id, each.segment) == (entry.customer_id, entry.segment)
                and each.sequence > entry.sequence
            ]  # fmt: skip
            exit_ = min(later, key=lambda each: each.sequence, default=None)
            left_at = None if exit_ is None else milliseconds(exit_.occurred_at)
            stays.append(Stay(entry.customer_id, entry.segment, milliseconds(entry.occurred_at), left_at))
    return sorted(stays, key=str)


def _never_erased(_: str) -> Any:
    return msgspec.defstruct("_Customer", [("is_erased", bool, False), ("sequence", int, 0)])()
