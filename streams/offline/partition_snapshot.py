"""A snapshot of a partition in Redis, read beside running workers.

The one rule: customers are read in slices, each of one moment, with the positions and the clock of that moment. The
outbox is read after all of them, so a change of these customers that is not in the outbox has been published.

    slice 1 at positions P1 · slice 2 at P2 · … · outbox · then the topic of changes, by the caller

See also: `streams.cli.verify`, which recomputes up to the positions of each slice and compares there.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence

import msgspec

from streams.errors import ClaimRefused
from streams.offline.verification import StoredValue
from streams.settings import Settings
from streams.state import definition_list
from streams.state.contract import Identity, check_identity
from streams.state.readonly_store import opened
from streams.state.redis_reader import Snapshot
from streams.stop import Stop
from streams.wire import customer_codec
from streams.wire.records import decode_entry
from streams.wire.topics import CHANGES, MERGES

SLICE = 1_000


class SnapshotSlice(msgspec.Struct, frozen=True):
    """Customers as they were stored at one moment, at which the inputs were read to ``positions``; ``clock`` in ms."""

    positions: Mapping[str, int]
    clock: int
    stored: Mapping[str, StoredValue]


class PartitionSnapshot(msgspec.Struct, frozen=True):
    """A partition: slices in the order of time, the first without customers, and ``waiting``, the unpublished changes.

    ``meta``: the partition's metadata as first read, with the ``documents`` of its definition versions.
    ``waits_for_ids``: the outbox also has records which one id of a person sends to another.
    """

    slices: Sequence[SnapshotSlice]
    waiting: Sequence[bytes | None]
    meta: Mapping[str, str]
    waits_for_ids: bool = False
    documents: Mapping[int, bytes] = {}

    def sequences(self) -> dict[str, int]:
        """The number of changes of each customer."""
        return {
            name: customer_codec.decode(stored.value).sequence
            for part in self.slices
            for name, stored in part.stored.items()
        }


async def read(
    settings: Settings, identity: Identity, partition: int, progress: Callable[[int, int], None]
) -> PartitionSnapshot:
    """Read a whole partition; ``progress`` is called with how many customers were read, and how many there are.

    Raises `Stop` when Redis holds nothing of the partition, or another ``identity`` wrote it.
    """
    async with opened(settings) as store:
        first = await store.snapshot(partition, [], documents=True)
        slices = [_slice(partition, identity, first)]
        # A dict, as a customer that is saved meanwhile may be listed twice.
        names = list({name: None async for name, _ in store.customers(partition)})
        for start in range(0, len(names), SLICE):
            snapshot = await store.snapshot(partition, names[start : start + SLICE])
            slices.append(_slice(partition, identity, snapshot))
            progress(start, len(names))
        records = [record for entry in await store.outbox(partition) for record in decode_entry(entry)]
    return PartitionSnapshot(
        slices,
        waiting=[record.value for record in records if record.topic == CHANGES],
        meta=first.meta,
        waits_for_ids=any(record.topic == MERGES for record in records),
        documents=first.documents,
    )


async def stored_now(settings: Settings, partition: int, names: Sequence[str]) -> frozenset[str]:
    """Those of these customers which Redis stores by now."""
    return frozenset([name async for name, value in _values(settings, partition, names) if value is not None])


async def sequences_now(settings: Settings, partition: int, names: Sequence[str]) -> dict[str, int]:
    """The number of changes of these customers that Redis knows of by now; 0 for a customer that was erased.

    What Redis keeps under a hash of an erased customer's id is not read.
    """
    return {
        name: 0 if value is None else customer_codec.decode(value).sequence
        async for name, value in _values(settings, partition, names)
    }


async def _values(settings: Settings, partition: int, names: Sequence[str]) -> AsyncIterator[tuple[str, bytes | None]]:
    async with opened(settings) as store:
        for start in range(0, len(names), SLICE):
            part = names[start : start + SLICE]
            for entry in zip(part, await store.load(partition, part), strict=True):
                yield entry


def _slice(partition: int, identity: Identity, snapshot: Snapshot) -> SnapshotSlice:
    _check(partition, identity, snapshot)
    stored = {
        name: StoredValue(value, snapshot.dues.get(name, 0))
        for name, value in snapshot.values.items()
        if value is not None
    }
    return SnapshotSlice(snapshot.positions, int(snapshot.meta.get("clock", 0)), stored)


def _check(partition: int, identity: Identity, snapshot: Snapshot) -> None:
    """Raise `Stop` if a partition cannot be compared: nothing is stored, something else is, or a backfill runs."""
    if not snapshot.positions:
        raise Stop(
            f"Redis holds nothing of partition {partition}; see SEGMENTER_REDIS and SEGMENTER_REDIS_PREFIX, "
            "and whether a worker has begun to read"
        )
    try:
        check_identity(_identity(snapshot.meta), identity)
    except ClaimRefused as refused:
        raise Stop(str(refused)) from None
    if snapshot.meta.get("epochs") and not definition_list.is_settled(snapshot.meta):
        raise Stop(
            f"the definitions of partition {partition} changed and the backfill is still running; run verify again "
            'once the worker has logged "all customers re-evaluated under the new definitions" of it'
        )


def _identity(meta: Mapping[str, str]) -> Identity:
    return Identity(meta["cluster"], meta["group"], int(meta["partitions"]), meta["definitions"], meta["topics"])
