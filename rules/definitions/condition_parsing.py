"""Reads the conditions of a segments file: plain data into `rules.conditions.base.Condition`.

All problems of a file are noted in one walk. The walk also requires the facts that conditions need, and makes the
canonical form, with defaults and without unused keys.

See also: `rules.conditions`, where each kind of condition says how its body is read.
"""

from __future__ import annotations

import json

from rules.conditions.base import Parsed, Scope
from rules.conditions.boolean import GROUP_KINDS, GroupKind
from rules.conditions.kinds import CONDITION_KINDS
from rules.facts.registry import TooMany
from rules.forms.problems import WrongCondition

DEPTH_MAX = 20

_GROUPS = {kind.key: kind for kind in GROUP_KINDS}
_LEAVES = {kind.key: kind for kind in CONDITION_KINDS}
# A valid body of each kind, in the order in which errors and the reference list the kinds.
EXAMPLES = {kind.key: kind.example for kind in (*GROUP_KINDS, *CONDITION_KINDS)}


def condition(scope: Scope, path: str, node: object, depth: int = 0) -> Parsed | None:
    """Parse a node to its condition and canonical form; ``None`` after noting a problem."""
    try:
        return _condition(scope, path, node, depth)
    except TooMany as error:
        scope.problems.note(path, str(error))
        return None
    except WrongCondition as wrong:
        if wrong.args:
            scope.problems.note(*wrong.args)
        return None


def _condition(scope: Scope, path: str, node: object, depth: int) -> Parsed | None:
    if depth > DEPTH_MAX:
        raise WrongCondition(path, f"conditions nest at most {DEPTH_MAX} deep")
    keys = ", ".join(EXAMPLES)
    if not isinstance(node, dict) or len(node) != 1:
        text = "nothing" if node is None else json.dumps(node, ensure_ascii=False, default=str)[:80]
        raise WrongCondition(path, f"a condition has exactly one key, one of {keys}", f"here is {text}")
    (key, body) = next(iter(node.items()))
    if key in _GROUPS:
        return _group(scope, f"{path}.{key}", _GROUPS[key], body, depth)
    if key in _LEAVES:
        return _LEAVES[key].parse(scope, f"{path}.{key}", body)
    raise WrongCondition(f"{path}.{key}", "unknown condition", f"it is one of {keys}")


def _group(scope: Scope, path: str, kind: GroupKind, body: object, depth: int) -> Parsed | None:
    is_single = kind.key == "not" and isinstance(body, dict)
    nodes = [body] if is_single else body
    if not isinstance(nodes, list) or not nodes:
        raise WrongCondition(path, f"expected {kind.example}, at least one")
    paths = [path if is_single else f"{path}[{index}]" for index in range(len(nodes))]
    parsed = [condition(scope, inner, node, depth + 1) for inner, node in zip(paths, nodes, strict=True)]
    members = [member for member in parsed if member is not None]
    if len(members) < len(parsed):
        return None
    return kind.make(tuple(member for member, _ in members)), {kind.key: [canonical for _, canonical in members]}
