"""Measures how the units of a package import each other; a unit is a module or a package at its top.

A reader who starts at the entry point passes one unit after the other, so the longest chain has a bound; so has the
number of units. Circles between units are the business of the contracts in ``pyproject.toml``.
"""

import ast
from collections.abc import Iterator, Sequence
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

__all__ = ["chain_findings", "imports_of", "longest_chain"]

UNITS_MAX = 20
CHAIN_MAX = 10


def chain_findings(root: Path, paths: Sequence[Path], package: str = "streams") -> Iterator[str]:
    """Find a package with too many units, or with too long a chain of imports."""
    imports = _unit_imports(root, paths, package)
    if len(imports) > UNITS_MAX:
        yield f"{package}/__init__.py:1: {len(imports)} modules and packages at the top; at most {UNITS_MAX}"
    try:
        chain = longest_chain(imports)
    except CycleError:
        return  # lint-imports names the circle
    if len(chain) > CHAIN_MAX:
        yield f"{package}/__init__.py:1: {len(chain)} units import each other in a chain; at most {CHAIN_MAX}: " + (
            " → ".join(chain)
        )


def longest_chain(imports: dict[str, set[str]]) -> list[str]:
    """The longest chain of units which each import the next. Raises `CycleError`."""
    longest: dict[str, list[str]] = {}
    for unit in TopologicalSorter(imports).static_order():  # what a unit imports comes before it
        rests = [longest[imported] for imported in sorted(imports[unit])]
        longest[unit] = [unit, *max(rests, key=len, default=[])]
    return max(longest.values(), key=len, default=[])


def _unit_imports(root: Path, paths: Sequence[Path], package: str) -> dict[str, set[str]]:
    """The units of a package, and which other units each of them imports."""
    sources = [
        (path.relative_to(root / package).parts[0].removesuffix(".py"), path)
        for path in paths
        if path.suffix == ".py" and path.is_relative_to(root / package)
    ]
    imports: dict[str, set[str]] = {unit: set() for unit, _ in sources if unit != "__init__"}
    for unit, path in sources:
        for module, _ in imports_of(path):
            top, _, rest = module.partition(".")
            imported = rest.partition(".")[0]
            if top == package and imported != unit and unit in imports and imported in imports:
                imports[unit].add(imported)
    return imports


def imports_of(path: Path) -> Iterator[tuple[str, int]]:
    """The modules which a module imports, and maybe names of theirs, each with its line."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module, node.lineno
            yield from ((f"{node.module}.{alias.name}", node.lineno) for alias in node.names)
