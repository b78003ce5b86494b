"""One member of the group as `streams.kafka.faust_transport.Consumer` shows it: assignments, fetches, batches.

The one rule: what Faust and aiokafka do around the product is done here, their order of things
included: a claim is called off by the next assignment and not before, a queue of batches is
cleared when partitions are taken away, fetches go on before and during a claim.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, cast

from aiokafka.errors import IllegalStateError
from faust.types import TP

from streams.kafka.fetch import Answers, Batch, FetchResponse, FetchStatus, Offsets
from streams.runtime.rebalance_listener import PartitionOwner
from tests.simulation.world.group import Assigned, Group
from tests.simulation.world.kafka import Kafka
from tests.simulation.world.loop import Process
from tests.simulation.world.sim import Rates, Sim

FULL_LOOK_S = 0.02
ERROR_WAIT_S = 0.1


class Consumer:
    """The consumer of one process."""

    def __init__(
        self, sim: Sim, kafka: Kafka, group: Group, process: Process, now_ms: Callable[[], int], rates: Rates
    ) -> None:
        self.generation = -1
        self.epoch = 0
        self.ownership: PartitionOwner
        self._sim = sim
        self._kafka = kafka
        self._group = group
        self._process = process
        self._now_ms = now_ms
        self._rates = rates
        self._answers = Answers(lambda: sim.now)
        self._positions: dict[TP, int] = {}
        self._flows = False
        self._fetches: list[asyncio.Task[None]] = []
        self._claiming: asyncio.Task[None] | None = None
        self._batches: asyncio.Queue[Batch] = asyncio.Queue()

    # --- what the product asks -------------------------------------------------------------

    def heard(self, tp: TP) -> FetchStatus:
        return self._answers.of(tp)

    async def offsets(self, tps: frozenset[TP]) -> Offsets:
        return await self._kafka.offsets(tps)

    async def begin_all(self, positions: Mapping[TP, int]) -> None:
        await asyncio.sleep(0)  # over to the consumer's thread
        self._check_assigned(positions)
        self._answers.begin(positions)
        self._positions.update(positions)

    async def seek_all(self, positions: Mapping[TP, int]) -> None:
        await asyncio.sleep(0)
        self._check_assigned(positions)
        self._positions.update(positions)

    def _check_assigned(self, positions: Mapping[TP, int]) -> None:
        if any(tp not in self._positions for tp in positions):
            raise IllegalStateError("not assigned")

    async def proves_generation(self, positions: Mapping[TP, int]) -> bool:
        await asyncio.sleep(self._sim.delay())
        return self._group.commit(self._process.name, self.generation, positions)

    # --- membership ------------------------------------------------------------------------

    async def run(self) -> None:
        """Be a member of the group for ever."""
        while True:
            assigned = await self._group.join(self._process.name)
            self._take(assigned)
            beat = "ok"
            while beat == "ok":
                await asyncio.sleep(0.2)
                beat = self._group.beat(self._process.name, self.generation)
            self._sim.say(f"{self._process.name} lets go ({beat})")
            await self._revoke()

    @property
    def is_settled(self) -> bool:
        """Whether the consumer has claimed what it was given in the group's newest generation."""
        return self._flows and self._group.is_stable and self.generation == self._group.generation

    async def _revoke(self) -> None:
        self._flows = False
        self._clear()
        await self.ownership.release()

    def _clear(self) -> None:
        while not self._batches.empty():
            self._batches.get_nowait()
            self._sim.reached("batches dropped at a rebalance")

    def _take(self, assigned: Assigned) -> None:
        for task in self._fetches:
            task.cancel()
        if self._claiming and not self._claiming.done():
            self._claiming.cancel()
            self._sim.reached("claim called off")
        self.generation, self.epoch = assigned.generation, assigned.epoch
        tps = [tp for tp in self._kafka.logs if tp.partition in assigned.partitions]
        self._positions = {tp: max(self._kafka.committed.get(tp, 0), self._kafka.logs[tp].first) for tp in tps}
        self._fetches = [asyncio.create_task(self._fetch(tp)) for tp in tps]
        self._flows = not tps
        self.ownership.assigned(tps)
        # Faust claims nothing where nothing is assigned.
        self._claiming = asyncio.create_task(self._claim(frozenset(tps))) if tps else None

    async def _claim(self, tps: frozenset[TP]) -> None:
        positions = await self.ownership.claim(tps, self.generation, cast(Any, self))
        if positions:
            self._sim.reached("claimed")
        self._flows = True

    async def commit(self) -> None:
        """Tell Kafka what is saved, for lag monitors."""
        while True:
            await asyncio.sleep(1.5)
            saved = {tp: self.ownership.position(tp) for tp in self._positions}
            positions = {tp: position for tp, position in saved.items() if position is not None}
            self._group.commit(self._process.name, self.generation, positions)

    # --- fetching --------------------------------------------------------------------------

    async def _fetch(self, tp: TP) -> None:
        """Ask, and ask again once what came is handed over."""
        sim, log = self._sim, self._kafka.logs[tp]
        pace_s = sim.pick((0.0, 0.0, 0.0, 0.02, 0.2)) * (not sim.calm)
        while True:
            await asyncio.sleep(pace_s)
            if sim.happens("an old seek comes late", self._rates.seek):
                self._positions[tp] = max(log.first, self._positions[tp] - sim.rng.randint(1, 3))
            position, requested_at = self._positions[tp], (self._now_ms(), sim.now)
            fetched = await log.fetch(position, sim.pick((1, 3, 50)))
            if fetched is None:
                self._answers.failed(tp)
                await asyncio.sleep(ERROR_WAIT_S)
                continue
            if self._positions[tp] != position:
                self._answers.failed(tp)
                sim.reached("answer came after a seek")
                continue
            self._answers.answered(tp, FetchResponse(fetched.end, fetched.readable, *requested_at))
            if fetched.position == position:
                continue
            while not self._flows or self.ownership.is_full(tp):
                await asyncio.sleep(FULL_LOOK_S)
                self._answers.waits(tp)
                if self._flows:
                    sim.reached("input full")
            if self._positions[tp] == position:
                self._positions[tp] = fetched.position
                self._hand_over(Batch(*tp, position, fetched.position, cast(Any, fetched.records), self.generation))

    def _hand_over(self, batch: Batch) -> None:
        if not self._sim.happens("batch lost", self._rates.batch):
            self._batches.put_nowait(batch)

    async def receive(self) -> None:
        """The agent: one batch after the other."""
        while True:
            batch = await self._batches.get()
            await asyncio.sleep(self._sim.delay())
            await self.ownership.receive(batch)
