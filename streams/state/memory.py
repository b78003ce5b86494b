"""The store's contract in a few dictionaries: shows what it asks for, and serves where nothing need outlive a process.

The one rule: it keeps the contract to the letter, so that what runs on it runs on any store.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from streams.errors import LowerGeneration
from streams.state.contract import (
    Claim,
    Files,
    PartitionState,
    Save,
    SaveAnswer,
    StoredCustomer,
    check_identity,
    tombstone,
)


class _Partition:
    """All that the memory store holds of a partition."""

    def __init__(self) -> None:
        self.claim: Claim | None = None
        self.positions: dict[str, int] = {}
        self.clock = 0
        self.caught_up = 0
        self.save_number = 0
        self.digest = b""
        self.customers: dict[str, bytes] = {}
        self.erased: dict[bytes, bytes] = {}
        self.dues: dict[str, int] = {}
        self.outbox: list[bytes] = []
        self.trimmed = 0
        self.outputs: dict[str, int] = {}
        self.epoch, self.epochs = 0, b""
        self.documents: dict[int, bytes] = {}
        self.scanned: list[str] = []
        self.attempt = b""


class MemoryStore:
    """The contract in a few dictionaries; lost with the process."""

    def __init__(self) -> None:
        self._partitions: dict[int, _Partition] = {}

    def _of(self, partition: int) -> _Partition:
        return self._partitions.setdefault(partition, _Partition())

    async def generation(self, partition: int) -> int:
        claim = self._of(partition).claim
        return -1 if claim is None else claim.generation

    async def verify(self, now_ms: Callable[[], int]) -> None:
        """Nothing to refuse."""

    async def claim(self, claim: Claim) -> PartitionState:
        held = self._of(claim.partition)
        if held.claim is not None:
            if held.positions:
                check_identity(held.claim.identity, claim.identity, follows=claim.follows and held.epochs != b"")
            stored = held.claim.generation
            if claim.generation < stored and claim.proven_over != held.claim.token:
                raise LowerGeneration(stored, held.claim.token)
        held.claim = claim
        next_due = min(held.dues.values(), default=0)
        return PartitionState(
            dict(held.positions), held.clock, held.save_number, next_due, list(held.outbox), held.trimmed,
            dict(held.outputs), held.epochs, held.attempt, dict(held.documents),
        )  # fmt: skip

    async def begin(
        self, claim: Claim, positions: Mapping[str, int], files: Files | None = None, number: int = 0
    ) -> bool:
        held = self._of(claim.partition)
        if held.claim is None or held.claim.token != claim.token or held.save_number < number:
            return False
        held.positions = {**positions, **held.positions}
        if files is not None:
            held.epoch = files.number
            self._set_files(held, files)
        return True

    async def set_attempt(self, partition: int, token: str, attempt: bytes) -> bool:
        held = self._of(partition)
        if held.claim is None or held.claim.token != token:
            return False
        held.attempt = attempt
        return True

    async def load(self, partition: int, customers: Sequence[str]) -> list[bytes | None]:
        held = self._of(partition)
        return [held.customers.get(customer, held.erased.get(tombstone(customer))) for customer in customers]

    async def count(self, partition: int) -> int:
        return len(self._of(partition).customers)

    async def scan(self, partition: int, cursor: int, count: int) -> tuple[int, list[tuple[str, bytes]]]:
        held = self._of(partition)
        if not cursor:
            held.scanned = list(held.customers)
        names, end = held.scanned[cursor : cursor + count], cursor + count
        found = [(name, held.customers[name]) for name in names if name in held.customers]
        return 0 if end >= len(held.scanned) else end, found

    async def due(self, partition: int, until: int, limit: int) -> list[str]:
        dues = self._of(partition).dues
        ready = sorted((due, customer) for customer, due in dues.items() if due <= until)
        return [customer for _, customer in ready[:limit]]

    async def next_due(self, partition: int) -> int:
        return min(self._of(partition).dues.values(), default=0)

    async def save(self, partition: int, save: Save) -> SaveAnswer:
        held = self._of(partition)
        if held.claim is None or held.claim.token != save.token:
            return "fenced"
        if save.number == held.save_number and save.digest == held.digest:
            return "already"
        if save.number != held.save_number + 1:
            return "out_of_order"
        if save.epoch != held.epoch or any(held.positions.get(name) != start for name, start in save.starts.items()):
            return "moved"
        held.save_number, held.digest = save.number, save.digest
        if save.files is not None:
            self._set_files(held, save.files)
        held.positions.update(save.positions)
        held.clock = max(held.clock, save.clock)
        held.caught_up = max(held.caught_up, save.caught_up)
        self._write(held, save.customers)
        held.outbox.extend(save.outbox)
        return "saved"

    @staticmethod
    def _set_files(held: _Partition, files: Files) -> None:
        held.epochs = files.encoded
        held.documents = {number: held.documents[number] for number in files.stay if number in held.documents}
        held.documents.update(files.documents)

    @staticmethod
    def _write(held: _Partition, customers: Iterable[StoredCustomer]) -> None:
        for customer in customers:
            if customer.erased:
                held.customers.pop(customer.id, None)
                held.erased[customer.tombstone] = customer.value
            else:
                held.customers[customer.id] = customer.value
            if customer.due:
                held.dues[customer.id] = customer.due
            elif customer.due == 0:
                held.dues.pop(customer.id, None)

    async def trim(self, partition: int, token: str, first: int, outputs: Mapping[str, int], number: int) -> bool:
        held = self._of(partition)
        if held.claim is None or held.claim.token != token or held.save_number < number:
            return False
        if first > held.trimmed:
            del held.outbox[: first - held.trimmed]
            held.trimmed = first
        held.outputs.update(outputs)
        return True
