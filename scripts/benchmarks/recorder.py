"""Records measured figures with their commit, time and machine.

The one rule: only a full run, of committed code and under the default settings, is recorded. Any other run is refused,
if possible before it is measured.
"""

from __future__ import annotations

import datetime as dt
import os
import platform
import re
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks import hot_path, results
from benchmarks.plan import Plan, shortfalls
from benchmarks.results import BenchmarkCase, Machine, Measurement
from local import kafka_jars, servers

__all__ = ["Recorder", "RecordingRefused", "machine"]

# The code that runs in a benchmark; a change of the docs, such as a figure that was just recorded, changes no figure.
CODE = ("rules", "streams", "scripts", "pyproject.toml", "constraints.txt")
# Settings which are recorded with the figure, or which do not change it.
WRITTEN_DOWN = ("SEGMENTER_LOOP", "SEGMENTER_TEST_REDIS")
WITHOUT_SERVERS = ("rules",)


class RecordingRefused(Exception):
    """A figure is not recorded; the text says why."""


class Recorder:
    """Records each case of a session as soon as it is measured."""

    def __init__(self, root: Path, plans: Mapping[str, Plan], environment: Mapping[str, str] = os.environ) -> None:
        _refuse_settings(environment)
        _refuse_shortfalls(plans)
        self._root = root
        self._loop = environment.get("SEGMENTER_LOOP", "asyncio")
        self._commit = clean_commit(root)

    def record(self, case: BenchmarkCase) -> None:
        """Record a case, in place of its former measurement. Raises `RecordingRefused`."""
        if clean_commit(self._root) != self._commit:
            raise RecordingRefused("another commit was checked out while it was measured: measure it again")
        measurement = Measurement(
            benchmark=case.benchmark,
            case=case.case,
            conditions=case.conditions,
            source="recorded",
            commit=self._commit,
            date=dt.datetime.now(dt.UTC).date(),
            machine=machine(self._loop, with_servers=case.benchmark not in WITHOUT_SERVERS),
            hot_path=hot_path.digest(case.benchmark, self._root),
            figures=case.figures,
        )
        results.save(results.replace(results.load(self._root), measurement), self._root)


def _refuse_settings(environment: Mapping[str, str]) -> None:
    others = sorted(name for name in environment if name.startswith("SEGMENTER_") and name not in WRITTEN_DOWN)
    if others:
        raise RecordingRefused(f"unset {', '.join(others)}: figures are of the usual settings")


def _refuse_shortfalls(plans: Mapping[str, Plan]) -> None:
    lacks = [f"{name}: {lack}" for name, plan in plans.items() for lack in shortfalls(name, plan)]
    if lacks:
        head = "this is no run in full, so it may not replace the figures of one:"
        raise RecordingRefused("\n  ".join([head, *lacks]))


def clean_commit(root: Path) -> str:
    """The commit that is checked out. Raises `RecordingRefused` if the tree has other changes."""
    changed = _git(root, "status", "--porcelain", "--untracked-files=all", "--", *CODE).rstrip()
    if changed:
        raise RecordingRefused(f"commit these first, so that the figure is of a commit:\n{changed}")
    return _git(root, "rev-parse", "HEAD").strip()


def _git(root: Path, *arguments: str) -> str:
    ended = subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, text=True, check=False)
    if ended.returncode:
        raise RecordingRefused(f"git does not name the commit: {ended.stderr.strip()}")
    return ended.stdout


def machine(loop: str, *, with_servers: bool) -> Machine:
    """Describe this machine, without its name."""
    return Machine.model_validate(
        {
            "cpu": _first(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo")),
            "cores": len(os.sched_getaffinity(0)),
            "memory_gib": _memory_gib(),
            "python": platform.python_version(),
            "kernel": platform.release(),
            "kafka": kafka_jars.VERSION if with_servers else None,
            "redis": _redis_version() if with_servers else None,
            "loop": loop if with_servers else None,
        }
    )


def _memory_gib() -> float | None:
    total_kib = _first(r"^MemTotal:\s*(\d+) kB$", Path("/proc/meminfo"))
    return round(int(total_kib) / 2**20, 1) if total_kib else None


def _redis_version() -> str | None:
    command: Sequence[str] = (str(servers.redis_binary()), "--version")
    printed = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    version = re.search(r"^(Redis|Valkey).*?\bv=(\S+)", printed)
    return f"{version[1]} {version[2]}" if version else None


def _first(pattern: str, path: Path) -> str | None:
    match = re.search(pattern, path.read_text(), re.MULTILINE) if path.is_file() else None
    return match[1] if match else None
