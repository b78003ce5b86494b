"""The figures of the last recorded run of all faults, docs/design/fault-runs.json, from which docs are drawn.

Only `scripts/faults --all --record` writes the file. A run of other faults, or of code that is not committed, is
refused before it begins.
"""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["PATH", "RecordedRun", "load", "save"]

PATH = Path("docs/design/fault-runs.json")
_Amount = Annotated[int, Field(ge=0)]


class RecordedRun(BaseModel):
    """One run of all faults. ``audited``: those after which all data was checked; the others only stop, and say why."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    date: dt.date
    commit: Annotated[str, Field(pattern="^[0-9a-f]{40}$")]
    runs: _Amount
    audited: _Amount
    deaths: _Amount
    events: _Amount
    changes: _Amount
    changes_by_time: _Amount
    dead_letters: _Amount
    repeats: _Amount
    differences: _Amount
    seconds: _Amount


def load(root: Path) -> RecordedRun | None:
    """Load the file of a tree; ``None``: there is none."""
    path = root / PATH
    return RecordedRun.model_validate_json(path.read_bytes()) if path.is_file() else None


def save(run: RecordedRun, root: Path) -> None:
    """Write the file of a tree."""
    (root / PATH).write_text(run.model_dump_json(indent=2) + "\n", "utf-8")
