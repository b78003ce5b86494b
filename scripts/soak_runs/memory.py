"""The memory of a soak: that of workers and Redis, quarter by quarter, and whether it grows.

Only comparable values are compared. A worker counts once it has run for a while: in each quarter by the median of many
samples, since faults end most workers early, and in each half by the mean of its quarters, since a worker that caught
up with a backlog does not release that memory. Redis counts by its data, per customer.
"""

import statistics
import time
from collections.abc import Iterator
from typing import NamedTuple

from redis.exceptions import RedisError

from fault_runs.scene import PARTITIONS, Scene

__all__ = ["QUARTERS", "WORKER_GROWTH", "Memory", "Quarter", "grown"]

QUARTERS = 4
GROWN_UP_S = 60.0
SHORT_S = 120.0  # in a shorter quarter most customers are still active, and their size varies
LOOK_EVERY_S = 2.0
WORKER_GROWTH = 1.25
CUSTOMER_GROWTH = 1.1


class Quarter(NamedTuple):
    """The memory at the end of a quarter; ``worker_mb``: of grown workers during it, `None` if there were none."""

    worker_mb: float | None
    customers: int
    customer_bytes: float


class Memory:
    """Samples memory during a soak, and reports it at each quarter."""

    def __init__(self, scene: Scene, minutes: float) -> None:
        self.quarters: list[Quarter] = []
        self._scene = scene
        self._grown_up_s = min(GROWN_UP_S, minutes * 60 / QUARTERS / 3)
        self._looks: list[float] = []
        self._next_look = 0.0
        self._empty = self._dataset()

    def look(self) -> None:
        """Sample the workers that have run for a while; called now and then."""
        if time.monotonic() < self._next_look:
            return
        self._next_look = time.monotonic() + LOOK_EVERY_S
        grown_up = [
            member for member in self._scene.crew.members if member.age_s > self._grown_up_s and not member.frozen
        ]
        self._looks += [memory_mb for member in grown_up if (memory_mb := member.memory_mb)]

    def quarter(self) -> str:
        """End a quarter. Returns its report."""
        customers = self._customers()
        dataset = self._dataset()
        per_customer = (dataset - self._empty) / max(1, customers)
        typical = statistics.median(self._looks) if self._looks else None
        self.quarters.append(Quarter(typical, customers, per_customer))
        self._looks.clear()
        now = ", ".join(f"{member.memory_mb:.0f}" for member in self._scene.crew.members)
        summary = "none of that age" if typical is None else f"{typical:.0f} MB in the middle"
        used = self._scene.client.info("memory")["used_memory"]
        return (
            f"workers hold {now} MB, those older than {self._grown_up_s:.0f} s {summary}; "
            f"Redis uses {used / 1e6:.1f} MB, of it data {dataset / 1e6:.1f} MB, "
            f"{customers:,} customers, {per_customer:.0f} bytes each"
        )

    def _customers(self) -> int:
        return sum(self._scene.client.hlen(self._scene.key(partition, "customers")) for partition in range(PARTITIONS))

    def _dataset(self) -> int:
        for _ in range(20):
            try:
                return int(self._scene.client.info("memory")["used_memory_dataset"])
            except (RedisError, OSError):
                time.sleep(0.5)  # Redis may have been started just now
        return int(self._scene.client.info("memory")["used_memory_dataset"])


def grown(quarters: list[Quarter], quarter_s: float = SHORT_S) -> Iterator[str]:
    """Report growth: workers from the first half to the second, Redis from the first quarter to the last."""
    if quarter_s < SHORT_S:
        print(f"memory is not compared: a quarter has {quarter_s:.0f} s, {SHORT_S:.0f} are needed", flush=True)
        return
    measured = [quarter.worker_mb for quarter in quarters if quarter.worker_mb is not None]
    if len(measured) < 2:
        yield f"memory: only {len(measured)} of {len(quarters)} quarters had a worker that lived long enough to compare"
    else:
        then, now = (statistics.mean(half) for half in (measured[: len(measured) // 2], measured[len(measured) // 2 :]))
        if now > WORKER_GROWTH * then:
            yield f"memory: workers held {then:.0f} MB in the first half, {now:.0f} MB in the second"
    first, last = quarters[0].customer_bytes, quarters[-1].customer_bytes
    if last > CUSTOMER_GROWTH * first:
        yield f"memory: Redis held {first:.0f} bytes per customer at first, {last:.0f} at last"
