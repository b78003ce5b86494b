"""Reports figures whose code has changed since; part of scripts/check.

This warns and does not fail, since a figure may be old. That the docs say so is what `python -m doc_tools.schemas
--check` fails on.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks import hot_path, results
from benchmarks.results import Measurement

__all__ = ["is_stale", "main", "sentences"]

ROOT = Path(__file__).resolve().parent.parent.parent


def is_stale(measurement: Measurement, root: Path) -> bool:
    """Whether the measured code is not the code of this tree."""
    return measurement.hot_path != hot_path.digest(measurement.benchmark, root)


def sentences(root: Path) -> Iterator[str]:
    """One sentence for each measurement of former code."""
    for measurement in results.load(root).measurements:
        if is_stale(measurement, root):
            yield (
                f"{measurement.benchmark}, {measurement.case}: of {measurement.date}, commit {measurement.commit[:9]}; "
                f"the hot path has changed since: scripts/bench --record --only {measurement.benchmark}"
            )


def main(root: Path = ROOT) -> int:
    for sentence in sentences(root):
        print(sentence)
    return 0


if __name__ == "__main__":
    sys.exit(main())
