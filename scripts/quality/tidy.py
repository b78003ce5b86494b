"""Checks that the linters do not have: long modules, names, docstrings, chains of imports, hosts, paths of one machine.

Every finding is `path:line: what, and what to do`, and any finding is exit code 1.
"""

import ast
import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

from quality.import_chains import chain_findings, imports_of
from quality.local_names import local_name_findings

__all__ = ["findings", "main"]

ROOT = Path(__file__).resolve().parent.parent.parent
MODULE_LINES = 300  # a longer module says why in its docstring: "Long because …"
TEST_LINES = 600  # lists of cases stay readable for longer
LONG_BECAUSE = re.compile(r"\blong because\b", re.IGNORECASE)
NAMED_PACKAGES = ("rules", "streams", "scripts")
PARTICIPLE = re.compile(r"(?:ing|ed)$")
# Words which look like participles, and are nouns or terms of the field.
NOUNS = ("feed", "monitoring", "parsing", "standing", "untrusted")
# A name in CamelCase: as an assignment at the top of a module it is an alias of a type, or a variable for one.
TYPE_NAME = re.compile(r"_?[A-Z]\w*[a-z]\w*")
# A docstring is read alone, so it cannot begin with a word that points at the name beside it.
POINTING = re.compile(r"(?:It|They|This|These|Its|Such|Neither|Otherwise|Therefore|The same)\b")
# Customers, records and offsets are no people.
OF_PEOPLE = re.compile(r"\b(?:whom|whoever|everybody|nobody)\b", re.IGNORECASE)
# Modules that start servers and processes, which only tests/integration may import.
STARTERS = ("local.processes", "local.servers")
# The packages with code in their `__init__`, and why.
CODE_IN_INIT = {
    "streams/settings/__init__.py": "every process, command and script imports `Settings` from here",
}
# The host of a package registry is a setting of the machine, never of this project.
FETCHED_FROM = re.compile(r"//(?:[^\s/@]+@)?(?:pypi|registry|repo\d*|files|proxy|index|deb|mirrors?|crates)\.[\w.-]+")
MACHINE_PATH = re.compile(r"(?<![\w.:/~$}-])/(?:root|home|Users|work)/[\w.]")


def main() -> int:
    paths = tracked()
    lines = [
        *findings(paths),
        *name_findings(paths),
        *import_findings(paths),
        *local_name_findings(ROOT, paths),
        *chain_findings(ROOT, paths),
    ]
    for line in lines:
        print(line)
    return 1 if lines else 0


def findings(paths: list[Path]) -> Iterator[str]:
    """Every finding in these files, in their order."""
    for path in paths:
        content = path.read_bytes()
        if b"\0" in content:
            continue  # no text file
        text = content.decode()
        name = path.relative_to(ROOT) if path.is_relative_to(ROOT) else path
        if path.suffix in (".py", ".js", ".mjs"):
            limit = TEST_LINES if path.name.startswith("test_") else MODULE_LINES
            yield from (f"{name}:{finding}" for finding in module_findings(text, limit))
        if path.suffix == ".py":
            yield from (f"{name}:{finding}" for finding in docstring_findings(text))
        if path.name == "__init__.py" and str(name) not in CODE_IN_INIT:
            yield from (f"{name}:{finding}" for finding in init_findings(text))
        yield from (f"{name}:{finding}" for finding in text_findings(text))


def module_findings(text: str, limit: int) -> Iterator[str]:
    """Check that a long module gives the reason at its head."""
    count = text.count("\n")
    head = text.split('"""')[1] if text.startswith(('"""', 'r"""')) else ""
    if count > limit and not LONG_BECAUSE.search(head):
        yield f'1: {count} lines; past {limit} find the seam, or let the docstring say "Long because …"'


def init_findings(text: str) -> Iterator[str]:
    """Check that the `__init__` of a package has only a docstring, so that a name is imported from its module."""
    for node in ast.parse(text).body[1:]:
        yield f"{node.lineno}: code in an `__init__`; give it a module of its own"


def docstring_findings(text: str) -> Iterator[str]:
    """Find docstrings that cannot be read alone, and those that speak of records as of people."""
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        docstring = ast.get_docstring(node)
        if docstring is None:
            continue
        line = node.body[0].lineno
        if pointing := POINTING.match(docstring):
            yield f'{line}: a docstring begins with "{pointing[0]}"; begin with the noun or the verb, to be read alone'
        if people := OF_PEOPLE.search(docstring):
            yield f'{line}: a docstring says "{people[0]}"; name the customer, process or record'


def name_findings(paths: Sequence[Path]) -> Iterator[str]:
    """Find modules which are named by a participle, and names of classes or types which have two meanings.

    Tests may give a stand-in the name of the class that it replaces.
    """
    places: dict[str, list[str]] = defaultdict(list)
    for path in paths:
        if path.suffix != ".py" or not path.is_relative_to(ROOT):
            continue
        name = path.relative_to(ROOT)
        if name.parts[0] not in (*NAMED_PACKAGES, "tests"):
            continue
        last_word = path.stem.rpartition("_")[2]
        if PARTICIPLE.search(last_word) and last_word not in NOUNS:
            yield f"{name}:1: a module is named by a noun or by a term of the field, not by a participle"
        if name.parts[0] == "tests":
            continue
        for type_name, line in types_of(path):
            places[type_name].append(f"{name}:{line}")
    for type_name, (first, *others) in sorted(places.items()):
        for other in others:
            yield f"{other}: the name {type_name} of a class or type is taken by {first}"


def types_of(path: Path) -> Iterator[tuple[str, int]]:
    """The classes of a module, and the names that it gives to types, each with its line."""
    for node in ast.parse(path.read_text()).body:
        match node:
            case ast.ClassDef(name=name):
                yield name, node.lineno
            case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)):
                if TYPE_NAME.fullmatch(name):
                    yield name, node.lineno


def import_findings(paths: Sequence[Path]) -> Iterator[str]:
    """Find test modules which are imported, and unit tests which start servers."""
    for path in paths:
        if path.suffix != ".py" or not path.is_relative_to(ROOT / "tests"):
            continue
        name = path.relative_to(ROOT)
        for module, line in imports_of(path):
            if module.startswith("tests.") and module.rpartition(".")[2].startswith("test_"):
                yield f"{name}:{line}: a test module is imported; what tests share stands in tests/support"
            if module in STARTERS and name.parts[1] == "unit":
                yield f"{name}:{line}: tests/unit starts no server; what needs one stands in tests/integration"


def text_findings(text: str) -> Iterator[str]:
    """Find paths and hosts that exist on one machine or in one network only."""
    for number, line in enumerate(text.splitlines(), 1):
        if FETCHED_FROM.search(line):
            yield f"{number}: the host of a package registry; leave it to the machine's settings"
        if MACHINE_PATH.search(line):
            yield f"{number}: a path of one machine"
        if line.rstrip() != line:
            yield f"{number}: trailing blanks"


def tracked() -> list[Path]:
    """The files that git tracks or would add."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    names = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [path for name in sorted(names.split("\0")) if name and (path := ROOT / name).is_file()]


if __name__ == "__main__":
    sys.exit(main())
