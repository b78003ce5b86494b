"""A segmenter as triggers see it: what its Redis holds and what it publishes, at any time, and after a loss.

What it holds of a customer follows from the events of the customer's partition up to where that is decided, so a lost
second is one number that goes back.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from rules.definitions.segments_file import built_in
from rules.engine import Engine
from rules.times import parse_instant
from streams.kafka.fetch import FetchedRecord
from streams.state.redis_reader import PartitionLook
from streams.wire import customer_codec
from streams.wire.changes import SegmentChange
from streams.wire.topics import CHANGES
from tests.support.in_memory_triggers import START, change

DEFINITIONS = built_in()
ENGINE = Engine(DEFINITIONS)
PLACE = next(index for index, segment in enumerate(DEFINITIONS.segments) if segment.key == "abandoned_cart")
GRACE_MS = 1_000


class Happening(NamedTuple):
    """An event of a customer, at its place in a partition's inputs. ``time`` (ms): when it was appended."""

    time: int
    customer: str
    kind: str  # "cart", "order" or "erase"


class Segmenter:
    """Two partitions: 0 of customers, 1 of ids that are linked to them.

    ``happenings``: by partition, what was appended. ``reached`` (ms): by partition, up to where that is decided.
    """

    def __init__(self, rng: random.Random, happenings: Sequence[list[Happening]], linked: frozenset[str]) -> None:
        self.rng = rng
        self.happenings = happenings
        self.linked = linked
        self.reached = [START, START]
        self.records: list[FetchedRecord] = []  # of segment-changes
        self.exits: dict[str, list[tuple[int, FetchedRecord]]] = defaultdict(
            list
        )  # when they occurred, and as published
        self._coming: list[tuple[int, SegmentChange]] = []
        self._sending: list[tuple[int, Happening]] = []  # over `merges`, until acknowledged
        self._sent: set[Happening] = set()
        self._was = [(START, list(self.reached))]
        self._steps_at = [START, START]
        self._published_by = START  # in the order in which they were decided
        self.away_until = [0, 0]
        self.is_empty = False
        self.published: dict[str, int] = {}

    def stays(self, customer: str, until: int) -> list[tuple[str, int]]:
        """All changes of a customer up to then: whether it entered or exited, and when."""
        moves: list[tuple[str, int]] = []
        for happening in self.happenings[0]:
            if happening.customer != customer or happening.time > until:
                continue
            kind = "entered" if happening.kind == "cart" else "exited"
            if (moves[-1][0] if moves else "exited") != kind:
                moves.append((kind, happening.time))
        return moves

    @property
    def is_quiet(self) -> bool:
        """Whether all that ever happens is decided and published."""
        last = max((happening.time for happenings in self.happenings for happening in happenings), default=0)
        return min(self.reached) >= last and not self._coming and not self._sending

    def run(self, now: int) -> None:
        """Do all that the segmenter and Kafka do up to now."""
        self._append_sent(now)
        for partition in (0, 1):
            if now >= max(self._steps_at[partition], self.away_until[partition]):
                self._step(partition, now)
                wait = self.rng.choice((100, 300, 1_000, 1_000, 1_000, 4_000))
                self._steps_at[partition] = now + (
                    self.rng.choice((8_000, 30_000)) if self.rng.random() < 0.03 else wait
                )
        for coming in [coming for coming in self._coming if coming[0] <= now and now >= self.away_until[0]]:
            self._coming.remove(coming)
            self._publish(*coming)

    def _append_sent(self, now: int) -> None:
        """Append what one id sent to the other, once its worker is there; no step has passed the time of the record."""
        for sending in [sending for sending in self._sending if sending[0] <= now and now >= self.away_until[1]]:
            self._sending.remove(sending)
            self._sent.add(sending[1])
            self.happenings[0].append(sending[1]._replace(time=max(sending[0], self.away_until[1])))
            self.happenings[0].sort()

    def _step(self, partition: int, now: int) -> None:
        self.is_empty = False
        self.reached[partition] = now - GRACE_MS
        self._was.append((now, list(self.reached)))
        if partition == 1:
            for happening in self.happenings[1]:
                sent = self._sent | {queued for _, queued in self._sending}
                if happening.time <= self.reached[1] and happening not in sent:
                    self._sending.append((now + self.rng.choice((5, 50, 2_000)), happening))
            return
        for customer in sorted({happening.customer for happening in self.happenings[0]}):
            stays = self.stays(customer, self.reached[0])
            for sequence, (kind, time) in enumerate(stays, 1):
                if sequence > self.published.get(customer, 0):
                    self.published[customer] = sequence
                    is_erased = Happening(time, customer, "erase") in self.happenings[0]
                    cause = {"kind": "erasure"} if is_erased else {"kind": "event", "event_id": "m"}
                    made = change(customer, "abandoned_cart", kind, time, sequence, (), cause=cause)
                    self._published_by = max(self._published_by, now + self.rng.choice((5, 50, 300)))
                    self._coming.append((self._published_by, made))

    def _publish(self, time: int, made: SegmentChange) -> None:
        value = msgspec.json.encode(made)
        record = FetchedRecord(CHANGES, len(self.records), time, made.customer_id.encode(), value)
        self.records.append(record)
        if made.change == "exited":
            self.exits[made.customer_id].append((parse_instant(made.occurred_at) or 0, record))

    def lose(self, now: int, lost_ms: int, away_ms: int) -> None:
        """Redis is as it was; the worker finds that and is away for a while. What it had not published is not lost."""
        earlier = [reached for time, reached in self._was if time <= now - lost_ms]
        self.reached = list(earlier[-1]) if earlier else [START, START]
        self.away(now, away_ms)

    def empty(self, now: int, away_ms: int) -> None:
        """Empty Redis; later on all events are read again."""
        self.reached, self.is_empty = [0, 0], True
        self.away(now, away_ms)

    def away(self, now: int, away_ms: int, linked_ms: int = 0) -> None:
        """Decide nothing for a while; in the partition of linked ids for ``linked_ms`` (ms) longer."""
        self.away_until = [now + away_ms, now + away_ms + linked_ms]

    def look(self, partition: int, ids: Sequence[str]) -> PartitionLook:
        """What Redis holds of these customers."""
        if self.is_empty:
            return PartitionLook({}, 0, {}, {})
        reached = str(self.reached[partition])
        sending = len(self._sending) if partition == 1 else 0
        trimmed = len(self._sent) if partition == 1 else 0
        meta = {"clock": reached, "caught_up": reached, "trimmed": str(trimmed)}
        meta |= {"definitions": DEFINITIONS.fingerprint, "epoch": "0"}
        values = {name: value for name in ids if partition == 0 and (value := self._stored(name)) is not None}
        return PartitionLook(meta, sending, values, {})

    def _stored(self, name: str) -> bytes | None:
        stays = self.stays(name, self.reached[0])
        if not stays and name not in self.linked:
            return None
        customer = ENGINE.new()
        customer.sequence = len(stays)
        if stays and stays[-1][0] == "entered":
            customer.since[PLACE] = stays[-1][1]
        if name in self.linked:
            customer.links = {f"phone of {name}": START}
        return customer_codec.encode(customer)
