"""The way to the store, as one process sees it: what the network delays, loses and repeats.

The one rule: a call is carried out by the product's own `MemoryStore` when it arrives, whether or
not a process still waits for it. It may be lost, or its answer; it may be sent again by the client, or arrive late.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, Literal, TypeVar

from streams.errors import StoreFailed
from streams.state.contract import Claim, EncodedVersions, PartitionState, Save, SaveAnswer
from streams.state.redis_calls import CALL_MAX_S
from streams.wire.customer_codec import decode
from tests.simulation.world.loop import Process
from tests.simulation.world.medium import Medium, at_once
from tests.simulation.world.sim import Rates, Sim, answer
from tests.support.evidence import Claimed, Saved

T = TypeVar("T")

Fate = Literal["arrives", "request lost", "reply lost", "straggles"]


class Network:
    """What happens between one process and the store."""

    def __init__(self, rates: Rates) -> None:
        self.rates = rates
        self.is_cut = False

    def fate(self, sim: Sim) -> Fate:
        if sim.happens("request lost", self.rates.network):
            return "request lost"
        if sim.happens("reply lost", self.rates.network):
            return "reply lost"
        return "straggles" if sim.happens("request straggles", self.rates.network) else "arrives"


class Client:
    """The store as one process sees it; the contract of `streams.state.contract.Store`."""

    def __init__(self, sim: Sim, medium: Medium, process: Process, epoch: Callable[[], int], faults: Network) -> None:
        self._sim = sim
        self._medium = medium
        self._process = process
        self._epoch = epoch
        self._faults = faults
        self._stepped: dict[int, float] = {}

    # --- the contract ----------------------------------------------------------------------

    async def generation(self, partition: int) -> int:
        return await self._ask(lambda: at_once(self._medium.memory.generation(partition)))

    async def verify(self, now_ms: Callable[[], int]) -> None:
        await self._ask(lambda: None)

    async def claim(self, claim: Claim) -> PartitionState:
        epoch = self._epoch()
        return await self._ask(lambda: self._claimed(claim, epoch))

    async def begin(
        self, claim: Claim, positions: Mapping[str, int], files: EncodedVersions | None = None, number: int = 0
    ) -> bool:
        return await self._ask(lambda: self._begun(claim, positions, files, number))

    async def set_attempt(self, partition: int, fencing_token: str, attempt: bytes) -> bool:
        memory = self._medium.memory
        return await self._ask(lambda: self._write(partition, memory.set_attempt(partition, fencing_token, attempt)))

    async def count(self, partition: int) -> int:
        return await self._ask(lambda: at_once(self._medium.memory.count(partition)))

    async def scan(self, partition: int, cursor: int, count: int) -> tuple[int, list[tuple[str, bytes]]]:
        return await self._ask(lambda: at_once(self._medium.memory.scan(partition, cursor, count)))

    async def load(self, partition: int, customers: Sequence[str]) -> list[bytes | None]:
        self._stepped[partition] = self._sim.now  # right after the step was taken
        return await self._ask(lambda: at_once(self._medium.memory.load(partition, customers)))

    async def due(self, partition: int, until: int, limit: int) -> list[str]:
        return await self._ask(lambda: at_once(self._medium.memory.due(partition, until, limit)))

    async def next_due(self, partition: int) -> int:
        return await self._ask(lambda: at_once(self._medium.memory.next_due(partition)))

    async def save(self, partition: int, save: Save) -> SaveAnswer:
        is_idle = not save.customers and save.starts == save.positions  # such a step loads nothing
        stepped = self._sim.now if is_idle else self._stepped.get(partition, self._sim.now)
        return await self._ask(lambda: self._saved(partition, save, stepped))

    async def trim(
        self, partition: int, fencing_token: str, first: int, outputs: Mapping[str, int], number: int
    ) -> bool:
        return await self._ask(lambda: self._trimmed(partition, fencing_token, first, outputs, number))

    # --- on the server ---------------------------------------------------------------------

    def _write(self, partition: int, action: Coroutine[Any, Any, T], entries: Sequence[bytes] = ()) -> T:
        return self._medium.write(self._process, partition, action, entries)

    def _claimed(self, claim: Claim, epoch: int) -> PartitionState:
        medium, sim = self._medium, self._sim
        state = self._write(claim.partition, medium.memory.claim(claim))
        medium.history[claim.partition].append(Claimed(epoch, claim.generation))
        if state.outbox:
            sim.reached("claim found an outbox")
        if claim.proven_over:
            sim.reached("a lower generation was proven")
        sim.say(
            f"{self._process.name} claims p{claim.partition} generation {claim.generation}: "
            f"{_positions_text(state.positions)} #{state.save_number} outbox {len(state.outbox)}"
        )
        return state

    def _begun(self, claim: Claim, positions: Mapping[str, int], files: EncodedVersions | None, number: int) -> bool:
        """The first of all is durable at once: a Redis that holds nothing at all asks for an operator."""
        is_first = not self._medium.memory._of(claim.partition).positions
        is_written = self._write(claim.partition, self._medium.memory.begin(claim, positions, files, number))
        if is_first and is_written:
            self._medium.sync()
        return is_written

    def _saved(self, partition: int, save: Save, stepped: float) -> SaveAnswer:
        medium, sim = self._medium, self._sim
        outcome = self._write(partition, medium.memory.save(partition, save), save.outbox)
        sim.reached(f"save {outcome}")
        if outcome == "saved":
            customers = [customer.id for customer in save.customers]
            if any(decode(customer.value).published_ahead for customer in save.customers):
                sim.reached("customer ahead")
                if sim.happens("redis forgets who is ahead", self._faults.rates.ahead):
                    medium.forget()
            medium.history[partition].append(
                Saved(stepped, dict(save.starts), dict(save.positions), save.clock, customers)
            )
        sim.say(
            f"{self._process.name} saves p{partition} #{save.number} {_positions_text(save.positions)} clock "
            f"{save.clock % 10**7} customers {len(save.customers)} outbox {len(save.outbox)}: {outcome}"
        )
        return outcome

    def _trimmed(self, partition: int, fencing_token: str, first: int, outputs: Mapping[str, int], number: int) -> bool:
        is_done = self._write(partition, self._medium.memory.trim(partition, fencing_token, first, outputs, number))
        if not is_done:
            self._sim.reached("trim refused")
        return is_done

    # --- on the way ------------------------------------------------------------------------

    async def _ask(self, action: Callable[[], T]) -> T:
        """Ask with the client's own retries."""
        until, wait_s = self._sim.now + CALL_MAX_S, 0.01
        while True:
            self._sim.tread(self._process, "before a store call")
            came: asyncio.Future[Callable[[], T] | None] = self._sim.future()
            self._send(action, came)
            result = await came
            self._sim.tread(self._process, "after a store call")
            if result is not None:
                return result()
            if self._sim.now + wait_s > until:
                raise StoreFailed("no answer")
            await asyncio.sleep(wait_s)
            wait_s = min(2.0, 2 * wait_s)

    def _send(self, action: Callable[[], T], came: asyncio.Future[Callable[[], T] | None]) -> None:
        sim, faults = self._sim, self._faults
        fate = faults.fate(sim)
        lost_after_s = 0.01 + 20 * sim.delay()

        def arrive() -> None:
            if not self._medium.is_up or faults.is_cut:
                sim.later(0.01, answer, came, None)
                return
            result = outcome(action)
            if fate == "arrives" and not sim.peril(self._process, "before a store's reply"):
                sim.later(sim.delay(), answer, came, result)

        if fate != "request lost":
            sim.later(sim.delay() + (sim.rng.uniform(0.0, 2.0) if fate == "straggles" else 0.0), arrive)
        if fate != "arrives":
            sim.later(lost_after_s, answer, came, None)


def outcome(action: Callable[[], T]) -> Callable[[], T]:
    """The outcome of a call, for its caller: its value or what it raised."""
    try:
        value = action()
    except Exception as error:  # noqa: BLE001  # whatever it is, it belongs to the caller
        raised = error

        def fail() -> T:
            raise raised

        return fail
    return lambda: value


def _positions_text(positions: Mapping[str, int]) -> str:
    return "/".join(str(position) for position in positions.values())
