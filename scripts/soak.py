"""A soak: events at a steady rate for a long while, a fault every minute or so, and the audit at the end.

The one rule: the seed draws the faults and their times, so a soak can be had again; memory is said at
each quarter, since what grows slowly shows nowhere else.
"""

import argparse
import sys
import time
from collections.abc import Callable, Sequence

import fault_kafka
import fault_redis
import fault_workers
from fault_audit import audit
from fault_kinds import KAFKA_AWAY, REDIS_FORGOT
from fault_scene import Lane, Scene, TimedOut

EVERY_S = (30.0, 90.0)
QUARTERS = 4
CUSTOMERS = 200

FAULTS: dict[str, Callable[[Scene], None]] = {
    "a worker is killed": fault_workers.kill_one,
    "a worker is frozen past its session and woken": fault_workers.make_a_zombie,
    "a worker is replaced": fault_workers.replace_one,
    "Redis is killed and started": fault_redis.restart,
    "Redis loses its last second": fault_redis.lose_a_second,
    "Redis says nothing": fault_redis.freeze,
    "the broker is killed and started": fault_kafka.restart,
    "the broker does nothing": fault_kafka.freeze,
}


def soak(scene: Scene, minutes: float) -> list[str]:
    """What went wrong; it is told as it goes."""
    scene.forgets = True
    scene.crew.starts_max = 10_000
    scene.begin(2)
    began = time.monotonic()
    ends = began + minutes * 60
    marks = [began + (number + 1) * (ends - began) / QUARTERS for number in range(QUARTERS)]
    faults = began + scene.rng.uniform(*EVERY_S)
    while marks:
        wait_until(scene, min(marks[0], faults))
        now = time.monotonic()
        if now >= marks[0]:
            marks.pop(0)
            say(now - began, memory(scene))
        else:
            name = scene.rng.choice(list(FAULTS))
            say(now - began, name)
            FAULTS[name](scene)
            faults = time.monotonic() + scene.rng.uniform(*EVERY_S)
    say(minutes * 60, "no more events; until all is settled")
    scene.settle()
    found = audit(scene)
    print(", ".join(f"{count:,} {what}" for what, count in found.counts.items()), flush=True)
    return found.findings


def wait_until(scene: Scene, moment: float) -> None:
    """Let time go by; whoever dies meanwhile is replaced."""
    left_s = max(0.0, moment - time.monotonic())
    scene.wait(lambda: time.monotonic() >= moment, "time", left_s + 60)


def memory(scene: Scene) -> str:
    """Resident memory of the workers, memory of Redis, and how far it has come."""
    workers = ", ".join(f"{megabytes:.0f}" for megabytes in scene.crew.memory_mb())
    info = scene.client.info("memory")
    redis_mb = f"{info['used_memory'] / 1e6:.1f} MB in Redis, {info['used_memory_rss'] / 1e6:.1f} resident"
    return f"workers {workers} MB; {redis_mb}; {scene.applied():,} applied, {len(scene.crew.deaths)} deaths"


def say(after_s: float, what: str) -> None:
    print(f"{after_s / 60:6.1f} min  {what}", flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; exit code 1 when anything differs."""
    parser = argparse.ArgumentParser(prog="scripts/soak", description="A long run with a fault now and then, audited.")
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--rate", type=float, default=40.0, help="events a second, most of them of now (40)")
    parser.add_argument("--seed", type=int, default=1)
    wish = parser.parse_args(arguments)
    guarantee = "exactly_once" if wish.seed % 2 else "at_least_once"
    print(f"seed {wish.seed}: {wish.minutes:g} minutes, {wish.rate:g} events/s, {guarantee}", flush=True)
    stops = (*KAFKA_AWAY, *REDIS_FORGOT)
    settings = {"processing_guarantee": guarantee, "batch_max": 1_000, "in_hand_max": 4_000}
    with Lane() as lane:
        scene = Scene(lane, "soak", wish.seed, 2_000, stops=stops, settings=settings)
        scene.rate, scene.customers = wish.rate, CUSTOMERS
        findings, deaths = kept(scene, wish.minutes)
    for finding in findings[:20]:
        print(finding)
    print(f"{deaths} deaths, {len(findings)} differences")
    return 1 if findings else 0


def kept(scene: Scene, minutes: float) -> tuple[list[str], int]:
    """The findings of a soak, and how many died."""
    with scene:
        try:
            findings = soak(scene, minutes)
        except TimedOut as error:
            findings = [str(error)]
        return findings + scene.crew.findings, len(scene.crew.deaths)


if __name__ == "__main__":
    sys.exit(main())
