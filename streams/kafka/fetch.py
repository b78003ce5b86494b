"""What a fetch gives: batches of records, and what Kafka said of the log they come from.

The one rule: every offset is a position, the next one to read, so that ends and starts compare.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Callable, Collection, Iterable, Mapping, Sequence
from typing import Protocol

import msgspec
from faust.types import TP

from streams.wire.changes import Header


class FetchedRecord(msgspec.Struct, frozen=True, gc=False):
    """As much of a Kafka record as is read; ``timestamp`` in ms, -1 when it has none."""

    topic: str
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None


class Batch(msgspec.Struct, frozen=True):
    """Records of one input partition, fetched at ``start``; ``end`` is the position after them.

    Offsets may have holes (transaction markers, compaction), and a batch may move the position
    without holding a record. ``generation`` is the group's when it was drained.
    """

    topic: str
    partition: int
    start: int
    end: int
    records: Sequence[FetchedRecord]
    generation: int


class FetchResponse(msgspec.Struct, frozen=True):
    """The newest answer to a fetch: the end offset, how far it may be read, and when it was asked for.

    The time of asking, not of the answer: a record appended before it was seen by the broker
    when it answered, however long the answer then lay unread (a stopped process).
    """

    end: int
    readable: int
    asked_ms: int
    asked_monotonic: float


class FetchStatus(msgspec.Struct, frozen=True):
    """The newest answer of an input since its claim, and when Kafka was last known not to be silent (monotonic)."""

    answer: FetchResponse | None
    at: float


class Answers:
    """What Kafka said of each input since it was claimed, and since when it has said nothing.

    An answer is true of the log, wherever it is read from: a seek leaves it as it is. One from
    before a claim is not: another owner may have read and saved beyond the end that it tells of.
    Written on the consumer's thread, read on the worker's loop: each value is replaced as a whole.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._heard: dict[TP, FetchStatus] = {}

    def of(self, tp: TP) -> FetchStatus:
        """What is known of an input; of one that was never claimed, as if it were claimed now."""
        return self._heard.get(tp) or FetchStatus(None, self._now())

    def begin(self, tps: Iterable[TP]) -> None:
        """These are claimed: what was heard of them before says nothing any more."""
        for tp in tps:
            self._heard[tp] = FetchStatus(None, self._now())

    def came(self, tp: TP, answer: FetchResponse) -> None:
        """Kafka answered."""
        self._heard[tp] = FetchStatus(answer, self._now())

    def failed(self, tp: TP) -> None:
        """Kafka was asked and gave no answer: what it said before is no longer the last that it has to say."""
        self._heard[tp] = FetchStatus(None, self.of(tp).at)

    def waits(self, tp: TP) -> None:
        """What Kafka answered is not used up, so it is asked for no more: its silence is no sign."""
        self._heard[tp] = FetchStatus(self.of(tp).answer, self._now())


class Offsets(msgspec.Struct, frozen=True):
    """Of each input partition: the first offset kept, the end, and the committed one if any."""

    first: Mapping[TP, int]
    end: Mapping[TP, int]
    committed: Mapping[TP, int]


class PublishedRecord(Protocol):
    """What is needed of a record on an output topic."""

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
    """The output topics, to be read."""

    def read(self, positions: Mapping[tuple[str, int], int | None]) -> AsyncGenerator[OutputChunk, None]:
        """By topic and partition, from a position or (``None``) the beginning, to the end as it is then."""

    def peek(self, places: Collection[Place], wanted: Callable[[Place], bool]) -> AsyncGenerator[OutputChunk, None]:
        """The first records, committed or not, as long as more of a partition is wanted and to its end at most."""


class Fetching(msgspec.Struct, frozen=True):
    """How an input is being fetched.

    ``fetched``: the next offset awaited. ``end`` and ``readable``: the end of the log and of what
    may be read of it (an open transaction holds the rest back), as Kafka answered to what was
    asked at ``asked``. ``heard``: when it was last known not to be silent; both monotonic.
    ``full``: enough is in hand, so it is not fetched on purpose.
    """

    name: str
    fetched: int
    end: int
    readable: int
    asked: float
    heard: float
    full: bool

    @property
    def waits(self) -> bool:
        """Whether there are records that should be fetched."""
        return self.readable > self.fetched and not self.full


# A partition of a topic.
Place = tuple[str, int]
