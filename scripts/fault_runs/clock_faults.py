"""Faults of the clock: the workers' wall clock is changed while they run; that of Kafka and Redis is right.

The worker's code is unchanged. A module on its path changes the wall clock of the process (see
`skew/sitecustomize.py`); the monotonic clock stays right.
"""

from pathlib import Path

from fault_runs.kinds import kind
from fault_runs.scene import Scene

AHEAD_S = 1_800  # most windows of the definitions would end within it
DIFFER = r"clocks? of this machine"
SKEW = Path(__file__).with_name("skew")


class ClockFault:
    """The wall clock of the workers of a scene."""

    def __init__(self, scene: Scene) -> None:
        self._file = scene.folder / "clock"
        scene.clock_is_right = False
        self.set(0)
        scene.crew.environment |= {"PYTHONPATH": str(SKEW), "SKEW_FILE": str(self._file)}

    def set(self, off_s: int) -> None:
        """Set the wall clock off by ``off_s`` from now on."""
        incoming = self._file.with_suffix(".incoming")
        incoming.write_text(f"{off_s:+d}\n")
        incoming.rename(self._file)


def stepped(scene: Scene, off_s: int) -> None:
    """Change the clock in the middle of a run, and set it right after workers have refused to go on."""
    clock = ClockFault(scene)
    scene.begin(2)
    scene.wait_applied(1.0)
    clock.set(off_s)
    scene.wait_stopped("of this machine", 3, within_s=100)
    clock.set(0)


@kind("clock-of-one", "the clock of one of two workers is set ahead: it stops, the other goes on", stops=(DIFFER,),
      quick=False)  # fmt: skip
def _(scene: Scene) -> None:
    scene.publish_history()
    scene.crew.hire()
    clock = ClockFault(scene)  # for the workers that are started from here on
    scene.crew.hire()
    scene.traffic.start()
    scene.wait_applied(1.0)
    clock.set(AHEAD_S)
    scene.wait_stopped("of this machine", 2, within_s=100)
    clock.set(0)


@kind("clock-ahead", "the workers' clock is set half an hour ahead: stops, and no due time fires before its time",
      stops=(DIFFER,))  # fmt: skip
def _(scene: Scene) -> None:
    stepped(scene, AHEAD_S)


@kind("clock-back", "the workers' clock is set half an hour back: stops within a minute", stops=(DIFFER,), quick=False)
def _(scene: Scene) -> None:
    stepped(scene, -AHEAD_S)
