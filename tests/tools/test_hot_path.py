"""A digest of the hot path changes with what runs, and with nothing else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks import hot_path, main, plan
from tests.support.measured_trees import copied_tree

PYTHON = '"""A module."""\n\n\ndef half(number: int) -> float:\n    """Of it."""\n    return number / 2  # not //\n'
LUA = "-- A script.\nlocal name = ARGV[1] -- who\nreturn {name, '--no comment'}\n"
YAML = "# Segments.\nversion: 1\nsegments: {a: {within: 30d}}\n"


def form(folder: Path, name: str, text: str) -> str:
    path = folder / name
    path.write_text(text)
    return hot_path.normal_form(path)


@pytest.mark.parametrize(
    ("name", "text", "former", "later"),
    [
        ("a.py", PYTHON, "# not //", "# a comment"),
        ("a.py", PYTHON, "Of it.", "Half of it."),
        ("a.py", PYTHON, "A module.", "Another sentence."),
        ("a.py", PYTHON, "return number / 2", "return (\n        number / 2\n    )"),
        ("a.lua", LUA, "A script.", "Another sentence."),
        ("a.lua", LUA, "-- who", "--[[ of two\nlines ]]"),
        ("a.lua", LUA, "local name", "\n  local  name"),
        ("a.yaml", YAML, "# Segments.", "# Others."),
        ("a.yaml", YAML, "{a: {within: 30d}}", "\n  a:\n    within: 30d"),
    ],
)
def test_what_does_not_run_does_not_count(name: str, text: str, former: str, later: str, tmp_path: Path) -> None:
    """Comments, docstrings and layout do not change the digest."""
    assert text.count(former) == 1
    assert form(tmp_path, name, text.replace(former, later)) == form(tmp_path, name, text)


@pytest.mark.parametrize(
    ("name", "text", "former", "later"),
    [
        ("a.py", PYTHON, "return number / 2", "return number / 3"),
        ("a.py", PYTHON, "return number / 2", "return number * 2"),
        ("a.py", PYTHON, "return number / 2", "return 'number' / 2"),
        ("a.py", PYTHON, "def half", "def quarter"),
        ("a.py", PYTHON, "(number: int)", "(number: int = 0)"),
        ("a.lua", LUA, "ARGV[1]", "ARGV[2]"),
        ("a.lua", LUA, "'--no comment'", "'--another text'"),
        ("a.yaml", YAML, "30d", "31d"),
    ],
)
def test_what_runs_counts(name: str, text: str, former: str, later: str, tmp_path: Path) -> None:
    """A constant, an operator, a name or a default changes the digest; in Lua also a text that looks like a comment."""
    assert text.count(former) == 1
    assert form(tmp_path, name, text.replace(former, later)) != form(tmp_path, name, text)


def replaced(name: str, former: str, later: str) -> Callable[[Path], None]:
    def edit(tree: Path) -> None:
        text = (tree / name).read_text()
        assert text.count(former) == 1
        (tree / name).write_text(text.replace(former, later))

    return edit


def added(tree: Path) -> None:
    (tree / "rules" / "added.py").write_text("x = 1\n")


def moved(tree: Path) -> None:
    (tree / "streams/runtime/input_merge.py").rename(tree / "streams/runtime/merged_inputs.py")


@pytest.mark.parametrize(
    ("edit", "changed"),
    [
        (replaced("streams/triggers/endpoint.py", "return self._failed >= BREAKS_AFTER", "return False"), {"triggers"}),
        (replaced("streams/ops/auth.py", "from __future__ import annotations\n", "x = 1\n"), {"ops"}),
        (replaced("streams/state/lua/trim.lua", "tonumber(ARGV[2])", "tonumber(ARGV[3])"), set(main.PARTS) - {"rules"}),
        (added, set(main.PARTS)),
        (moved, set(main.PARTS) - {"rules", "gateway"}),
    ],
    ids=["triggers", "ops", "lua", "added", "moved"],
)
def test_each_benchmark_has_a_path_of_its_own(edit: Callable[[Path], None], changed: set[str], tmp_path: Path) -> None:
    """A change of triggers leaves the worker's figures as they are, one of the worker none but the rules'."""
    tree = copied_tree(tmp_path)
    before = {part: hot_path.digest(part, tree) for part in main.PARTS}
    edit(tree)
    assert {part for part in main.PARTS if hot_path.digest(part, tree) != before[part]} == changed


def test_a_package_that_is_gone_is_named(tmp_path: Path) -> None:
    """A missing package is an error: what took its place would be left out in silence."""
    tree = copied_tree(tmp_path)
    (tree / "streams/wire").rename(tree / "streams/records")
    with pytest.raises(FileNotFoundError, match="streams/wire, which is not there"):
        hot_path.digest("latency", tree)


def test_each_benchmark_has_a_path_and_a_full_amount() -> None:
    """No benchmark can be recorded without a hot path and a full amount."""
    assert set(hot_path.PATHS) == set(plan.FULL) == set(main.PARTS)
