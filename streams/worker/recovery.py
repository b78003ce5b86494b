"""Recovery: what the output topics say and what the store knows, brought together before a claimed partition is read.

The one rule: what is on the topics was said. It is never taken back, and, as far as the claim can
see it, never said again.

On claim the partition's outputs are read from the positions up to which the store knows what was
published, those that came with the last trim, to their ends. A store that was never told reads
from the beginning. What is found is one of four:

1. **A record of the outbox**: saved, published, and not trimmed when the former owner died. It is
   not published again; the rest of the outbox is.
2. **A change that the store knows**: the customer's sequence has reached it. Nothing is to be done.
   That is so of repeats, and of everything when the same is read a second time.
3. **A change that the store does not know**: the customer is *ahead* (`rules.published_ahead`). Which changes,
   and the membership that they left, is saved with the customer itself, in one save with its due
   time. So it is there for every step of the partition, goes back with the customer if the store
   loses its last writes again, and needs nothing else to survive a crash or another claim.
4. **A dead letter of a record that the store has yet to read**: it is remembered in memory until it
   is read again. Until all of them are, the position of that topic is not told on, so that the next
   claim finds them again.

The table of memberships is not read back, as compaction may have taken what was published. Of each change
that is found its customer's row is published again, before anything is told on: whoever published the
change may have died before its row. A row that comes twice is the same row, and the newest comes last: what is
older than what the customer has come to by then, as repeats are, gives none.

The positions are told on chunk by chunk, each after what was found in it is saved; so a claim that
runs out of time goes on from there when the worker is started again. They are never told on past
a record of the outbox that is not trimmed.

A former owner that is alive and does not know that it was replaced is kept from publishing before the reading begins
(`streams.kafka.publisher`). Where that cannot be, on Tansu, what it has on its way is not seen: a change may come twice
under the id that it already has, and a row may be set back.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import aclosing
from functools import partial

import msgspec

from rules.published_ahead import PublishedChange, is_forgotten
from rules.standing import Customer
from streams.failpoints import reach
from streams.kafka.fetch import OutputChunk, OutputReader
from streams.runtime.outbox import Outbox
from streams.state.contract import Claim, PartitionState
from streams.wire import changes, dead_letters, memberships
from streams.wire.changes import Header
from streams.wire.records import BY_KEY, OutRecord, bounded, decode_entry, said_row
from streams.wire.topics import CHANGES, DEAD_LETTERS, MEMBERSHIPS
from streams.worker.segmenter import PublishedDeadLetters, Segmenter

log = logging.getLogger(__name__)

# What is read back. Of the table of memberships nothing needs to be known.
OUTPUTS = (CHANGES, DEAD_LETTERS)
Identity = tuple[bytes, ...]


class OwnedWorkerPartition(msgspec.Struct, frozen=True):
    """A claimed partition that is not read on yet: what the store said of it, and who goes on with it.

    The positions of ``state`` are those from which to read.
    """

    claim: Claim
    state: PartitionState
    segmenter: Segmenter
    outbox: Outbox
    letters: PublishedDeadLetters


async def recover(
    claimed: Mapping[int, OwnedWorkerPartition], outputs: OutputReader, now_ms: Callable[[], int]
) -> None:
    """Read back what was published, and publish what is left of the outboxes.

    Raises what the store and the publisher raise.
    """
    parts = {partition: PartitionRecovery(one, now_ms) for partition, one in claimed.items()}
    positions = {(topic, number): one.state.outputs.get(topic) for number, one in claimed.items() for topic in OUTPUTS}
    async with aclosing(outputs.read(positions)) as chunks:
        async for chunk in chunks:
            await parts[chunk.partition].read(chunk)
    reach("after_read_back")
    for part in parts.values():
        await part.publish_rest()


class OutboxEntry:
    """One entry of the outbox, and which of its records were not found."""

    def __init__(self, entry: bytes) -> None:
        self.records = [bounded(record) for record in decode_entry(entry)]
        self.unseen = {_identity(one.topic, one.headers) for one in self.records if one.topic in OUTPUTS}
        self._count = len(self.unseen)

    @property
    def is_seen(self) -> bool:
        """Nobody can see whether rows alone were published, nor what went to another partition."""
        return not self.unseen and self._count > 0 and all(one.topic not in BY_KEY for one in self.records)

    @property
    def is_partly_seen(self) -> bool:
        return len(self.unseen) < self._count

    def rest(self, is_newest: Callable[[OutRecord], bool]) -> list[OutRecord]:
        """What is not on the topics; of rows without a change that is not there, those that nothing came after."""
        unseen = self._unseen_keys()

        def is_left(one: OutRecord) -> bool:
            if one.topic in OUTPUTS:
                return self._is_unseen(one)
            return one.topic != MEMBERSHIPS or one.key in unseen or is_newest(one)

        return [one for one in self.records if is_left(one)]

    def rows_taken_away(self) -> list[OutRecord]:
        return [one for one in self.records if one.topic == MEMBERSHIPS and one.value is None]

    def rows(self) -> list[OutRecord]:
        """Those without a change that is not found."""
        unseen = self._unseen_keys()
        return [one for one in self.records if one.topic == MEMBERSHIPS and one.key not in unseen]

    def _unseen_keys(self) -> set[bytes | None]:
        return {one.key for one in self.records if one.topic == CHANGES and self._is_unseen(one)}

    def _is_unseen(self, record: OutRecord) -> bool:
        return _identity(record.topic, record.headers) in self.unseen


class PartitionRecovery:
    """The recovery of one partition."""

    def __init__(self, claimed: OwnedWorkerPartition, now_ms: Callable[[], int]) -> None:
        self._claimed = claimed
        self._now_ms = now_ms
        self._left = [OutboxEntry(entry) for entry in claimed.state.outbox]
        self._taken_away = frozenset(row.key for entry in self._left for row in entry.rows_taken_away())
        self._found: set[bytes | None] = set()  # of these, of whom a change is on the topic: their row came after it
        self._positions: dict[str, int] = {}

    async def read(self, chunk: OutputChunk) -> None:
        """Bring one chunk together with what is known."""
        if self._left:
            seen = {_identity(chunk.topic, record.headers) for record in chunk.records}
            for entry in self._left:
                entry.unseen -= seen
        if chunk.topic == CHANGES:
            told = _by_customer(chunk)
            self._found |= self._taken_away & {name.encode() for name in told}
            known = await self._claimed.segmenter.note(told, self._now_ms())
            rows = [_row(name, of_one, known[name]) for name, of_one in told.items()]
            await self._claimed.outbox.repeat([row for row in rows if row is not None])
        else:
            self._note_letters(chunk)
        reach("mid_read_back")
        await self._told_on(chunk)

    def _note_letters(self, chunk: OutputChunk) -> None:
        positions = self._claimed.segmenter.positions
        for record in chunk.records:
            topic, offset = dead_letters.place(record.headers)
            if offset >= positions.get(topic, offset + 1):
                self._claimed.letters.add((topic, offset))

    async def _told_on(self, chunk: OutputChunk) -> None:
        trimmed = 0
        while self._left and self._left[0].is_seen:
            del self._left[0]
            trimmed += 1
        self._positions[chunk.topic] = chunk.position
        if not any(entry.is_partly_seen for entry in self._left):
            await self._claimed.outbox.trim(trimmed, self._positions)
        elif trimmed:
            await self._claimed.outbox.trim(trimmed, {})

    async def publish_rest(self) -> None:
        """The entries that are not on the topics, in order; no row goes back behind what came after it."""
        for entry in self._left:
            names = sorted({(row.key or b"").decode() for row in entry.rows()})
            known = await self._claimed.segmenter.known(names)
            await self._claimed.outbox.publish([entry.rest(partial(self._is_newest, known))])

    def _is_newest(self, known: Mapping[str, Customer], row: OutRecord) -> bool:
        """Whether nothing was said of its customer after it; what takes a row away does so of who is in nothing."""
        customer = known[(row.key or b"").decode()]
        if row.value is not None:
            return memberships.decode(row.value).sequence >= customer.sequence
        is_nowhere = customer.ahead is None and not customer.since
        return is_nowhere and (customer.is_erased or row.key not in self._found)


def _identity(topic: str, headers: Sequence[Header]) -> Identity:
    return (topic.encode(), *(changes.identity(headers) if topic == CHANGES else dead_letters.identity(headers)))


def _by_customer(chunk: OutputChunk) -> Mapping[str, list[PublishedChange]]:
    by: dict[str, list[PublishedChange]] = defaultdict(list)
    for customer_id, told in _told(chunk):
        by[customer_id].append(told)
    return by


def _row(customer_id: str, told: Sequence[PublishedChange], customer: Customer) -> OutRecord | None:
    """Of the table, after the newest of these changes; ``None``: what is known of the customer goes on after it."""
    newest = max(told, key=lambda one: one.sequence)
    if newest.sequence < customer.sequence and not customer.is_gone:
        return None
    return said_row(customer_id, None if is_forgotten(customer, newest) else newest)


def _told(chunk: OutputChunk) -> Iterable[tuple[str, PublishedChange]]:
    strange = 0
    for record in chunk.records:
        if record.value is None:
            continue  # a tombstone says nothing of a customer
        try:
            yield changes.told(record.value)
        except msgspec.DecodeError:
            strange += 1
    if strange:
        log.warning(
            "the topic holds records that are no changes of ours",
            extra={"topic": chunk.topic, "partition": chunk.partition, "count": strange},
        )
