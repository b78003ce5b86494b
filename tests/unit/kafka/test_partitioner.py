"""The partition of a key is the one that aiokafka's partitioner chooses, also where many keys are hashed together."""

from __future__ import annotations

import random

import pytest
from aiokafka import partitioner as reference
from hypothesis import given
from hypothesis import strategies as st

from streams.kafka.partitioner import belonging_of_each, murmur2_of_each, partition_of, partitions_of_keys


def expected_hash(key: bytes) -> int:
    """The hash by aiokafka, without a sign."""
    return int(reference.murmur2(key)) & 0xFFFFFFFF


@given(st.lists(st.binary(max_size=70), max_size=60))
def test_any_keys_are_hashed_as_aiokafka_hashes_them(keys: list[bytes]) -> None:
    """All together, where those of one length share the operations."""
    assert murmur2_of_each(keys) == [expected_hash(key) for key in keys]


@pytest.mark.parametrize("length", [0, 1, 3, 4, 5, 7, 8, 36, 255, 1_024])
def test_many_keys_of_one_length(length: int) -> None:
    """Enough of them to be hashed in arrays, also with each possible rest of bytes."""
    rng = random.Random(length)
    keys = [rng.randbytes(length) for _ in range(300)]
    assert murmur2_of_each(keys) == [expected_hash(key) for key in keys]


@pytest.mark.parametrize("partitions", [1, 4, 10, 97])
def test_partitions(partitions: int) -> None:
    """Persian ids, too; a customer belongs to its partition and to no other."""
    customers = [f"u{number}" for number in range(200)] + [f"مشتری-{number}" for number in range(200)]
    chosen = [partition_of(customer, partitions) for customer in customers]
    assert chosen == [(expected_hash(customer.encode()) & 0x7FFFFFFF) % partitions for customer in customers]
    assert partitions_of_keys([customer.encode() for customer in customers], partitions) == chosen
    belong = belonging_of_each(partitions, "murmur2")
    for partition in range(partitions):
        assert belong(customers, partition) == [place == partition for place in chosen]
    assert all(belonging_of_each(partitions, "none")(customers, 0))
