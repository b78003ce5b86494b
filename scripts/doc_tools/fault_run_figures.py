"""Generates the figures of the fault runs on the page about testing from docs/design/fault-runs.json."""

from __future__ import annotations

from pathlib import Path

from fault_runs import recorded_run

__all__ = ["figures"]


def figures(root: Path) -> str:
    """The figures of the last recorded run in sentences, with its commit and date."""
    run = recorded_run.load(root)
    if run is None:
        return "Not recorded yet: `scripts/faults --all --record`."
    stops = run.runs - run.audited
    return (
        f"The last recorded run of `scripts/faults --all` was at commit `{run.commit[:9]}` on {run.date}.\n"
        f"Its {run.runs} runs had {run.deaths} deaths of workers, {run.events:,} events, {run.changes:,} changes "
        f"({run.changes_by_time:,} of them by time) and {run.dead_letters:,} dead letters.\n"
        f"After {run.audited} of the runs all data was audited; after {stops} a process only has to stop and say why, "
        "or to be equal by `verify`.\n"
        f"There were {run.repeats} repeats and {run.differences} differences, and it took {run.seconds} s."
    )
