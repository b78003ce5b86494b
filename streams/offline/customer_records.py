"""Everything that is stored of one customer: in Redis by the segmenter and by triggers, and on each topic.

The one rule: it only reads. On a topic the records of a customer are those with its id as key. A dead letter carries
the bytes of a rejected message as they came, so there the id is also searched for anywhere in the value.

See also: `streams.cli.export` and `streams.cli.erase`, which show what is stored here.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import msgspec

from rules.customer import Customer
from streams.kafka.log_reader import Logs
from streams.kafka.partitioner import places
from streams.settings import Settings
from streams.state.readonly_store import opened
from streams.state.redis import RedisStore
from streams.triggers import customer_state
from streams.wire import customer_codec
from streams.wire.records import decode_entry
from streams.wire.topics import DEAD_LETTERS, TRIGGER_DEAD_LETTERS


class InRedis(msgspec.Struct, frozen=True):
    """A customer in one partition of a store.

    ``due``: its next due time (ms; 0: none). ``waiting``: how many of its records wait to be published. ``erased``:
    what stays of a customer that was erased. ``positions``: of the inputs. ``value``, ``due`` and ``positions`` are of
    one moment, the other two are read after it.
    """

    partition: int
    value: bytes | None
    due: int
    waiting: int
    erased: bytes | None
    positions: Mapping[str, int]

    @property
    def customer(self) -> Customer | None:
        """The value as the segmenter stores it."""
        return None if self.value is None else customer_codec.decode(self.value)

    @property
    def standing(self) -> Customer | None:
        """The customer, or what stays of a customer that was erased."""
        value = self.value or self.erased
        return None if value is None else customer_codec.decode(value)

    @property
    def person(self) -> customer_state.Person | None:
        """The value as triggers store it."""
        return None if self.value is None else customer_state.decode(self.value)

    def is_gone(self, since: int) -> bool:
        """Whether the segmenter stores nothing that is older than ``since`` (ms)."""
        if self.waiting:
            return False
        customer = self.customer
        return customer is None or customer.erased >= since


async def in_redis(store: RedisStore, partition: int, customer_id: str) -> InRedis:
    """Read what a store holds of a customer in a partition. Raises `StoreFailed`."""
    snapshot = await store.snapshot(partition, [customer_id])
    records = [record for entry in await store.outbox(partition) for record in decode_entry(entry)]
    key = customer_id.encode()
    return InRedis(
        partition=partition,
        value=snapshot.values[customer_id],
        due=snapshot.dues.get(customer_id, 0),
        waiting=sum(record.key == key for record in records),
        erased=await store.erased(partition, customer_id),
        positions=snapshot.positions,
    )


async def everywhere(settings: Settings, customer_id: str, count: int) -> list[InRedis]:
    """Read a customer in each partition, of ``count``, in which it may be. Raises `Stop`."""
    async with opened(settings) as store:
        return [await in_redis(store, partition, customer_id) for partition in places(settings, customer_id, count)]


def _spellings(customer_id: str) -> set[bytes]:
    """The bytes by which JSON may spell an id: escaped or not; some encoders escape slashes too."""
    quoted = {json.dumps(customer_id, ensure_ascii=is_ascii)[1:-1] for is_ascii in (True, False)}
    with_slashes_escaped = {text.replace("/", "\\/") for text in quoted}
    return {text.encode() for text in {customer_id, *quoted, *with_slashes_escaped}}


ProgressBar = Callable[[Iterable[Any], str, str], Iterable[Any]]


def records(
    settings: Settings, logs: Logs, topic: str, customer_id: str, count: int, progress: ProgressBar
) -> Iterator[Any]:
    """The records of a customer which a topic of ``count`` partitions still holds. Raises `Stop`.

    ``progress`` wraps the records of each partition, and is given the verb and the noun of what it may show.
    """
    key = customer_id.encode()
    # A rejected message may have come under another key or under none, hence in any partition.
    has_dead_letters = topic in (DEAD_LETTERS, TRIGGER_DEAD_LETTERS)
    spellings = _spellings(customer_id) if has_dead_letters else set()
    partitions = range(count) if has_dead_letters else places(settings, customer_id, count)
    for partition in partitions:
        log = logs.open(topic, partition)
        for record in progress(log.whole(), f"of {log.name} looked through", "records"):
            value = record.value or b""
            if record.key == key or any(spelling in value for spelling in spellings):
                yield record
