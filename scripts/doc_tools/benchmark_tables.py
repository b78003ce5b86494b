"""Generates the tables of figures in docs from docs/benchmarks/results.json.

A figure is shown with its commit and date, and with a note if its hot path has changed since. So a table itself shows
how far it can be trusted.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import get_args

from pydantic import BaseModel

from benchmarks import hot_path, results
from benchmarks.results import Figure, Machine, Measurement, Results
from benchmarks.staleness import is_stale

__all__ = ["blocks"]

CHANGED_SINCE = "**The hot path has changed since.**"


def blocks(root: Path) -> Mapping[str, str]:
    """The text of each block by its name: one of each benchmark, and one of the file's shape."""
    recorded = results.load(root)
    drawn = {benchmark: "\n\n".join(_drawn(benchmark, recorded, root)) for benchmark in hot_path.PATHS}
    return drawn | {"shape": _shape()}


def _drawn(benchmark: str, recorded: Results, root: Path) -> Iterator[str]:
    measurements = list(recorded.of(benchmark))
    if not measurements:
        yield f"Not measured yet: `scripts/bench --record --only {benchmark}`."
    for measurement in measurements:
        yield _caption(measurement, is_old=is_stale(measurement, root))
        yield "\n".join(_table(measurement))


def _caption(measurement: Measurement, *, is_old: bool) -> str:
    commit = f"`{measurement.commit[:9]}`"
    if measurement.source == "recorded":
        origin = f"Measured at commit {commit} on {measurement.date}."
    else:
        origin = f"Taken over from README as commit {commit} wrote it on {measurement.date}."
    parts = [
        f"**{measurement.case}** ({measurement.conditions}).",
        origin,
        CHANGED_SINCE if is_old else "",
        f"{_machine(measurement.machine)}.",
        measurement.note or "",
    ]
    return "\n".join(part for part in parts if part)


def _machine(machine: Machine) -> str:
    parts = [
        f"{machine.cores} cores" if machine.cpu is None else f"{machine.cores} cores of {machine.cpu}",
        machine.memory_gib and f"{machine.memory_gib:g} GiB",
        machine.kernel and f"Linux {machine.kernel}",
        f"Python {machine.python}" + (f" with {machine.loop}" if machine.loop else ""),
        machine.kafka and f"Apache Kafka {machine.kafka}",
        machine.redis,
    ]
    return ", ".join(part for part in parts if part)


def _table(measurement: Measurement) -> Iterator[str]:
    """A table: a row for each system, a column for each metric; a cell is the median, with the spread in brackets."""
    columns = list(dict.fromkeys((figure.metric, figure.unit) for figure in measurement.figures))
    cells = {(figure.system, figure.metric, figure.unit): figure for figure in measurement.figures}
    systems = list(dict.fromkeys(figure.system for figure in measurement.figures))
    compared = next((figure for figure in measurement.figures if figure.against), None)
    head = [f"{metric}, {unit}" for metric, unit in columns]
    head += [f"{compared.metric} by that of {compared.against}"] if compared else []
    yield f"| | {' | '.join([*head, 'runs'])} |"
    yield f"|---|{'---|' * (len(head) + 1)}"
    for system in systems:
        row = [_cell(cells.get((system, metric, unit))) for metric, unit in columns]
        row += [_ratio(measurement, system)] if compared else []
        runs = {figure.runs for figure in measurement.figures if figure.system == system}
        yield f"| {system} | {' | '.join([*row, ' or '.join(map(str, sorted(runs)))])} |"


def _cell(figure: Figure | None) -> str:
    if figure is None:
        return ""
    if figure.least is None or figure.most is None or figure.least == figure.most:
        return number(figure.median)
    return f"{number(figure.median)} ({number(figure.least)} to {number(figure.most)})"


def _ratio(measurement: Measurement, system: str) -> str:
    ratios = (figure.ratio for figure in measurement.figures if figure.system == system and figure.ratio is not None)
    return next((f"{ratio:.2f} ×" for ratio in ratios), "")


def number(value: float) -> str:
    """Format a number with three digits or more, but no more than the noise leaves."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}".removesuffix(".0") if abs(value) >= 10 else f"{value:.2f}".rstrip("0").removesuffix(".")


def _shape() -> str:
    """The fields of the file, as its models describe them."""
    models = (Results, Measurement, Machine, Figure)
    return "\n\n".join("\n".join(_fields(model)) for model in models)


def _fields(model: type[BaseModel]) -> Iterator[str]:
    yield f"| {model.__name__} | |"
    yield "|---|---|"
    for name, field in model.model_fields.items():
        yield f"| `{name}` | {field.description or _names(field.annotation)} |"


def _names(annotation: object) -> str:
    """The names of the models in a field's type, which may be a list of one."""
    listed = [part for part in get_args(annotation) if part is not Ellipsis]
    names = [part.__name__ for part in listed or [annotation] if isinstance(part, type)]
    return f"{'list of ' if listed else ''}{names[0]}"
