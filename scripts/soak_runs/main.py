"""A soak: events at half of what the workers can do, a fault every minute or so, and the audit at the end.

The seed draws the faults and their times, so a soak can be repeated. Memory is printed at each quarter, since slow
growth shows nowhere else.

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
RATE_MAX = 4_000.0  # sender, broker, Redis and workers share the machine
GENERATION_S = 30.0  # after this time other customers are active
SENT_SHARE = 0.5  # the least share of the planned events
SAMPLE = 5_000
BAD_SHARE = 0.001
# Changes that may be missed between two looks at an outbox, a tenth of a second apart.
SEGMENT_BYTES = 64 << 20  # small, as a killed broker reads its newest segments again before it answers

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
    """Run a soak, and print its progress. Returns its findings."""
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
    """Report a soak in which too few events were sent; the time without a broker does not count."""
    sent, paused_s = scene.traffic.sent, scene.traffic.paused_s
    rate = sent / (lasted_s - paused_s)
    say(lasted_s, f"no more events; {sent:,} were sent, {rate:,.0f}/s but for pauses of {paused_s:.0f} s in all")
    if rate < SENT_SHARE * scene.rate:
        yield f"only {sent:,} events were sent in {lasted_s:.0f} s"


def go_on(scene: Scene, memory: Memory, wish: argparse.Namespace, began: float) -> None:
    """Cause faults and report quarters, each at its time."""
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
    """Wait until a moment; workers that die meanwhile are replaced."""

    def is_over() -> bool:
        memory.look()
        if not scene.traffic.is_going:
            raise TimedOut("the traffic has ended by itself")
        return time.monotonic() >= moment and scene.applied() >= 0  # Redis may still be reading its file

    scene.wait(is_over, "time", max(0.0, moment - time.monotonic()) + 60)


def looked_at(scene: Scene, sample: int) -> list[str]:
    """Run the audit, and ``segmenter verify`` for every customer, which shares the rules with the worker."""
    began = time.monotonic()
    findings = audit(scene, sample)
    print(", ".join(f"{count:,} {name}" for name, count in findings.counts.items()), flush=True)
    print(f"audited in {time.monotonic() - began:.0f} s", flush=True)
    return [*findings.findings, *verify(scene)]


def say(after_s: float, text: str) -> None:
    print(f"{after_s / 60:6.1f} min  {text}", flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command. Exit code 1 if there is any finding."""
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
    """The rate of a soak: half of the measured one, at most that at which the whole machine keeps up."""
    rate = min(RATE_MAX, measured / 2)
    print(f"two workers drain {measured:,.0f} events/s; taken is {rate:,.0f}", flush=True)
    return rate


def run_soak(scene: Scene, wish: argparse.Namespace) -> tuple[list[str], int]:
    """Run a soak. Returns its findings, and how many workers died."""
    with scene:
        try:
            findings = soak(scene, wish)
        except TimedOut as error:
            logs = "\n".join(f"--- {member.worker.log.name}\n{member.worker.tail(12)}" for member in scene.crew.members)
            findings = [f"{error}\n{logs}"]
        except Exception:  # noqa: BLE001  # the error is reported with the other findings
            findings = [traceback.format_exc()]
        return findings + scene.crew.findings, len(scene.crew.deaths)


def _leave(_number: int, _frame: object) -> NoReturn:
    raise SystemExit(130)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _leave)
    sys.exit(main())
