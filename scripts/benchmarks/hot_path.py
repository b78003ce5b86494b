"""Digests of the code and the load that a benchmark runs; a figure is stored with its digest, which shows its age.

The one rule: a digest changes only if the running code does. Python counts by its syntax tree without docstrings, Lua
without comments and layout, YAML by its values. A package that is listed here and does not exist is an error, since its
successor would be left out silently.

A digest leaves out third-party packages, whose versions `constraints.txt` pins, and the measuring code.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import yaml

__all__ = ["PATHS", "digest", "normal_form"]

_RULES = ("rules", "scripts/load/four_segments.yaml", "scripts/load/generate.py")
_WORKER = (
    *_RULES,
    "streams/kafka",
    "streams/runtime",
    "streams/settings",
    "streams/state",
    "streams/wire",
    "streams/worker",
)
# The code of each benchmark, by its name for `scripts/bench --only`.
PATHS: dict[str, tuple[str, ...]] = {
    "rules": _RULES,
    "throughput": _WORKER,
    "latency": _WORKER,
    "due": _WORKER,
    "crowd": _WORKER,
    "scale": _WORKER,
    "triggers": (*_WORKER, "streams/triggers"),
    "ops": (*_WORKER, "streams/http", "streams/ops"),
    "gateway": ("rules", "streams/gateway", "streams/http", "streams/kafka", "streams/state", "streams/wire"),
    "shop": (*_WORKER, "streams/gateway", "streams/http", "scripts/demos/shop.py", "scripts/demos/shop_pages"),
    "changed": (*_WORKER, "streams/offline"),
}
_LUA = re.compile(
    r"""--\[(?P<level>=*)\[.*?\](?P=level)\] | --[^\n]* | (?P<text>"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*')""",
    re.VERBOSE | re.DOTALL,
)


def digest(benchmark: str, root: Path) -> str:
    """The digest of the code that a benchmark runs, in the tree at ``root``."""
    summary = hashlib.sha256()
    for path in _files(PATHS[benchmark], root):
        name = path.relative_to(root).as_posix()
        summary.update(f"{name}\0{normal_form(path)}\0".encode())
    return summary.hexdigest()


def _files(names: Sequence[str], root: Path) -> Iterator[Path]:
    for name in names:
        place = root / name
        if not place.exists():
            raise FileNotFoundError(f"benchmarks.hot_path lists {name}, which is not there: list what took its place")
        files = [place] if place.is_file() else sorted(place.rglob("*"))
        yield from (path for path in files if path.suffix in _NORMAL_FORMS)


def normal_form(path: Path) -> str:
    """The parts of a file that matter when it runs, in a normal form."""
    return _normal_form(path.suffix, path.read_text("utf-8"))


@functools.cache  # most benchmarks share most files
def _normal_form(suffix: str, text: str) -> str:
    return hashlib.sha256(_NORMAL_FORMS[suffix](text).encode()).hexdigest()


def _python(text: str) -> str:
    return json.dumps(_tree(ast.parse(text)))


def _tree(node: object) -> object:
    """A syntax tree as lists, without absent fields, so that versions of Python with more fields agree."""
    if isinstance(node, list):
        return [_tree(part) for part in node]
    if not isinstance(node, ast.AST):
        return repr(node)
    parts = dict(ast.iter_fields(node))
    if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
        parts["body"] = node.body[1:] if _is_docstring(node.body) else node.body
    present = {name: _tree(part) for name, part in parts.items() if part is not None and part != []}
    return [type(node).__name__, present]


def _is_docstring(body: Sequence[ast.stmt]) -> bool:
    match body:
        case [ast.Expr(value=ast.Constant(value=str())), *_]:
            return True
    return False


def _lua(text: str) -> str:
    return " ".join(_LUA.sub(lambda match: match["text"] or " ", text).split())


def _yaml(text: str) -> str:
    return json.dumps(yaml.safe_load(text), sort_keys=True, default=str)


_NORMAL_FORMS = {".py": _python, ".lua": _lua, ".yaml": _yaml}
