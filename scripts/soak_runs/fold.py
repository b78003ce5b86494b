"""Folds the published changes of one customer as they are read.

A digest of eight bytes is stored of each change, so that a repeat is recognised, and compared with the first one. Apart
from these only the result of all changes is stored.
"""

from array import array
from collections import Counter
from collections.abc import Iterator
from functools import cache
from typing import Any

import msgspec

__all__ = ["CustomerFold"]

EMITTED = b'"emitted_at":"'


class FoldCause(msgspec.Struct):
    """The cause of a change: an event, or time."""

    kind: str


class FoldChange(msgspec.Struct):
    """The fields of a change that are read."""

    customer_id: str
    segment: str
    change: str
    sequence: int
    segments: list[str]
    cause: FoldCause


read = msgspec.json.Decoder(FoldChange).decode


class CustomerFold:
    """The changes of a customer, in the order of the topic."""

    __slots__ = ("_digests", "members")

    def __init__(self) -> None:
        self.members: frozenset[str] = frozenset()
        self._digests: Any = None  # made at first use, as an empty array takes memory, too

    @property
    def count(self) -> int:
        return 0 if self._digests is None else len(self._digests)

    def add(self, name: str, value: bytes, counts: Counter[str]) -> Iterator[str]:
        """Add a change. Yields violations of I2 to I5: it must follow on the changes before it."""
        record, digest = read(value), hash(_without_time(value))
        if record.customer_id != name:
            yield f"I1: a change of {record.customer_id} has the key {name}"
        if record.sequence <= self.count:
            counts["repeats"] += 1
            differs = " and differs" if self._digests[record.sequence - 1] != digest else ""
            yield f"I4: change {record.sequence} of {name} came twice{differs}: {value!r}"
            return
        counts["changes"] += 1
        counts["due times"] += record.cause.kind == "time"
        if record.sequence != self.count + 1:
            yield f"I5: after change {self.count} of {name} comes {record.sequence}"
        if (record.segment in self.members) != (record.change == "exited"):
            yield f"I3: {name} {record.change} {record.segment} out of turn"
        self.members = _shared(self.members ^ {record.segment})
        if record.segments != sorted(self.members):
            yield f"I2: {name} is said to be in {record.segments}, the changes add up to {sorted(self.members)}"
        if self._digests is None:
            self._digests = array("q")
        self._digests.append(digest)


def _without_time(value: bytes) -> bytes:
    """The bytes of a change without its publishing time, in which alone a repeat may differ."""
    head, _, tail = value.partition(EMITTED)
    return head + tail.partition(b'"')[2]


@cache
def _shared(members: frozenset[str]) -> frozenset[str]:
    """One shared object for equal memberships, as there are few different ones."""
    return members
