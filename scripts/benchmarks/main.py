"""How fast: this worker, and what one would use instead, on the same records in the same run.

The one rule: a rate is a ratio to something that ran beside it, as machines are noisy. Who takes
part takes turns, and the median of the rounds counts. Only 127.0.0.1 is spoken to. What is decided
are the four segments of scripts/load/four_segments.yaml, whatever the library has come to hold.
"""

import argparse
import sys

from benchmarks import definition_change, latency, metrics_overhead, rules_cost, scale, throughput, triggers
from local import servers

PARTS = ("rules", "throughput", "latency", "due", "crowd", "scale", "triggers", "ops", "changed")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=["rules", "throughput", "latency"])
    parser.add_argument("--events", type=int, default=500_000, help="of a backlog (500,000)")
    parser.add_argument("--customers", type=int, default=100_000)
    parser.add_argument(
        "--profiles", nargs="+", choices=throughput.PROFILES, default=["change-heavy"], help="(change-heavy)"
    )
    parser.add_argument("--peers", nargs="*", default=["bare", "one"], choices=throughput.PEERS,
        help="who drains a backlog (bare one); all: --peers all")  # fmt: skip
    parser.add_argument("--rounds", type=int, default=1, help="of all peers, one after the other; 3 for a figure")
    parser.add_argument("--rates", type=int, nargs="+", default=[1_000], help="events per second of the steady load")
    parser.add_argument("--seconds", type=float, default=20, help="how long the steady load lasts")
    parser.add_argument(
        "--commits", type=int, nargs="*", default=[],
        help="and Kafka Streams, exactly once, with these commit intervals (ms); 100 is its default",
    )  # fmt: skip
    parser.add_argument("--hot-every", type=int, default=0, help="one event in so many of a backlog is of one customer")
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 100_000], help="customers, for scale")
    parser.add_argument("--crowd", type=int, default=50_000, help="customers who are due at one instant")
    parser.add_argument("--messages", type=int, default=10_000, help="webhooks that are due at once, for triggers")
    parser.add_argument("--drains", type=int, default=6, help="with metrics on and off by turns, for ops")
    arguments = parser.parse_args()
    if "rules" in arguments.only:
        rules_cost.run()
    if arguments.only == ["rules"]:
        return
    missing = servers.kafka_available()
    if missing:
        sys.exit(missing)
    _run(arguments)


def _run_paced(wish: argparse.Namespace, rate: int) -> None:
    if "latency" in wish.only:
        latency.run(rate, wish.seconds)
        for commit_ms in wish.commits:
            latency.run_streams(rate, wish.seconds, commit_ms)
    if "due" in wish.only:
        latency.run_due(rate, wish.seconds)


def _run(wish: argparse.Namespace) -> None:
    if "throughput" in wish.only:
        for profile in wish.profiles:
            throughput.run(profile, wish.events, wish.customers, wish.peers, wish.rounds, wish.hot_every)
    for rate in wish.rates:
        _run_paced(wish, rate)
    if "crowd" in wish.only:
        latency.run_crowd(wish.crowd, wish.rates[0])
    if "scale" in wish.only:
        scale.run(wish.sizes)
    if "triggers" in wish.only:
        triggers.run(wish.messages)
    if "changed" in wish.only:
        definition_change.run(wish.customers, wish.rates[0], wish.seconds)
    if "ops" in wish.only:
        metrics_overhead.run(wish.drains, wish.events, wish.seconds)


if __name__ == "__main__":
    main()
