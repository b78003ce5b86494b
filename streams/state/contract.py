"""The store: what a partition owns, kept together.

The one rule: a save is all or nothing. Customers, due times, outbox, positions and clock of a
partition are written together or not at all, and only by the claim that holds the partition, in
the order of its save numbers, from the positions that are stored.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from typing import Literal, Protocol

import msgspec

from streams.errors import ClaimRefused
from streams.stop import COPY, REBUILD

SaveAnswer = Literal["saved", "already", "fenced", "out_of_order", "moved", "too_early"]


class Identity(msgspec.Struct, frozen=True):
    """What a partition's state belongs to; a difference means that something else was started."""

    cluster: str
    group: str
    partitions: int
    definitions: str
    topics: str = ""  # the prefix of their names


class Claim(msgspec.Struct, frozen=True):
    """One ownership of a partition. ``generation`` is the Kafka group's, ``token`` is random."""

    partition: int
    generation: int
    token: str
    identity: Identity
    # The token of the claim of a higher generation which an offset commit of this one has proven to be over. Not its
    # number: a group that began anew may have come to that again.
    proven_over: str = ""
    # Whether it may go on from other definitions, where the partition says which.
    follows: bool = False


class PartitionState(msgspec.Struct, frozen=True):
    """What a claim finds. Positions are the next offsets to apply, by input; the truth.

    ``trimmed``: how many entries of the outbox were dropped before those that it holds. ``epochs``: of
    `streams.state.definition_versions`, empty when nothing was ever said of it, with ``documents`` by number.
    ``outputs``: by output, the position up to which what was published is known here; one that is not there was never
    told. ``attempt``: of `streams.runtime.poison_pills`, what the former owner worked from; empty where it ended in
    order.
    """

    positions: Mapping[str, int]
    clock: int
    save_number: int
    next_due: int
    outbox: Sequence[bytes]
    trimmed: int
    outputs: Mapping[str, int] = {}
    epochs: bytes = b""
    attempt: bytes = b""
    documents: Mapping[int, bytes] = {}


class Files(msgspec.Struct, frozen=True):
    """The definitions that decide a partition, as `streams.state.definition_versions` encodes them.

    ``number``: that of the newest. ``stay``: the numbers of the files whose documents stay; those of others are
    removed. ``documents``: those that may not be stored yet, by number.
    """

    number: int
    encoded: bytes
    stay: Sequence[int] = ()
    documents: Mapping[int, bytes] = {}


class StoredCustomer(msgspec.Struct, frozen=True, gc=False):
    """A customer as stored; ``due`` (ms) is the next due time, 0: none, ``None``: as it was.

    ``erased``: what stays of one who was erased. It is kept under a hash of the id, and nothing under the id.
    """

    id: str
    value: bytes
    due: int | None
    erased: bool = False

    @property
    def tombstone(self) -> bytes:
        """Under what it is kept once it is erased."""
        return tombstone(self.id)


def tombstone(customer_id: str) -> bytes:
    """The name of what stays of an erased customer: it does not say who that was."""
    return sha256(f"erased\0{customer_id}".encode()).digest()[:16]


class Save(msgspec.Struct, frozen=True):
    """One atomic step of a partition.

    ``starts`` are the positions that the step was computed from, ``positions`` those after it.
    ``outbox`` are entries to be published, in order. ``digest`` names the content, so that a
    client's own retry of the same save is told from another save of the same number.
    ``caught_up`` (ms): with this step everything that was appended to any input up to then is read; 0: not known.
    ``epoch``: the number of the newest of the partition's files, which must be the one that it was computed by.
    ``files``: where what is known of them has changed; without documents.
    """

    token: str
    number: int
    digest: bytes
    starts: Mapping[str, int]
    positions: Mapping[str, int]
    clock: int
    customers: Sequence[StoredCustomer]
    outbox: Sequence[bytes]
    caught_up: int = 0
    epoch: int = 0
    files: Files | None = None


class Store(Protocol):
    """The contract, kept by the memory store and by Redis. Any method may raise `StoreFailed`."""

    async def generation(self, partition: int) -> int:
        """The generation that holds the partition; -1: none is known."""

    async def verify(self, now_ms: Callable[[], int]) -> None:
        """Refuse a store that cannot keep the contract. Raises `ClaimRefused`."""

    async def claim(self, claim: Claim) -> PartitionState:
        """Take the partition. Raises `ClaimRefused` or `LowerGeneration`.

        What was claimed but never begun holds no state, so it belongs to nobody yet.
        """

    async def begin(
        self, claim: Claim, positions: Mapping[str, int], files: Files | None = None, number: int = 0
    ) -> bool:
        """Set the first positions of inputs that have none; known ones stay. And the files, if some are given.

        ``number``: the newest save that the store has confirmed to who decides by these files.
        ``False`` when the claim is no longer held, or that save is not there, as in `trim`.
        """

    async def set_attempt(self, partition: int, token: str, attempt: bytes) -> bool:
        """Write what is worked from, to be found by the next claim; ``False`` when the claim is no longer held."""

    async def load(self, partition: int, customers: Sequence[str]) -> list[bytes | None]:
        """Stored customers in the order asked for; of one who was erased, what stays."""

    async def count(self, partition: int) -> int:
        """How many customers are stored, without those who were erased."""

    async def scan(self, partition: int, cursor: int, count: int) -> tuple[int, list[tuple[str, bytes]]]:
        """About so many stored customers, and where to go on; from 0 to 0 everybody who was there all the while."""

    async def due(self, partition: int, until: int, limit: int) -> list[str]:
        """At most ``limit`` customers with a due time ≤ ``until``, oldest first."""

    async def next_due(self, partition: int) -> int:
        """The oldest due time of the partition; 0 for none."""

    async def save(self, partition: int, save: Save) -> SaveAnswer:
        """Apply the step, or say why not; ``too_early``: its clock is ahead of the store's own, if it has one."""

    async def trim(self, partition: int, token: str, first: int, outputs: Mapping[str, int], number: int) -> bool:
        """Drop the entries of the outbox before number ``first``, counted from the first ever put.

        ``outputs``: positions after the records of what is dropped, to be found by the next claim.
        Doing it twice is doing it once. ``number``: the newest save that the store has confirmed.
        ``False`` when the claim is no longer held, or that save is not there: the store lost its last
        writes, and must not be told that what they knew of the outputs is known.
        """


def check_identity(stored: Identity, ours: Identity, *, follows: bool = False) -> None:
    """Refuse to run on state that belongs to something else; ``follows``: but for other definitions."""
    remedies = {
        "cluster": "this Redis holds the state of another Kafka cluster; point SEGMENTER_REDIS to a fresh one",
        "group": "this Redis holds the state of another group; set SEGMENTER_GROUP back or use a fresh Redis",
        "topics": "this Redis holds the state of other topics; set SEGMENTER_TOPIC_PREFIX back or use a fresh Redis",
        "partitions": f"the number of partitions changed, so customers would move; {COPY}",
        "definitions": f"the definitions changed, and Redis does not hold the former file; run it once, or {REBUILD}",
    }
    for field, remedy in remedies.items():
        was, now = getattr(stored, field), getattr(ours, field)
        if was != now and not (follows and field == "definitions"):
            raise ClaimRefused(f"{field} stored {was!r}, here {now!r}: {remedy}")
