"""How fast: this worker, and what one would use instead, on the same records in the same run.

The one rule: a rate is a ratio to something that ran beside it, as machines are noisy. Who takes
part takes turns, and the median of the rounds counts. Only 127.0.0.1 is spoken to. What is decided
are the four segments of scripts/four.yaml, whatever the library has come to hold.
"""

import argparse
import sys

import bench_latency
import bench_throughput
import cost
import local


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=["throughput", "latency", "rules"])
    parser.add_argument("--events", type=int, default=500_000, help="of a backlog (500,000)")
    parser.add_argument("--customers", type=int, default=100_000)
    parser.add_argument(
        "--profiles", nargs="+", choices=bench_throughput.PROFILES, default=["change-heavy"], help="(change-heavy)"
    )
    parser.add_argument("--peers", nargs="*", default=["bare", "one"], choices=bench_throughput.PEERS,
        help="who drains a backlog (bare one); all: --peers all")  # fmt: skip
    parser.add_argument("--rounds", type=int, default=1, help="of all peers, one after the other; 3 for a figure")
    parser.add_argument("--rates", type=int, nargs="+", default=[1_000], help="events per second of the steady load")
    parser.add_argument("--seconds", type=float, default=20, help="how long the steady load lasts")
    parser.add_argument(
        "--guarantees", nargs="+", default=["at_least_once"], choices=["at_least_once", "exactly_once"],
        help="of the worker under a steady load",
    )  # fmt: skip
    arguments = parser.parse_args()
    if arguments.only in (None, "rules"):
        cost.run()
    if arguments.only == "rules":
        return
    missing = local.kafka_available()
    if missing:
        sys.exit(missing)
    if arguments.only != "latency":
        for profile in arguments.profiles:
            bench_throughput.run(profile, arguments.events, arguments.customers, arguments.peers, arguments.rounds)
    if arguments.only != "throughput":
        for guarantee in arguments.guarantees:
            for rate in arguments.rates:
                bench_latency.run(rate, arguments.seconds, guarantee)


if __name__ == "__main__":
    main()
