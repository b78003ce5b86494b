"""What was told of one customer, added up as it is read.

The one rule: of each change eight bytes are kept, so that one that comes again can be known, and known
to be the same; the rest is what the changes add up to.
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
    """Why: an event, or time."""

    kind: str


class FoldChange(msgspec.Struct):
    """What is read of a change."""

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
        self._digests: Any = None  # most customers of a soak have some, an array of none is dear all the same

    @property
    def count(self) -> int:
        return 0 if self._digests is None else len(self._digests)

    def add(self, name: str, value: bytes, counts: Counter[str]) -> Iterator[str]:
        """I2-I5: it follows on what came before."""
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
    """A change that is published again says so of itself by its time alone."""
    head, _, tail = value.partition(EMITTED)
    return head + tail.partition(b'"')[2]


@cache
def _shared(members: frozenset[str]) -> frozenset[str]:
    """One and the same for all: there are few of them."""
    return members
