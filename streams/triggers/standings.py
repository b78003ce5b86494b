"""Standings: what the segmenter has decided of a customer, looked up in its store at the last moment.

The one rule: an answer counts only for what lies before the moment up to which everything is read. A
customer of whom something is due and not yet decided, or said and not yet derived again, or whom former definitions
decided last, has no answer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec

from rules.definitions import Definitions
from streams import epochs
from streams.redis_store import Snapshot
from streams.stop import Stop
from streams.wire import customers

# What is needed of a partition.
FIELDS = ("definitions", "epoch", "clock", "caught_up")


class Looked(Protocol):
    """The segmenter's store, as far as it is looked at."""

    async def meta(self, partition: int, fields: Sequence[str]) -> dict[str, str]:
        """These of the fields that say what a partition is as a whole."""

    async def snapshot(self, partition: int, customers: Sequence[str], fields: Sequence[str]) -> Snapshot:
        """These customers and the partition as a whole, all of one moment."""


class Standing(msgspec.Struct, frozen=True):
    """``since`` (ms): by segment, when it was entered. ``is_decided``: whether that holds up to the look's moment."""

    since: Mapping[str, int]
    is_decided: bool


class Look(msgspec.Struct, frozen=True):
    """``reached`` (ms): what happened, and was appended, up to then is decided."""

    reached: int
    of: Mapping[str, Standing]


class Standings:
    """Looks at a segmenter that runs, or ran, under these definitions."""

    def __init__(self, store: Looked, definitions: Definitions) -> None:
        self._store = store
        self._definitions = definitions
        self._keys = [segment.key for segment in definitions.segments]

    async def reached(self, partition: int) -> int:
        """Up to when the partition is decided (ms); 0: nobody has read it yet. Raises `Stop`."""
        return self._reached(partition, await self._store.meta(partition, FIELDS))

    async def look(self, partition: int, ids: Sequence[str]) -> Look:
        """What is decided of these customers, and up to when. Raises `Stop`."""
        found = await self._store.snapshot(partition, ids, FIELDS)
        reached = self._reached(partition, found.meta)
        of = {name: self._standing(found.values[name], found.dues.get(name, 0), found.meta) for name in ids}
        return Look(reached, of)

    def _reached(self, partition: int, meta: Mapping[str, str]) -> int:
        was = meta.get("definitions")
        ours = self._definitions.fingerprint
        if was is not None and was != ours:
            raise Stop(
                f"partition {partition} is segmented by other definitions ({was}, here "
                f"{ours}); give triggers and worker the same SEGMENTER_DEFINITIONS"
            )
        return min(int(meta.get("clock", 0)), int(meta.get("caught_up", 0)))

    def _standing(self, value: bytes | None, due: int, meta: Mapping[str, str]) -> Standing:
        if value is None:
            return Standing({}, True)
        customer = customers.decode(value)
        if not epochs.is_current(customer, meta):
            return Standing({}, False)
        unfired = 0 < due <= int(meta.get("clock", 0))
        since = {self._keys[at]: entered for at, entered in customer.since.items()}
        return Standing(since, not unfired and customer.ahead is None)
