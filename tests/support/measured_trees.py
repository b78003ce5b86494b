"""A copy of the code that benchmarks measure, as a git repository of its own, and cases to record in it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from benchmarks.results import BenchmarkCase
from benchmarks.samples import Samples

ROOT = Path(__file__).parents[2]
MEASURED = ("rules", "streams", "scripts/load", "scripts/demos")


def git(tree: Path, *arguments: str) -> str:
    """What git prints; it succeeds."""
    author = ("-c", "user.name=Test", "-c", "user.email=test@example.org")
    return subprocess.run(
        ["git", "-C", str(tree), *author, *arguments], check=True, capture_output=True, text=True
    ).stdout.strip()


def copied_tree(tree: Path) -> Path:
    """The code of this repository, committed."""
    for name in MEASURED:
        shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
    git(tree, "init", "--quiet")
    git(tree, "add", ".")
    git(tree, "commit", "--quiet", "-m", "all")
    return tree


def rules_case(*costs: float) -> BenchmarkCase:
    """The rules alone, with these costs of the four segments, and twice as much of the library."""
    samples = Samples()
    for cost in costs:
        samples.add("four segments", "CPU time", "µs per event", cost)
        samples.add("library", "CPU time", "µs per event", 2 * cost)
    return BenchmarkCase("rules", "rules alone", "a year", samples.figures("four segments", "CPU time"))
