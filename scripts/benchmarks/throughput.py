"""Measures how fast each system drains a backlog, one after the other, in several rounds.

The memberships of each system are those of the rules for the same records, else the run fails. The exception is the
obvious loop, which now and then loses an event that it reads beside another one of the same customer; that is reported.
"""

import asyncio
import os
import platform
import statistics
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks import peers
from benchmarks.peers import SegmenterPeer
from benchmarks.plan import Plan
from benchmarks.results import BenchmarkCase
from benchmarks.samples import Samples
from benchmarks.stage import PARTITIONS, Members, Stage, StageLoad, expected, load, published_members
from local import kafka_jars

PROFILES = ("change-heavy", "session-like")
# The obvious loop is so slow that its load is a part of the others'.
OBVIOUS_SHARE = 25
# The load that warms a JVM comes before, and is smaller by this factor.
WARM_SHARE = 2
RATE = "rate"
CPU_UNIT = "s per 1M events"

_MAKE: dict[str, Callable[[StageLoad], Any]] = {
    "bare": lambda _: peers.BareLoop(),
    "one": lambda _: SegmenterPeer(1),
    "two": lambda _: SegmenterPeer(2),
    "streams": lambda warm: peers.KafkaStreams("at_least_once", 2, 1_000, warm),
    "streams-exactly-once": lambda warm: peers.KafkaStreams("exactly_once_v2", 2, 100, warm),
    "quix": lambda _: peers.Quix(),
    "obvious": lambda _: peers.Obvious(),
}
PEERS = (*_MAKE, "all")


def run(profile: str, plan: Plan) -> BenchmarkCase:
    """Drain, print the table, and return it."""
    events, customers, names, rounds, hot_every = plan.events, plan.customers, plan.peers, plan.rounds, plan.hot_every
    whole = load(events, customers, profile, hot_every)
    warm = _part(whole, WARM_SHARE)
    chosen = [make(warm) for name, make in _MAKE.items() if name in names or "all" in names]
    loads = {peer: _part(whole, OBVIOUS_SHARE) if isinstance(peer, peers.Obvious) else whole for peer in chosen}
    right = {each: expected(each) for each in set(loads.values())}
    runs: dict[Any, list[peers.Drained]] = {peer: [] for peer in chosen}
    changes: dict[Any, int] = {}
    with Stage() as stage:
        for index in range(rounds):
            for peer in chosen:
                print(f"round {index + 1} of {rounds}, {profile}: {peer.name} …", flush=True)
                prefix = stage.fill(loads[peer])
                drained = peer.drain(stage, prefix, loads[peer])
                if peer.segments:
                    wanted, until_ms = right[loads[peer]]
                    members, changes[peer] = asyncio.run(published_members(stage.kafka.address, prefix, until_ms))
                    _compare(peer, members, wanted, may_lose=isinstance(peer, peers.Obvious))
                stage.clear(prefix)
                runs[peer].append(drained)
                print(f"  {drained.rate:,.0f} events/s", flush=True)
    _print(profile, whole, runs, changes)
    return _case(profile, whole, runs)


def _case(profile: str, whole: StageLoad, drains: dict[Any, list[peers.Drained]]) -> BenchmarkCase:
    samples = Samples()
    for peer, runs in drains.items():
        for drained in runs:
            million = max(drained.events, 1) / 1e6
            samples.add(peer.name, RATE, "events/s", drained.rate)
            samples.add(peer.name, "own CPU", CPU_UNIT, drained.own_cpu_s / million)
            samples.add(peer.name, "the broker's CPU", CPU_UNIT, drained.broker_cpu_s / million)
            if isinstance(peer, SegmenterPeer):
                samples.add(peer.name, "Redis's CPU", CPU_UNIT, drained.redis_cpu_s / million)
                samples.add(peer.name, "Redis memory", "bytes per customer", drained.redis_bytes_per_customer)
    base = next((peer.name for peer in drains if isinstance(peer, SegmenterPeer)), "")
    conditions = f"a backlog of {whole.events:,} events of {whole.customers:,} customers, {PARTITIONS} partitions"
    return BenchmarkCase("throughput", profile, conditions, samples.figures(base, RATE))


def _part(whole: StageLoad, share: int) -> StageLoad:
    return whole._replace(events=whole.events // share, customers=whole.customers // share)


def _compare(peer: Any, members: Members, right: Members, *, may_lose: bool) -> None:
    wanted = {name: segments & peer.segments for name, segments in right.items() if segments & peer.segments}
    wrong = [name for name in wanted.keys() | members.keys() if wanted.get(name) != members.get(name)]
    if wrong:
        first = wrong[0]
        summary = (
            f"{peer.name}: {len(wrong):,} of {len(wanted):,} customers are in other segments, such as {first}: "
            f"{sorted(members.get(first, ()))}, not {sorted(wanted.get(first, ()))}"
        )
        if not may_lose:
            raise AssertionError(summary)
        print(f"  {summary}")


def _print(profile: str, whole: StageLoad, runs_of: dict[Any, list[peers.Drained]], changes: dict[Any, int]) -> None:
    """Print a table of all systems; ratios are those to the first segmenter among them."""
    hot = f", 1 in {whole.hot_every} of one customer" if whole.hot_every else ""
    print(f"\n{profile}: {whole.events:,} events of {whole.customers:,} customers{hot}; {machine()}")
    segmenters = [peer for peer in runs_of if isinstance(peer, SegmenterPeer)]
    against = _rate(runs_of[segmenters[0]]) if segmenters else 0.0
    print(f"{'':56} {'events/s':>9} {'least-most':>17} {'ratio':>6} {'changes':>8}   CPU s per 1M: own broker Redis")
    for peer, runs in runs_of.items():
        rates = [run.rate for run in runs]
        ratio = f"{_rate(runs) / against:.2f}" if against else ""
        cpu = [
            statistics.median(getattr(run, name) / max(run.events, 1) * 1e6 for run in runs)
            for name in ("own_cpu_s", "broker_cpu_s", "redis_cpu_s")
        ]
        print(
            f"{peer.name:56} {_rate(runs):9,.0f} {min(rates):8,.0f}-{max(rates):8,.0f} {ratio:>6} "
            f"{changes.get(peer, 0):8,}   {cpu[0]:17.0f} {cpu[1]:6.0f} {cpu[2]:5.0f}"
        )
    for peer in segmenters:
        stored = statistics.median(run.redis_bytes_per_customer for run in runs_of[peer])
        print(f"Redis, {peer.name}: {stored:.0f} bytes per customer")
        break
    if segmenters:
        print(
            f"changes per event: {changes[segmenters[0]] / whole.events:.2f}; "
            "memberships of all are as the rules give them"
        )


def _rate(runs: Sequence[peers.Drained]) -> float:
    return statistics.median(run.rate for run in runs)


def machine() -> str:
    """Describe the machine in a line."""
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parent,
    ).stdout.strip()
    return (
        f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}, "
        f"Apache Kafka {kafka_jars.VERSION}, commit {commit or 'unknown'}"
    )
