"""The sentences with which a process or a command stops for safety, as they stand in the source.

The one rule: each is found by its place in the code, so that a new one is found as well. What an exception was given by
another is no sentence of its own; `PASSED_ON` names these places.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from streams import stop
from streams.kafka import producer_fence
from streams.state import definition_documents, redis_client

# Parts of sentences that stand on their own.
REMEDIES = {
    "REBUILD": stop.REBUILD, "COPY": stop.COPY,
    "_ANOTHER_VERSION": definition_documents._ANOTHER_VERSION,
    "_WHEN_BACK": producer_fence._WHEN_BACK, "_REPLICA": redis_client._REPLICA,
}  # fmt: skip
SOURCE = Path(__file__).parents[2] / "streams"
# What is called with a sentence.
_CALLED = {
    "Stop", "ClaimRefused", "StoreRefused", "RightMissing", "PublishFailed", "NotRenewed", "stop", "_stop", "lost",
}  # fmt: skip
# What returns one, or is a mapping of some.
_RETURNED = {
    "client.py": "_why",
    "rebalance_listener.py": "_failure",
    "defects.py": "report",
    "refusals.py": "missing_right",
}
_MAPPINGS = {"remedies", "REFUSALS"}
# Arguments that are sentences of others.
PASSED_ON = {
    "str(error)", "str(failed)",
    "str(refused)", "str(stopped)", "str(missing)", "sentence_of_triggers(redis_prefix, sentence)",
    "missing_right(error, 'READ') or str(error)", "_why(settings, [error, *causes.errors])", "refusal", "sentence",
    "_failure(error)", "defects.report('a task', error)", "defects.report('a claim', error)",
    "defects.report(f'partition {partition}', error)",
    "defects.report(f'the taking in of a batch of {batch.topic}-{batch.partition}', error)",
}  # fmt: skip


def sentence_files() -> dict[str, str]:
    """Each sentence with ``{}`` for what differs, and the file in which it stands."""
    return {text: name for name, node in _nodes() for text in _texts(node)}


def not_understood() -> set[str]:
    """Arguments of which this module does not see the sentence."""
    return {ast.unparse(node) for _, node in _nodes() if not list(_texts(node))} - PASSED_ON


def _nodes() -> Iterator[tuple[str, ast.expr]]:
    for path in sorted(SOURCE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            for expression in _sentences(node, path.name):
                yield str(path.relative_to(SOURCE)), expression


def _sentences(node: ast.AST, file: str) -> Iterator[ast.expr]:
    if isinstance(node, ast.Call) and node.args and _name(node.func) in _CALLED:
        yield node.args[0]
    elif isinstance(node, ast.FunctionDef) and node.name == _RETURNED.get(file):
        returned = [statement.value for statement in ast.walk(node) if isinstance(statement, ast.Return)]
        yield from (value for value in returned if isinstance(value, _TEXT) and ast.unparse(value) != "None")
    elif isinstance(node, ast.Assign | ast.AnnAssign) and isinstance(node.value, ast.Dict):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        if any(_name(target) in _MAPPINGS for target in targets):
            yield from node.value.values


_TEXT = ast.JoinedStr | ast.Constant


def _name(node: ast.expr) -> str:
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""


def _part(node: ast.expr) -> str:
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.FormattedValue(value=ast.Name(id=name)):
            return REMEDIES.get(name, "{}")
    return "{}"


def _texts(node: ast.expr) -> Iterator[str]:
    """The texts that an expression may be."""
    match node:
        case ast.Constant(value=str(text)):
            yield text
        case ast.JoinedStr(values=parts):
            yield "".join(map(_part, parts))
        case ast.Name(id=name) if name in REMEDIES:
            yield REMEDIES[name]
        case ast.IfExp(body=body, orelse=other):
            yield from (*_texts(body), *_texts(other))
        case ast.BoolOp(values=values):
            yield from (text for value in values for text in _texts(value))
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            yield from (before + after for before in _texts(left) for after in _texts(right))
