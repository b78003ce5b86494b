"""YAML that is short and stands for a huge document, huge numbers, deep nesting, and files without end.

The one rule: each is refused with a sentence that says where and what to do, before anything is built of it.
"""

from __future__ import annotations

import json
import time
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from rules.definitions import yaml_text
from rules.definitions.segments_file import SHOWN_MAX, DefinitionsError, built_in, parse
from rules.definitions.yaml_text import NESTED_MAX, NODES_MAX, NUMBER_MAX_CHARS, TEXT_MAX_BYTES, NotYaml
from streams.settings.definitions_file import load
from streams.triggers import config_file as triggers_file
from tests.support.commands import segmenter

FEWER = "use fewer aliases, or list fewer values"
QUOTES = "put it in quotes if it is text"


def bomb(levels: int, merged: bool = False) -> str:
    """YAML in which each line names the one before it nine times."""
    lines = ["a0: &a0 {k: v}" if merged else "a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    for level in range(1, levels):
        nine = ", ".join([f"*a{level - 1}"] * 9)
        lines.append(f"a{level}: &a{level} " + (f"{{<<: [{nine}]}}" if merged else f"[{nine}]"))
    return "\n".join(lines)


def deep_aliases(levels: int) -> str:
    """YAML in which each line holds the one before it deep within lists."""
    lines = [f"a{level}: &a{level} {'[' * 98}*a{level - 1}{']' * 98}" for level in range(1, levels)]
    return "\n".join(["a0: &a0 x", *lines])


LARGE: list[tuple[str, str, str]] = [
    ("aliases of aliases", bomb(7), FEWER),  # the smallest first: it ends the test where nothing is measured
    ("nine levels of them", bomb(9), FEWER),
    ("forty levels of them", bomb(40), FEWER),
    ("merged aliases", bomb(8, merged=True), FEWER),
    ("a long text that is repeated", f"a: &a {'x' * 100_000}\nb: [{'*a, ' * 50}]", FEWER),
    ("many values", "a: [" + "x," * (NODES_MAX + 1) + "]", FEWER),
    ("many anchors", "\n".join(f"a{number}: &b{number} x" for number in range(60_000)), FEWER),
    ("a large text", "a: " + "x" * TEXT_MAX_BYTES, "list fewer values"),
    ("a million digits", "a: " + "1" * 1_000_000, QUOTES),
    ("hexadecimal", "a: 0x" + "f" * 1_000_000, QUOTES),
    ("binary", "a: 0b" + "1" * 100_000, QUOTES),
    ("octal", "a: 0" + "7" * 100_000, QUOTES),
    ("underscores", "a: 1" + "_000" * 100_000, QUOTES),
    ("sexagesimal", "a: 59" + ":59" * 100_000, QUOTES),
    ("sexagesimal with a fraction", "a: 59" + ":59" * 100_000 + ".5", QUOTES),
    ("a fraction", "a: 0." + "1" * 100_000, QUOTES),
    ("a number as a key", "1" * 500 + ": a", QUOTES),
    ("a number under a tag", "a: !!int '" + "1" * 5_000 + "'", QUOTES),
    ("lists", "a: " + "[" * 5_000 + "]" * 5_000, "write it flatter"),
    ("lists without an end", "[" * 100_000, "write it flatter"),
    ("mappings", "{a: " * 5_000, "write it flatter"),
    ("lists of lines", "- " * 5_000, "write it flatter"),
    ("complex keys", "? " * 5_000, "write it flatter"),
    ("aliases, each deep within the next", deep_aliases(40), "write it flatter"),
]

# A collection that holds itself: its text, and the place of the alias in it.
RECURSIVE = [
    ("&a [*a]", "line 1, column 5"),
    ("- &a [*a]", "line 1, column 7"),
    ("- x\n- &a\n  - [y, *a]", "line 3, column 9"),
    ("a: &a {b: *a}", "line 1, column 11"),
    ("a: &a [{b: *a}]", "line 1, column 12"),
    ("a: &a {<<: *a}", "line 1, column 12"),
    ("? &a [*a]\n: 1", "line 1, column 7"),
]


@contextmanager
def bounded() -> Iterator[None]:
    """Bounds on a second of this process, and on memory beside the text itself."""
    tracemalloc.start()
    began = time.process_time()
    yield
    took, (_, peak) = time.process_time() - began, tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert took < 5  # of a process whose allocations are traced, which takes several times as long
    assert peak < 40_000_000


@pytest.mark.parametrize(("text", "what"), [row[1:] for row in LARGE], ids=[row[0] for row in LARGE])
def test_what_is_too_large_is_refused(text: str, what: str) -> None:
    """Both kinds of files refuse it with a sentence, in bounded memory."""
    with bounded(), pytest.raises(DefinitionsError) as refused:
        parse(text, "shop.yaml")
    (problem,) = refused.value.lines
    assert what in problem
    assert len(problem) < 300


@pytest.mark.parametrize(("text", "place"), RECURSIVE)
@pytest.mark.parametrize("size", [0, 20_000], ids=["a small file", "a large file"])
def test_what_holds_itself_is_refused(text: str, place: str, size: int, tmp_path: Path) -> None:
    """Both kinds of files refuse it, with the place and what to do, whichever parser reads the text."""
    path = tmp_path / "shop.yaml"
    path.write_text(text + "\n# " + "x" * size)
    for read in (lambda: load(path), lambda: triggers_file.load(path, built_in())):
        with pytest.raises(DefinitionsError) as refused:
            read()
        (problem,) = refused.value.lines
        assert problem == f"{place}: *a stands within &a, which it repeats; write out what is meant"


def test_an_alias_beside_what_it_repeats_is_read() -> None:
    """An alias beside its anchor is read: one list that stands twice is no list that holds itself."""
    assert yaml_text.read("- &a [x]\n- [*a, *a]\n- *a") == [["x"], [["x"], ["x"]], ["x"]]


WRONG_TAGS = ["!!int x", "!!float x", "!!bool maybe", "!!map x", "!!seq x", "!!int [1]", "!!str [1]", "!!binary '%'",
              "!!timestamp x", "!!set {x}", "!!omap [x: 1]", "!!pairs [x: 1]"]  # fmt: skip


@pytest.mark.parametrize("value", WRONG_TAGS)
@pytest.mark.parametrize("size", [0, 20_000], ids=["a small file", "a large file"])
def test_a_tag_before_something_else(value: str, size: int) -> None:
    """The message has a line and a column, whichever parser reads the text."""
    with pytest.raises(NotYaml, match=r"^line 1, column 4: not YAML: "):
        yaml_text.read(f"a: {value}\nb: '{'x' * size}'")


def test_what_is_large_and_of_use_is_read() -> None:
    """A thousand segments of which each asks four things, and what an alias repeats."""
    four = "{all: [" + ", ".join(f"{{performed: {{event: page, within: {n}d}}}}" for n in range(1, 5)) + "]}"
    text = "version: 1\nsegments:\n" + "".join(f"  s{n}: {{title: S, when: {four}}}\n" for n in range(1_000))
    began = time.process_time()
    assert len(parse(text, "large.yaml").segments) == 1_000
    assert time.process_time() - began < 10
    repeated = f"version: 1\nsegments:\n  a: {{title: A, when: &w {four}}}\n  b: {{title: B, when: *w}}\n"
    first, second = parse(repeated, "repeated.yaml").segments
    assert first.when == second.when


def test_the_longest_number() -> None:
    """A number may have as many characters as are allowed, and not one more."""
    digits = "1" * NUMBER_MAX_CHARS
    assert yaml_text.read(f"a: {digits}") == {"a": int(digits)}
    assert yaml_text.read(f"a: '{digits}1'") == {"a": digits + "1"}
    with pytest.raises(NotYaml, match=f"a number of {NUMBER_MAX_CHARS + 1} characters"):
        yaml_text.read(f"a: {digits}1")


def test_both_parsers_read_the_same() -> None:
    """The project's files are padded beyond the size from which the fast parser is taken."""
    for path in (*Path(yaml_text.__file__).parent.parent.glob("*.yaml"), Path("docs/examples/triggers.yaml")):
        text = path.read_text("utf-8")
        assert yaml_text.read(text) == yaml_text.read(text + "#" * 20_000 + "\n")


# --- the measure is that of the document -------------------------------------------------------

DOCUMENTS = st.recursive(
    st.text("ab", max_size=3),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("cd", max_size=3), inner, max_size=4),
    max_leaves=20,
)


def size_of(document: object) -> tuple[int, int]:
    """Nodes and characters of a document that is written out."""
    if isinstance(document, dict):
        parts = [size_of(node) for item in document.items() for node in item]
    elif isinstance(document, list):
        parts = [size_of(node) for node in document]
    else:
        return 1, len(str(document))
    return 1 + sum(nodes for nodes, _ in parts), sum(characters for _, characters in parts)


@given(st.lists(DOCUMENTS, min_size=1, max_size=4), st.lists(st.integers(0, 3), max_size=6))
def test_the_measure_counts_what_aliases_repeat(parts: list[object], repeats: list[int]) -> None:
    """The measure is the size of the expanded document: no less, so that nothing passes, and no more."""
    lines = [f"p{number}: &p{number} {json.dumps(part)}" for number, part in enumerate(parts)]
    lines += [f"r{number}: [*p{which % len(parts)}]" for number, which in enumerate(repeats)]
    text = "\n".join(lines)
    size = yaml_text._Size()
    for event in yaml.parse(text, Loader=yaml_text._Fast):
        size.add(event)
    assert (size._nodes, size._characters) == size_of(yaml_text.read(text))


# --- files and commands ------------------------------------------------------------------------


def test_a_file_without_end_is_read_as_far_as_it_may_be_large() -> None:
    """A file without end is read up to the limit, for segments and for triggers."""
    endless = Path("/dev/zero")
    for read in (lambda: load(endless), lambda: triggers_file.load(endless, built_in())):
        with (
            bounded(),
            pytest.raises(DefinitionsError, match="larger than 2,097,152 bytes; see whether"),
        ):
            read()


def test_many_problems_are_counted() -> None:
    """Only the first problems are shown."""
    text = "version: 1\n" + "".join(f"k{number}: 1\n" for number in range(30_000))
    with pytest.raises(DefinitionsError) as refused:
        parse(text, "f.yaml")
    shown = str(refused.value).splitlines()
    assert (len(shown), len(refused.value.problems)) == (SHOWN_MAX + 1, 30_001)
    assert shown[-1] == "f.yaml: and 29,901 more problems; correct these first"


@pytest.mark.parametrize("command", ["check", "worker", "ops", "triggers", "explain u1", "replay -", "diff {} {} -",
                                     "check --triggers {}", "distribution --of s"])  # fmt: skip
def test_every_command_refuses_such_a_file(command: str, tmp_path: Path) -> None:
    """Every command prints one line on stderr, before it connects to anything."""
    path = tmp_path / "bomb.yaml"
    path.write_text(bomb(9))
    settings: dict[str, Any] = (
        {"triggers": path} if "--triggers" in command else {"definitions": path, "triggers": path}
    )
    done = segmenter(*command.format(path, path).split(), timeout_s=60, **settings)
    assert done.code == 1
    assert done.err.splitlines()[-1].endswith(FEWER)
    assert "Traceback" not in done.err


def test_nested_as_deep_as_is_allowed() -> None:
    """The allowed depth is read, and one level more is refused."""
    assert yaml_text.read("[" * NESTED_MAX + "]" * NESTED_MAX)
    with pytest.raises(NotYaml, match="nested more than 100 deep"):
        yaml_text.read("[" * (NESTED_MAX + 1) + "]" * (NESTED_MAX + 1))


def test_what_aliases_repeat_is_nested_as_deep_as_is_allowed() -> None:
    """Depth counts with what an alias repeats, wherever in it the deepest is."""
    half = NESTED_MAX // 2
    inner = f"- &a [x, {'[' * (half - 1)}{']' * (half - 1)}, y]\n- &b [[], *a, []]"
    outer = NESTED_MAX - 1 - half - 1
    assert yaml_text.read(f"{inner}\n- {'[' * outer}*b{']' * outer}")
    with pytest.raises(NotYaml, match=r"^line 3: nested more than 100 deep"):
        yaml_text.read(f"{inner}\n- {'[' * (outer + 1)}*b{']' * (outer + 1)}")
