"""Results of a fetch: batches of records, and what the response said about the log they come from.

Every offset is a position, which is the next offset to read, so that ends and starts compare.

See also: `streams.kafka.faust_transport` (gives batches to their owner), `streams.runtime.partition_task` (when an
input counts as read to its end), `streams.runtime.watchdog` (inputs that are not fetched).
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Callable, Collection, Iterable, Mapping, Sequence
from typing import Protocol

import msgspec
from faust.types import TP

from streams.wire.changes import Header


class FetchedRecord(msgspec.Struct, frozen=True, gc=False):
    """The parts of a Kafka record that are used; ``timestamp`` in ms, -1 when it has none."""

    topic: str
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None


class Batch(msgspec.Struct, frozen=True):
    """Records of one input partition, fetched at ``start``; ``end`` is the position after them.

    Offsets may have holes (transaction markers, compaction), and a batch without a record may still move
    the position. ``generation`` is that of the group when the batch was taken from the client.
    """

    topic: str
    partition: int
    start: int
    end: int
    records: Sequence[FetchedRecord]
    generation: int


class FetchResponse(msgspec.Struct, frozen=True):
    """The newest response to a fetch: the end of the log, how far it may be read, and when the request was sent.

    The time is that of the request, not of the response: the broker answered after it, so the response covers every
    record that was appended before it, however long it then lay unread in a process that was suspended.
    """

    high_watermark: int
    last_stable_offset: int
    requested_ms: int
    requested_monotonic: float


class FetchStatus(msgspec.Struct, frozen=True):
    """The newest response for an input since its claim, and when Kafka was last known to answer (monotonic)."""

    answer: FetchResponse | None
    at: float


class Answers:
    """The newest response for each claimed input, and since when Kafka has been silent about it.

    A response describes the log, so a seek does not change it. A claim does: another owner may meanwhile
    have read and saved beyond the end that an older response gives.
    The consumer's thread writes, the worker's loop reads: each value is replaced as a whole.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._heard: dict[TP, FetchStatus] = {}

    def of(self, tp: TP) -> FetchStatus:
        """The status of an input; an input that was never claimed has that of a claim now."""
        return self._heard.get(tp) or FetchStatus(None, self._now())

    def begin(self, tps: Iterable[TP]) -> None:
        """Forget former responses for these inputs, which are being claimed."""
        for tp in tps:
            self._heard[tp] = FetchStatus(None, self._now())

    def answered(self, tp: TP, answer: FetchResponse) -> None:
        """Note a response."""
        self._heard[tp] = FetchStatus(answer, self._now())

    def failed(self, tp: TP) -> None:
        """Forget the response: a later request got none, so the log may meanwhile have grown."""
        self._heard[tp] = FetchStatus(None, self.of(tp).at)

    def waits(self, tp: TP) -> None:
        """Note that the prefetch buffer is full: no fetch is sent, so a missing response does not mean silence."""
        self._heard[tp] = FetchStatus(self.of(tp).answer, self._now())


class Offsets(msgspec.Struct, frozen=True):
    """Offsets by input partition: the first that is still there, the end, and the committed one if there is one."""

    first: Mapping[TP, int]
    end: Mapping[TP, int]
    committed: Mapping[TP, int]


class PublishedRecord(Protocol):
    """The parts of a record on an output topic that are used."""

    @property
    def key(self) -> bytes | None: ...
    @property
    def value(self) -> bytes | None: ...
    @property
    def headers(self) -> Sequence[Header]: ...


class OutputChunk(msgspec.Struct, frozen=True):
    """Records of one partition of an output, in order, and the position after them."""

    topic: str
    partition: int
    records: Sequence[PublishedRecord]
    position: int


class OutputReader(Protocol):
    """Reads output topics back."""

    def read(self, positions: Mapping[tuple[str, int], int | None]) -> AsyncGenerator[OutputChunk, None]:
        """Read each partition from its position, or from the beginning (``None``), to its current end."""

    def peek(
        self, places: Collection[TopicAndPartition], wanted: Callable[[TopicAndPartition], bool]
    ) -> AsyncGenerator[OutputChunk, None]:
        """Read the first records of each partition, committed or not, until ``wanted`` is false or its end comes."""


class Fetching(msgspec.Struct, frozen=True):
    """The progress of fetching an input, for watchdogs and metrics.

    ``fetched``: the next offset awaited. ``high_watermark`` and ``last_stable_offset``: the end of the log and of the
    part that may be read (an open transaction holds the rest back), from the response to the request at
    ``requested_at``.
    ``heard``: when Kafka was last known to answer; both monotonic. ``full``: enough records are in memory, so
    no more are fetched.
    """

    name: str
    fetched: int
    high_watermark: int
    last_stable_offset: int
    requested_at: float
    heard: float
    full: bool

    @property
    def waits(self) -> bool:
        """Whether there are records that should be fetched."""
        return self.last_stable_offset > self.fetched and not self.full


# A partition of a topic.
TopicAndPartition = tuple[str, int]
