"""The partition of a customer: Kafka's default partitioner over the customer id."""

from __future__ import annotations

from collections.abc import Callable

from aiokafka.partitioner import murmur2

from streams.settings import Settings


def partition_of(customer: str, partitions: int) -> int:
    """The partition of a customer's records, as the clients of Java, aiokafka and kafka-python choose it by key."""
    return int((murmur2(customer.encode()) & 0x7FFFFFFF) % partitions)


def belonging(partitions: int, partitioner: str) -> Callable[[str, int], bool]:
    """A function that tells whether a customer belongs to a partition; without murmur2 each belongs to any."""
    checks_keys = partitioner == "murmur2"
    return lambda customer, partition: not checks_keys or partition_of(customer, partitions) == partition


def places(settings: Settings, customer_id: str, count: int) -> range:
    """The partitions, of ``count``, in which a customer may be: all of them if the partitioner is not known."""
    if settings.partitioner == "none":
        return range(count)
    partition = partition_of(customer_id, count)
    return range(partition, partition + 1)
