"""A store in memory: the contract in a few dictionaries, for tests, and for state which need not outlive a process.

It fulfils the contract to the letter, so that code which runs on it runs on any store.

See also: `streams.state.contract`, and `streams.state.redis`, the store that lasts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from streams.errors import LowerGeneration
from streams.state.contract import (
    Claim,
    EncodedVersions,
    PartitionState,
    Save,
    SaveAnswer,
    StoredCustomer,
    check_identity,
    tombstone,
)


class _Partition:
    """The state of a partition in memory."""

    def __init__(self) -> None:
        self.claim: Claim | None = None
        self.positions: dict[str, int] = {}
        self.clock = 0
        self.caught_up_until = 0
        self.save_number = 0
        self.digest = b""
        self.customers: dict[str, bytes] = {}
        self.erased: dict[bytes, bytes] = {}
        self.dues: dict[str, int] = {}
        self.outbox: list[bytes] = []
        self.trimmed = 0
        self.outputs: dict[str, int] = {}
        self.definition_version, self.definition_versions = 0, b""
        self.documents: dict[int, bytes] = {}
        self.scanned: list[str] = []
        self.attempt = b""


class MemoryStore:
    """A store in dictionaries, lost with the process. See `streams.state.contract.Store`."""

    def __init__(self) -> None:
        self._partitions: dict[int, _Partition] = {}

    def _of(self, partition: int) -> _Partition:
        return self._partitions.setdefault(partition, _Partition())

    async def generation(self, partition: int) -> int:
        claim = self._of(partition).claim
        return -1 if claim is None else claim.generation

    async def verify(self, now_ms: Callable[[], int]) -> None:
        """Do nothing: a memory store fulfils the contract."""

    async def claim(self, claim: Claim) -> PartitionState:
        state = self._of(claim.partition)
        if state.claim is not None:
            if state.positions:
                follows = claim.follows and state.definition_versions != b""
                check_identity(state.claim.identity, claim.identity, follows=follows)
            generation = state.claim.generation
            if claim.generation < generation and claim.proven_over != state.claim.fencing_token:
                raise LowerGeneration(generation, state.claim.fencing_token)
        state.claim = claim
        next_due = min(state.dues.values(), default=0)
        return PartitionState(
            dict(state.positions), state.clock, state.save_number, next_due, list(state.outbox), state.trimmed,
            dict(state.outputs), state.definition_versions, state.attempt, dict(state.documents),
        )  # fmt: skip

    async def begin(
        self, claim: Claim, positions: Mapping[str, int], files: EncodedVersions | None = None, number: int = 0
    ) -> bool:
        state = self._of(claim.partition)
        if state.claim is None or state.claim.fencing_token != claim.fencing_token or state.save_number < number:
            return False
        state.positions = {**positions, **state.positions}
        if files is not None:
            state.definition_version = files.number
            self._set_files(state, files)
        return True

    async def set_attempt(self, partition: int, fencing_token: str, attempt: bytes) -> bool:
        state = self._of(partition)
        if state.claim is None or state.claim.fencing_token != fencing_token:
            return False
        state.attempt = attempt
        return True

    async def load(self, partition: int, customers: Sequence[str]) -> list[bytes | None]:
        state = self._of(partition)
        return [state.customers.get(customer, state.erased.get(tombstone(customer))) for customer in customers]

    async def count(self, partition: int) -> int:
        return len(self._of(partition).customers)

    async def scan(self, partition: int, cursor: int, count: int) -> tuple[int, list[tuple[str, bytes]]]:
        state = self._of(partition)
        if not cursor:
            state.scanned = list(state.customers)
        names, end = state.scanned[cursor : cursor + count], cursor + count
        page = [(name, state.customers[name]) for name in names if name in state.customers]
        return 0 if end >= len(state.scanned) else end, page

    async def due(self, partition: int, until: int, limit: int) -> list[str]:
        dues = self._of(partition).dues
        ready = sorted((due, customer) for customer, due in dues.items() if due <= until)
        return [customer for _, customer in ready[:limit]]

    async def next_due(self, partition: int) -> int:
        return min(self._of(partition).dues.values(), default=0)

    async def save(self, partition: int, save: Save) -> SaveAnswer:
        state = self._of(partition)
        if state.claim is None or state.claim.fencing_token != save.fencing_token:
            return "fenced"
        if save.number == state.save_number and save.digest == state.digest:
            return "already"
        if save.number != state.save_number + 1:
            return "out_of_order"
        # Computed by other definitions, or from other positions, than those that are stored.
        if any(state.positions.get(name) != start for name, start in save.starts.items()):
            return "moved"
        if save.definition_version != state.definition_version:
            return "moved"
        state.save_number, state.digest = save.number, save.digest
        if save.files is not None:
            self._set_files(state, save.files)
        state.positions.update(save.positions)
        state.clock = max(state.clock, save.clock)
        state.caught_up_until = max(state.caught_up_until, save.caught_up_until)
        self._write(state, save.customers)
        state.outbox.extend(save.outbox)
        return "saved"

    @staticmethod
    def _set_files(state: _Partition, files: EncodedVersions) -> None:
        state.definition_versions = files.encoded
        state.documents = {number: state.documents[number] for number in files.stay if number in state.documents}
        state.documents.update(files.documents)

    @staticmethod
    def _write(state: _Partition, customers: Iterable[StoredCustomer]) -> None:
        for customer in customers:
            if customer.erased:
                state.customers.pop(customer.id, None)
                state.erased[customer.tombstone] = customer.value
            else:
                state.customers[customer.id] = customer.value
            if customer.due:
                state.dues[customer.id] = customer.due
            elif customer.due == 0:
                state.dues.pop(customer.id, None)

    async def trim(
        self, partition: int, fencing_token: str, first: int, outputs: Mapping[str, int], number: int
    ) -> bool:
        state = self._of(partition)
        if state.claim is None or state.claim.fencing_token != fencing_token or state.save_number < number:
            return False
        if first > state.trimmed:
            del state.outbox[: first - state.trimmed]
            state.trimmed = first
        state.outputs.update(outputs)
        return True
