"""Customers that are saved before anything of a claimed partition is read: erased ones, and those published ahead.

The one rule: it is saved before it is acted on, so that it is there for every step, and for the next claim.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Iterator, Mapping, Sequence

from rules.published_ahead import PublishedChange, record_published
from rules.standing import Customer, Linkage
from streams.runtime.checkpoint import Checkpointer
from streams.wire.records import OutRecord, membership_record
from streams.worker.customer_loader import CustomerLoader
from streams.worker.step_writer import stored_customer

# Customers of one save.
_SAVE_MAX = 500


async def apply_erasures(
    loader: CustomerLoader, checkpointer: Checkpointer, erased: Mapping[str, int], along: Collection[str] = ()
) -> AsyncIterator[list[OutRecord]]:
    """Erase ids, each as of a time (ms): nothing at or before it counts. To be called before anything is read.

    ``along``: ids which nobody asked to erase (see `streams.worker.erasure_scan.ErasedIds`). Yields the records of
    each save.
    """
    for ids in _slices(erased):
        loaded = await loader.load_as_stored(ids)
        own = {customer_id: entry for customer_id, entry in loaded.items() if entry[1] >= 0}
        for customer_id, (customer, _) in own.items():
            before = customer.erased
            customer.instant = customer.erased = max(before, erased[customer_id])
            if customer_id in along:
                customer.linkage = Linkage(erased_along=True, erased_before=before)
        out = [membership_record(customer_id, None) for customer_id in own]
        stored = [stored_customer(customer_id, *entry) for customer_id, entry in own.items()]
        await checkpointer.save(stored, out)
        yield out


async def load_customers(loader: CustomerLoader, ids: Sequence[str]) -> Mapping[str, Customer]:
    """These customers as they are stored."""
    return {customer_id: customer for customer_id, (customer, _) in (await loader.load_as_stored(ids)).items()}


async def mark_published(
    loader: CustomerLoader, checkpointer: Checkpointer, published: Mapping[str, Sequence[PublishedChange]], now: int
) -> Mapping[str, Customer]:
    """Save customers which are published-ahead as such; ``now``: the wall clock (ms).

    ``published``: changes on the topic by customer, in the order of the topic. Returns these customers as they are by
    now.
    """
    marked: dict[str, Customer] = {}
    for ids in _slices(published):
        loaded = await loader.load_as_stored(ids)
        ahead = {
            customer_id: (customer, due)
            for customer_id, (customer, due) in loaded.items()
            if due >= 0 and record_published(customer, published[customer_id], now)
        }
        marked |= {customer_id: customer for customer_id, (customer, _) in loaded.items()}
        if ahead:
            await checkpointer.save([stored_customer(customer_id, *entry) for customer_id, entry in ahead.items()], ())
    return marked


def _slices(by_id: Mapping[str, object]) -> Iterator[list[str]]:
    ids = list(by_id)
    for index in range(0, len(ids), _SAVE_MAX):
        yield ids[index : index + _SAVE_MAX]
