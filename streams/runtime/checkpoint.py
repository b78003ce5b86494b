"""Checkpoints: state, positions, clock and outbox of one partition, saved together under one claim.

The one rule: a step that was not saved did not happen. Checkpoints are numbered, and each starts where the one before
ended. A checkpoint that the store refuses ends the claim (`Fenced`) or the process (`Stop`).

See also ``streams/state/lua/save.lua``, which makes a checkpoint atomic; `streams.runtime.assignment`, which claims and
reads the last one; and `streams.worker.output_recovery` for what was published after it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import blake2b

import msgspec

from streams.errors import Fenced
from streams.failpoints import happens, reach
from streams.state.contract import EncodedVersions, PartitionState, Save, Store, StoredCustomer
from streams.stop import Stop
from streams.wire.records import OutRecord, encode_entry


class Progress(msgspec.Struct, frozen=True):
    """The progress of a partition by one step.

    ``starts``: the positions from which the step was computed; ``positions``: those after it; ``clock`` (ms): the
    partition's clock after it; ``caught_up_until`` (ms): see `streams.state.contract.Save`.
    """

    starts: Mapping[str, int]
    positions: Mapping[str, int]
    clock: int
    caught_up_until: int = 0


class Checkpointer:
    """Saves the steps of a partition. Not for concurrent use: a partition has one writer.

    ``positions``, ``clock`` (ms), ``next_due`` (ms, 0: none) and ``save_number`` are those of the last checkpoint.
    ``definition_version``: the number of the newest definition file, under which the next checkpoint is made.
    """

    def __init__(self, store: Store, partition: int, fencing_token: str, state: PartitionState) -> None:
        self.store = store
        self.partition = partition
        self._fencing_token = fencing_token
        self.save_number = state.save_number
        self.positions = dict(state.positions)
        self.clock = state.clock
        self.next_due = state.next_due
        self.definition_version = 0

    @property
    def here(self) -> Progress:
        """The progress of a checkpoint that leaves positions and clock as they are."""
        return Progress(self.positions, self.positions, self.clock)

    async def save(
        self,
        stored: Sequence[StoredCustomer],
        out: Sequence[OutRecord],
        progress: Progress | None = None,
        files: EncodedVersions | None = None,
    ) -> None:
        """Save one step, all or nothing; ``out`` goes into the outbox. Without ``progress``, positions and clock stay.

        Raises `Fenced` when the claim is no longer in force, `Stop` when the store was changed by another writer.
        """
        progress = progress or self.here
        entry = [encode_entry(out)] if out else []
        clock = max(progress.clock, self.clock)
        save = Save(
            fencing_token=self._fencing_token,
            number=self.save_number + 1,
            digest=_digest(progress.positions, (clock, progress.caught_up_until), stored, entry),
            starts=progress.starts,
            positions=progress.positions,
            clock=clock,
            customers=stored,
            outbox=entry,
            caught_up_until=progress.caught_up_until,
            definition_version=self.definition_version,
            files=files,
        )
        await self._write(save)
        self.save_number += 1
        self.clock = clock
        self.positions.update(progress.positions)
        dues = [customer.due for customer in stored if customer.due]
        self.next_due = min(filter(None, (self.next_due, *dues)), default=0)

    async def save_time(self, clock: int, caught_up_until: int = 0) -> None:
        """Save the clock alone."""
        await self.save((), (), Progress(self.positions, self.positions, clock, caught_up_until))

    async def _write(self, save: Save) -> None:
        """Write a save. It may be sent twice, as an answer may be lost; the store recognises it by its number."""
        reach("before_save")
        answer = await self.store.save(self.partition, save)
        if happens("lost_save_reply"):
            answer = await self.store.save(self.partition, save)
        reach("after_save")
        if answer == "fenced":
            raise Fenced
        if answer in ("out_of_order", "moved"):
            raise Stop(
                f"partition {self.partition} was changed by someone else or Redis lost its last writes ({answer}); "
                "start the worker again, it goes on from what Redis holds"
            )
        if answer == "too_early":
            raise Stop(
                "the clock of this machine is ahead of the clock of Redis; set them right, then start the worker"
            )


def _digest(
    positions: Mapping[str, int], clocks: tuple[int, int], stored: Sequence[StoredCustomer], entry: Sequence[bytes]
) -> bytes:
    digest = blake2b(repr((sorted(positions.items()), clocks)).encode(), digest_size=16)
    digest.update(b"".join([customer.value for customer in stored]))
    for value in entry:
        digest.update(value)
    return digest.hexdigest().encode()
