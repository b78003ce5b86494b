"""Where a customer belongs: Kafka's default partitioner over the customer id."""

from __future__ import annotations

from collections.abc import Callable

from aiokafka.partitioner import murmur2

from streams.settings import Settings


def partition_of(customer: str, partitions: int) -> int:
    """The partition of this key among so many, as Java's, aiokafka's and kafka-python's clients choose it."""
    return int((murmur2(customer.encode()) & 0x7FFFFFFF) % partitions)


def belonging(partitions: int, partitioner: str) -> Callable[[str, int], bool]:
    """Whether a customer belongs to a partition, among so many; with a partitioner other than murmur2, to any."""
    checks_keys = partitioner == "murmur2"
    return lambda customer, partition: not checks_keys or partition_of(customer, partitions) == partition


def places(settings: Settings, customer_id: str, count: int) -> range:
    """The partitions in which a customer may be, of so many."""
    if settings.partitioner == "none":
        return range(count)
    place = partition_of(customer_id, count)
    return range(place, place + 1)
