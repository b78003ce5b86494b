"""YAML text to plain data, strictly.

The one rule: nothing is guessed. A key said twice is refused, of which plain YAML silently keeps
the last; only ``true`` and ``false`` are booleans, so that ``country: no`` stays Norway; a date
stays the text that was written.
"""

from __future__ import annotations

import json
import re

import yaml

_TAG = "tag:yaml.org,2002:"


class NotYaml(Exception):
    """The text is not YAML; ``args[0]`` says where and why."""


class _Loader(yaml.SafeLoader):
    """Builds plain data only."""


# A copy, so that the resolvers of the class above stay as they are.
_Loader.yaml_implicit_resolvers = {
    first: [(tag, form) for tag, form in resolvers if tag not in (f"{_TAG}bool", f"{_TAG}timestamp")]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def _mapping(loader: _Loader, node: yaml.MappingNode) -> dict[object, object]:
    keys: set[object] = set()
    for key_node, _ in node.value:
        if key_node.tag == f"{_TAG}merge":
            continue  # <<: what it brings may be said again
        key = loader.construct_object(key_node)
        if isinstance(key, (str, int)) and key in keys:
            raise yaml.MarkedYAMLError(problem=f"the key {key} stands twice", problem_mark=key_node.start_mark)
        keys.add(key if isinstance(key, (str, int)) else str(key))
    mapping: dict[object, object] = loader.construct_mapping(node, deep=True)
    return mapping


_Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)


_Loader.add_implicit_resolver(f"{_TAG}bool", re.compile("^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF"))


def read(text: str) -> object:
    """Plain data. Raises `NotYaml`."""
    try:
        document: object = yaml.load(text, Loader=_Loader)  # noqa: S506 (a SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}" if mark else "the file"
        raise NotYaml(f"{where}: not YAML: {error.problem or error.context}") from None
    except (yaml.YAMLError, RecursionError) as error:
        raise NotYaml(f"not YAML: {str(error).splitlines()[0]}") from None
    try:
        json.dumps(document, ensure_ascii=False, default=str, skipkeys=True).encode()
    except UnicodeEncodeError:
        raise NotYaml("not YAML: an escape in it is half a character (a surrogate alone)") from None
    return document
