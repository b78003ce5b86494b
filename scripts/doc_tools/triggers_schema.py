"""Generates the JSON Schemas of the triggers file and of trigger decisions.

They come from the models that read and write them; relations between parts are checked by `segmenter check` alone.
"""

from __future__ import annotations

from typing import Any

import msgspec

from streams.triggers.config import TriggersFile
from streams.triggers.decision_log import Decision

_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def triggers() -> dict[str, Any]:
    """The schema of the file that `SEGMENTER_TRIGGERS` names, as a person writes it."""
    drawn = TriggersFile.model_json_schema(by_alias=True)
    drawn["title"] = "Triggers"
    return {"$schema": _DIALECT, **_without_defaults(drawn)}


def decision() -> dict[str, Any]:
    """The schema of the value of a record of ``trigger-decisions``."""
    (root,), defs = msgspec.json.schema_components([Decision], ref_template="#/$defs/{name}")
    return {"$schema": _DIALECT, **_without_defaults({**root, "$defs": defs})}


def _without_defaults(node: Any) -> Any:
    """Remove defaults from a schema, as they are in the units of the code; a property may be called ``default``.

    Descriptions are docstrings, whose lines are joined.
    """
    if isinstance(node, list):
        return [_without_defaults(entry) for entry in node]
    if not isinstance(node, dict):
        return node
    cleaned: dict[str, Any] = {}
    for name, value in node.items():
        if name == "default":
            continue
        if name in ("properties", "$defs"):
            cleaned[name] = {key: _without_defaults(entry) for key, entry in value.items()}
        elif name == "description" and isinstance(value, str):
            cleaned[name] = " ".join(value.split())
        else:
            cleaned[name] = _without_defaults(value)
    return cleaned
