"""A soak: events at half of what the workers can do, a fault every minute or so, and the audit at the end.

The one rule: the seed draws the faults and their times, so a soak can be had again; memory is said at
each quarter, since what grows slowly shows nowhere else.

    scripts/soak                                    half an hour
    scripts/soak --minutes 3 --every 15 30          a short one, all the same
"""

import argparse
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NoReturn

from fault_runs import kafka_faults, redis_faults, worker_faults
from fault_runs.kinds import KAFKA_AWAY, REDIS_FORGOT
from fault_runs.scene import Lane, Scene, TimedOut
from fault_runs.traffic import EVENTS_EACH
from soak_runs.audit import audit, verify
from soak_runs.memory import QUARTERS, Memory, grown
from soak_runs.rate import drained_per_s

DEFINITIONS = Path(__file__).with_name("segments.yaml")
EVERY_S = (30.0, 90.0)
RATE_MAX = 4_000.0  # who makes the events, broker, Redis and workers share the machine
GENERATION_S = 30.0  # so long customers do something, then come others
SENT_SHARE = 0.5  # of what the rate promises
SAMPLE = 5_000
BAD_SHARE = 0.001
# Changes that two looks at an outbox, a tenth of a second apart, may miss: what a worker may decide in that time.
SEGMENT_BYTES = 64 << 20  # a broker that was killed reads its newest segments again before it answers

FAULTS: dict[str, Callable[[Scene], None]] = {
    "a worker is killed": worker_faults.kill_one,
    "a worker is frozen past its session and woken": worker_faults.make_a_zombie,
    "a worker is replaced": worker_faults.replace_one,
    "Redis is killed and started": redis_faults.restart,
    "Redis loses its last second": redis_faults.lose_a_second,
    "Redis says nothing": redis_faults.freeze,
    "the broker is killed and started": kafka_faults.restart,
    "the broker does nothing": kafka_faults.freeze,
}


def soak(scene: Scene, wish: argparse.Namespace) -> list[str]:
    """What went wrong; it is told as it goes."""
    scene.forgets = True
    scene.crew.starts_max = 10_000
    memory = Memory(scene, wish.minutes)
    scene.begin(2)
    scene.crew.wait_ready()
    began = time.monotonic()
    go_on(scene, memory, wish, began)
    findings = [*grown(memory.quarters, wish.minutes * 60 / QUARTERS), *too_few(scene, time.monotonic() - began)]
    scene.settle()
    say(time.monotonic() - began, "all is settled; until all is read back")
    findings += looked_at(scene, wish.sample)
    say(time.monotonic() - began, "done")
    return findings


def too_few(scene: Scene, lasted_s: float) -> Iterator[str]:
    """A soak in which little was sent is none; while the broker is away nothing can be."""
    sent, paused_s = scene.traffic.sent, scene.traffic.paused_s
    rate = sent / (lasted_s - paused_s)
    say(lasted_s, f"no more events; {sent:,} were sent, {rate:,.0f}/s but for pauses of {paused_s:.0f} s in all")
    if rate < SENT_SHARE * scene.rate:
        yield f"only {sent:,} events were sent in {lasted_s:.0f} s"


def go_on(scene: Scene, memory: Memory, wish: argparse.Namespace, began: float) -> None:
    """Faults and quarters, as their time comes."""
    marks = [began + wish.minutes * 60 * (number + 1) / QUARTERS for number in range(QUARTERS)]
    fault = began + scene.rng.uniform(*wish.every)
    while marks:
        wait_until(scene, memory, min(marks[0], fault))
        now = time.monotonic()
        if now >= marks[0]:
            marks.pop(0)
            say(now - began, f"{memory.quarter()}; {scene.applied():,} applied, {len(scene.crew.deaths)} deaths")
        else:
            name = scene.rng.choice(list(FAULTS))
            say(now - began, name)
            FAULTS[name](scene)
            fault = time.monotonic() + scene.rng.uniform(*wish.every)


def wait_until(scene: Scene, memory: Memory, moment: float) -> None:
    """Let time go by; whoever dies meanwhile is replaced."""

    def is_over() -> bool:
        memory.look()
        if not scene.traffic.is_going:
            raise TimedOut("the traffic has ended by itself")
        return time.monotonic() >= moment and scene.applied() >= 0  # Redis may still be reading its file

    scene.wait(is_over, "time", max(0.0, moment - time.monotonic()) + 60)


def looked_at(scene: Scene, sample: int) -> list[str]:
    """The audit, and ``segmenter verify``, which shares the rules with what is audited, for everybody."""
    began = time.monotonic()
    findings = audit(scene, sample)
    print(", ".join(f"{count:,} {what}" for what, count in findings.counts.items()), flush=True)
    print(f"audited in {time.monotonic() - began:.0f} s", flush=True)
    return [*findings.findings, *verify(scene)]


def say(after_s: float, what: str) -> None:
    print(f"{after_s / 60:6.1f} min  {what}", flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; exit code 1 when anything differs."""
    parser = argparse.ArgumentParser(prog="scripts/soak", description="A long run with a fault now and then, audited.")
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--rate", type=float, help="events a second (half of what is measured, at most 4,000)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--every",
        type=float,
        nargs=2,
        default=EVERY_S,
        metavar=("LEAST", "MOST"),
        help="seconds between faults (30 90)",
    )
    parser.add_argument("--sample", type=int, default=SAMPLE, help=f"customers asked of the oracle, about ({SAMPLE})")
    wish = parser.parse_args(arguments)
    settings = {"batch_max": 1_000, "in_hand_max": 4_000, "definitions": DEFINITIONS}
    with Lane(**{"log.segment.bytes": str(SEGMENT_BYTES)}) as lane:
        rate = wish.rate or chosen(drained_per_s(lane, wish.seed, settings))
        print(f"seed {wish.seed}: {wish.minutes:g} minutes, {rate:,.0f} events/s", flush=True)
        scene = Scene(lane, "soak", wish.seed, 2_000, stops=(*KAFKA_AWAY, *REDIS_FORGOT), settings=settings)
        scene.rate, scene.customers = rate, round(rate * GENERATION_S / EVENTS_EACH)
        scene.bad_share = BAD_SHARE
        findings, deaths = run_soak(scene, wish)
    for finding in findings[:20]:
        print(finding)
    print(f"{deaths} deaths, {len(findings)} differences")
    return 1 if findings else 0


def chosen(measured: float) -> float:
    """Half of it, up to what all of this machine can do at a time."""
    rate = min(RATE_MAX, measured / 2)
    print(f"two workers drain {measured:,.0f} events/s; taken is {rate:,.0f}", flush=True)
    return rate


def run_soak(scene: Scene, wish: argparse.Namespace) -> tuple[list[str], int]:
    """The findings of a soak, and how many died."""
    with scene:
        try:
            findings = soak(scene, wish)
        except TimedOut as error:
            logs = "\n".join(f"--- {member.worker.log.name}\n{member.worker.tail(12)}" for member in scene.crew.members)
            findings = [f"{error}\n{logs}"]
        except Exception:  # noqa: BLE001  # what broke is told with the rest
            findings = [traceback.format_exc()]
        return findings + scene.crew.findings, len(scene.crew.deaths)


def _leave(_number: int, _frame: object) -> NoReturn:
    raise SystemExit(130)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _leave)
    sys.exit(main())
