"""The plan: what does not change while a process runs that owns partitions."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence

import msgspec

from rules.engine import Engine
from streams.ceiling import Ceiling
from streams.defects import nobody
from streams.meter import UNMETERED, Meter
from streams.rebuild import Recompute, Spawned
from streams.shard import Pace
from streams.stop import REBUILD
from streams.store import Identity
from streams.sweeping import Sweeping
from streams.trials import DEATHS_MAX


class Ground(msgspec.Struct, frozen=True, kw_only=True):
    """What does not change while a process runs that owns partitions.

    ``topics``: the inputs in reading order; ``outputs``: topics of which a partition's owner alone may publish, without
    prefix.
    """

    topics: Sequence[str]
    outputs: Sequence[str]
    identity: Identity
    pace: Pace
    rebuild: bool
    exact_ends: bool
    reread: str = REBUILD  # how everything is read again
    now_ms: Callable[[], int]
    stop: Callable[[str], None]
    monotonic: Callable[[], float] = time.monotonic
    meter: Callable[[], Meter] = lambda: UNMETERED  # one for each claimed partition
    claimed: Callable[[float], None] = lambda _: None  # an assignment is claimed
    let_go: Callable[[], None] = lambda: None  # and let go of
    trial_deaths_max: int = DEATHS_MAX  # a simulation kills for no reason, far more often


class Plan(Ground, frozen=True, kw_only=True):
    """And of the worker that segments."""

    engine: Engine
    ceiling: Ceiling
    languages: Sequence[str]
    belongs: Callable[[str, int], bool]
    pseudonym: Callable[[str], str] = nobody
    sweeping: Sweeping = msgspec.field(default_factory=Sweeping)
    links: bool = True  # whether ids of one person are brought together, for which their partitions must be known
    placed: set[int] = msgspec.field(default_factory=set)  # partitions whose first records were seen to belong to them
    started_ms: int = 0  # what was rebuilt since then is not rebuilt again
    recompute: Recompute = Spawned.start
    rebuilding: asyncio.Lock = msgspec.field(default_factory=asyncio.Lock)
