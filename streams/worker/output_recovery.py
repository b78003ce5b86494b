"""Recovery: compares the output topics with the store, and publishes what is missing, before new records are read.

    step 8      saved: change 4 of a customer, its row, and a dead letter are entries of the outbox
    publish     change 4 is acknowledged by Kafka; the process dies before its row is, and before the trim
    claim       the next owner finds the entry in the outbox, reads the topic back and finds change 4 there
    recovery    change 4 is not published again, its row and the dead letter are, and the entry is trimmed

The one rule: a record on a topic stands. It is never taken back, and, as far as the claim can see it, never published
again.

On claim the partition's outputs are read to their ends, from the positions that were stored with the last trim. A topic
without such a position is read from the beginning. Each record that is found is one of four:

1. **A record of the outbox**: saved, published, and not trimmed when the former owner died. It is not published again;
   the rest of the outbox is.
2. **A change that the store knows**: the customer's sequence has reached it. Nothing is to be done. Repeats are of this
   kind, and so are all changes when the same records are read a second time.
3. **A change that the store does not know**: the customer is *published-ahead* (`rules.published_ahead`). These changes
   and the membership after them are saved with the customer itself, in one save with its due time. So every step of the
   partition finds them, also after a crash or another claim; and if the store loses its last writes again, it loses
   them together with the customer.
4. **A dead letter of a record that the store has yet to read**: it is remembered in memory until the record is read
   again. Until then the position of that topic is not advanced, so that the next claim finds the dead letter again.

The table of memberships is not read back, as compaction may have removed its records. For each change that is found the
row of its customer is published again before the position is advanced: the process which published the change may have
died before it published the row. A row that is published twice is the same row, and the newest row is published last: a
change that is older than its customer's state by then, as repeats are, gives no row.

Positions are advanced chunk by chunk, each after the findings of its chunk are saved; so a claim that runs out of time
goes on from there when the worker is started again. They are never advanced past a record of the outbox that is not
trimmed.

A former owner that is alive and does not know that it was replaced is fenced before the reading begins
(`streams.kafka.publisher`). Tansu, a broker without fences, is the exception. There the records that such an owner has
still on their way are not seen: a change may be published twice under the same id, and a row may be replaced by an
older one.

Nothing stored is restored here: customers that Redis has lost are made again by `streams.worker.rebuild_handover`.

See also `streams.worker.erasure_scan`, which comes before, and `streams.triggers.claim` for the recovery of triggers.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import aclosing
from functools import partial

import msgspec

from rules.customer import Customer
from rules.published_ahead import PublishedChange, is_forgotten, record_published
from streams.failpoints import reach
from streams.kafka.fetch import OutputChunk, OutputReader
from streams.runtime.checkpoint import Checkpointer
from streams.runtime.outbox import Outbox
from streams.runtime.read_back import Publication, ReadBack, ReadBackEntry
from streams.wire import changes, dead_letters, memberships
from streams.wire.changes import Header
from streams.wire.memberships import row_of
from streams.wire.records import BY_KEY, OutRecord, decode_entry
from streams.wire.step_records import bounded
from streams.wire.topics import CHANGES, DEAD_LETTERS, MEMBERSHIPS
from streams.worker.customer_loader import CustomerLoader
from streams.worker.partition import WorkerPartition
from streams.worker.step_writer import slices, stored_customer

log = logging.getLogger(__name__)

# The output topics that are read back; the table of memberships is not among them, see above.
OUTPUTS = (CHANGES, DEAD_LETTERS)
RecordIdentity = tuple[bytes, ...]


class OwnedWorkerPartition(msgspec.Struct):
    """A claimed partition whose inputs are not read on yet.

    ``entries``: the outbox of former claims; some of them may be published.
    """

    part: WorkerPartition
    outbox: Outbox
    entries: list[bytes]


async def recover(owned: Mapping[int, OwnedWorkerPartition], outputs: OutputReader, now_ms: Callable[[], int]) -> None:
    """Read the outputs back, and publish the records that the outboxes still have.

    Raises what the store and the publisher raise.
    """
    recoveries = {number: PartitionRecovery(partition, now_ms) for number, partition in owned.items()}
    positions = {
        (topic, number): partition.part.state.outputs.get(topic)
        for number, partition in owned.items()
        for topic in OUTPUTS
    }
    async with aclosing(outputs.read(positions)) as chunks:
        async for chunk in chunks:
            await recoveries[chunk.partition].read(chunk)
    reach("after_read_back")
    for recovery in recoveries.values():
        await recovery.publish_rest()


class OutboxEntry(ReadBackEntry):
    """One entry of the worker's outbox. Its rows and its records for other partitions cannot be read back."""

    def __init__(self, entry: bytes) -> None:
        records = [bounded(record) for record in decode_entry(entry)]
        super().__init__(
            records, (_identity(record.topic, record.headers) for record in records if record.topic in OUTPUTS)
        )

    @property
    def publication(self) -> Publication:
        """How much of this entry is on its topics; at most a part of it with a record for another partition."""
        publication = super().publication
        if publication is Publication.PUBLISHED and any(record.topic in BY_KEY for record in self.records):
            return Publication.PARTLY
        return publication

    def unpublished(self, is_newest: Callable[[OutRecord], bool]) -> list[OutRecord]:
        """The records that still must be published.

        They are missing changes and dead letters, rows of missing changes, and rows which no newer change has replaced.
        """
        customers = self._customers_of_missing_changes()

        def is_unpublished(record: OutRecord) -> bool:
            if record.topic in OUTPUTS:
                return self._is_missing(record)
            return record.topic != MEMBERSHIPS or record.key in customers or is_newest(record)

        return [record for record in self.records if is_unpublished(record)]

    def tombstones(self) -> list[OutRecord]:
        """The rows that this entry removes."""
        return [record for record in self.records if record.topic == MEMBERSHIPS and record.value is None]

    def rows(self) -> list[OutRecord]:
        """The rows of customers without a missing change."""
        customers = self._customers_of_missing_changes()
        return [record for record in self.records if record.topic == MEMBERSHIPS and record.key not in customers]

    def _customers_of_missing_changes(self) -> set[bytes | None]:
        return {record.key for record in self.records if record.topic == CHANGES and self._is_missing(record)}

    def _is_missing(self, record: OutRecord) -> bool:
        return _identity(record.topic, record.headers) in self.missing


class PartitionRecovery:
    """The recovery of one partition."""

    def __init__(self, owned: OwnedWorkerPartition, now_ms: Callable[[], int]) -> None:
        self._part = owned.part
        self._outbox = owned.outbox
        self._now_ms = now_ms
        self._read_back = ReadBack(owned.outbox, map(OutboxEntry, owned.entries))
        self._removed_rows = frozenset(row.key for entry in self._read_back.entries for row in entry.tombstones())
        # Those among these customers with a change on the topic: their row was published after it.
        self._changed_and_removed: set[bytes | None] = set()

    async def read(self, chunk: OutputChunk) -> None:
        """Compare one chunk of an output with the store."""
        self._read_back.find(_identity(chunk.topic, record.headers) for record in chunk.records)
        if chunk.topic == CHANGES:
            await self._read_changes(chunk)
        else:
            self._remember_dead_letters(chunk)
        reach("mid_read_back")
        await self._read_back.advance(chunk.topic, chunk.position)

    async def _read_changes(self, chunk: OutputChunk) -> None:
        published = _by_customer(chunk)
        self._changed_and_removed |= self._removed_rows & {name.encode() for name in published}
        customers = await mark_published(self._part.loader, self._part.checkpointer, published, self._now_ms())
        rows = [_row(name, changes_of_one, customers[name]) for name, changes_of_one in published.items()]
        await self._outbox.repeat([row for row in rows if row is not None])

    def _remember_dead_letters(self, chunk: OutputChunk) -> None:
        positions = self._part.checkpointer.positions
        for record in chunk.records:
            topic, offset = dead_letters.place(record.headers)
            if offset >= positions.get(topic, offset + 1):
                self._part.published_dead_letters.add((topic, offset))

    async def publish_rest(self) -> None:
        """Publish the entries that are not on the topics, in order; no row replaces a newer one."""
        for entry in self._read_back.entries:
            names = sorted({(row.key or b"").decode() for row in entry.rows()})
            customers = await load_customers(self._part.loader, names)
            await self._outbox.publish([entry.unpublished(partial(self._is_newest, customers))])

    def _is_newest(self, customers: Mapping[str, Customer], row: OutRecord) -> bool:
        """Whether no newer change than the row's was published of its customer.

        A row that is removed is newer than all if its customer is in no segment.
        """
        customer = customers[(row.key or b"").decode()]
        if row.value is not None:
            return memberships.decode(row.value).sequence >= customer.sequence
        is_nowhere = customer.published_ahead is None and not customer.since
        return is_nowhere and (customer.is_erased or row.key not in self._changed_and_removed)


async def load_customers(loader: CustomerLoader, ids: Sequence[str]) -> Mapping[str, Customer]:
    """Load these customers as they are stored."""
    return {customer_id: customer for customer_id, (customer, _) in (await loader.load_as_stored(ids)).items()}


async def mark_published(
    loader: CustomerLoader, checkpointer: Checkpointer, published: Mapping[str, Sequence[PublishedChange]], now: int
) -> Mapping[str, Customer]:
    """Save customers which are published-ahead as such; ``now``: the wall clock (ms).

    ``published``: changes on the topic by customer, in the order of the topic. Returns these customers as they are by
    now.
    """
    marked: dict[str, Customer] = {}
    for ids in slices(published):
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


def _identity(topic: str, headers: Sequence[Header]) -> RecordIdentity:
    return (topic.encode(), *(changes.identity(headers) if topic == CHANGES else dead_letters.identity(headers)))


def _by_customer(chunk: OutputChunk) -> Mapping[str, list[PublishedChange]]:
    by_customer: dict[str, list[PublishedChange]] = defaultdict(list)
    for customer_id, change in _published_changes(chunk):
        by_customer[customer_id].append(change)
    return by_customer


def _row(customer_id: str, published: Sequence[PublishedChange], customer: Customer) -> OutRecord | None:
    """The row of a customer after the newest of these changes; ``None``: the customer has come further since."""
    newest = max(published, key=lambda change: change.sequence)
    if newest.sequence < customer.sequence and not customer.is_gone:
        return None
    sequence = max(newest.sequence, customer.sequence)
    return row_of(customer_id, None if is_forgotten(customer, newest) else newest, sequence)


def _published_changes(chunk: OutputChunk) -> Iterable[tuple[str, PublishedChange]]:
    undecodable = 0
    for record in chunk.records:
        if record.value is None:
            continue  # a tombstone has no sequence to compare
        try:
            yield changes.published_change(record.value)
        except msgspec.DecodeError:
            undecodable += 1
    if undecodable:
        log.warning(
            "the topic holds records that are no segment changes; they are skipped",
            extra={"topic": chunk.topic, "partition": chunk.partition, "count": undecodable},
        )
