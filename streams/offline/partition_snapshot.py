"""What Redis holds of a partition, read beside running workers.

The one rule: customers are read in slices, each of one moment with the positions and the clock of
that moment; what waits to be published is read after all of them, so that a change of theirs which
is not in it has been published.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence

import msgspec

from streams.errors import ClaimRefused
from streams.offline.verification import StoredValue
from streams.settings import Settings
from streams.state import definition_list
from streams.state.contract import Identity, check_identity
from streams.state.redis import Snapshot
from streams.state.stored_customers import opened
from streams.stop import Stop
from streams.wire import customers
from streams.wire.records import decode_entry
from streams.wire.topics import CHANGES, MERGES

SLICE = 1_000


class SnapshotSlice(msgspec.Struct, frozen=True):
    """Customers as they stood at one moment: at these positions, under this clock (ms)."""

    positions: Mapping[str, int]
    clock: int
    stored: Mapping[str, StoredValue]


class PartitionSnapshot(msgspec.Struct, frozen=True):
    """A partition: slices in the order of time, the first without customers, and the changes not yet published.

    ``meta``: what Redis said of it at first, with the ``documents`` of its definitions. ``waits_for_ids``: something
    that an id sends to another is not published.
    """

    slices: Sequence[SnapshotSlice]
    waiting: Sequence[bytes | None]
    meta: Mapping[str, str]
    waits_for_ids: bool = False
    documents: Mapping[int, bytes] = {}

    def sequences(self) -> dict[str, int]:
        """How many changes of each customer there were."""
        return {
            name: customers.decode(stored.value).sequence
            for part in self.slices
            for name, stored in part.stored.items()
        }


async def read(
    settings: Settings, ours: Identity, partition: int, progress: Callable[[int, int], None]
) -> PartitionSnapshot:
    """All of a partition; ``progress`` is told how many customers were read, and of how many.

    Raises `Stop` when Redis holds nothing of it, or something else's.
    """
    async with opened(settings) as store:
        first = await store.snapshot(partition, [], documents=True)
        slices = [_slice(partition, ours, first)]
        # One that is saved meanwhile may come twice.
        names = list({name: None async for name, _ in store.customers(partition)})
        for at in range(0, len(names), SLICE):
            slices.append(_slice(partition, ours, await store.snapshot(partition, names[at : at + SLICE])))
            progress(at, len(names))
        records = [record for entry in await store.outbox(partition) for record in decode_entry(entry)]
    waits_for_ids = any(record.topic == MERGES for record in records)
    return PartitionSnapshot(
        slices, [one.value for one in records if one.topic == CHANGES], first.meta, waits_for_ids, first.documents
    )


async def known_now(settings: Settings, partition: int, names: Sequence[str]) -> frozenset[str]:
    """Those of these customers that Redis knows by now."""
    return frozenset([name async for name, value in _values(settings, partition, names) if value is not None])


async def sequences_now(settings: Settings, partition: int, names: Sequence[str]) -> dict[str, int]:
    """How many changes of these customers Redis knows by now; what stays of who is erased is not asked for: 0."""
    return {
        name: 0 if value is None else customers.decode(value).sequence
        async for name, value in _values(settings, partition, names)
    }


async def _values(settings: Settings, partition: int, names: Sequence[str]) -> AsyncIterator[tuple[str, bytes | None]]:
    async with opened(settings) as store:
        for at in range(0, len(names), SLICE):
            asked = names[at : at + SLICE]
            for found in zip(asked, await store.load(partition, asked), strict=True):
                yield found


def _slice(partition: int, ours: Identity, snapshot: Snapshot) -> SnapshotSlice:
    if not snapshot.positions:
        raise Stop(
            f"Redis holds nothing of partition {partition}; see SEGMENTER_REDIS and SEGMENTER_REDIS_PREFIX, "
            "and whether a worker has begun to read"
        )
    try:
        check_identity(_identity(snapshot.meta), ours)
    except ClaimRefused as refused:
        raise Stop(str(refused)) from None
    if snapshot.meta.get("epochs") and not definition_list.is_settled(snapshot.meta):
        raise Stop(
            f"the definitions of partition {partition} were changed, and not everybody is decided by the new ones yet; "
            "try again once the worker has logged that all customers are decided again"
        )
    known = {
        name: StoredValue(value, snapshot.dues.get(name, 0))
        for name, value in snapshot.values.items()
        if value is not None
    }
    return SnapshotSlice(snapshot.positions, int(snapshot.meta.get("clock", 0)), known)


def _identity(meta: Mapping[str, str]) -> Identity:
    return Identity(meta["cluster"], meta["group"], int(meta["partitions"]), meta["definitions"], meta["topics"])
