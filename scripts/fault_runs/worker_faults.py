"""Faults of workers: deaths at every fail point and at any time, frozen and woken workers, joins and leaves.

A fault that did not happen is a failed run.

See also `fault_runs.audit`, which compares what is left with the oracle.
"""

import time
from collections.abc import Sequence
from pathlib import Path

from fault_runs.kinds import KINDS, REDIS_FORGOT, FaultKind, kind
from fault_runs.redis_faults import lose_a_second
from fault_runs.scene import PARTITIONS, Scene

# Fail points by phase: a worker dies at the first one, its successor at the next, until all are passed.
CHAINS = {
    "claim": ("before_claim", "after_claim", "after_begin"),
    "read-back": ("after_publish", "mid_read_back", "after_read_back"),
    "step": ("after_poll", "after_load", "after_compute", "after_fire", "before_save", "lost_save_reply", "after_save"),
    "publish": ("before_publish", "after_publish", "after_trim"),
    "fence": ("before_fence", "mid_fence", "after_fence"),
    "release": ("before_release", "mid_release"),
}
QUICK_CHAINS = {"claim", "step", "publish", "fence"}  # part of CI
# How often a fail point may be passed before the worker dies there; the others are passed once in each claim.
PASSES = {
    "step": 40,
    "publish": 40,
    "after_publish": 20,
    "after_fire": 4,
    "before_claim": 2,
    "after_claim": 2,
}
FROZEN_S = 4.0  # the session timeout is 2.5 s
UNTIL_S = 240.0


def chained(name: str, points: Sequence[str]) -> FaultKind:
    """Make a fault of deaths at these fail points, one after the other, each at a time drawn by the seed."""

    def act(scene: Scene) -> None:
        most = [PASSES.get(point, PASSES.get(name, 1)) for point in points]
        drawn = [f"{point}:{scene.rng.randint(1, passes)}" for point, passes in zip(points, most, strict=True)]
        deadly = [point for point in drawn if not point.startswith("lost_save_reply")]
        scene.crew.successors = deadly[1:]
        # No other worker may read the outputs back before the successor does.
        scene.begin(
            1 if name == "read-back" else 2,
            deadly[:1] + [fail_point for fail_point in drawn if fail_point not in deadly],
        )
        for point in deadly:
            if name == "release":  # partitions are revoked when another worker leaves
                scene.crew.wait_ready()
                scene.crew.kill(next(member for member in scene.crew.members if not member.fail_point))
            died = f"died at {point}"
            scene.wait(lambda died=died: died in scene.crew.deaths, died, UNTIL_S)  # type: ignore[misc]

    return FaultKind(f"dies-{name}", f"workers die at {', '.join(points)}", act, quick=name in QUICK_CHAINS)


for _name, _points in CHAINS.items():
    KINDS[f"dies-{_name}"] = chained(_name, _points)


def kill_one(scene: Scene) -> None:
    """Kill a worker (kill -9)."""
    scene.crew.kill(scene.rng.choice(scene.crew.members))


def make_a_zombie(scene: Scene) -> None:
    """Freeze a worker past its session, until its partitions have another owner, and wake it."""
    scene.crew.wait_ready()
    zombie = scene.rng.choice(scene.crew.members)
    before = scene.generations()
    scene.crew.freeze(zombie)
    began = time.monotonic()
    try:
        scene.wait(lambda: all(map(int.__gt__, scene.generations(), before)), "its partitions taken over")
        scene.wait(lambda: time.monotonic() - began > FROZEN_S, "time")
    finally:
        scene.crew.thaw(zombie)


def replace_one(scene: Scene) -> None:
    """Start another worker, then end the oldest one."""
    scene.crew.hire()
    scene.crew.end(scene.crew.members[0])


@kind("worker-kill", "kill -9 of workers, at any time, again and again")
def _(scene: Scene) -> None:
    scene.begin(2)
    for share in sorted(scene.rng.uniform(0.05, 1.0) for _ in range(4)):
        scene.wait_applied(share)
        kill_one(scene)


@kind("worker-zombie", "a worker frozen past its session, its partitions taken over, and woken")
def _(scene: Scene) -> None:
    scene.begin(2)
    scene.wait_applied(scene.rng.uniform(0.1, 0.6))
    make_a_zombie(scene)


@kind("zombie-lost-save", "a worker stands still with changes whose save Redis loses, and wakes after a takeover",
      stops=REDIS_FORGOT, quick=False)  # fmt: skip
def _(scene: Scene) -> None:
    scene.forgets = True
    scene.begin(2, [f"before_publish:{scene.rng.randint(2, 20)}:SIGSTOP"])
    zombie = scene.crew.members[0]
    zombie.frozen = True
    scene.wait(lambda: is_stopped(zombie.worker.pid), "a worker that stands still")
    lose_a_second(scene)
    before = scene.generations()
    scene.wait(lambda: all(map(int.__gt__, scene.generations(), before)), "its partitions taken over")
    scene.crew.thaw(zombie)


def is_stopped(pid: int) -> bool:
    """Whether a process is stopped by a signal."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


@kind("worker-term", "workers told to end, one after the other, with another in their place", quick=False)
def _(scene: Scene) -> None:
    scene.begin(2)
    for share in (0.2, 0.5):
        scene.wait_applied(share)
        replace_one(scene)


@kind("worker-join", "from one worker to more than there are partitions, and back to one", quick=False)
def _(scene: Scene) -> None:
    scene.begin(1)
    scene.wait_applied(0.1)
    for _ in range(PARTITIONS):
        scene.crew.hire()
    scene.wait_applied(scene.rng.uniform(0.5, 0.9))
    scene.crew.wait_ready()
    while len(scene.crew.members) > 1:
        scene.crew.end(scene.rng.choice(scene.crew.members))
