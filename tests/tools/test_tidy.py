"""`quality.tidy` finds what it says it finds, and nothing in what is tidy."""

from pathlib import Path

import pytest

from quality import import_chains, local_names, tidy

LONG = "x = 1\n" * (tidy.MODULE_LINES + 1)


@pytest.mark.parametrize(
    ("name", "text", "finding"),
    [
        ("a.py", LONG, ":1: 301 lines"),
        ("a.js", LONG, ":1: 301 lines"),
        ("a.md", "from https://" + "files.example.org/x", ":1: the host"),
        ("a.toml", "\nhttps://user@" + "registry.example.org/x", ":2: the host"),
        ("run", 'cd "' + "/home" + '/somebody"', ":1: a path"),
        ("a.yaml", "a: 1 \n", ":1: trailing"),
        ("__init__.py", '"""A package."""\n\nX = 1\n', ":3: code"),
        ("b.py", 'def f() -> None:\n    """It does."""\n', ':2: a docstring begins with "It"'),
        ("b.py", 'class A:\n    """The same again."""\n', ':2: a docstring begins with "The same"'),
        ("b.py", '"""A file.\n\nNobody reads it.\n"""\n', ':1: a docstring says "Nobody"'),
    ],
)
def test_a_finding_names_the_line(name: str, text: str, finding: str, tmp_path: Path) -> None:
    """One fault is one finding, at its line."""
    (tmp_path / name).write_text(text)
    (reported,) = tidy.findings([tmp_path / name])
    assert finding in reported


def test_a_name_has_one_meaning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two classes or types of one name, and a module named by what it does, are findings."""
    (tmp_path / "streams").mkdir()
    (tmp_path / "tests").mkdir()
    monkeypatch.setattr(tidy, "ROOT", tmp_path)
    paths = [tmp_path / "streams" / "clock.py", tmp_path / "streams" / "noting.py", tmp_path / "tests" / "noting.py"]
    for path in paths:
        path.write_text("class Clock:\n    pass\nLIMIT = 1\n")
    paths.append(tmp_path / "streams" / "watch.py")
    paths[-1].write_text("Clock = int\nLimit: TypeAlias = int\nLIMIT = 2\n")
    assert list(tidy.name_findings(paths)) == [
        "streams/noting.py:1: a module is named by a noun or by a term of the field, not by a participle",
        "tests/noting.py:1: a module is named by a noun or by a term of the field, not by a participle",
        "streams/noting.py:1: the name Clock of a class or type is taken by streams/clock.py:1",
        "streams/watch.py:1: the name Clock of a class or type is taken by streams/clock.py:1",
    ]


def test_tests_share_by_support_and_unit_tests_start_no_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each form of import is found; tests/support and tests/integration may start servers."""
    monkeypatch.setattr(tidy, "ROOT", tmp_path)
    texts = {
        "unit/rules/test_a.py": "from tests.unit.rules import test_b\nfrom tests.support.live import told\n",
        "unit/rules/test_b.py": "from local.servers import Redis\nfrom local import processes\n",
        "integration/worker/test_c.py": "from local.servers import Redis\nfrom tests.unit.rules.test_a import x\n",
        "support/live.py": "from local.servers import Redis\n",
    }
    paths = [tmp_path / "tests" / name for name in texts]
    for path, text in zip(paths, texts.values(), strict=True):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    assert [finding.partition(";")[0] for finding in tidy.import_findings(paths)] == [
        "tests/unit/rules/test_a.py:1: a test module is imported",
        "tests/unit/rules/test_b.py:1: tests/unit starts no server",
        "tests/unit/rules/test_b.py:2: tests/unit starts no server",
        "tests/integration/worker/test_c.py:2: a test module is imported",
    ]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.py", '"""A table.\n\nLong because it is one.\n"""\n' + LONG),
        ("test_a.py", LONG),
        ("b.py", '"""Items of this file.\n\nIt has none.\n"""\n\n# nobody\nnobody = "It"\n'),
        ("a.md", "https://example.org/home/page and ~/work/x and $HOME/work/x"),
        ("a.bin", "\0 /home" + "/somebody"),
    ],
)
def test_what_is_tidy_passes(name: str, text: str, tmp_path: Path) -> None:
    """A reason at the head, a pronoun later in a docstring, a link for readers and a relative path are fine."""
    (tmp_path / name).write_text(text)
    assert list(tidy.findings([tmp_path / name])) == []


def package(folder: Path, texts: dict[str, str]) -> list[Path]:
    paths = [folder / "streams" / name for name in texts]
    for path, text in zip(paths, texts.values(), strict=True):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return paths


def test_a_chain_of_imports_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each form of import counts, and a package is one unit; the finding names the longest chain."""
    texts = {
        "__init__.py": "",
        "cli/__init__.py": "",
        "cli/main.py": "from streams.cli import parser\nfrom streams import kafka\n",
        "cli/parser.py": "from streams.stop import Stop\n",
        "kafka/client.py": "def f():\n    import streams.wire.records\n",
        "wire/records.py": "from streams import stop\n",
        "stop.py": "import os\n",
    }
    paths = package(tmp_path, texts)
    monkeypatch.setattr(import_chains, "CHAIN_MAX", 4)
    monkeypatch.setattr(import_chains, "UNITS_MAX", 4)
    assert list(import_chains.chain_findings(tmp_path, paths)) == []
    monkeypatch.setattr(import_chains, "CHAIN_MAX", 3)
    monkeypatch.setattr(import_chains, "UNITS_MAX", 3)
    assert list(import_chains.chain_findings(tmp_path, paths)) == [
        "streams/__init__.py:1: 4 modules and packages at the top; at most 3",
        "streams/__init__.py:1: 4 units import each other in a chain; at most 3: cli → kafka → wire → stop",
    ]


def test_a_circle_of_imports_is_left_to_the_contracts(tmp_path: Path) -> None:
    """The check ends, and lint-imports names the circle."""
    paths = package(tmp_path, {"a.py": "import streams.b\n", "b.py": "import streams.a\n"})
    assert list(import_chains.chain_findings(tmp_path, paths)) == []


@pytest.mark.parametrize(
    "line",
    [
        "told = 1", "def f(who): ...", "def asked(): ...", "self.kept = 1", "[one for one in x]", "with x as held: ...",
        "import y as found", "if (known := 1): ...", "_seen: int = 1", "Told = 1", "class Said: ...",
        "told_ms = 1", "topics_found = 1", "def check_held(): ...", "class StepAsked: ...", "class FoundTopics: ...",
        "class KnownPerson: ...", "KEPT_MAX = 1", "self._kept_ms = 1",
        "what = 1", "class Begun: ...", "created_anew = 1",
        "[at for at, y in enumerate(x)]", "for at in range(9): ...", "x[at]", "x[at + 1:]", "1 << at", "y >> at & 1",
    ],
)  # fmt: skip
def test_a_name_that_says_nothing(line: str) -> None:
    """A vague name is found wherever it is bound; so is `at` for a place in a list or the number of a bit."""
    (finding,) = set(local_names.module_findings("rules/a.py", f"\n{line}\n"))
    assert finding.startswith("2: ")


@pytest.mark.parametrize(
    "line",
    [
        "f(known=1)", "x.kept", "{'told': 1}", "known_views = 1", "def f(at): return x <= at", "at = now + 1",
        "is_known = True", "KNOWN_MAX = 1", "foundation = 1", "def test_what_is_kept(): ...",
    ],
)  # fmt: skip
def test_a_name_that_says_what_it_is(line: str) -> None:
    """Names that others gave are not judged where they are used, nor is `at` for a time."""
    assert list(local_names.module_findings("rules/a.py", line)) == []


def test_names_in_scripts_of_the_page() -> None:
    """A name is found as a constant, a variable, a function and a parameter of an arrow function."""
    text = "const told = 1;\nlet found;\nasync function made() {}\n(one, two) => one.found;\nkept => 1;\nx.held = 1;\n"
    assert [finding.partition(":")[0] for finding in local_names.script_findings(text)] == ["1", "2", "3", "4", "5"]


def test_a_test_may_have_short_names() -> None:
    """A word such as `what` is a finding in the product only."""
    assert list(local_names.module_findings("tests/a.py", "what = 1\n")) == []


def test_a_module_or_package_whose_name_says_nothing(tmp_path: Path) -> None:
    """The name is a finding, alone or in a compound; that of a package is one finding."""
    names = ["rules/kept.py", "rules/told_times.py", "rules/seen/a.py", "rules/seen/b.py", "rules/clock.py"]
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x = 1\n")
    assert list(local_names.local_name_findings(tmp_path, [tmp_path / name for name in names])) == [
        "rules/kept.py:1: the module name kept says nothing; name what the module has",
        "rules/told_times.py:1: the module name told_times says nothing; name what the module has",
        "rules/seen/a.py:1: the module name seen says nothing; name what the module has",
    ]


def test_only_some_folders_are_judged_by_their_names(tmp_path: Path) -> None:
    """A folder that is not listed passes."""
    for folder in ("rules", "elsewhere"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.py").write_text("told = 1\n")
    findings = list(local_names.local_name_findings(tmp_path, sorted(tmp_path.rglob("*.py"))))
    assert [finding.partition(": ")[0] for finding in findings] == ["rules/a.py:1"]
