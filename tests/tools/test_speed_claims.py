"""A measured figure in the docs is in a drawn block, or it is found."""

from __future__ import annotations

from pathlib import Path

import pytest

from quality import speed_claims
from tests.support.measured_trees import ROOT


def findings_of(text: str, root: Path, name: str = "docs/page.md") -> list[str]:
    path = root / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    return list(speed_claims.findings(root))


@pytest.mark.parametrize(
    ("text", "claim"),
    [
        ("One worker makes 20,200 events/s.", "20,200 events/s"),
        ("16,000 records/s went through.", "16,000 records/s"),
        ("It sends 5,050 webhooks a second.", "5,050 webhooks a second"),
        ("Some 300,000 records of `profiles` a second are read.", "300,000 records of `profiles` a second"),
        ("An event costs 10.8 µs.", "10.8 µs"),
        ("That is 1.25 × as many.", "1.25 ×"),
        ("It is 1.25 times as fast as others.", "1.25 times as"),
        ("It answers with p99 17 ms.", "p99 17"),
        ("The p99.9 was 92 ms.", "p99.9 was 92"),
        ("After it 16 (p50) and 70.", "16 (p50"),
        ("A look-up takes 4.4 ms.", "4.4 ms"),
        ("It is there 10.3 ms at most.", "10.3 ms"),
        ("The worker has 194 MB.", "194 MB"),
        ("| | events/s, change-heavy |\n|---|---|\n", "events/s"),
        ("| steady load | p50 | p99 |\n", "p50, p99"),
    ],
)
def test_a_measured_figure_is_found(text: str, claim: str, tmp_path: Path) -> None:
    """A figure is found in README as in docs, with its line and what to do."""
    for name in ("docs/page.md", "README.md"):
        (finding,) = findings_of(f"# A page\n\n{text}", tmp_path, name)
        assert finding.startswith(f"{name}:3: measured, and nothing draws it: {claim}")
        assert "docs/benchmarks.md" in finding
        (tmp_path / name).unlink()


@pytest.mark.parametrize(
    "text",
    [
        "The producer waits up to 50 ms for more to send.",
        "A record above 1 MB is a dead letter.",
        "Fetches are answered after\n100 ms at the latest.",
        "Batches are unpacked 1 MB at a time.",
        "An entry has at most 16 MiB, and 128 KiB each.",
        "| `SEGMENTER_FETCH_WAIT_MS` | `100` | how long the broker may hold an empty fetch |",
        "Each segment with members, p99, last change.",
        "The page shows events/s, changes/s, latency and lateness.",
        "```\n1 × Order Completed, p99 47 ms\n```",
        "<!-- figures: rules -->\n10.8 µs, 20,200 events/s, 4 ms\n<!-- end of figures -->",
    ],
)
def test_limits_settings_code_and_drawn_blocks_pass(text: str, tmp_path: Path) -> None:
    """What does not go stale with the code, or is drawn, passes."""
    assert findings_of(f"# A page\n\n{text}\n", tmp_path) == []


def test_a_page_that_is_drawn_as_a_whole_passes(tmp_path: Path) -> None:
    """A page drawn from the code passes, and a × there is no ratio."""
    assert findings_of("<!-- Drawn from the code: so -->\n\nAt least 1 × Order Completed.\n", tmp_path) == []


def test_what_stands_behind_a_block_is_looked_at(tmp_path: Path) -> None:
    """Text after a block or a piece of code is checked."""
    block = "<!-- figures: rules -->\n1 ms\n<!-- end of figures -->\n"
    (finding,) = findings_of(f"{block}````\n```\n2 ms\n````\n3 ms\n", tmp_path)
    assert finding.startswith("docs/page.md:8: measured, and nothing draws it: 3 ms;")


def test_a_block_that_does_not_end_is_a_finding(tmp_path: Path) -> None:
    """An unended block is a finding: it would hide the rest of the page."""
    assert findings_of("<!-- figures: rules -->\n1 ms\n", tmp_path) == [
        "docs/page.md:1: the block does not end: end it with <!-- end of figures -->"
    ]


def test_the_exit_code_says_whether_there_is_a_finding(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The exit code is as scripts/check takes it."""
    assert findings_of("Nothing.\n", tmp_path) == []
    assert speed_claims.main(tmp_path) == 0
    assert findings_of("17 ms\n", tmp_path) != []
    assert speed_claims.main(tmp_path) == 1
    assert capsys.readouterr().out.startswith("docs/page.md:1: ")


def test_no_page_of_the_docs_has_a_measured_figure_in_its_prose() -> None:
    """All pages of docs/ are checked here, README by scripts/check."""
    assert [finding for finding in speed_claims.findings(ROOT) if finding.startswith("docs/")] == []
