"""What a fetch gives: batches of records, and what Kafka said of the log they come from.

The one rule: every offset is a position, the next one to read, so that ends and starts compare.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
from aiokafka.structs import ConsumerRecord
from faust.types import TP


class Batch(msgspec.Struct, frozen=True):
    """Records of one input partition, fetched at ``start``; ``end`` is the position after them.

    Offsets may have holes (transaction markers, compaction), and a batch may move the position
    without holding a record. ``generation`` is the group's when it was drained.
    """

    topic: str
    partition: int
    start: int
    end: int
    records: Sequence[ConsumerRecord[bytes | None, bytes | None]]
    generation: int


class Answer(msgspec.Struct, frozen=True):
    """The newest answer to a fetch: the end offset, how far it may be read, and when it was asked for.

    The time of asking, not of the answer: a record appended before it was seen by the broker
    when it answered, however long the answer then lay unread (a stopped process).
    """

    end: int
    readable: int
    asked_ms: int
    asked_monotonic: float


class Offsets(msgspec.Struct, frozen=True):
    """Of each input partition: the first offset kept, the end, and the committed one if any."""

    first: Mapping[TP, int]
    end: Mapping[TP, int]
    committed: Mapping[TP, int]
