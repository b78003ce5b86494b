"""Customers that are saved before anything of a claimed partition is read: erased ones, and those published ahead.

The one rule: it is saved before it is acted on, so that it is there for every step, and for the next claim.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping, Sequence

from rules.published_ahead import PublishedChange, record_published
from rules.standing import Customer, Linkage
from streams.state.contract import StoredCustomer
from streams.wire import customers
from streams.wire.records import OutRecord, membership_record
from streams.worker.customer_loader import CustomerLoader

# Customers of one save.
_NOTED_MAX = 500


class RecoveredCustomers(CustomerLoader):
    """Saves what recovery and the erasure scan found, before the first step."""

    async def forget(self, erased: Mapping[str, int], along: Collection[str] = ()) -> AsyncIterator[list[OutRecord]]:
        """Ids that are erased, and when (ms): nothing at or before it counts. Before anything is read.

        ``along``: those for which nobody asked (see `streams.worker.erasure_scan.ErasedIds`). Yields the records of
        each save.
        """
        ids = list(erased)
        for at in range(0, len(ids), _NOTED_MAX):
            loaded = await self._as_stored(ids[at : at + _NOTED_MAX])
            own = {customer_id: known for customer_id, known in loaded.items() if known[1] >= 0}
            for customer_id, (customer, _) in own.items():
                before = customer.erased
                customer.instant = customer.erased = max(before, erased[customer_id])
                if customer_id in along:
                    customer.linkage = Linkage(erased_along=True, erased_before=before)
            out = [membership_record(one, None) for one in own]
            stored = [self._stored(customer_id, *known) for customer_id, known in own.items()]
            await self.save(stored, out, self.positions, self.positions, self.clock)
            yield out

    async def known(self, ids: Sequence[str]) -> Mapping[str, Customer]:
        """These customers as they are stored."""
        return {customer_id: customer for customer_id, (customer, _) in (await self._as_stored(ids)).items()}

    async def note(self, told: Mapping[str, Sequence[PublishedChange]], now: int) -> Mapping[str, Customer]:
        """Published changes by customer, in the order of their topic: who is ahead is saved as such.

        Returns what is known of each by now.
        """
        ids = list(told)
        standings: dict[str, Customer] = {}
        for at in range(0, len(ids), _NOTED_MAX):
            loaded = await self._as_stored(ids[at : at + _NOTED_MAX])
            found = {
                customer_id: known
                for customer_id, known in loaded.items()
                if known[1] >= 0 and record_published(known[0], told[customer_id], now)
            }
            standings |= {customer_id: customer for customer_id, (customer, _) in loaded.items()}
            if found:
                stored = [self._stored(customer_id, *known) for customer_id, known in found.items()]
                await self.save(stored, (), self.positions, self.positions, self.clock)
        return standings

    @staticmethod
    def _stored(customer_id: str, customer: Customer, due_before: int) -> StoredCustomer:
        changed = None if customer.due == due_before else customer.due
        return StoredCustomer(customer_id, customers.encode(customer), changed, erased=customer.is_gone)
