"""The triggers file and the decisions as JSON Schemas.

The one rule: drawn from the models that read and write them; what fits to what, only `segmenter check` can say.
"""

from __future__ import annotations

from typing import Any

import msgspec

from streams.triggers.config import TriggersFile
from streams.triggers.decision_log import Decision

_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def triggers() -> dict[str, Any]:
    """What `SEGMENTER_TRIGGERS` names, as a person writes it."""
    drawn = TriggersFile.model_json_schema(by_alias=True)
    drawn["title"] = "Triggers"
    return {"$schema": _DIALECT, **_without_defaults(drawn)}


def decision() -> dict[str, Any]:
    """The value of a record of ``trigger-decisions``."""
    (root,), defs = msgspec.json.schema_components([Decision], ref_template="#/$defs/{name}")
    return {"$schema": _DIALECT, **_without_defaults({**root, "$defs": defs})}


def _without_defaults(node: Any) -> Any:
    """Defaults are in the units of the code, not of the file. What a key is called is no default.

    Texts are docstrings, whose lines go on in the next one.
    """
    if isinstance(node, list):
        return [_without_defaults(entry) for entry in node]
    if not isinstance(node, dict):
        return node
    return {
        name: {key: _without_defaults(entry) for key, entry in value.items()}
        if name in ("properties", "$defs")
        else _without_defaults(value)
        for name, value in node.items()
        if name != "default"
    } | ({"description": " ".join(node["description"].split())} if isinstance(node.get("description"), str) else {})
