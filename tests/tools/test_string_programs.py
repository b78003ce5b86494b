"""Programs in texts: the names that they import and alter exist, also for those which run at night alone.

A name in a text is resolved as Python would resolve it, so that a daily test fails if the code moves without it.
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
import inspect
import re
import warnings
from collections.abc import Iterator, Mapping
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
OWN = ("rules", "streams", "tests", *(path.name for path in (ROOT / "scripts").iterdir() if path.is_dir()))
# Modules with texts that are wrong on purpose: this one, and the test of what `quality.tidy` finds.
WRONG_ON_PURPOSE = (Path(__file__), ROOT / "tests/tools/test_tidy.py")
FILES = sorted(path for folder in ("tests", "scripts") for path in (ROOT / folder).rglob("*.py"))
_FAIL_POINT = re.compile(r"(\w+):\d+:SIG[A-Z]+")
_REACHED = re.compile(r'(?:reach|happens)\("(\w+)"')


def wrong_names(source: str) -> Iterator[str]:
    """What texts of a module name and is not there: in programs, after ``-m``, in ``setattr``, and as a fail point."""
    tree = ast.parse(source)
    for program in _programs(tree):
        yield from _unresolved(program, _imported(program))
    yield from _unset(tree, _imported(tree))
    yield from _unknown_modules(tree)
    points = {match[1] for text in _texts(tree) if (match := _FAIL_POINT.fullmatch(text))}
    yield from (f"fail point {name}" for name in sorted(points - _fail_points()))


def _texts(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def _programs(tree: ast.AST) -> Iterator[ast.Module]:
    """The texts that are Python and import something of this repository."""
    for text in _texts(tree):
        if "import " not in text:
            continue
        try:
            with warnings.catch_warnings(action="ignore"):  # sentences with "is" are no programs
                program = ast.parse(text)
        except SyntaxError:
            continue
        if any(_is_own(node) for node in ast.walk(program)):
            yield program


def _is_own(node: ast.AST) -> bool:
    if isinstance(node, ast.ImportFrom):
        return node.level == 0 and (node.module or "").split(".")[0] in OWN
    return isinstance(node, ast.Import) and any(alias.name.split(".")[0] in OWN for alias in node.names)


class Missing(Exception):
    """A name that is not there."""


def _imported(tree: ast.AST) -> Mapping[str, Any]:
    """The imports of this repository by their local names; `Missing` where one cannot be imported."""
    objects_by_name: dict[str, Any] = {}
    for node in ast.walk(tree):
        if not _is_own(node):
            continue
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                objects_by_name[alias.asname or alias.name] = _member(node.module or "", alias.name)
        elif isinstance(node, ast.Import):
            for alias in node.names:
                objects_by_name[alias.asname or alias.name.split(".")[0]] = _module(alias.name)
    return objects_by_name


def _module(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        return Missing(name)


def _member(module: str, name: str) -> Any:
    whole = _module(module)
    if isinstance(whole, Missing) or hasattr(whole, name):
        return getattr(whole, name, whole)
    return _module(f"{module}.{name}")


def _unresolved(program: ast.AST, imported: Mapping[str, Any]) -> Iterator[str]:
    yield from (f"import of {value}" for value in imported.values() if isinstance(value, Missing))
    for node in ast.walk(program):
        if isinstance(node, ast.Attribute) and isinstance(value := _value(node, imported), Missing):
            yield str(value)


def _value(node: ast.expr, imported: Mapping[str, Any]) -> Any:
    """The value of a dotted name through modules and classes; `Missing`, or ``None`` where it is not known."""
    if isinstance(node, ast.Name):
        return imported.get(node.id)
    if not isinstance(node, ast.Attribute):
        return None
    owner = _value(node.value, imported)
    if not (inspect.ismodule(owner) or inspect.isclass(owner)):
        return None
    return getattr(owner, node.attr, Missing(ast.unparse(node)))


def _unset(tree: ast.AST, imported: Mapping[str, Any]) -> Iterator[str]:
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Attribute(attr="setattr"), args=[owner, ast.Constant(value=str(name)), *_]):
                target = _value(owner, imported)
                if (inspect.ismodule(target) or inspect.isclass(target)) and not hasattr(target, name):
                    yield f"{ast.unparse(owner)}.{name}"


def _unknown_modules(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if not isinstance(node, ast.List | ast.Tuple):
            continue
        texts = [element.value if isinstance(element, ast.Constant) else None for element in node.elts]
        for option, name in pairwise(texts):
            if option == "-m" and isinstance(name, str) and name.split(".")[0] in OWN and _spec(name) is None:
                yield f"-m {name}"


def _spec(name: str) -> Any:
    try:
        return importlib.util.find_spec(name)
    except ModuleNotFoundError:
        return None


@cache
def _fail_points() -> frozenset[str]:
    sources = [path.read_text("utf-8") for path in (ROOT / "streams").rglob("*.py")]
    return frozenset(name for source in sources for name in _REACHED.findall(source))


def test_what_texts_name_is_there() -> None:
    """All names in texts of test modules and scripts exist, but for those with wrong names on purpose."""
    names = {path: list(wrong_names(path.read_text("utf-8"))) for path in FILES if path not in WRONG_ON_PURPOSE}
    assert {str(path.relative_to(ROOT)): wrong for path, wrong in names.items() if wrong} == {}


@pytest.mark.parametrize(
    ("source", "wrong"),
    [
        ("X = 'from streams.worker.claim import Claiming'", ["import of streams.worker.claim.Claiming"]),
        ("X = 'from streams import ownership'", ["import of streams.ownership"]),
        ("X = 'from streams.kafka import producer_fence\\nproducer_fence.WAIT = 3'", ["producer_fence.WAIT"]),
        (
            "X = 'from streams.worker import output_recovery\\nread = output_recovery._Part.read'",
            ["output_recovery._Part"],
        ),
        ("from streams.offline import recompute\np.setattr(recompute, 'SILENT', 1)", ["recompute.SILENT"]),
        ("X = ('-m', 'streams.recompute')", ["-m streams.recompute"]),
        ("X['FAIL_POINT'] = 'after_lunch:1:SIGSTOP'", ["fail point after_lunch"]),
        (
            (
                "X = 'from streams.kafka import producer_fence\\nproducer_fence.FENCE_WAIT_S = {number}'\n"
                "Y = 'after_claim:1:SIGSTOP'"
            ),
            [],
        ),
        ("X = ('-m', 'streams.offline.rebuild_process')\nY = 'import faust'", []),
    ],
)
def test_a_name_that_is_not_there_is_named(source: str, wrong: list[str]) -> None:
    """A wrong name is found however it is written, and nothing that is right."""
    assert list(wrong_names(source)) == wrong
