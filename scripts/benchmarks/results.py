"""The figures of all benchmarks as one file, docs/benchmarks/results.json, from which the tables in docs are drawn.

Only `benchmarks.recorder` adds to it, and a measurement replaces the former one of the same benchmark and case. No host
name and no path is in it.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal, NamedTuple, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

__all__ = ["PATH", "BenchmarkCase", "Figure", "Machine", "Measurement", "Results", "load", "replace", "save"]

PATH = Path("docs/benchmarks/results.json")
CommitHash = Annotated[str, StringConstraints(pattern="^[0-9a-f]{40}$")]
Digest = Annotated[str, StringConstraints(pattern="^[0-9a-f]{64}$")]
NonEmptyText = Annotated[str, StringConstraints(min_length=1)]


class _Shape(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Machine(_Shape):
    """The machine of a figure; a field without a value was not recorded."""

    cpu: str | None = Field(default=None, description="model of the CPU")
    cores: int = Field(ge=1, description="cores which everything that took part shared")
    memory_gib: float | None = Field(default=None, gt=0, description="memory")
    python: NonEmptyText = Field(description="version of Python")
    kernel: str | None = Field(default=None, description="release of the kernel")
    kafka: str | None = Field(default=None, description="version of Apache Kafka")
    redis: str | None = Field(default=None, description="version of Redis or Valkey")
    loop: Literal["asyncio", "uvloop"] | None = Field(default=None, description="SEGMENTER_LOOP of the processes")


class Figure(_Shape):
    """One value of one system."""

    system: NonEmptyText = Field(description="what was measured")
    metric: NonEmptyText = Field(description="which of its values")
    unit: NonEmptyText = Field(description="of the median, the least and the most")
    runs: int = Field(ge=1, description="how many runs the median is of")
    median: float = Field(description="median of the runs")
    least: float | None = Field(default=None, description="least of the runs")
    most: float | None = Field(default=None, description="most of the runs")
    ratio: float | None = Field(default=None, description="this median by the median of `against`, of the same runs")
    against: str | None = Field(default=None, description="the system that ran beside it and is 1 in `ratio`")

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if (self.ratio is None) != (self.against is None):
            raise ValueError("a ratio is against something")
        if (self.least is None) != (self.most is None):
            raise ValueError("a spread has two ends")
        if self.least is not None and self.most is not None and not self.least <= self.median <= self.most:
            raise ValueError("a median lies within its spread")
        return self


class Measurement(_Shape):
    """The figures of one case of a benchmark, from one session on one machine."""

    benchmark: NonEmptyText = Field(description="as `scripts/bench --only` calls it")
    case: NonEmptyText = Field(description="which case of it; a new measurement replaces the former one of its case")
    conditions: NonEmptyText = Field(description="the load, in words")
    source: Literal["recorded", "readme"] = Field(
        description="recorded: by `scripts/bench --record`; readme: taken over from README, which did not name the "
        "commit that was measured"
    )
    commit: CommitHash = Field(
        description="what was measured, without any change of it; for `readme` the commit that wrote it there"
    )
    date: dt.date = Field(description="in UTC")
    machine: Machine
    hot_path: Digest | None = Field(
        default=None,
        description="digest of the code that the case runs through, see `benchmarks.hot_path`; left out: not known, so "
        "it has changed since",
    )
    note: str | None = Field(default=None, description="what a reader of the figures must know")
    figures: tuple[Figure, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _is_traceable(self) -> Self:
        if self.source == "recorded" and self.hot_path is None:
            raise ValueError("a recorded measurement has the digest of its hot path")
        names = [(figure.system, figure.metric) for figure in self.figures]
        if len(set(names)) < len(names):
            raise ValueError("a system has each of its values once")
        return self


class Results(_Shape):
    """The whole file."""

    version: Literal[1] = Field(default=1, description="of this shape")
    measurements: tuple[Measurement, ...] = ()

    @model_validator(mode="after")
    def _has_each_case_once(self) -> Self:
        names = [(measurement.benchmark, measurement.case) for measurement in self.measurements]
        if len(set(names)) < len(names):
            raise ValueError("a case of a benchmark has one measurement")
        return self

    def of(self, benchmark: str) -> Iterator[Measurement]:
        """The measurements of a benchmark, one for each case."""
        return (measurement for measurement in self.measurements if measurement.benchmark == benchmark)


class BenchmarkCase(NamedTuple):
    """A case as a benchmark has measured it, before it is known whether it may be recorded."""

    benchmark: str
    case: str
    conditions: str
    figures: tuple[Figure, ...]


def load(root: Path) -> Results:
    """Load the file of a tree; without it there are no figures."""
    path = root / PATH
    return Results.model_validate_json(path.read_bytes()) if path.is_file() else Results()


def save(results: Results, root: Path) -> None:
    """Write the file of a tree, as a whole or not at all."""
    path = root / PATH
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".unfinished")
    unfinished.write_text(results.model_dump_json(indent=2, exclude_none=True) + "\n", "utf-8")
    unfinished.replace(path)


def replace(results: Results, measurement: Measurement) -> Results:
    """The results with this measurement in place of the former one of its case."""
    measurements = {(former.benchmark, former.case): former for former in results.measurements}
    measurements[measurement.benchmark, measurement.case] = measurement
    return Results(version=results.version, measurements=tuple(measurements.values()))
