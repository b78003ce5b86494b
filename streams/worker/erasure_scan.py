"""The scan for erasures: finds the customers to erase before anything else of a partition is read.

The one rule: in a partition of which nothing was read yet, as in a rebuild, the requests are searched for first. So an
erased customer is not decided and published once more before its request is read.

Only ``profiles`` is scanned for requests, as they are accepted there alone, and ``merges`` for those which were sent on
to a person's former ids. Other records are not decoded. The scan goes partition by partition, and its progress is saved
with the positions of the outputs: a claim that runs out of time goes on with the next partition at the next attempt.

See also `rules.identity.erasure`, which erases one customer, also when a request comes while the worker runs.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Iterable, Mapping
from contextlib import aclosing
from typing import Any

import msgspec

from rules.customer import Linkage
from rules.event_names import INPUTS
from rules.events import Event, Origin
from rules.identity.erasure import erases
from rules.identity.events import CascadedErasure, ErasureNotice, Link
from rules.placeholders import BUILT_IN, Placeholders
from streams.kafka.fetch import OutputReader
from streams.runtime.checkpoint import Checkpointer
from streams.wire import identity_records
from streams.wire.dead_letters import Undecodable
from streams.wire.event_decoder import read
from streams.wire.memberships import tombstone
from streams.wire.records import OutRecord
from streams.wire.topics import MERGES
from streams.worker.customer_loader import CustomerLoader
from streams.worker.step_writer import slices, stored_customer

_PROFILES = INPUTS[0]

TOPICS = (_PROFILES, MERGES)
# The kind is the first field of a record.
_KIND_WITHIN_BYTES = 16


class ErasedIds(msgspec.Struct, frozen=True):
    """Erased ids, each with its last erasure (event time, ms), and the scanned positions by topic.

    ``along``: those ids without a request of their own, which an `anonymousId` linked to a person with a request.
    """

    erased: dict[str, int]
    positions: dict[str, int]
    along: set[str]


async def find(
    outputs: OutputReader, partition: int, positions: Mapping[str, int], placeholders: Placeholders = BUILT_IN
) -> ErasedIds:
    """Scan a partition from these positions on, or from the first record. Raises what the reading raises."""
    result, linked = ErasedIds({}, {}, set()), dict[str, tuple[int, str]]()
    for topic in TOPICS:  # requests first: an older link of a requested id does not count
        async with aclosing(outputs.read({(topic, partition): positions.get(topic)})) as chunks:
            async for chunk in chunks:
                records, erased = chunk.records, result.erased
                if topic == _PROFILES:
                    requests = _requests(records, partition, placeholders)
                else:
                    requests = _carried_out(records, linked, erased)
                for event in requests:
                    if isinstance(event, ErasureNotice) and not event.vouched and event.customer not in erased:
                        result.along.add(event.customer)
                    erased[event.customer] = max(erased.get(event.customer, 0), event.time)
                result.positions[topic] = chunk.position
    return result


def _requests(records: Iterable[Any], partition: int, placeholders: Placeholders) -> Iterable[Event]:
    for record in records:
        value = record.value or b""
        if b"erase" in value or b"\\u" in value:  # an escape in JSON may spell the word
            origin = Origin(_PROFILES, partition, record.offset)
            event = read(value, record.key, record.timestamp, origin, placeholders)
            if not isinstance(event, Undecodable) and event.is_erasure:
                yield event


def _carried_out(
    records: Iterable[Any], linked: dict[str, tuple[int, str]], erased: Mapping[str, int]
) -> Iterable[Event]:
    """Erasures of ids that were erased along with the persons to which they were linked.

    Only the owner of an id knows whether it is erased along, as the id may have refused the link. So the owner's notice
    counts, and not the request that was sent to it.
    """
    for record in records:
        value = record.value or b""
        if identity_records.is_of_former_version(value):
            yield from _sent_on(value, record.key, linked, erased)
        elif b"notice" in value[:_KIND_WITHIN_BYTES]:
            event = identity_records.read(value, record.key)
            if isinstance(event, ErasureNotice):
                yield event


def _sent_on(
    value: bytes, key: bytes | None, linked: dict[str, tuple[int, str]], erased: Mapping[str, int]
) -> Iterable[Event]:
    """Erasures in a record of an old version, whose owners wrote no notice; ``linked``: each former id's last link."""
    if b'"link"' in value or b'"erased"' in value:
        event = identity_records.read(value, key)
        if isinstance(event, Link):
            linked[event.customer] = max(linked.get(event.customer, (0, "")), (event.time, event.into))
        elif isinstance(event, CascadedErasure):
            # An older link than the stored one is not known; it is taken for a link to the same id.
            since, into = linked.get(event.customer, (0, event.into))
            gone = erased.get(event.customer, 0)
            if erases(event, gone, None if gone >= since > 0 else (into, since)):
                yield event


async def apply_erasures(
    loader: CustomerLoader, checkpointer: Checkpointer, erased: Mapping[str, int], along: Collection[str] = ()
) -> AsyncIterator[list[OutRecord]]:
    """Erase ids, each up to a time (ms), before any other record is read: events at or before it do not count.

    ``along``: ids without a request of their own (see `ErasedIds`). Yields the records of
    each save.
    """
    for ids in slices(erased):
        loaded = await loader.load_as_stored(ids)
        own = {customer_id: entry for customer_id, entry in loaded.items() if entry[1] >= 0}
        for customer_id, (customer, _) in own.items():
            before = customer.erased
            customer.instant = customer.erased = max(before, erased[customer_id])
            if customer_id in along:
                customer.linkage = Linkage(erased_along=True, erased_before=before)
        # Where the store is empty it does not know the changes; the step that erased has named the last one.
        out = [tombstone(customer_id, None) for customer_id in own]
        stored = [stored_customer(customer_id, *entry) for customer_id, entry in own.items()]
        await checkpointer.save(stored, out)
        yield out
