"""Reads back the output topics of a former claim: finds which entries of its outbox are published, and trims them.

The one rule: the position of an output is never advanced past an entry that is partly published and not trimmed, so
that the next claim finds its records again. Positions are saved chunk by chunk, and a claim that runs out of time goes
on from there.

See also `streams.worker.output_recovery` and `streams.triggers.claim`, which read back the outputs of either process.
"""

from __future__ import annotations

import enum
from collections.abc import Hashable, Iterable, Sequence
from typing import Generic, TypeVar

from streams.runtime.outbox import Outbox
from streams.wire.records import OutRecord


class Publication(enum.Enum):
    """How much of an entry of the outbox is known to be on its topics."""

    PUBLISHED = enum.auto()  # every record
    PARTLY = enum.auto()  # some records; the others are missing, or cannot be read back
    MISSING = enum.auto()  # none of the records that can be read back
    UNKNOWN = enum.auto()  # no record can be read back


class ReadBackEntry:
    """One entry of the outbox, and the identities of its records that were not found on the topics."""

    def __init__(self, records: Sequence[OutRecord], identities: Iterable[Hashable]) -> None:
        """``identities``: of those records which can be read back."""
        self.records = records
        self.missing = set(identities)
        self._count = len(self.missing)

    @property
    def publication(self) -> Publication:
        """How much of this entry is on its topics, by what was read back so far."""
        if not self._count:
            return Publication.UNKNOWN
        if not self.missing:
            return Publication.PUBLISHED
        return Publication.PARTLY if len(self.missing) < self._count else Publication.MISSING


E = TypeVar("E", bound=ReadBackEntry)

# An entry of which a part is on its topics must be found again by the next claim, as long as it is not trimmed.
_ON_TOPIC = (Publication.PUBLISHED, Publication.PARTLY)


class ReadBack(Generic[E]):
    """The entries that are not trimmed yet, oldest first, and the positions up to which the outputs are read."""

    def __init__(self, outbox: Outbox, entries: Iterable[E]) -> None:
        self._outbox = outbox
        self.entries = list(entries)
        self._positions: dict[str, int] = {}

    def find(self, identities: Iterable[Hashable]) -> None:
        """Note the records of a chunk; without an entry that is left this does nothing."""
        if self.entries:
            published = set(identities)
            for entry in self.entries:
                entry.missing -= published

    async def advance(self, topic: str, position: int) -> None:
        """Trim the entries that are published, and save the position of an output if no entry is in between."""
        trimmed = 0
        while self.entries and self.entries[0].publication is Publication.PUBLISHED:
            del self.entries[0]
            trimmed += 1
        self._positions[topic] = position
        if not any(entry.publication in _ON_TOPIC for entry in self.entries):
            await self._outbox.trim(trimmed, self._positions)
        elif trimmed:
            await self._outbox.trim(trimmed, {})
