"""Measures the rate of the workers of a soak on this machine: they drain a backlog, published before they start.

It is measured with the definitions, settings and kinds of events of the soak, from the first record that is applied to
the last, with the changes of owners in between.
"""

import time
from collections.abc import Mapping

from fault_runs.scene import Lane, Scene
from fault_runs.traffic import Shop, TrafficRecord

__all__ = ["backlog", "drained_per_s"]

BACKLOG = 60_000
CUSTOMERS = 10_000
MADE_PER_S = 4_000


def backlog(seed: int, events: int, ends_s: float) -> list[TrafficRecord]:
    """The events that the shop would have sent up to ``ends_s``."""
    shop = Shop(seed, CUSTOMERS)
    records: list[TrafficRecord] = []
    number = 0
    while len(records) < events:
        number += 1
        event = shop.event(ends_s - 2 * events / MADE_PER_S + number / MADE_PER_S)
        if event is not None:
            records.append(event)
    return records


def drained_per_s(lane: Lane, seed: int, settings: Mapping[str, object], events: int = BACKLOG) -> float:
    """Measure the events per second of two workers."""
    with Scene(lane, "soak-rate", seed, 0, settings=settings) as scene:
        scene.publish(backlog(seed, events, time.time() - 1))
        for _ in range(2):
            scene.crew.hire()
        scene.wait(lambda: scene.applied() > 0, "the first record applied")
        began, before = time.monotonic(), scene.applied()
        scene.wait(lambda: scene.applied() >= events, "the backlog drained", 300.0)
        rate = (events - before) / (time.monotonic() - began)
        scene.crew.end_all()
    return rate
