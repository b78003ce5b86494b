"""The storm: what goes wrong in a run, when, and how it is put right again.

The one rule: each world draws which kinds of faults it has and how often, so that some see one
kind alone and some all of them; what is broken is mended in the end.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

from tests.simulation.world.sim import Sim
from tests.simulation.world.worker import Site, Worker

KINDS = (
    "crash", "crash", "freeze", "freeze", "terminate", "rebalance", "redis restarts", "redis falls back",
    "redis unreachable", "input unreachable", "input unreachable", "leader changes", "outage", "group deleted",
)  # fmt: skip


class Storm:
    """Faults at drawn times until the end."""

    def __init__(self, site: Site, workers: Sequence[Worker], ends_at: float, kinds: Sequence[str]) -> None:
        self._site = site
        self._sim: Sim = site.sim
        self._workers = workers
        self._ends_at = ends_at
        self._kinds = kinds
        self._pause_s = self._sim.pick((0.5, 1.0, 2.0))

    def begin(self) -> None:
        if self._kinds:
            self._sim.later(self._sim.rng.expovariate(1 / self._pause_s), self._strike)

    def _strike(self) -> None:
        sim = self._sim
        if sim.now >= self._ends_at:
            return
        kind = sim.pick(self._kinds)
        if KINDS_DONE[kind](self):
            sim.say(f"! {kind}")
            sim.reached(f"fault {kind}")
        self.begin()

    def _lasts(self, *choices: float) -> float:
        return self._sim.pick(choices) * self._sim.rng.uniform(0.5, 1.0)

    def _a_running(self) -> Worker | None:
        running = [worker for worker in self._workers if worker.process.is_running]
        return self._sim.pick(running) if running else None

    def end(self) -> None:
        """Put everything right again."""
        self._site.medium.mend()
        for log in self._site.kafka.logs.values():
            log.mend()
        for worker in self._workers:
            worker.may_start = True
            worker.network.is_cut = False
            self._sim.loop.thaw(worker.process)

    # --- workers ---------------------------------------------------------------------------

    def crash(self) -> bool:
        """Kill a process somewhere within its next steps."""
        worker = self._a_running()
        if worker is None:
            return False
        worker.process.steps_left = self._sim.rng.choice((1, 5, 20, 100))
        return True

    def freeze(self) -> bool:
        """Freeze a process for longer or shorter than the group waits; then it goes on as if nothing had been."""
        worker = self._a_running()
        if worker is None:
            return False
        process = worker.process
        process.is_frozen = True
        self._sim.later(self._lasts(0.3, 3.0, 6.0, 12.0), lambda: self._sim.loop.thaw(process))
        return True

    def terminate(self) -> bool:
        worker = self._a_running()
        if worker is not None:
            worker.terminate()
        return worker is not None

    def rebalance(self) -> bool:
        self._site.group.rebalance()
        return True

    def outage(self) -> bool:
        """Kill all workers for a while; the shop goes on."""
        for worker in self._workers:
            worker.may_start = False
            self._sim.kill(worker.process, "outage")
        self._sim.later(self._lasts(1.0, 5.0, 10.0), self._end_outage)
        return True

    def _end_outage(self) -> None:
        for worker in self._workers:
            worker.may_start = True

    def delete_group(self) -> bool:
        """Delete the group, which is possible only while it has no members."""
        return self._site.group.forget()

    # --- Redis -----------------------------------------------------------------------------

    def restart_redis(self) -> bool:
        self._site.medium.restarts(self._lasts(0.1, 1.0, 3.0, 3.0, 40.0))
        return True

    def fall_back(self) -> bool:
        self._site.medium.fall_back(self._sim.pick((1, 2, 4, 8, 1_000)))
        return True

    def cut_off(self) -> bool:
        network = self._sim.pick(self._workers).network
        network.is_cut = True
        self._sim.later(self._lasts(0.3, 3.0, 30.0), lambda: setattr(network, "is_cut", False))
        return True

    # --- Kafka -----------------------------------------------------------------------------

    def lose_input(self) -> bool:
        """One input, or one of its partitions, cannot be reached."""
        topic = self._sim.pick(self._site.topics)
        logs = [log for tp, log in self._site.kafka.logs.items() if tp.topic == topic]
        logs = self._sim.pick((logs, logs[:1]))
        gives_up_s = self._sim.pick((0.1, 2.0, 15.0))
        for log in logs:
            log.is_reachable, log.gives_up_s = False, gives_up_s

        def mend() -> None:
            for log in logs:
                log.mend()

        self._sim.later(self._lasts(1.0, 2.0, 8.0, 12.0), mend)
        return True

    def change_leader(self) -> bool:
        log = self._sim.pick(list(self._site.kafka.logs.values()))
        if log.reported_end is not None:
            return False
        log.regress(self._sim.pick((0, 1, 3)), self._sim.now + self._lasts(0.1, 1.0, 5.0))
        return True


KINDS_DONE: dict[str, Callable[[Storm], bool]] = {
    "crash": Storm.crash,
    "freeze": Storm.freeze,
    "terminate": Storm.terminate,
    "rebalance": Storm.rebalance,
    "outage": Storm.outage,
    "group deleted": Storm.delete_group,
    "redis restarts": Storm.restart_redis,
    "redis falls back": Storm.fall_back,
    "redis unreachable": Storm.cut_off,
    "input unreachable": Storm.lose_input,
    "leader changes": Storm.change_leader,
}


def kinds(rng: random.Random) -> list[str]:
    """What goes wrong in a world: nothing, some things or everything."""
    return rng.choice(([], rng.sample(KINDS, 1), rng.sample(KINDS, 3), rng.sample(KINDS, 6), list(KINDS)))
