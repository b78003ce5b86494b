"""The contract of a store, which has the state of partitions.

The one rule: a save is all or nothing. Customers, due times, outbox, positions and clock of a
partition are written together or not at all. Only the claim that owns the partition may write, in
the order of its save numbers, and from the positions that are stored.

    `claim` gives the stored state to a new owner, and refuses the former owner's writes from then on
    `load` reads customers of a step, `save` writes the step: customers, positions, clock and outbox entries together
    the outbox entries are published, then `trim` drops them: a crash before it leaves them for the next claim

See also: `streams.state.memory` and `streams.state.redis` (both implement it; the same tests run on both),
`streams.runtime.checkpoint` (saves), `streams.runtime.outbox` (trims).
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
    """The installation to which a partition's state belongs; a difference means that a setting was changed."""

    cluster: str
    group: str
    partitions: int
    definitions: str
    topics: str = ""  # the prefix of their names


class Claim(msgspec.Struct, frozen=True):
    """One ownership of a partition (a lease). ``generation`` is the Kafka group's, ``fencing_token`` is random."""

    partition: int
    generation: int
    fencing_token: str
    identity: Identity
    # The token of a claim with a higher generation that is proven to be over: an offset commit of this claim's
    # generation was accepted. Its token, and not its generation: a group that was deleted counts from 1 again.
    proven_over: str = ""
    # Whether it may take over state of other definitions, if the partition has the list of its definition versions.
    follows: bool = False


class PartitionState(msgspec.Struct, frozen=True):
    """The stored state of a partition, as a claim gets it.

    ``positions``: the next offset to apply, by input; they alone decide where reading continues.
    ``trimmed``: how many entries of the outbox were dropped before the first that is still there.
    ``definition_versions``: the list of them (`streams.state.definition_versions`), empty if there is none yet;
    ``documents``: the definitions of each, by number.
    ``outputs``: by output topic, the position up to which this state knows what was published; recovery reads back
    from there, and a topic without a position from its beginning.
    ``attempt``: the trial of `streams.runtime.poison_pills` in which the former owner died; empty if it ended in order.
    """

    positions: Mapping[str, int]
    clock: int
    save_number: int
    next_due: int
    outbox: Sequence[bytes]
    trimmed: int
    outputs: Mapping[str, int] = {}
    definition_versions: bytes = b""
    attempt: bytes = b""
    documents: Mapping[int, bytes] = {}


class EncodedVersions(msgspec.Struct, frozen=True):
    """The list of a partition's definition versions, as `streams.state.definition_versions` encodes it.

    ``number``: the number of the newest version. ``stay``: the numbers of the versions whose documents stay stored;
    others are removed. ``documents``: documents to store, by number.
    """

    number: int
    encoded: bytes
    stay: Sequence[int] = ()
    documents: Mapping[int, bytes] = {}


class StoredCustomer(msgspec.Struct, frozen=True, gc=False):
    """A customer to store; ``due`` (ms) is its next due time, 0: none, ``None``: unchanged.

    ``erased``: the value is the remainder of an erased customer. It is stored under a hash of the id, and everything
    under the id is removed.
    """

    id: str
    value: bytes
    due: int | None
    erased: bool = False

    @property
    def tombstone(self) -> bytes:
        """The key of the remainder of an erased customer."""
        return tombstone(self.id)


def tombstone(customer_id: str) -> bytes:
    """The key of an erased customer's remainder: a hash, from which the id cannot be read."""
    return sha256(f"erased\0{customer_id}".encode()).digest()[:16]


class Save(msgspec.Struct, frozen=True):
    """One atomic step of a partition.

    ``starts``: the positions from which the step was computed; ``positions``: those after it.
    ``outbox``: entries to be published, in order. ``digest``: of the content; it distinguishes the client's own
    retry of this save from another save with the same number.
    ``caught_up_until`` (ms): with this step all records that were appended to any input until then are read; 0:
    unknown. ``definition_version``: the number of the version by which the step was computed; the store refuses it if
    another one is the newest. ``files``: the list of versions if it has changed; without documents.
    """

    fencing_token: str
    number: int
    digest: bytes
    starts: Mapping[str, int]
    positions: Mapping[str, int]
    clock: int
    customers: Sequence[StoredCustomer]
    outbox: Sequence[bytes]
    caught_up_until: int = 0
    definition_version: int = 0
    files: EncodedVersions | None = None


class Store(Protocol):
    """The contract of a store. Any method may raise `StoreFailed`."""

    async def generation(self, partition: int) -> int:
        """The generation of the partition's claim; -1 if it was never claimed."""

    async def verify(self, now_ms: Callable[[], int]) -> None:
        """Refuse a store that cannot fulfil the contract. Raises `ClaimRefused`."""

    async def claim(self, claim: Claim) -> PartitionState:
        """Claim the partition, and give its state. Raises `ClaimRefused` or `LowerGeneration`.

        A partition that was claimed but never begun has no state, so any installation may claim it.
        """

    async def begin(
        self, claim: Claim, positions: Mapping[str, int], files: EncodedVersions | None = None, number: int = 0
    ) -> bool:
        """Set the first positions of inputs that have none, and the definition versions if given.

        Stored positions stay. ``number``: the newest save that the store has confirmed to this claim.
        ``False`` when the claim no longer owns the partition, or that save is not there, as in `trim`.
        """

    async def set_attempt(self, partition: int, fencing_token: str, attempt: bytes) -> bool:
        """Store the trial of a batch for the next claim; ``False`` when the claim no longer owns the partition."""

    async def load(self, partition: int, customers: Sequence[str]) -> list[bytes | None]:
        """The stored values of customers, in this order; for an erased customer, its remainder."""

    async def count(self, partition: int) -> int:
        """The number of stored customers, without erased ones."""

    async def scan(self, partition: int, cursor: int, count: int) -> tuple[int, list[tuple[str, bytes]]]:
        """The next cursor, and about ``count`` stored customers.

        A scan begins and ends with cursor 0; it gives each customer that is stored all the while at least once.
        """

    async def due(self, partition: int, until: int, limit: int) -> list[str]:
        """At most ``limit`` customers with a due time ≤ ``until``, oldest first."""

    async def next_due(self, partition: int) -> int:
        """The earliest due time of the partition; 0 for none."""

    async def save(self, partition: int, save: Save) -> SaveAnswer:
        """Write the step, or refuse it and give the reason.

        ``already``: this save is stored. ``fenced``: another claim owns the partition. ``out_of_order``: another number
        is next. ``moved``: the stored positions or definition version are not those of the step. ``too_early``: the
        step's clock is ahead of the store's own, if it has one.
        """

    async def trim(
        self, partition: int, fencing_token: str, first: int, outputs: Mapping[str, int], number: int
    ) -> bool:
        """Drop the entries of the outbox before number ``first``, counted from the first that was ever put.

        ``outputs``: positions after the records of dropped entries, for the next claim. A repeated call changes
        nothing. ``number``: the newest save that the store has confirmed. ``False`` when the claim no longer owns the
        partition, or that save is not there: the store has lost its last writes, so its customers may lack published
        changes, and the positions in ``outputs`` would make the next claim pass those over.
        """


def check_identity(stored: Identity, current: Identity, *, follows: bool = False) -> None:
    """Refuse state that belongs to another installation; with ``follows``, definitions may differ.

    Raises `ClaimRefused`.
    """
    remedies = {
        "cluster": "this Redis holds the state of another Kafka cluster; point SEGMENTER_REDIS to a fresh one",
        "group": "this Redis holds the state of another group; set SEGMENTER_GROUP back or use a fresh Redis",
        "topics": "this Redis holds the state of other topics; set SEGMENTER_TOPIC_PREFIX back or use a fresh Redis",
        "partitions": f"the number of partitions changed, so customers would move; {COPY}",
        "definitions": f"the definitions changed, and Redis does not hold the former file; run it once, or {REBUILD}",
    }
    for field, remedy in remedies.items():
        was, now = getattr(stored, field), getattr(current, field)
        if was != now and not (follows and field == "definitions"):
            raise ClaimRefused(f"{field} stored {was!r}, here {now!r}: {remedy}")
