"""The figures of the fault runs in docs come from the file that `scripts/faults --all --record` writes."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from doc_tools import fault_run_figures
from fault_runs import main, recorded_run
from fault_runs.kinds import KINDS
from fault_runs.main import FaultResult

COMMIT = "0123456789" * 4


def test_the_page_has_the_figures_of_the_last_recorded_run(tmp_path: Path) -> None:
    """The amounts of all runs are added up; without a file the page says how to get one."""
    assert fault_run_figures.figures(tmp_path) == "Not recorded yet: `scripts/faults --all --record`."
    audited = [fault.name for fault in KINDS.values() if fault.audited][:2]
    stops = next(fault.name for fault in KINDS.values() if not fault.audited)
    counts = Counter({"events": 1_000, "changes": 20, "due times": 3, "dead letters": 4})
    results = [
        FaultResult(audited[0], 1, 5.0, [], ["killed", "killed"], counts),
        FaultResult(audited[1], 2, 5.0, ["a difference"], ["killed"], counts),
        FaultResult(stops, 3, 5.0, [], [], Counter()),
    ]
    (tmp_path / recorded_run.PATH.parent).mkdir(parents=True)
    recorded_run.save(main.figures(COMMIT, results, 12.4), tmp_path)
    text = fault_run_figures.figures(tmp_path)
    assert f"at commit `{COMMIT[:9]}` on " in text
    assert (
        "Its 3 runs had 3 deaths of workers, 2,000 events, 40 changes (6 of them by time) and 8 dead letters." in text
    )
    assert "After 2 of the runs all data was audited; after 1 a process" in text
    assert "There were 0 repeats and 1 differences, and it took 12 s." in text


@pytest.mark.parametrize("arguments", [["--record"], ["--all", "--runs", "2", "--record"], ["--ci", "--record"]])
def test_only_a_run_of_all_faults_is_recorded(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Any other run is refused before it begins."""
    assert main.main(arguments) == 1
    assert "only a run of all faults" in capsys.readouterr().err
