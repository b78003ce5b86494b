"""Guards are switched off, one at a time: the simulation or a test must fail without each.

The daily part of `scripts/mutants`; the rest runs at night.
"""

from __future__ import annotations

import ast
import builtins

import pytest

from quality.mutants import BY_SIMULATION, BY_TESTS, ROOT, SEEDS, Mutant, tried

ALL = {mutant.guard: mutant for mutant in (*BY_SIMULATION, *BY_TESTS)}
DAILY = ("position check in Redis", "save number in Redis", "merge by event time")


@pytest.mark.parametrize(
    "guard", [*DAILY, *(pytest.param(guard, marks=pytest.mark.nightly) for guard in ALL if guard not in DAILY)]
)
def test_a_guard_is_missed(guard: str) -> None:
    """Without the guard a simulation or a test fails."""
    ((_, killed, _),) = tried([ALL[guard]], SEEDS)
    assert killed is not None


def test_each_guard_stands_where_it_is_said_to() -> None:
    """Each guard stands in its file once; else nothing would be switched off."""
    places = {mutant.guard: (ROOT / mutant.path).read_text("utf-8").count(mutant.right) for mutant in ALL.values()}
    assert {guard: count for guard, count in places.items() if count != 1} == {}


@pytest.mark.nightly
def test_what_guards_nothing_is_told() -> None:
    """A change that changes nothing is reported as a survivor."""
    line = "from __future__ import annotations"
    ((_, killed, _),) = tried([Mutant("nothing", "streams/stop.py", line, line + " ", "tests/unit/test_logs.py")], 1)
    assert killed is None


def test_each_mutant_can_run() -> None:
    """A mutant that cannot be compiled, or uses a name that its file does not know, would fail any test."""
    unknown = {}
    for mutant in ALL.values():
        if mutant.path.endswith(".py"):
            source = (ROOT / mutant.path).read_text("utf-8")
            names = _unknown_names(source.replace(mutant.right, mutant.wrong)) - _unknown_names(source)
            unknown[mutant.guard] = names
    assert {guard: names for guard, names in unknown.items() if names} == {}


def _unknown_names(source: str) -> set[str]:
    """The names that a module reads and nowhere binds."""
    read, bound = set[str](), set(dir(builtins))
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Name(id=name, ctx=ast.Load()):
                read.add(name)
            case ast.Name(id=name) | ast.arg(arg=name) | ast.ExceptHandler(name=str(name)):
                bound.add(name)
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                bound.add(name)
            case ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
                bound.add(name)
            case ast.alias(name=name, asname=alias):
                bound.add(alias or name.partition(".")[0])
    return read - bound
