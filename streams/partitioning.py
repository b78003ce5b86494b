"""Where a customer belongs: Kafka's default partitioner over the customer id."""

from __future__ import annotations

from aiokafka.partitioner import murmur2


def partition_of(customer: str, partitions: int) -> int:
    """The partition of this key among so many, as Java's, aiokafka's and kafka-python's clients choose it."""
    return int((murmur2(customer.encode()) & 0x7FFFFFFF) % partitions)
