"""The amounts that a benchmark runs: usual, small to try it out, and full; only a full run may be recorded.

A run that is not full has shortfalls, which are sentences that say by how much.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from typing import Any, NamedTuple

__all__ = ["FULL", "SMALL", "Plan", "shortfalls"]


class Plan(NamedTuple):
    """The usual amounts. Each benchmark uses those that concern it."""

    events: int = 500_000
    customers: int = 100_000
    rules_events: int = 100_000
    profiles: Collection[str] = ("change-heavy",)
    peers: Collection[str] = ("bare", "one")
    rounds: int = 1
    rates: Collection[int] = (1_000,)
    seconds: float = 20
    commits: Collection[int] = ()
    hot_every: int = 0
    sizes: Collection[int] = (10_000, 100_000)
    crowd: int = 50_000
    messages: int = 10_000
    drains: int = 6
    visitors: int = 30


_SMALL: Mapping[str, Any] = {
    "events": 5_000, "customers": 500, "rules_events": 5_000, "rates": (200,), "seconds": 2, "sizes": (200,),
    "crowd": 1_000, "messages": 300, "drains": 1, "visitors": 3,
}  # fmt: skip
# The amounts to see that a benchmark runs. With fewer events a worker has no two turns with metrics on and off.
SMALL: Mapping[str, Mapping[str, Any]] = defaultdict(lambda: _SMALL, {"ops": {**_SMALL, "events": 300_000}})
FULL: Mapping[str, Mapping[str, Any]] = {
    "rules": {"rules_events": 100_000},
    "throughput": {
        "events": 500_000, "customers": 100_000, "profiles": ("change-heavy", "session-like"), "peers": ("all",),
        "rounds": 3, "hot_every": 0,
    },
    "latency": {"rates": (1_000, 5_000), "seconds": 60, "commits": (100, 1), "rounds": 3},
    "due": {"rates": (1_000, 5_000), "seconds": 60, "rounds": 3},
    "crowd": {"crowd": 50_000, "rates": (1_000,), "rounds": 3},
    "scale": {"sizes": (10_000, 100_000, 1_000_000), "rounds": 1},
    "triggers": {"messages": 30_000, "rounds": 3},
    "ops": {"events": 600_000, "drains": 9, "seconds": 60},
    "gateway": {"seconds": 10, "rounds": 3},
    "shop": {"visitors": 100, "rounds": 3},
    "changed": {"customers": 1_160_000, "rates": (1_000,), "seconds": 20},
}  # fmt: skip
# More of these give a more exact figure of the same case.
_AT_LEAST = ("rounds", "seconds", "drains")
# Each of these is a case of its own, so some of them are enough.
_CASES = ("profiles", "rates", "sizes")


def shortfalls(benchmark: str, plan: Plan) -> Iterator[str]:
    """The shortfalls of this plan against a full run."""
    for name, full in FULL[benchmark].items():
        planned = getattr(plan, name)
        if not _suffices(name, planned, full):
            yield f"{name} {_words(planned)}, and in full {'at least ' if name in _AT_LEAST else ''}{_words(full)}"


def _suffices(name: str, planned: Any, full: Any) -> bool:
    if name in _AT_LEAST:
        return bool(planned >= full)
    if name in _CASES:
        return set(planned) <= set(full)
    if isinstance(full, tuple):
        return set(planned) == set(full)
    return bool(planned == full)


def _words(value: Any) -> str:
    return " ".join(map(str, value)) or "none" if isinstance(value, list | tuple) else f"{value:,}"
