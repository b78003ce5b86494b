"""The parts of which the published schemas are built: definitions of structs, and a document around them."""

from __future__ import annotations

from inspect import cleandoc

import msgspec

from rules.forms.json_schema import Schema

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def definitions(*structs: type[msgspec.Struct]) -> Schema:
    """The schemas of these structs and of those that they name, by name."""
    _, defs = msgspec.json.schema_components(structs)
    return described(defs)


def described(defs: Schema) -> Schema:
    """The schemas of structs, with the docstrings as descriptions."""
    for schema in defs.values():
        # Python 3.13 removes the indentation of a docstring, earlier versions do not.
        schema["description"] = cleandoc(schema["description"]).replace("``", "`")
    return defs


def with_fields(**fields: Schema) -> Schema:
    return {"required": list(fields), "properties": fields}


def reference(name: str) -> Schema:
    return {"$ref": f"#/$defs/{name}"}


def document(root: str, defs: Schema) -> Schema:
    return {"$schema": DIALECT, **reference(root), "$defs": defs}
