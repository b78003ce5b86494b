"""The partition of a customer: Kafka's default partitioner, murmur2 over the customer id.

Every new customer is checked against its partition, and every record of `merges` is placed by its key. aiokafka hashes
one key at a time in Python, so many keys are hashed at once with numpy here (`murmur2_of_each`).

See also: `streams.worker.placement`, which checks topics by it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence

import numpy as np
from aiokafka.partitioner import murmur2
from numpy.typing import NDArray

from streams.settings import Settings

_SEED = 0x9747B28C
_FACTOR = 0x5BD1E995
_UNSIGNED = 0xFFFFFFFF
_POSITIVE = 0x7FFFFFFF
# Fewer keys of one length are hashed one by one: an operation on an array costs as much as several on numbers.
_TOGETHER_MIN = 8


def murmur2_of_each(keys: Sequence[bytes]) -> list[int]:
    """The hashes of these keys, in their order, without a sign."""
    hashes = [0] * len(keys)
    by_length: defaultdict[int, list[int]] = defaultdict(list)
    for index, key in enumerate(keys):
        by_length[len(key)].append(index)
    for length, indices in by_length.items():
        if len(indices) < _TOGETHER_MIN:
            hashed_keys = [murmur2(keys[index]) & _UNSIGNED for index in indices]
        else:
            hashed_keys = _murmur2_of_one_length([keys[index] for index in indices], length).tolist()
        for index, hashed in zip(indices, hashed_keys, strict=True):
            hashes[index] = hashed
    return hashes


def _murmur2_of_one_length(keys: Sequence[bytes], length: int) -> NDArray[np.uint32]:
    """The hashes of keys of one length: a row of words each, hashed column by column. Arrays of uint32 wrap around."""
    padded = -(-length // 4) * 4
    texts = np.zeros((len(keys), padded), np.uint8)
    texts[:, :length] = np.frombuffer(b"".join(keys), np.uint8).reshape(len(keys), length)
    words = texts.view("<u4").astype(np.uint32)
    factor = np.uint32(_FACTOR)
    state = np.full(len(keys), _SEED ^ length, np.uint32)
    for column in range(length >> 2):
        mixed = words[:, column] * factor
        state = (state * factor) ^ ((mixed ^ (mixed >> np.uint32(24))) * factor)
    if length & 3:
        state = (state ^ words[:, -1]) * factor
    state = (state ^ (state >> np.uint32(13))) * factor
    hashed: NDArray[np.uint32] = state ^ (state >> np.uint32(15))
    return hashed


def partition_of(customer: str, partitions: int) -> int:
    """The partition of a customer's records, as the clients of Java, aiokafka and kafka-python choose it by key."""
    return int((murmur2(customer.encode()) & _POSITIVE) % partitions)


def partitions_of_keys(keys: Sequence[bytes], partitions: int) -> list[int]:
    """The partition of each of these keys."""
    return [(hashed & _POSITIVE) % partitions for hashed in murmur2_of_each(keys)]


def belonging(partitions: int, partitioner: str) -> Callable[[str, int], bool]:
    """A function that tells whether a customer belongs to a partition; without murmur2 each belongs to any."""
    checks_keys = partitioner == "murmur2"
    return lambda customer, partition: not checks_keys or partition_of(customer, partitions) == partition


def belonging_of_each(partitions: int, partitioner: str) -> Callable[[Sequence[str], int], Sequence[bool]]:
    """A function that tells of each of these customers whether it belongs to a partition; see `belonging`."""

    def belong(customers: Sequence[str], partition: int) -> Sequence[bool]:
        if partitioner != "murmur2":
            return [True] * len(customers)
        keys = [customer.encode() for customer in customers]
        return [place == partition for place in partitions_of_keys(keys, partitions)]

    return belong


def places(settings: Settings, customer_id: str, count: int) -> range:
    """The partitions, of ``count``, in which a customer may be: all of them if the partitioner is not known."""
    if settings.partitioner == "none":
        return range(count)
    partition = partition_of(customer_id, count)
    return range(partition, partition + 1)
