"""Benchmarks: measures this worker beside alternatives, on the same records in the same run.

A rate is a ratio to another system that ran beside it, as machines are noisy. The systems take turns, and the median of
the rounds counts. Only 127.0.0.1 is connected to. The segments are the four of scripts/load/four_segments.yaml, so that
the figures do not depend on the library.
"""

import argparse
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

from benchmarks import (
    definition_change,
    gateway,
    latency,
    metrics_overhead,
    rules_cost,
    scale,
    shop,
    throughput,
    triggers,
)
from benchmarks.plan import FULL, SMALL, Plan
from benchmarks.recorder import Recorder, RecordingRefused
from benchmarks.results import PATH, BenchmarkCase
from local import servers

ROOT = Path(__file__).resolve().parent.parent.parent
PARTS = ("rules", "throughput", "latency", "due", "crowd", "scale", "triggers", "gateway", "shop", "ops", "changed")
USUAL = ("rules", "throughput", "latency")


def main() -> None:
    arguments = _parser().parse_args()
    plans = {part: plan_of(part, arguments) for part in PARTS if part in arguments.only}
    try:
        recorder = Recorder(ROOT, plans) if arguments.record else None
        if arguments.only != ["rules"] and (missing := servers.kafka_available()):
            sys.exit(missing)
        for part, plan in plans.items():
            _run(part, plan, recorder)
    except RecordingRefused as reason:
        sys.exit(f"nothing more is recorded: {reason}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=USUAL)
    parser.add_argument("--small", action="store_true", help="little of everything, to see that it runs")
    parser.add_argument("--record", action="store_true",
        help=f"in full, and write the figures to {PATH}; needs a commit without changes")  # fmt: skip
    _add_amounts(parser)
    return parser


def _add_amounts(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of amounts; one that is not given is left out, so that the plan's own amount stays."""
    usual = Plan()

    def add(name: str, about: str, **more: object) -> None:
        parser.add_argument(f"--{name}", default=argparse.SUPPRESS, help=about, **more)  # type: ignore[arg-type]

    add("events", f"of a backlog ({usual.events:,})", type=int)
    add("customers", f"of a backlog ({usual.customers:,})", type=int)
    add("profiles", "(change-heavy)", nargs="+", choices=throughput.PROFILES)
    add("peers", "who drains a backlog (bare one); all: --peers all", nargs="*", choices=throughput.PEERS)
    add("rounds", "of each, one after the other; 3 for a figure (1)", type=int)
    add("rates", "events per second of the steady load (1,000)", type=int, nargs="+")
    add("seconds", f"how long the steady load lasts ({usual.seconds:g})", type=float)
    add("commits", "and Kafka Streams, exactly once, with these commit intervals (ms); 100 is its default",
        type=int, nargs="*")  # fmt: skip
    add("hot-every", "one event in so many of a backlog is of one customer", type=int)
    add("sizes", "customers, for scale (10000 100000)", type=int, nargs="+")
    add("crowd", f"customers that are due at one instant ({usual.crowd:,})", type=int)
    add("messages", f"webhooks that are due at once, for triggers ({usual.messages:,})", type=int)
    add("visitors", f"of the shop, one after the other ({usual.visitors})", type=int)
    add("drains", f"with metrics on and off by turns, for ops ({usual.drains})", type=int)


def plan_of(part: str, arguments: argparse.Namespace) -> Plan:
    """The plan: the usual amounts, small ones or those of a recorded run, replaced by the given arguments."""
    base = SMALL[part] if arguments.small else FULL[part] if arguments.record else {}
    given = {name: value for name, value in vars(arguments).items() if name in Plan._fields}
    return Plan(**{**base, **given})


def _run(part: str, plan: Plan, recorder: Recorder | None) -> None:
    for case in _cases(part, plan):
        if recorder is not None:
            recorder.record(case)
            print(f"recorded: {case.benchmark}, {case.case}", flush=True)


def _cases(part: str, plan: Plan) -> Iterable[BenchmarkCase]:
    """Measure the requested cases, one after the other."""
    run: dict[str, Callable[[], Iterable[BenchmarkCase]]] = {
        "rules": lambda: [rules_cost.run(plan.rules_events)],
        "throughput": lambda: (throughput.run(profile, plan) for profile in plan.profiles),
        "latency": lambda: (latency.run(rate, plan) for rate in plan.rates),
        "due": lambda: (latency.run_due(rate, plan) for rate in plan.rates),
        "crowd": lambda: [latency.run_crowd(plan)],
        "scale": lambda: scale.run(plan),
        "triggers": lambda: triggers.run(plan),
        "gateway": lambda: gateway.run(plan),
        "shop": lambda: [shop.run(plan)],
        "ops": lambda: metrics_overhead.run(plan),
        "changed": lambda: [definition_change.run(plan)],
    }
    return run[part]()


if __name__ == "__main__":
    main()
