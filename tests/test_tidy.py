"""scripts/tidy.py: finds what it says it finds, and nothing in what is tidy."""

from pathlib import Path

import pytest

import tidy

LONG = "x = 1\n" * (tidy.MODULE_LINES + 1)


@pytest.mark.parametrize(
    ("name", "text", "finding"),
    [
        ("a.py", LONG, ":1: 301 lines"),
        ("a.md", "from https://" + "files.example.org/x", ":1: the host"),
        ("a.toml", "\nhttps://user@" + "registry.example.org/x", ":2: the host"),
        ("run", 'cd "' + "/home" + '/somebody"', ":1: a path"),
        ("a.yaml", "a: 1 \n", ":1: trailing"),
    ],
)
def test_a_finding_names_the_line(name: str, text: str, finding: str, tmp_path: Path) -> None:
    """One finding for one fault, at its line."""
    (tmp_path / name).write_text(text)
    (found,) = tidy.findings([tmp_path / name])
    assert finding in found


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.py", '"""A table.\n\nLong because it is one.\n"""\n' + LONG),
        ("test_a.py", LONG),
        ("a.md", "https://example.org/home/page and ~/work/x and $HOME/work/x"),
        ("a.bin", "\0 /home" + "/somebody"),
    ],
)
def test_what_is_tidy_passes(name: str, text: str, tmp_path: Path) -> None:
    """A reason at the head, a link for readers and a relative path are fine."""
    (tmp_path / name).write_text(text)
    assert list(tidy.findings([tmp_path / name])) == []
