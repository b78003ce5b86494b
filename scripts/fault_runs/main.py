"""Fault runs: load real Kafka, Redis and workers, cause a fault, and audit the result.

A run is repeated by its name and its seed, and both are printed. Any difference to the result that follows from the
events makes the exit code 1.

    scripts/faults --ci                           the quick ones, once each
    scripts/faults --all --runs 5                 the whole matrix
    scripts/faults --only redis-kill --seed 7     one run, again
    scripts/faults --all --record                 once each, with the figures for docs/design/testing.md
"""

import argparse
import datetime as dt
import queue
import signal
import sys
import threading
import time
import traceback
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, NoReturn

from benchmarks.recorder import RecordingRefused, clean_commit
from fault_runs import (
    clock_faults,  # noqa: F401  # enters its faults, as the next ones do
    kafka_faults,  # noqa: F401
    network_faults,  # noqa: F401
    output_faults,  # noqa: F401
    recorded_run,
    redis_faults,  # noqa: F401
    worker_faults,  # noqa: F401
)
from fault_runs.audit import audit
from fault_runs.kinds import KINDS, FaultKind
from fault_runs.scene import Lane, Scene, TimedOut

__all__ = ["FaultResult", "main", "run"]

ROOT = Path(__file__).resolve().parent.parent.parent
EVENTS = 1_500
LANES = 3  # they mostly wait


class FaultResult(NamedTuple):
    """The result of a run. ``findings``: the differences; none is good."""

    kind: str
    seed: int
    seconds: float
    findings: list[str]
    deaths: list[str]
    counts: Counter[str]


def run(lane: Lane, fault: FaultKind, seed: int, events: int) -> FaultResult:
    """Run one fault, from publishing to the audit."""
    began = time.monotonic()
    findings: list[str] = []
    counts: Counter[str] = Counter()
    scene = Scene(
        lane, fault.name, seed, events,
        stops=fault.stops, through=fault.through, redis_options=fault.redis, settings=fault.settings,
    )  # fmt: skip
    with scene:
        try:
            fault.act(scene)
            if fault.audited:
                scene.settle()
                findings, counts = audit(scene)
        except TimedOut as error:
            findings.append(f"{error}\n{_logs(scene)}")
        except Exception:  # noqa: BLE001  # a run that breaks is a finding, and the others go on
            findings.append(traceback.format_exc())
        findings += scene.crew.findings
        deaths = scene.crew.deaths
    return FaultResult(fault.name, seed, time.monotonic() - began, findings, deaths, counts)


def _logs(scene: Scene) -> str:
    return "\n".join(f"--- {member.worker.log.name}\n{member.worker.tail(12)}" for member in scene.crew.members)


def run_all(todo: Sequence[tuple[FaultKind, int]], events: int, lanes: int) -> list[FaultResult]:
    """Run all, several at a time, each lane with a Kafka of its own; print each result as it comes."""
    waiting: queue.SimpleQueue[tuple[FaultKind, int]] = queue.SimpleQueue()
    for finding in todo:
        waiting.put(finding)
    results: list[FaultResult] = []

    def work() -> None:
        with Lane() as lane:
            while True:
                try:
                    fault, seed = waiting.get_nowait()
                except queue.Empty:
                    return
                results.append(run(lane, fault, seed, events))
                tell(results[-1], len(results), len(todo))

    threads = [threading.Thread(target=work, name=f"lane-{number}") for number in range(min(lanes, len(todo)))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def quick(seed: int) -> list[tuple[FaultKind, int]]:
    """The faults that CI runs: the quick ones."""
    kinds = [kind for kind in KINDS.values() if kind.quick]
    return [(kind, seed + number) for number, kind in enumerate(kinds)]


def tell(result: FaultResult, number: int, of: int) -> None:
    """Print a line per run; more if there are findings."""
    verdict = "FAILED" if result.findings else "equal"
    deaths = Counter(death.split(" (")[0][:60] for death in result.deaths)
    died = ", ".join(f"{count} × {death}" for death, count in deaths.items()) or "no process died"
    print(f"{number}/{of} {result.kind} --seed {result.seed}: {verdict}, {result.seconds:.0f} s; {died}", flush=True)
    for finding in result.findings[:8]:
        print(f"    {finding}", flush=True)
    if len(result.findings) > 8:
        print(f"    … and {len(result.findings) - 8} more", flush=True)


COLUMNS = ("events", "changes", "due times", "dead letters", "repeats", "slow")


def table(results: Sequence[FaultResult]) -> str:
    """A table by fault: runs, amounts, and findings."""
    lines = [f"{'fault':<24} runs deaths  " + "  ".join(f"{name:>12}" for name in COLUMNS) + "  differences"]
    for name in dict.fromkeys(result.kind for result in results):
        own = [result for result in results if result.kind == name]
        counts = sum((result.counts for result in own), Counter[str]())
        deaths = sum(len(result.deaths) for result in own)
        figures = "  ".join(f"{counts[column]:>12,}" for column in COLUMNS)
        figures = figures if KINDS[name].audited else f"{'only that it stops, and says why':<{len(figures)}}"
        lines.append(
            f"{name:<24} {len(own):>4} {deaths:>6}  {figures}  {sum(len(result.findings) for result in own):>11}"
        )
    return "\n".join(lines)


def figures(commit: str, results: Sequence[FaultResult], seconds: float) -> recorded_run.RecordedRun:
    """The figures of runs of all faults, to be recorded."""
    counts = sum((result.counts for result in results), Counter[str]())
    return recorded_run.RecordedRun(
        date=dt.datetime.now(dt.UTC).date(),
        commit=commit,
        runs=len(results),
        audited=sum(KINDS[result.kind].audited for result in results),
        deaths=sum(len(result.deaths) for result in results),
        events=counts["events"],
        changes=counts["changes"],
        changes_by_time=counts["due times"],
        dead_letters=counts["dead letters"],
        repeats=counts["repeats"],
        differences=sum(len(result.findings) for result in results),
        seconds=round(seconds),
    )


def _recordable(wish: argparse.Namespace) -> str:
    """The commit of a run whose figures may be recorded. Raises `RecordingRefused`."""
    if not wish.all or wish.runs != 1 or wish.events != EVENTS:
        raise RecordingRefused("only a run of all faults, once each and on the usual history, is recorded")
    return clean_commit(ROOT)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command. Exit code 1 if there is any finding."""
    parser = argparse.ArgumentParser(prog="scripts/faults", description="Faults on real Kafka and Redis, audited.")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--ci", action="store_true", help="the quick ones, once each (the default)")
    which.add_argument("--all", action="store_true", help="every fault")
    which.add_argument("--only", nargs="+", metavar="NAME", choices=sorted(KINDS), help="these faults")
    which.add_argument("--list", action="store_true", help="what there is")
    parser.add_argument("--seed", type=int, default=1, help="of the first run (1)")
    parser.add_argument("--runs", type=int, default=1, help="of each fault (1); every run has the next seed")
    parser.add_argument("--events", type=int, default=EVENTS, help=f"of the history of a run ({EVENTS})")
    parser.add_argument(
        "--lanes", type=int, default=LANES, help=f"runs at a time, each with a Kafka of its own ({LANES})"
    )
    parser.add_argument("--record", action="store_true", help="write the figures of the run for the docs; with --all")
    wish = parser.parse_args(arguments)
    if wish.list:
        for fault in KINDS.values():
            print(f"{fault.name:<24} {'ci ' if fault.quick else '   '} {fault.about}")
        return 0
    if wish.all or wish.only:
        kinds = [KINDS[name] for name in wish.only or KINDS]
        todo = [(kind, wish.seed + number + run) for run in range(wish.runs) for number, kind in enumerate(kinds)]
    else:
        todo = quick(wish.seed)
    try:
        commit = _recordable(wish) if wish.record else ""
    except RecordingRefused as reason:
        print(reason, file=sys.stderr)
        return 1
    began = time.monotonic()
    results = run_all(todo, wish.events, wish.lanes)
    lasted_s = time.monotonic() - began
    failed = [result for result in results if result.findings]
    print(table(results))
    print(f"{len(results)} runs in {lasted_s:.0f} s, {len(failed)} failed")
    for result in failed:
        print(f"again: scripts/faults --only {result.kind} --seed {result.seed} --events {wish.events}")
    if len(results) < len(todo):
        print(f"{len(todo) - len(results)} runs could not begin")
    elif wish.record:
        recorded_run.save(figures(commit, results, lasted_s), ROOT)
    return 1 if failed or len(results) < len(todo) else 0


def _leave(_number: int, _frame: object) -> NoReturn:
    raise SystemExit(130)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _leave)
    sys.exit(main())
