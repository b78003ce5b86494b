"""Triggers without Kafka and Redis: the real steps on the memory store, a clock that is set, a scripted channel.

Results are read from the channel's calls and from the outbox, never from inside.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from rules.event_names import IDENTIFY
from rules.events import Event
from rules.times import format_instant
from rules.values import Document
from streams.kafka.fetch import FetchedRecord
from streams.runtime.input_merge import MergedBatch
from streams.state.contract import Claim, Identity, PartitionState
from streams.state.memory import MemoryStore
from streams.triggers import decision_log
from streams.triggers.config import TriggersFile
from streams.triggers.decision_log import Decision
from streams.triggers.dispatcher import Dispatcher
from streams.triggers.endpoint import Endpoint
from streams.triggers.inputs import INPUTS, ChangeInput, reading
from streams.triggers.membership_lookup import LookupResult, MembershipAnswer, Waiting
from streams.triggers.messages import AttemptResult, Message, Outcome
from streams.wire.changes import SegmentChange
from streams.wire.records import OutRecord, decode_entry
from streams.wire.topics import CHANGES, TRIGGER_DEAD_LETTERS, TRIGGER_DECISIONS, TRIGGER_REPLAYS

START = 1_772_359_200_000  # 2026-03-01T10:00:00Z
IDENTITY = Identity("cluster", "group", 1, "triggers")

Script = Callable[[Message, int], AttemptResult]


class Shop:
    """A stand-in for the segmenter: which customer is in which segment since when."""

    def __init__(self) -> None:
        self.since: dict[str, dict[str, int]] = {}
        self.sequences: dict[str, int] = {}
        self.undecided: set[str] = set()
        self.stored: dict[str, int] = {}  # sequences, where the store does not know all that was published
        self.reached_ms = 0
        self.included: dict[str, dict[str, object]] = {}  # what the definitions include of a customer now

    def data(self, name: str, segment: str, look: LookupResult) -> dict[str, object]:
        return dict(self.included.get(name, {}))

    def former(self, ids: Sequence[str]) -> dict[str, list[tuple[int, str]]]:
        return {}

    async def reached(self, partition: int) -> int:
        return self.reached_ms

    async def look(self, partition: int, ids: Sequence[str]) -> LookupResult:
        return LookupResult(self.reached_ms, {name: self._standing(name) for name in ids})

    def _standing(self, name: str) -> MembershipAnswer:
        waits_for = Waiting.DUE_TIME if name in self.undecided else None
        return MembershipAnswer(dict(self.since.get(name, {})), waits_for, self.stored.get(name, sys.maxsize))

    def change(self, customer_id: str, segment: str, now: int, **more: Any) -> SegmentChange:
        """The customer enters the segment, or leaves it if they are in it."""
        segments = self.since.setdefault(customer_id, {})
        entered = segment not in segments
        if entered:
            segments[segment] = now
        else:
            del segments[segment]
        self.sequences[customer_id] = self.sequences.get(customer_id, 0) + 1
        return change(
            customer_id,
            segment,
            "entered" if entered else "exited",
            now,
            self.sequences[customer_id],
            sorted(segments),
            **more,
        )


class Scripted:
    """A channel that does as its script says, and keeps each attempt with the instant."""

    def __init__(self, world: World, script: Script) -> None:
        self._world = world
        self._script = script
        self.attempts: list[tuple[int, Message, AttemptResult]] = []
        self.segments: list[frozenset[str]] = []  # of the customer at each attempt

    async def send(self, message: Message) -> AttemptResult:
        result = self._script(message, sum(earlier.key == message.key for _, earlier, _ in self.attempts) + 1)
        self.attempts.append((self._world.now, message, result))
        self.segments.append(frozenset(self._world.shop.since.get(message.customer, ())))
        return result

    async def close(self) -> None:
        pass


def sent(_: Message, __: int) -> AttemptResult:
    """The script of a channel that always works."""
    return AttemptResult(Outcome.SENT)


class World:
    """One partition of triggers."""

    def __init__(self, file: TriggersFile, script: Script = sent) -> None:
        self.file = file
        self.now = START
        self.shop = Shop()
        self.memberships: Any = self.shop
        self.store = MemoryStore()
        self.channels = {name: Scripted(self, script) for name in file.channels}
        self._offset = dict.fromkeys(INPUTS, 0)
        self._claims = 0
        self.acting: Dispatcher

    async def claim(self) -> None:
        """Claim the partition as a new owner does: all that was in memory is gone."""
        self._claims += 1
        claim = Claim(0, self._claims, f"token-{self._claims}", IDENTITY)
        state: PartitionState = await self.store.claim(claim)
        await self.store.begin(claim, dict.fromkeys(INPUTS, 0))
        state = await self.store.claim(claim)
        endpoints = {name: Endpoint(way, self.channels[name]) for name, way in self.file.channels.items()}
        self.acting = Dispatcher(
            self.file, endpoints, self.memberships, self.store, 0, claim.fencing_token, state, now_ms=lambda: self.now
        )  # fmt: skip

    async def read(self, *events: Event) -> None:
        """Read these records, in this order."""
        starts, readings = dict(self._offset), []
        for event in events:
            topic = INPUTS[0]
            if isinstance(event, ChangeInput):
                topic = CHANGES if event.redelivery is None else TRIGGER_REPLAYS
            offset = self._offset[topic]
            readings.append((event.time, INPUTS.index(topic), offset, event, FetchedRecord(topic, offset, 0, b"", b"")))
            self._offset[topic] += 1
        await self.acting.process_batch(MergedBatch(readings, starts, dict(self._offset)), self.now)

    async def until(self, now: int, *, decided: bool = True) -> None:
        """Set the clock and do all that is due; without ``decided`` the segmenter does not come along."""
        self.now = max(self.now, now)
        self.shop.reached_ms = self.now if decided else self.shop.reached_ms
        await self.turn()

    async def turn(self) -> None:
        """Look at what is due until nothing moves."""
        for _ in range(1_000):
            out = await self.acting.fire(self.now, 100)
            await self.acting.landed()
            if not await self.acting.settle() and not out and not self.acting.ended:
                return
        raise AssertionError("it never comes to rest")

    def decisions(self) -> list[Decision]:
        """All decisions, in order."""
        entries = self.store._of(0).outbox
        records = [record for entry in entries for record in decode_entry(entry)]
        return [decision_log.decode(record.value or b"") for record in records if record.topic == TRIGGER_DECISIONS]

    def letters(self) -> list[OutRecord]:
        """The messages that failed for good."""
        entries = self.store._of(0).outbox
        return [record for entry in entries for record in decode_entry(entry) if record.topic == TRIGGER_DEAD_LETTERS]

    def attempts(self) -> list[tuple[int, Message, AttemptResult]]:
        """All attempts of all channels."""
        return [attempt for channel in self.channels.values() for attempt in channel.attempts]

    def segments_at_attempts(self) -> list[frozenset[str]]:
        """The segments of the customer at each attempt, in the order of `attempts`."""
        return [segments for channel in self.channels.values() for segments in channel.segments]

    def waiting(self) -> int:
        """The instant at which something is due next; 0: nothing waits."""
        return min(self.store._of(0).dues.values(), default=0)


def change(
    customer_id: str, segment: str, kind: str, now: int, sequence: int, segments: Sequence[str] = (), **more: Any
) -> SegmentChange:
    """A change as the segmenter publishes it."""
    fields = {
        "change_id": f"{customer_id}-{sequence}", "customer_id": customer_id, "segment": segment, "change": kind,
        "occurred_at": format_instant(now), "sequence": sequence, "segments": list(segments),
        "cause": {"kind": "event", "event_id": "m"}, "reason": {"holds": kind == "entered"}, "definition": "d" * 12,
        "said": {"en": "no cart activity for 30 minutes", "fa": "۳۰ دقیقه بی‌فعالیت"}, **more,
    }  # fmt: skip
    return msgspec.convert(fields, SegmentChange)


def change_input(what: SegmentChange, now: int) -> ChangeInput:
    """A segment change as triggers read it."""
    record = FetchedRecord("segment-changes", 0, now, what.customer_id.encode(), msgspec.json.encode(what))
    arrival = reading(record, None)  # type: ignore[arg-type]
    assert isinstance(arrival, ChangeInput)
    return arrival


def identify(customer_id: str, now: int, name: str = "", **traits: Any) -> Event:
    """An identify event as triggers read it."""
    return Event(customer_id, IDENTIFY, now, name or f"i-{now}", traits=Document(json.dumps(traits).encode()))


def file_of(**parts: Any) -> TriggersFile:
    """A triggers file, with a console where nothing else is said."""
    whole = {"version": 1, "channels": {"screen": {"kind": "console"}}, **parts}
    return TriggersFile.model_validate(whole)


def cart(**more: Any) -> TriggersFile:
    trigger = {"segment": "abandoned_cart", "channel": "screen", **more}
    return file_of(triggers={"cart": trigger})


async def world(file: TriggersFile, script: Script = sent) -> World:
    made = World(file, script)
    await made.claim()
    return made


async def enters(world: World, customer_id: str = "u1", segment: str = "abandoned_cart", **more: Any) -> None:
    await world.read(change_input(world.shop.change(customer_id, segment, world.now, **more), world.now))


def kinds(world: World) -> list[str]:
    return [decision.decision for decision in world.decisions()]
