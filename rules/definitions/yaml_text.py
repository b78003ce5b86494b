"""Reads YAML text to plain data, strictly.

The one rule: nothing is guessed. A key that stands twice is refused, of which plain YAML silently takes
the last; only ``true`` and ``false`` are booleans, so that ``country: no`` stays Norway; a date
stays the text that was written.

A short text may stand for a huge document: aliases repeat what they name, also within itself, and numbers have no end.
So it is measured before anything is built of it.

See also: `rules.definitions.segments_file`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import msgspec
import yaml

# The largest file. The library has 13 KB; 1,000 segments of the size of its largest have 0.7 MB.
TEXT_MAX_BYTES = 2 * 1024 * 1024
# The most keys and values of a document with its aliases written out; 1,000 segments with 100 of each.
NODES_MAX = 100_000
NESTED_MAX = 100
NUMBER_MAX_CHARS = 40

_TAG = "tag:yaml.org,2002:"
# The parser of libyaml, if it is compiled in, is ten times as fast, but its errors say less.
_Fast: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
# Texts up to this size are loaded by Python's parser, in a few tenths of a second.
_SLOW_MAX_CHARS = 16 * 1024


class NotYaml(Exception):
    """The text is not YAML; ``args[0]`` says where and why."""


def _mapping(loader: Any, node: yaml.Node) -> dict[object, object]:
    if not isinstance(node, yaml.MappingNode):  # an explicit tag before something else
        raise yaml.MarkedYAMLError(problem="not a mapping", problem_mark=node.start_mark)
    keys: set[object] = set()
    for key_node, _ in node.value:
        if key_node.tag == f"{_TAG}merge":
            continue  # <<: keys that it merges may be given again
        key = loader.construct_object(key_node)
        if isinstance(key, (str, int)) and key in keys:
            raise yaml.MarkedYAMLError(problem=f"the key {key} stands twice", problem_mark=key_node.start_mark)
        keys.add(key if isinstance(key, (str, int)) else str(key))
    mapping: dict[object, object] = loader.construct_mapping(node, deep=True)
    return mapping


def _checked(construct: Callable[[Any, Any], object], kind: str) -> Callable[[Any, yaml.ScalarNode], object]:
    """Wrap a constructor of plain scalars, so that its error says where the scalar is."""

    def constructed(loader: Any, node: yaml.ScalarNode) -> object:
        if kind == "number" and len(node.value) > NUMBER_MAX_CHARS:
            problem = f"a number of {len(node.value):,} characters, at most {NUMBER_MAX_CHARS}"
            problem += "; put it in quotes if it is text"
            raise yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark)
        try:
            return construct(loader, node)
        except (ValueError, LookupError, AttributeError):  # an explicit tag before something else
            raise yaml.MarkedYAMLError(problem=f"not a {kind}", problem_mark=node.start_mark) from None

    return constructed


def _loader(base: Any) -> Any:
    """A loader that builds plain data only."""

    class Loader(base):  # type: ignore[misc]
        # A copy, so that the resolvers of the base stay as they are.
        yaml_implicit_resolvers = {  # noqa: RUF012
            first: [(tag, form) for tag, form in resolvers if tag not in (f"{_TAG}bool", f"{_TAG}timestamp")]
            for first, resolvers in base.yaml_implicit_resolvers.items()
        }
        yaml_constructors = {  # noqa: RUF012
            tag: construct
            for tag, construct in base.yaml_constructors.items()
            if tag not in {f"{_TAG}{name}" for name in ("binary", "timestamp", "omap", "pairs", "set")}
        }

    Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)
    Loader.add_constructor(f"{_TAG}int", _checked(base.construct_yaml_int, "number"))
    Loader.add_constructor(f"{_TAG}float", _checked(base.construct_yaml_float, "number"))
    Loader.add_constructor(f"{_TAG}bool", _checked(base.construct_yaml_bool, "boolean"))
    Loader.add_implicit_resolver(f"{_TAG}bool", re.compile("^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF"))
    return Loader


_ExactLoader, _FastLoader = _loader(yaml.SafeLoader), _loader(_Fast)


def read(text: str) -> object:
    """Read a text to plain data. Raises `NotYaml`."""
    _refuse_large(text)
    loader = _ExactLoader if len(text) <= _SLOW_MAX_CHARS else _FastLoader
    try:
        document: object = yaml.load(text, Loader=loader)  # noqa: S506 (a SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}" if mark else "the file"
        raise NotYaml(f"{where}: not YAML: {error.problem or error.context}") from None
    except yaml.YAMLError as error:
        raise NotYaml(f"not YAML: {str(error).splitlines()[0]}") from None
    # Half a character cannot be encoded, so it would fail only when a change or a sentence with it is written.
    try:
        json.dumps(document, ensure_ascii=False, default=str, skipkeys=True).encode()
    except UnicodeEncodeError:
        raise NotYaml("not YAML: an escape in it is half a character (a surrogate alone)") from None
    return document


def _refuse_large(text: str) -> None:
    """Refuse a document that would be too large. Errors in the YAML itself are left to the loader."""
    if len(text) > TEXT_MAX_BYTES:
        raise NotYaml(f"larger than {TEXT_MAX_BYTES:,} bytes; list fewer values, or let the shop send a property")
    size = _Size()
    try:
        for event in yaml.parse(text, Loader=_Fast):
            size.add(event)
    except (yaml.YAMLError, UnicodeError):
        return


class _Node(msgspec.Struct):
    """What was counted of a node: with ``depth``, how many collections in it are nested. ``anchor``: its name, if any.

    Until a collection ends, ``nodes`` and ``characters`` are what was counted before it.
    """

    anchor: str | None
    nodes: int
    characters: int
    depth: int = 0


class _Size:
    """The size of a document up to some event of the parser, with the nodes that aliases repeat."""

    def __init__(self) -> None:
        self._nodes = self._characters = 0
        self._anchored: dict[str, _Node] = {}
        self._open: list[_Node] = []

    def add(self, event: Any) -> None:
        """Add the next event. Raises `NotYaml` if the document is too large, or if a collection holds itself."""
        if isinstance(event, yaml.CollectionEndEvent):
            node = self._open.pop()
            self._note(_Node(node.anchor, self._nodes - node.nodes, self._characters - node.characters, node.depth + 1))
            return
        if isinstance(event, yaml.AliasEvent):
            self._repeat(event)
        elif isinstance(event, yaml.ScalarEvent):
            self._grow(1, len(event.value))
            self._note(_Node(event.anchor, 1, len(event.value)))
        elif isinstance(event, yaml.CollectionStartEvent):
            self._open.append(_Node(event.anchor, self._nodes, self._characters))
            self._grow(1, 0)
        self._check(event)

    def _repeat(self, event: Any) -> None:
        anchor = str(event.anchor)
        if any(node.anchor == anchor for node in self._open):
            place = f"line {event.start_mark.line + 1}, column {event.start_mark.column + 1}"
            raise NotYaml(f"{place}: *{anchor} stands within &{anchor}, which it repeats; write out what is meant")
        node = self._anchored.get(anchor, _Node(None, 1, 0))
        self._grow(node.nodes, node.characters)
        self._note(node)

    def _grow(self, nodes: int, characters: int) -> None:
        self._nodes += nodes
        self._characters += characters

    def _note(self, node: _Node) -> None:
        """Note a whole node in the collection that it stands in, and for its aliases."""
        if self._open:
            self._open[-1].depth = max(self._open[-1].depth, node.depth)
        if node.anchor is not None:
            self._anchored[node.anchor] = node

    def _check(self, event: Any) -> None:
        place = f"line {event.start_mark.line + 1}"
        if len(self._open) + (self._open[-1].depth if self._open else 0) > NESTED_MAX:
            raise NotYaml(f"{place}: nested more than {NESTED_MAX} deep; write it flatter")
        if self._nodes > NODES_MAX or self._characters > TEXT_MAX_BYTES:
            most = f"more than {NODES_MAX:,} keys and values, or {TEXT_MAX_BYTES:,} characters"
            raise NotYaml(f"{place}: {most}, with what aliases (*name) repeat; use fewer aliases, or list fewer values")
