"""Kafka's logs: the input partitions with all that makes their offsets jump, and the output topics.

The one rule: what was acknowledged stays, in its order. Offsets have holes (transaction markers,
what compaction took, what was aborted); a record can be fetched once the high watermark has
passed it and no transaction before it is open; an answer may take its time.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncGenerator, Callable, Collection, Mapping, Sequence
from typing import NamedTuple

from aiokafka.errors import KafkaConnectionError
from faust.types import TP

from streams.kafka.fetch import Offsets, OutputChunk, TopicAndPartition
from streams.kafka.partitioner import partition_of
from streams.wire.records import OutRecord
from tests.simulation.world.sim import Sim, answer

LONG_POLL_S = 0.3
MERGES = "merges"


class Record:
    """One record of an input, as the product reads it; since when it can be fetched, and when it first could."""

    __slots__ = ("given_at", "is_read", "key", "offset", "timestamp", "topic", "value", "visible_at")

    def __init__(self, topic: str, offset: int, timestamp: int, key: bytes | None, value: bytes | None) -> None:
        self.topic, self.offset, self.timestamp, self.key, self.value = topic, offset, timestamp, key, value
        self.visible_at = self.given_at = 0.0
        self.is_read = True  # False: markers, aborted records, holes


class Fetched(NamedTuple):
    """An answer to a fetch. ``end``: the high watermark; ``readable``: how far of it may be read."""

    records: Sequence[Record]
    position: int
    end: int
    readable: int


class Log:
    """One input partition."""

    def __init__(self, sim: Sim, tp: TP, first: int) -> None:
        self.tp = tp
        self.first = first
        self.entries: list[Record] = []
        self.end = first
        self.is_reachable = True
        self.gives_up_s = 3.0  # how long a reader then waits for nothing
        self.reported_end: int | None = None  # a new leader that has not caught up tells of less
        self._sim = sim
        self._visible_at = 0.0
        self._open: int | None = None
        self._waiting: list[tuple[int, int, asyncio.Future[Fetched | None]]] = []

    # --- producers -------------------------------------------------------------------------

    def append(self, timestamp: int, key: bytes | None, value: bytes | None, *, is_read: bool = True) -> Record:
        """Append a record: it is acknowledged, and visible a little later."""
        sim = self._sim
        record = Record(self.tp.topic, self.last, timestamp, key, value)
        record.is_read = is_read
        self.entries.append(record)
        self._visible_at = max(self._visible_at, sim.now + sim.rng.uniform(0.0, 0.03))
        record.visible_at = record.given_at = self._visible_at
        sim.later(self._visible_at - sim.now, self._show, record.offset + 1)
        return record

    def skip(self) -> None:
        """Skip an offset that no reader will see: compaction took its record."""
        self.append(0, None, None, is_read=False)

    def begin(self) -> None:
        """Begin a transaction: what follows cannot be read before it ends."""
        if self._open is None:
            self._open = self.last

    def finish(self, *, commit: bool, of: Sequence[Record]) -> None:
        """End a transaction; its marker takes an offset of its own."""
        for record in of:
            record.is_read = commit
        self._open = None
        self.skip()

    @property
    def last(self) -> int:
        """The end, with what is not visible yet."""
        return self.first + len(self.entries)

    @property
    def readable(self) -> int:
        """The last stable offset."""
        return self.end if self._open is None else min(self.end, self._open)

    def _show(self, end: int) -> None:
        self.end = max(self.end, end)
        self._wake()

    # --- consumers -------------------------------------------------------------------------

    async def fetch(self, position: int, limit: int) -> Fetched | None:
        """Fetch records from a position; ``None``: Kafka could not be reached."""
        future: asyncio.Future[Fetched | None] = self._sim.future()
        self._sim.later(self._sim.delay(), self._arrive, position, limit, future)
        return await future

    def _arrive(self, position: int, limit: int, future: asyncio.Future[Fetched | None]) -> None:
        self._waiting.append((position, limit, future))
        self._wake()
        self._sim.later(LONG_POLL_S, self._reply_to, future)

    def _wake(self) -> None:
        if self.is_reachable:
            for position, _, future in list(self._waiting):
                if self._readable_now() > position:
                    self._reply_to(future)

    def _reply_to(self, reply: asyncio.Future[Fetched | None]) -> None:
        for waiting in self._waiting:
            position, limit, future = waiting
            if future is reply:
                if not self.is_reachable:
                    self._sim.later(self.gives_up_s, answer, future, None)
                else:
                    self._sim.later(self._sim.delay(), answer, future, self._read(position, limit))
                self._waiting.remove(waiting)
                return

    def _readable_now(self) -> int:
        return self.readable if self.reported_end is None else min(self.readable, self.reported_end)

    def _read(self, position: int, limit: int) -> Fetched:
        readable = self._readable_now()
        records: list[Record] = []
        offset = position
        while offset < readable and len(records) < limit:
            entry = self.entries[offset - self.first]
            offset += 1
            if entry.is_read:
                records.append(entry)
        end = self.end if self.reported_end is None else min(self.end, self.reported_end)
        return Fetched(records, offset, end, readable)

    def committed(self) -> Fetched:
        """All readable records, for readers that are not a consumer of the group."""
        return self._read(self.first, len(self.entries))

    # --- faults ----------------------------------------------------------------------------

    def regress(self, back: int, until_s: float) -> None:
        """A new leader tells of a lower end for a while; what lies beyond is hidden that long."""
        self.reported_end = max(self.first, self.end - back)
        for entry in self.entries[self.reported_end - self.first :]:
            if entry.given_at > self._sim.now:
                entry.given_at = max(entry.given_at, until_s)
            entry.visible_at = max(entry.visible_at, until_s)
        self._visible_at = max(self._visible_at, until_s)
        self._sim.later(until_s - self._sim.now, self._catch_up)

    def mend(self) -> None:
        """Make the log reachable again."""
        self.is_reachable = True
        self._wake()

    def _catch_up(self) -> None:
        self.reported_end = None
        self._wake()


class Out(NamedTuple):
    """An offset of an output topic; without a record it is a transaction's marker."""

    at: float
    record: OutRecord | None


class Kafka:
    """All topics, and the offsets committed by the group."""

    def __init__(self, sim: Sim, topics: Sequence[str], partitions: int) -> None:
        self._sim = sim
        self._partitions = partitions
        self.logs = {
            TP(topic, partition): Log(sim, TP(topic, partition), sim.pick((0, 0, 1, 40)))
            for partition in range(partitions)
            for topic in topics
        }
        self.committed: dict[TP, int] = {}
        self.out: dict[tuple[str, int], list[Out]] = defaultdict(list)
        self.producers: dict[int, int] = defaultdict(int)  # the newest epoch of each transactional id
        self.epochs: dict[tuple[str, int], int] = defaultdict(int)  # and of which the leader of an output has heard

    async def offsets(self, tps: frozenset[TP]) -> Offsets:
        """The first and last offsets of these inputs; raises when one cannot be reached."""
        await asyncio.sleep(self._sim.delay())
        logs = {tp: self.logs[tp] for tp in sorted(tps)}
        if not all(log.is_reachable for log in logs.values()):
            await asyncio.sleep(1.0)
            raise KafkaConnectionError("an input cannot be reached")
        return Offsets(
            first={tp: log.first for tp, log in logs.items()},
            end={tp: log.end for tp, log in logs.items()},  # asked for, an end is never too low (KIP-207)
            committed={tp: self.committed[tp] for tp in logs if tp in self.committed},
        )

    def append(self, topic: str, partition: int, records: Sequence[OutRecord]) -> int:
        """Append records to an output; returns the position after them.

        Each of those records comes twice, the second time behind others.
        """
        if topic == MERGES:
            self._send_to_ids(records)
            self._sim.later(self._sim.rng.choice((0.0, 0.05, 0.5)), self._send_to_ids, records)
            return 0
        out = self.out[topic, partition]
        out += [Out(self._sim.now, record) for record in records]
        return len(out)

    def _send_to_ids(self, records: Sequence[OutRecord]) -> None:
        for record in records:
            place = partition_of((record.key or b"").decode(), self._partitions)
            self.logs[TP(MERGES, place)].append(self._sim.wall_ms(), record.key, record.value)

    def carry_epoch(self, topic: str, partition: int, epoch: int) -> None:
        """Append the markers of two transactions, which tell the leader of the epoch."""
        self.epochs[topic, partition] = epoch
        self.out[topic, partition] += [Out(self._sim.now, None)] * 2

    async def peek(
        self, places: Collection[TopicAndPartition], _wanted: Callable[[TopicAndPartition], bool]
    ) -> AsyncGenerator[OutputChunk, None]:
        """Read the inputs; see `streams.kafka.fetch.OutputReader`."""
        for topic, partition in places:
            await asyncio.sleep(self._sim.delay())
            committed = self.logs[TP(topic, partition)].committed()
            yield OutputChunk(topic, partition, committed.records, committed.position)  # type: ignore[arg-type]  # no headers

    async def read(self, positions: Mapping[TopicAndPartition, int | None]) -> AsyncGenerator[OutputChunk, None]:
        """Read each topic to its end when its reading begins; see `streams.kafka.fetch.OutputReader`."""
        for (topic, partition), position in positions.items():
            await asyncio.sleep(self._sim.delay())
            if (log := self.logs.get(TP(topic, partition))) is not None:
                committed = log.committed()
                yield OutputChunk(topic, partition, committed.records, committed.position)  # type: ignore[arg-type]  # no headers
                continue
            out, offset = self.out[topic, partition], position or 0
            end = len(out)
            while offset < end:
                to = min(end, offset + self._sim.pick((1, 3, 100)))
                records = [entry.record for entry in out[offset:to] if entry.record is not None]
                yield OutputChunk(topic, partition, records, to)
                await asyncio.sleep(self._sim.delay())
                offset = to
