"""Collects the values of a benchmark, run by run, and computes the figures."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from benchmarks.results import Figure

__all__ = ["Samples"]

PERCENTILES = {"p50": 0.5, "p99": 0.99, "p99.9": 0.999}


class Samples:
    """The values of each system in each run, by system, metric and unit."""

    def __init__(self) -> None:
        self._values: dict[tuple[str, str, str], list[float]] = {}

    def add(self, system: str, metric: str, unit: str, value: float) -> None:
        """Add the value of one run."""
        self._values.setdefault((system, metric, unit), []).append(value)

    def add_delays(self, system: str, ordered: Sequence[float]) -> None:
        """Add percentiles of the delays of one run (ms), which are in ascending order."""
        for metric, share in PERCENTILES.items():
            self.add(system, metric, "ms", ordered[int(len(ordered) * share)])
        self.add(system, "max", "ms", ordered[-1])

    def figures(self, against: str = "", compared: str = "") -> tuple[Figure, ...]:
        """The median and spread of each; of the metric ``compared`` also the ratio to the system ``against``."""
        figures = [_figure(*names, values) for names, values in self._values.items()]
        base = next((each.median for each in figures if (each.system, each.metric) == (against, compared)), 0.0)
        return tuple(
            each.model_copy(update={"ratio": _rounded(each.median / base), "against": against})
            if base and each.metric == compared
            else each
            for each in figures
        )


def _figure(system: str, metric: str, unit: str, values: Sequence[float]) -> Figure:
    return Figure(
        system=system,
        metric=metric,
        unit=unit,
        runs=len(values),
        median=_rounded(statistics.median(values)),
        least=_rounded(min(values)),
        most=_rounded(max(values)),
    )


def _rounded(value: float) -> float:
    """Round to five digits, of which the noise of a machine leaves two or three."""
    return float(f"{value:.5g}")
