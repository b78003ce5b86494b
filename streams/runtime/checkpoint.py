"""Checkpoints: state, positions, clock and outbox of one partition, saved together under one claim.

The one rule: what was not saved did not happen. Checkpoints are numbered, and each starts from where the one before
ended. A checkpoint that the store refuses ends the claim (`Fenced`) or the process (`Stop`).

See also ``streams/state/lua/save.lua``, which makes it atomic.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import blake2b

from streams.errors import Fenced
from streams.failpoints import happens, reach
from streams.state.contract import Files, PartitionState, Save, Store, StoredCustomer
from streams.stop import Stop
from streams.wire.records import OutRecord, encode_entry


class Checkpointer:
    """What is saved of a partition. Not for concurrent use: a partition has one writer."""

    def __init__(self, store: Store, partition: int, token: str, state: PartitionState) -> None:
        self._store = store
        self._partition = partition
        self._token = token
        self.save_number = state.save_number
        self.positions = dict(state.positions)
        self.clock = state.clock
        self.next_due = state.next_due
        self._epoch = 0

    @property
    def dead_share_near(self) -> float:
        """How near dead letters are to stopping the process, which they do at 1; without any, 0."""
        return 0.0

    @property
    def is_settled(self) -> bool:
        """Whether `sweep` has nothing to do."""
        return True

    async def sweep(self, _limit: int) -> list[OutRecord]:
        """About so many of the customers who must all be looked at again; the records to publish."""
        return []

    async def save(
        self,
        stored: Sequence[StoredCustomer],
        out: Sequence[OutRecord],
        starts: Mapping[str, int],
        positions: Mapping[str, int],
        clock: int,
        caught_up: int = 0,
        files: Files | None = None,
    ) -> None:
        """One step, all or nothing; ``out`` goes into the outbox."""
        entry = [encode_entry(out)] if out else []
        clock = max(clock, self.clock)
        save = Save(
            token=self._token,
            number=self.save_number + 1,
            digest=_digest(positions, (clock, caught_up), stored, entry),
            starts=starts,
            positions=positions,
            clock=clock,
            customers=stored,
            outbox=entry,
            caught_up=caught_up,
            epoch=self._epoch,
            files=files,
        )
        reach("before_save")
        answer = await self._store.save(self._partition, save)
        if happens("lost_save_reply"):
            answer = await self._store.save(self._partition, save)
        reach("after_save")
        if answer == "fenced":
            raise Fenced
        if answer in ("out_of_order", "moved"):
            raise Stop(
                f"partition {self._partition} was changed by someone else or Redis lost its last writes ({answer}); "
                "start the worker again, it goes on from what Redis holds"
            )
        if answer == "too_early":
            raise Stop(
                "the clock of this machine is ahead of the clock of Redis; set them right, then start the worker"
            )
        self.save_number += 1
        self.clock = clock
        self.positions.update(positions)
        dues = [customer.due for customer in stored if customer.due]
        self.next_due = min(filter(None, (self.next_due, *dues)), default=0)


def _digest(
    positions: Mapping[str, int], clocks: tuple[int, int], stored: Sequence[StoredCustomer], entry: Sequence[bytes]
) -> bytes:
    digest = blake2b(repr((sorted(positions.items()), clocks)).encode(), digest_size=16)
    digest.update(b"".join([customer.value for customer in stored]))
    for value in entry:
        digest.update(value)
    return digest.hexdigest().encode()
