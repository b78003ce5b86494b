"""What is held of one customer, and where: in Redis, by triggers, and on each topic.

The one rule: it only looks on. On topics a customer is known by the key; among dead letters, which keep what came
as it came, also by the id anywhere in the value.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import msgspec

from rules.standing import Customer
from streams.kafka.log_reader import Logs
from streams.kafka.partitioner import places
from streams.settings import Settings
from streams.state.redis import RedisStore
from streams.state.stored_customers import opened
from streams.triggers import customer_state
from streams.wire import customers
from streams.wire.records import decode_entry
from streams.wire.topics import DEAD_LETTERS, TRIGGER_DEAD_LETTERS


class InRedis(msgspec.Struct, frozen=True):
    """Of one partition: the stored value, the next due time (ms), what waits to be published, and what stays of
    who was erased; ``positions``: of the inputs, all of it at one moment but for the last two."""

    partition: int
    value: bytes | None
    due: int
    waiting: int
    erased: bytes | None
    positions: Mapping[str, int]

    @property
    def customer(self) -> Customer | None:
        """As the segmenter keeps one."""
        return None if self.value is None else customers.decode(self.value)

    @property
    def standing(self) -> Customer | None:
        """The customer, or what stays of one that was erased."""
        value = self.value or self.erased
        return None if value is None else customers.decode(value)

    @property
    def person(self) -> customer_state.Person | None:
        """As triggers keep one."""
        return None if self.value is None else customer_state.decode(self.value)

    def is_gone(self, since: int) -> bool:
        """Whether nothing from before then (ms) is there; as the segmenter keeps it."""
        return not self.waiting and ((known := self.customer) is None or known.erased >= since)


async def in_redis(store: RedisStore, partition: int, customer_id: str) -> InRedis:
    """What a store holds of a customer in a partition. Raises `StoreFailed`."""
    found = await store.snapshot(partition, [customer_id])
    records = [record for entry in await store.outbox(partition) for record in decode_entry(entry)]
    key = customer_id.encode()
    return InRedis(
        partition=partition,
        value=found.values[customer_id],
        due=found.dues.get(customer_id, 0),
        waiting=sum(record.key == key for record in records),
        erased=await store.erased(partition, customer_id),
        positions=found.positions,
    )


async def everywhere(settings: Settings, customer_id: str, count: int) -> list[InRedis]:
    """In each partition, of so many, in which the customer may be. Raises `Stop`."""
    async with opened(settings) as store:
        return [await in_redis(store, partition, customer_id) for partition in places(settings, customer_id, count)]


def _spellings(customer_id: str) -> set[bytes]:
    """An id as bytes of JSON may have it: escaped or not, of which some encoders do it with slashes too."""
    quoted = {json.dumps(customer_id, ensure_ascii=is_ascii)[1:-1] for is_ascii in (True, False)}
    return {text.encode() for text in (customer_id, *quoted, *(one.replace("/", "\\/") for one in quoted))}


Progress = Callable[[Iterable[Any], str, str], Iterable[Any]]


def records(
    settings: Settings, logs: Logs, topic: str, customer_id: str, count: int, progress: Progress
) -> Iterator[Any]:
    """The records of a customer which a topic of ``count`` partitions still holds. Raises `Stop`.

    ``progress`` is given the records of each partition, the verb and the noun of what it may show.
    """
    key = customer_id.encode()
    is_of_any = topic in (DEAD_LETTERS, TRIGGER_DEAD_LETTERS)
    spelled = _spellings(customer_id)
    for partition in range(count) if is_of_any else places(settings, customer_id, count):
        log = logs.open(topic, partition)
        for record in progress(log.whole(), f"of {log.name} looked through", "records"):
            if record.key == key or (is_of_any and any(spelling in (record.value or b"") for spelling in spelled)):
                yield record
