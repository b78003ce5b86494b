"""Finds vague names of modules, classes, functions, parameters and variables, such as `found`, `told_ms`, `StepAsked`.

A name is the noun of its value, so that a line can be read alone; `at` is a time, and a place in a list is an `index`.
A word that a published contract has may stay; `CONTRACT_NAMES` says which and why. The name of a test is a sentence,
which may have any word.
"""

import ast
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

__all__ = ["local_name_findings"]

# The folders whose names are checked.
CHECKED_FOLDERS = ("rules", "streams", "scripts", "tests", "docs")
# Those in which `VAGUE_IN_PRODUCT` holds; a short test reads well with such a word.
PRODUCT_FOLDERS = ("rules", "streams", "scripts")
VAGUE_NAMES = frozenset({
    "told", "said", "asked", "kept", "held", "seen", "found", "known", "one", "who", "ours", "anew",
})  # fmt: skip
VAGUE_IN_PRODUCT = VAGUE_NAMES | {"what", "made", "came", "acted", "begun"}
# Words that say nothing in a compound either. `known` and `one` are plain English there, as in `is_known`.
VAGUE_PARTS = frozenset({
    "told", "said", "asked", "kept", "held", "seen", "found", "anew", "overheard", "noting", "holding",
})  # fmt: skip
# In the name of a class `known` does not say by what it is known.
VAGUE_CLASS_PARTS = VAGUE_PARTS | {"known"}
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
# The names that a script of the page binds: by a word before them, or as the parameters of an arrow function.
_BOUND_IN_SCRIPT = re.compile(r"\b(?:const|let|function)\s+(\w+)|\(([\w, ]+)\)\s*=>|\b(\w+)\s*=>")
_SCRIPTS = (".js", ".mjs")
# The reasons why a name stays, by folder or file and name.
CONTRACT_NAMES: dict[tuple[str, str], str] = {
    ("streams/wire/changes.py", "said"): "a field of a segment change",
    ("streams/ops/responses.py", "said"): "a field of the operations API",
    ("streams/ops/responses.py", "held"): "a field of the operations API",
    ("streams/offline/explain.py", "held"): "a field of what explain prints",
    ("streams/triggers/customer_state.py", "acted"): "a field of a stored customer",
    ("rules/reasons.py", "StepAsked"): "the title of a published schema",
}


def local_name_findings(root: Path, paths: Sequence[Path]) -> Iterator[str]:
    """Find vague names in the modules of the checked folders, and vague names of modules and packages."""
    packages: set[Path] = set()
    for path in paths:
        if path.suffix not in (".py", *_SCRIPTS) or not path.is_relative_to(root):
            continue
        name = path.relative_to(root)
        if name.parts[0] not in CHECKED_FOLDERS or "vendor" in name.parts:
            continue
        if path.suffix in _SCRIPTS:
            yield from (f"{name}:{finding}" for finding in script_findings(path.read_text("utf-8")))
            continue
        yield from (f"{name}:{finding}" for finding in module_findings(str(name), path.read_text("utf-8")))
        for place in (name, *name.parents):
            if place not in packages and _is_vague(place.stem):
                yield f"{name}:1: the module name {place.stem} says nothing; name what the module has"
            packages.add(place)


def module_findings(path: str, text: str) -> Iterator[str]:
    """Find vague names in the text of a module."""
    tree = ast.parse(text)
    vague_names = VAGUE_IN_PRODUCT if path.startswith(PRODUCT_FOLDERS) else VAGUE_NAMES
    for line, name in sorted(_bound_names(tree)):
        if _is_vague(name, vague_names) and not _is_contract(path, name):
            yield _finding(line, name)
    for line in sorted(_places_called_at(tree)):
        yield f"{line}: `at` is a time; a place in a list is an index"


def script_findings(text: str) -> Iterator[str]:
    """Find vague names in the text of a script in JavaScript."""
    for number, line in enumerate(text.splitlines(), 1):
        for match in _BOUND_IN_SCRIPT.finditer(line):
            for name in re.findall(r"\w+", " ".join(group for group in match.groups() if group)):
                if _is_vague(name, VAGUE_IN_PRODUCT):
                    yield _finding(number, name)


def _is_vague(name: str, vague_names: frozenset[str] = VAGUE_NAMES) -> bool:
    """Whether a name is one of these words, or a compound with a vague word."""
    if name.startswith("test_"):
        return False
    words = {word.lower() for word in _WORD.findall(name)}
    is_class = name.lstrip("_")[:1].isupper() and not name.isupper()
    return name.strip("_").lower() in vague_names or bool(words & (VAGUE_CLASS_PARTS if is_class else VAGUE_PARTS))


def _finding(line: int, name: str) -> str:
    return f"{line}: the name {name} says nothing; name the thing, such as change, customer or index"


def _is_contract(path: str, name: str) -> bool:
    return any(path.startswith(place) and name == stays for place, stays in CONTRACT_NAMES)


def _bound_names(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """The names that a module binds, with their lines."""
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name, ctx=ast.Store()) | ast.Attribute(attr=name, ctx=ast.Store()):
                yield node.lineno, name
            case ast.arg(arg=name) | ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                yield node.lineno, name
            case ast.ClassDef(name=name) | ast.ExceptHandler(name=str(name)) | ast.alias(asname=str(name)):
                yield node.lineno, name
            case ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
                yield node.lineno, name


def _places_called_at(tree: ast.AST) -> Iterator[int]:
    """The lines where `at` counts the members of something, or picks one or a bit of a number."""
    for node in ast.walk(tree):
        match node:
            case (
                ast.For(target=target, iter=ast.Call(func=ast.Name(id="enumerate" | "range")))
                | ast.comprehension(target=target, iter=ast.Call(func=ast.Name(id="enumerate" | "range")))
            ):
                counter = target.elts[0] if isinstance(target, ast.Tuple) else target
                yield from _lines_of_at(counter)
            case ast.Subscript(slice=index):
                yield from _lines_of_at(index)
            case ast.BinOp(op=ast.LShift() | ast.RShift(), right=bit):
                yield from _lines_of_at(bit)


def _lines_of_at(tree: ast.AST) -> Iterator[int]:
    return (node.lineno for node in ast.walk(tree) if isinstance(node, ast.Name) and node.id == "at")
