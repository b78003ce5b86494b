"""Conditions of a segments file: plain data into what decides.

The one rule: all problems of a file are found in one walk. On the way facts are wished for and the
canonical form is made: defaults filled, what is not used left out.
"""

from __future__ import annotations

import json
from collections.abc import Callable

from rules.conditions import AllOf, AnyOf, Condition, NoneOf
from rules.definitions import parse_attributes, parse_events, parse_shop
from rules.definitions.parse_events import ORDERS_MAX
from rules.definitions.problems import FORMS, Parsed, Problems, Scope, WrongCondition
from rules.facts.registry import TooMany

__all__ = ["DEPTH_MAX", "FORMS", "ORDERS_MAX", "Parsed", "Problems", "Scope", "WrongCondition", "condition"]

DEPTH_MAX = 20

_GROUPS: dict[str, Callable[[tuple[Condition, ...]], Condition]] = {"all": AllOf, "any": AnyOf, "not": NoneOf}
_LEAVES: dict[str, Callable[[Scope, str, object], Parsed]] = {
    "performed": parse_events.performed,
    "total": parse_events.total,
    "last": parse_events.last,
    "first": parse_events.first,
    "sequence": parse_events.sequence,
    "cart": parse_shop.cart,
    "sessions": parse_shop.sessions,
    "trait": parse_attributes.trait,
    "context": parse_attributes.context,
    "in_segment": parse_attributes.in_segment,
    "calendar": parse_attributes.calendar,
    "sample": parse_attributes.sample,
}


def condition(scope: Scope, path: str, node: object, depth: int = 0) -> Parsed | None:
    """A node to its condition and canonical form; ``None`` after noting what is wrong."""
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
    known = ", ".join(FORMS)
    if not isinstance(node, dict) or len(node) != 1:
        said = "nothing" if node is None else f"{json.dumps(node, ensure_ascii=False, default=str)[:80]}"
        raise WrongCondition(path, f"a condition has exactly one key, one of {known}; here is {said}")
    (kind, body) = next(iter(node.items()))
    if kind not in FORMS:
        raise WrongCondition(f"{path}.{kind}", f"unknown condition; it is one of {known}")
    path = f"{path}.{kind}"
    if kind in _GROUPS:
        return _group(scope, path, kind, body, depth)
    if kind != "in_segment" and (not isinstance(body, dict) or (not body and kind == "trait")):
        raise WrongCondition(path, f"expected {FORMS[kind]}")
    return _LEAVES[kind](scope, path, body)


def _group(scope: Scope, path: str, kind: str, body: object, depth: int) -> Parsed | None:
    alone = kind == "not" and isinstance(body, dict)
    nodes = [body] if alone else body
    if not isinstance(nodes, list) or not nodes:
        raise WrongCondition(path, f"expected {FORMS[kind]}, at least one")
    paths = [path if alone else f"{path}[{at}]" for at in range(len(nodes))]
    parsed = [condition(scope, where, node, depth + 1) for where, node in zip(paths, nodes, strict=True)]
    done = [member for member in parsed if member is not None]
    if len(done) < len(parsed):
        return None
    return _GROUPS[kind](tuple(c for c, _ in done)), {kind: [canonical for _, canonical in done]}
