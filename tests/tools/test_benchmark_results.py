"""Figures of benchmarks: what is written down, what is refused, what the docs say of their age."""

from __future__ import annotations

import argparse
import datetime as dt
import platform
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import ValidationError

from benchmarks import hot_path, main, results, staleness
from benchmarks.plan import FULL, Plan
from benchmarks.recorder import Recorder, RecordingRefused
from benchmarks.results import Figure, Measurement, Results
from benchmarks.samples import Samples
from doc_tools import generated_blocks, schemas
from doc_tools.benchmark_tables import CHANGED_SINCE
from doc_tools.generated_blocks import BlockError
from tests.support.measured_trees import ROOT, copied_tree, git, rules_case

FULL_RULES = {"rules": Plan(**FULL["rules"])}
PAGE = "# Figures\n\nProse.\n\n<!-- figures: rules -->\n<!-- end of figures -->\n\nMore prose.\n"
ENGINE = "rules/engine.py"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return copied_tree(tmp_path)


def recorded(tree: Path, *costs: float) -> Measurement:
    """What is in the file after a case was recorded."""
    Recorder(tree, FULL_RULES, {}).record(rules_case(*costs))
    (measurement,) = results.load(tree).of("rules")
    return measurement


def appended(path: Path, text: str) -> None:
    path.write_text(path.read_text() + text)


# --- what is written down


def test_a_figure_has_its_commit_its_day_and_its_machine(tree: Path) -> None:
    """A figure has all that a reader needs to trust it, and nothing that names the machine."""
    measurement = recorded(tree, 3.0, 1.0, 2.0)
    assert measurement.commit == git(tree, "rev-parse", "HEAD")
    assert abs(dt.datetime.now(dt.UTC).date() - measurement.date) <= dt.timedelta(days=1)
    assert measurement.hot_path == hot_path.digest("rules", tree)
    assert measurement.machine.python == platform.python_version()
    assert measurement.machine.kernel == platform.release()
    text = (tree / results.PATH).read_text()
    assert str(tree) not in text
    assert f'"{platform.node()}"' not in text


def test_a_figure_is_a_median_with_its_spread_and_what_ran_beside_it() -> None:
    """A figure has its ratio to the same metric of the others alone."""
    samples = Samples()
    for rate, peer_rate in ((3.0, 6.0), (1.0, 9.0), (2.0, 7.0)):
        samples.add("ours", "rate", "events/s", rate)
        samples.add("theirs", "rate", "events/s", peer_rate)
        samples.add("theirs", "CPU", "s", rate)
    first, second, third = samples.figures("ours", "rate")
    shown = (first.median, first.least, first.most, first.runs, first.ratio, first.against)
    assert shown == (2.0, 1.0, 3.0, 3, 1.0, "ours")
    assert (second.median, second.ratio, second.against) == (7.0, 3.5, "ours")
    assert (third.median, third.ratio, third.against) == (2.0, None, None)


def test_delays_are_recorded_as_percentiles() -> None:
    """The median and the last percentiles of a thousand delays are recorded."""
    samples = Samples()
    samples.add_delays("ours", [float(ms) for ms in range(1_000)])
    assert [(figure.metric, figure.median) for figure in samples.figures()] == [
        ("p50", 500.0), ("p99", 990.0), ("p99.9", 999.0), ("max", 999.0),
    ]  # fmt: skip


def test_a_new_measurement_replaces_the_former_one_of_its_case_alone(tree: Path) -> None:
    """Another case of the same benchmark stays."""
    recorder = Recorder(tree, FULL_RULES, {})
    recorder.record(rules_case(1.0))
    recorder.record(rules_case(5.0)._replace(case="another case"))
    recorder.record(rules_case(2.0))
    first, second = results.load(tree).measurements
    assert (first.case, first.figures[0].median) == ("rules alone", 2.0)
    assert (second.case, second.figures[0].median) == ("another case", 5.0)


def test_the_loop_is_written_down_where_it_matters(tree: Path) -> None:
    """The event loop is recorded, but not for the rules alone, which run in none."""
    latency = {"latency": Plan(**FULL["latency"])}
    recorder = Recorder(tree, latency, {"SEGMENTER_LOOP": "uvloop"})
    recorder.record(rules_case(1.0))
    recorder.record(rules_case(1.0)._replace(benchmark="latency"))
    rules, delays = results.load(tree).measurements
    assert (rules.machine.loop, rules.machine.redis) == (None, None)
    assert delays.machine.loop == "uvloop"
    assert re.fullmatch(r"(Redis|Valkey) [\d.]+", delays.machine.redis or "")


# --- what is refused


@pytest.mark.parametrize(
    ("edit", "name"),
    [
        (lambda tree: appended(tree / ENGINE, "\n# a comment\n"), "rules/engine.py"),
        (lambda tree: (tree / "streams" / "added.py").write_text("x = 1\n"), "streams/added.py"),
        (lambda tree: (tree / "constraints.txt").write_text("a==1\n"), "constraints.txt"),
    ],
    ids=["changed", "untracked", "packages"],
)
def test_a_tree_with_changes_is_refused(edit: Callable[[Path], object], name: str, tree: Path) -> None:
    """A changed tree is refused before anything is measured: the figure would be of no commit."""
    edit(tree)
    with pytest.raises(RecordingRefused, match=name):
        Recorder(tree, FULL_RULES, {})
    assert not (tree / results.PATH).exists()


def test_a_change_of_docs_is_no_change(tree: Path) -> None:
    """Changed docs are allowed, such as figures that are recorded one after the other."""
    recorded(tree, 1.0)
    (tree / "docs" / "page.md").write_text("A page.\n")
    assert recorded(tree, 2.0).figures[0].median == 2.0


def test_a_tree_that_changes_while_it_is_measured_is_refused(tree: Path) -> None:
    """An edit or another commit while measuring is refused: the figure would be of no commit."""
    recorder = Recorder(tree, FULL_RULES, {})
    appended(tree / ENGINE, "\nCHANGED = True\n")
    with pytest.raises(RecordingRefused, match=re.escape(ENGINE)):
        recorder.record(rules_case(1.0))
    git(tree, "commit", "--quiet", "--all", "-m", "changed")
    with pytest.raises(RecordingRefused, match="another commit"):
        recorder.record(rules_case(1.0))
    assert not (tree / results.PATH).exists()


@pytest.mark.parametrize(
    ("benchmark", "lacking", "sentence"),
    [
        ("rules", {"rules_events": 5_000}, "rules: rules_events 5,000, and in full 100,000"),
        ("throughput", {"rounds": 1}, "throughput: rounds 1, and in full at least 3"),
        ("throughput", {"events": 5_000}, "throughput: events 5,000, and in full 500,000"),
        ("throughput", {"events": 5_000_000}, "throughput: events 5,000,000, and in full 500,000"),
        ("throughput", {"peers": ["bare", "one"]}, "throughput: peers bare one, and in full all"),
        ("throughput", {"hot_every": 10}, "throughput: hot_every 10, and in full 0"),
        ("latency", {"rates": [200]}, "latency: rates 200, and in full 1000 5000"),
        ("latency", {"commits": []}, "latency: commits none, and in full 100 1"),
        ("latency", {"seconds": 20.0}, "latency: seconds 20.0, and in full at least 60"),
        ("scale", {"sizes": [10_000, 200]}, "scale: sizes 10000 200, and in full 10000 100000 1000000"),
    ],
)
def test_a_small_or_partial_run_is_refused(benchmark: str, lacking: dict, sentence: str, tree: Path) -> None:
    """A small or partial run is refused: it would replace the figures of a full one."""
    plan = Plan(**{**FULL[benchmark], **lacking})
    with pytest.raises(RecordingRefused, match=re.escape(sentence)):
        Recorder(tree, {benchmark: plan}, {})


@pytest.mark.parametrize(
    ("benchmark", "other"),
    [
        ("throughput", {"rounds": 5, "profiles": ["session-like"]}),
        ("latency", {"rates": [5_000], "seconds": 90.0, "commits": [1, 100]}),
        ("scale", {"sizes": [10_000]}),
    ],
)
def test_a_case_in_full_may_be_recorded_by_itself(benchmark: str, other: dict, tree: Path) -> None:
    """More rounds, and some of the cases, are a figure of the same thing."""
    Recorder(tree, {benchmark: Plan(**{**FULL[benchmark], **other})}, {})


def test_other_settings_than_the_usual_are_refused(tree: Path) -> None:
    """A figure with a larger batch is no figure of what users get; the value is not repeated."""
    with pytest.raises(RecordingRefused, match="SEGMENTER_BATCH_MAX") as refusal:
        Recorder(tree, FULL_RULES, {"SEGMENTER_BATCH_MAX": "54321", "SEGMENTER_LOOP": "uvloop", "PATH": "x"})
    assert "54321" not in str(refusal.value)


def test_without_git_nothing_is_recorded(tmp_path: Path) -> None:
    """A figure without a commit cannot be placed."""
    with pytest.raises(RecordingRefused, match="git does not name the commit"):
        Recorder(tmp_path, FULL_RULES, {})


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"ratio": 2.0}, "against something"),
        ({"least": 1.0}, "two ends"),
        ({"least": 3.0, "most": 4.0}, "within its spread"),
        ({"host": "a"}, "host"),
    ],
)
def test_a_figure_that_says_half_is_refused(values: dict, reason: str) -> None:
    """A hand-written figure that is incomplete or inconsistent is refused."""
    with pytest.raises(ValidationError, match=reason):
        Figure.model_validate({"system": "a", "metric": "b", "unit": "c", "runs": 1, "median": 2.0} | values)


def test_a_recorded_figure_without_its_hot_path_is_refused(tree: Path) -> None:
    """A figure without its hot path is refused, and so is one case twice."""
    measurement = recorded(tree, 1.0)
    with pytest.raises(ValidationError, match="digest of its hot path"):
        Measurement.model_validate(measurement.model_dump() | {"hot_path": None})
    with pytest.raises(ValidationError, match="one measurement"):
        Results(measurements=(measurement, measurement))


# --- the command


@pytest.mark.nightly
def test_a_small_run_prints_and_records_nothing() -> None:
    """What scripts/bench does, with and without the flag; the file of this tree stays as it is."""
    before = (ROOT / results.PATH).read_bytes()
    command = [sys.executable, "-m", "benchmarks.main", "--only", "rules", "--small"]
    small = subprocess.run(command, capture_output=True, text=True, timeout=280, check=False, cwd=ROOT)
    assert small.returncode == 0, small.stderr
    assert "medians of 5 rounds" in small.stdout
    refused = subprocess.run([*command, "--record"], capture_output=True, text=True, timeout=280, check=False, cwd=ROOT)
    assert refused.returncode == 1
    assert refused.stdout == ""
    assert "rules_events 5,000, and in full 100,000" in refused.stderr
    assert (ROOT / results.PATH).read_bytes() == before


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, Plan()),
        ({"record": True}, Plan(**FULL["latency"])),
        ({"record": True, "rates": [5_000]}, Plan(**{**FULL["latency"], "rates": [5_000]})),
        ({"small": True, "seconds": 7.0}, None),
    ],
)
def test_what_is_given_goes_before_what_is_usual(given: dict, expected: Plan | None) -> None:
    """A given option replaces the usual one; a recorded run is full by default."""
    plan = main.plan_of("latency", argparse.Namespace(**{"small": False, "record": False} | given))
    if expected is None:
        assert (plan.rates, plan.seconds) == ((200,), 7.0)
    else:
        assert plan == expected


# --- what the docs say


def drawn(tree: Path) -> str:
    (tree / "docs").mkdir(exist_ok=True)
    page = tree / "docs" / "page.md"
    if not page.exists():
        page.write_text(PAGE)
    return schemas.pages(tree)["docs/page.md"]


def test_a_benchmark_that_was_not_measured_says_so(tree: Path) -> None:
    """Without figures there is no table, but a line says how to get one."""
    text = drawn(tree)
    assert "Not measured yet: `scripts/bench --record --only rules`." in text
    assert text.startswith("# Figures\n\nProse.\n")
    assert text.endswith("\nMore prose.\n")


def test_a_table_has_figure_commit_and_day(tree: Path) -> None:
    """A table has the median with its spread and the ratio; the prose around it stays."""
    measurement = recorded(tree, 3.0, 1.0, 2.0)
    text = drawn(tree)
    assert f"Measured at commit `{measurement.commit[:9]}` on {measurement.date}." in text
    assert "| four segments | 2 (1 to 3) | 1.00 × | 3 |" in text
    assert "| library | 4 (2 to 6) | 2.00 × | 3 |" in text
    assert CHANGED_SINCE not in text
    (tree / "docs" / "page.md").write_text(text)
    assert drawn(tree) == text


def test_docs_must_say_that_the_hot_path_has_changed(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """After a changed function the check fails until the page is drawn anew; a comment changes nothing."""
    recorded(tree, 2.0)
    drawn(tree)
    assert schemas.main([], tree) == 0
    assert list(staleness.sentences(tree)) == []
    appended(tree / ENGINE, "\n# A comment.\n")
    assert schemas.main(["--check"], tree) == 0
    appended(tree / ENGINE, "\n\ndef added() -> int:\n    return 1\n")
    assert schemas.main(["--check"], tree) == 1
    assert "docs/page.md" in capsys.readouterr().err
    (sentence,) = staleness.sentences(tree)
    assert sentence.startswith("rules, rules alone: of ")
    assert staleness.main(tree) == 0
    assert schemas.main([], tree) == 0
    assert CHANGED_SINCE in (tree / "docs" / "page.md").read_text()
    assert schemas.main(["--check"], tree) == 0


def test_a_figure_of_an_unknown_commit_is_always_of_former_code(tree: Path) -> None:
    """A figure taken over from README is marked as of former code, whatever this tree is."""
    measurement = recorded(tree, 2.0)
    taken_over = Measurement.model_validate(measurement.model_dump() | {"source": "readme", "hot_path": None})
    results.save(Results(measurements=(taken_over,)), tree)
    text = drawn(tree)
    assert "Taken over from README as commit" in text
    assert CHANGED_SINCE in text


def test_each_benchmark_is_drawn_in_the_docs() -> None:
    """No figure is recorded that no page shows."""
    text = (ROOT / "docs/benchmarks.md").read_text()
    names = [match["name"] for line in text.splitlines() if (match := generated_blocks.BEGIN.match(line))]
    assert sorted(names) == sorted([*main.PARTS, "shape"])


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("<!-- figures: rulez -->\n<!-- end of figures -->\n", "1: there is no block 'rulez'"),
        ("\n<!-- figures: rules -->\ntext\n", "2: the block does not end"),
        ("<!-- figures: rules -->\n<!-- figures: rules -->\n<!-- end of figures -->\n", "2: a block begins in"),
        ("text\n<!-- end of figures -->\n", "2: a block ends that did not begin"),
    ],
)
def test_a_block_that_nobody_draws_is_an_error(text: str, reason: str) -> None:
    """An unknown block is an error with its line."""
    with pytest.raises(BlockError, match=reason):
        generated_blocks.redrawn(text, {"rules": "drawn"})


def test_a_page_with_a_wrong_block_is_named(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The check and the drawing name the page."""
    drawn(tree)
    appended(tree / "docs/page.md", "<!-- figures: rulez -->\n<!-- end of figures -->\n")
    assert schemas.main([], tree) == 1
    assert "docs/page.md:9: there is no block 'rulez'" in capsys.readouterr().err
