"""`python -m tests.simulation.world`: run one seed or many, and show what went wrong."""

from __future__ import annotations

import argparse
import sys
from collections import Counter

from tests.simulation.world.run import Options, Outcome, run

TRACE_LINES = 30


def main() -> int:
    arguments = _parser().parse_args()
    options = Options(durable=arguments.durable, people=arguments.people)
    first, _, last = (arguments.seeds or str(arguments.seed)).partition("-")
    counts: Counter[str] = Counter()
    failed: list[int] = []
    for seed in range(int(first), int(last or first) + 1):
        outcome = run(seed, options)
        counts += outcome.counts
        if arguments.trace:
            _say(*outcome.trace)
        if outcome.problems:
            failed.append(seed)
            _say(report(outcome, options, 0 if arguments.trace else TRACE_LINES))
            if arguments.first:
                break
    _say(f"{len(failed)} of the seeds {first}-{seed} failed {failed[:20]}")
    if arguments.counts:
        _say(*(f"{count:8} {name}" for name, count in sorted(counts.items())))
    return 1 if failed else 0


def _say(*lines: str) -> None:
    sys.stdout.write("".join(line + "\n" for line in lines))


def report(outcome: Outcome, options: Options, lines: int) -> str:
    """What went wrong, how to see it again, and the end of the trace."""
    again = f"python -m tests.simulation.world --seed {outcome.seed} --trace" + (
        " --durable" if options.durable else ""
    )
    again += " --people" if options.people else ""
    return "\n".join([f"seed {outcome.seed} ({outcome.digest}): {again}", *outcome.problems, *outcome.trace[-lines:]])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.world")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seeds", help="FIRST-LAST")
    parser.add_argument("--trace", action="store_true", help="print what happened")
    parser.add_argument("--first", action="store_true", help="end with the first seed that fails")
    parser.add_argument("--counts", action="store_true", help="print how often what was reached")
    parser.add_argument("--people", action="store_true", help="each customer is a person of two ids")
    parser.add_argument("--durable", action="store_true", help="Redis loses nothing that is published")
    return parser


if __name__ == "__main__":
    sys.exit(main())
