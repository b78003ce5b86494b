"""Definitions: a YAML file of segments into conditions, with errors that point.

The one rule: nothing starts on a wrong file. Every error names the file, the path inside it and
what would be right, and all errors of a file are reported at once.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from hashlib import sha256
from importlib.resources import files
from typing import TypeVar

import msgspec
import yaml
from pydantic import BaseModel, ValidationError

from rules.conditions import AllOf, AnyOf, Condition, NoneOf, OpenCart, Performed, SessionCount
from rules.events import ORDER_COMPLETED
from rules.facts import Facts
from rules.forms import CartForm, PerformedForm, SegmentForm, SessionsForm
from rules.orders import MESSAGES_MAX
from rules.sessions import INTERVALS_MAX
from rules.times import format_duration

SEGMENTS_MAX = 1_000
DEPTH_MAX = 20
# An order takes up to four messages (completed, two refunds, cancelled) of those that are kept.
ORDERS_MAX = MESSAGES_MAX // 4

_KEY = re.compile(r"[a-z][a-z0-9_]{0,63}", re.ASCII)
_CURRENCY = re.compile(r"[A-Z]{3}", re.ASCII)
_GROUPS: dict[str, Callable[[tuple[Condition, ...]], Condition]] = {"all": AllOf, "any": AnyOf, "not": NoneOf}
_FORMS = {
    "all": "a list of conditions",
    "any": "a list of conditions",
    "not": "a condition or a list of conditions",
    "performed": "{event: Order Completed, count: {at_least: 2}, within: 365d}",
    "cart": "{idle_for: 30m, until: 30d}",
    "sessions": "{count: {at_least: 2}, within: 30d}",
}


class DefinitionsError(Exception):
    """The definitions file is wrong. Its lines say where and how; correct the file and start again."""

    def __init__(self, file: str, problems: list[str]) -> None:
        super().__init__("\n".join(f"{file}: {problem}" for problem in problems))
        self.file = file
        self.problems = problems


class Segment(msgspec.Struct, frozen=True):
    """A segment: its key, its condition, and the fingerprint of what decides it."""

    key: str
    title: str
    when: Condition
    fingerprint: str


class Definitions(msgspec.Struct, frozen=True):
    """A checked file: segments sorted by key, the facts that they need, the file's fingerprint."""

    segments: tuple[Segment, ...]
    facts: Facts
    fingerprint: str


_EXAMPLES: dict[type[BaseModel], str] = {
    PerformedForm: _FORMS["performed"],
    CartForm: _FORMS["cart"],
    SessionsForm: _FORMS["sessions"],
    SegmentForm: "{title: Repeat buyer, when: {…}}",
}

FormT = TypeVar("FormT", bound=BaseModel)
Parsed = tuple[Condition, object]


class _Parser:
    """Walks a file once, collecting problems, wanted facts and the canonical form."""

    def __init__(self) -> None:
        self.problems: list[str] = []
        self.facts = Facts()
        self.currency: str | None = None

    def problem(self, path: str, text: str) -> Parsed | None:
        """Note what is wrong; gives nothing, so that a caller can return it."""
        self.problems.append(f"{path}: {text}" if path else text)
        return None

    def fill(self, path: str, form: type[FormT], value: object) -> FormT | None:
        """Check a mapping against its form; ``None`` after reporting what is wrong."""
        try:
            return form.model_validate(value)
        except ValidationError as error:
            for detail in error.errors():
                where = ".".join([path, *(str(part) for part in detail["loc"])])
                self.problem(where, _say(detail["type"], detail["msg"], form))
            return None

    def condition(self, path: str, node: object, depth: int = 0) -> Parsed | None:
        """A node to its condition and canonical form."""
        if depth > DEPTH_MAX:
            return self.problem(path, f"conditions nest at most {DEPTH_MAX} deep")
        known = ", ".join(_FORMS)
        if not isinstance(node, dict) or len(node) != 1:
            said = "nothing" if node is None else f"{json.dumps(node, ensure_ascii=False, default=str)[:80]}"
            return self.problem(path, f"a condition has exactly one key, one of {known}; here is {said}")
        (kind, body) = next(iter(node.items()))
        if kind not in _FORMS:
            return self.problem(f"{path}.{kind}", f"unknown condition; it is one of {known}")
        path = f"{path}.{kind}"
        if kind in _GROUPS:
            return self._group(path, kind, body, depth)
        if not isinstance(body, dict):
            return self.problem(path, f"expected {_FORMS[kind]}")
        parse = {"performed": self._performed, "cart": self._cart, "sessions": self._sessions}[kind]
        return parse(path, body)

    def _group(self, path: str, kind: str, body: object, depth: int) -> Parsed | None:
        alone = kind == "not" and isinstance(body, dict)
        nodes = [body] if alone else body
        if not isinstance(nodes, list) or not nodes:
            return self.problem(path, f"expected {_FORMS[kind]}, at least one")
        paths = [path if alone else f"{path}[{at}]" for at in range(len(nodes))]
        parsed = [self.condition(where, node, depth + 1) for where, node in zip(paths, nodes, strict=True)]
        done = [member for member in parsed if member is not None]
        if len(done) < len(parsed):
            return None
        return _GROUPS[kind](tuple(c for c, _ in done)), {kind: [canonical for _, canonical in done]}

    def _performed(self, path: str, body: object) -> Parsed | None:
        form = self.fill(path, PerformedForm, body)
        if form is None:
            return None
        orders = ORDER_COMPLETED in form.event
        others = frozenset(form.event) - {ORDER_COMPLETED}
        keep = form.count.newest_needed + 1
        if orders and keep > ORDERS_MAX:
            most = f"at_least goes up to {ORDERS_MAX - 1}, at_most and exactly up to {ORDERS_MAX - 2}"
            return self.problem(f"{path}.count", f"for orders {most}")
        if orders:
            self.facts.want_orders(form.within)
        slot = self.facts.want_occurrences(others, form.within, keep) if others else None
        canonical = {"event": form.event, "count": form.count.test, "within": form.within}
        return Performed(form.event, form.count, form.within, orders, slot), {"performed": canonical}

    def _cart(self, path: str, body: object) -> Parsed | None:
        form = self.fill(path, CartForm, body)
        if form is None:
            return None
        if form.until is not None and form.until <= (form.idle_for or 0):
            ends = f"idle_for {format_duration(form.idle_for or 0)} and until {format_duration(form.until)}"
            return self.problem(f"{path}.until", f"until must be longer than idle_for; here are {ends}")
        self.facts.want_cart()
        canonical = {"idle_for": form.idle_for or 0, "until": form.until}
        return OpenCart(form.idle_for or 0, form.until), {"cart": canonical}

    def _sessions(self, path: str, body: object) -> Parsed | None:
        form = self.fill(path, SessionsForm, body)
        if form is None:
            return None
        if form.count.newest_needed >= INTERVALS_MAX:
            return self.problem(f"{path}.count", f"sessions are counted up to {INTERVALS_MAX - 1}")
        slot = self.facts.want_sessions(form.gap, form.within)
        canonical = {"count": form.count.test, "within": form.within, "gap": form.gap}
        return SessionCount(form.count, form.within, form.gap, slot), {"sessions": canonical}

    def segment(self, key: object, node: object) -> Segment | None:
        """One entry under ``segments``."""
        path = f"segments.{key}"
        if not isinstance(key, str) or not _KEY.fullmatch(key):
            self.problem(path, "a segment's key is lower-case letters, digits and _, such as repeat_buyer")
            return None
        if not isinstance(node, dict):
            self.problem(path, "expected {title: …, when: {…}}")
            return None
        form = self.fill(path, SegmentForm, node)
        parsed = self.condition(f"{path}.when", node.get("when"))
        if form is None or parsed is None:
            return None
        when, canonical = parsed
        return Segment(key, form.title, when, _digest({"currency": self.currency, "segments": {key: canonical}}))


def _say(kind: str, message: str, form: type[BaseModel]) -> str:
    if kind == "extra_forbidden":
        return f"unknown key; known here: {', '.join(form.model_fields)}"
    if kind == "missing":
        return f"is missing; expected {_EXAMPLES[form]}"
    return message.removeprefix("Value error, ")


def _digest(canonical: object) -> str:
    """12 hex digits. A key that a later version knows stays out of the canonical form while it is
    not used: otherwise every running installation would be stopped by definitions that did not change.
    """
    text = json.dumps(canonical, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return sha256(text.encode()).hexdigest()[:12]


class _Yaml(yaml.SafeLoader):
    """YAML that refuses a key said twice, of which plain YAML silently keeps the last."""


def _mapping(loader: _Yaml, node: yaml.MappingNode) -> dict[object, object]:
    keys: set[object] = set()
    for key_node, _ in node.value:
        if key_node.tag == "tag:yaml.org,2002:merge":
            continue  # <<: what it brings may be said again
        key = loader.construct_object(key_node)
        if isinstance(key, (str, int)) and key in keys:
            raise yaml.MarkedYAMLError(problem=f"the key {key} stands twice", problem_mark=key_node.start_mark)
        keys.add(key if isinstance(key, (str, int)) else str(key))
    mapping: dict[object, object] = loader.construct_mapping(node, deep=True)
    return mapping


_Yaml.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)


def parse(text: str, file: str) -> Definitions:
    """The definitions of a YAML text; ``file`` names it in errors.

    Raises `DefinitionsError` with every problem found.
    """
    try:
        # A SafeLoader subclass: it builds plain data only.
        document = yaml.load(text, Loader=_Yaml)  # noqa: S506
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}" if mark else "the file"
        raise DefinitionsError(file, [f"{where}: not YAML: {error.problem or error.context}"]) from None
    except (yaml.YAMLError, RecursionError) as error:
        raise DefinitionsError(file, [f"not YAML: {str(error).splitlines()[0]}"]) from None
    return build(document, file)


def build(document: object, file: str) -> Definitions:
    """The definitions of a document already read; as `parse`."""
    parser = _Parser()
    nodes = _nodes(parser, document)
    for key, node in nodes.items():
        parser.segment(key, node)
    if parser.problems:
        raise DefinitionsError(file, parser.problems)
    # Once more, sorted: facts take their places in a stored profile as they are met, and the order
    # of a file must decide nothing, as the fingerprint does not know it.
    parser.facts = Facts()
    found = (parser.segment(key, nodes[key]) for key in sorted(nodes, key=str))
    segments = tuple(segment for segment in found if segment is not None)
    return Definitions(
        segments=segments,
        facts=parser.facts,
        fingerprint=_digest({segment.key: segment.fingerprint for segment in segments}),
    )


def _nodes(parser: _Parser, document: object) -> Mapping[object, object]:
    """The segments as they stand in the file, once what is around them is checked."""
    if not isinstance(document, Mapping):
        parser.problem("", "expected a mapping with version: 1 and segments")
        return {}
    for key in document:
        if key not in ("version", "currency", "segments"):
            parser.problem(str(key), "unknown key; known here: version, currency, segments")
    if type(document.get("version")) is not int or document["version"] != 1:
        parser.problem("version", f"expected 1, here is {document.get('version')!r}")
    parser.currency = _currency(parser, document.get("currency"))
    nodes = document.get("segments")
    if not isinstance(nodes, Mapping) or not nodes:
        parser.problem("segments", "expected at least one, such as repeat_buyer: {title: …, when: {…}}")
        return {}
    if len(nodes) > SEGMENTS_MAX:
        parser.problem("segments", f"at most {SEGMENTS_MAX} segments")
        return {}
    return nodes


def _currency(parser: _Parser, given: object) -> str | None:
    if given is None or (isinstance(given, str) and _CURRENCY.fullmatch(given)):
        return given
    parser.problem("currency", f"{given!r} is not a currency; write its ISO 4217 code, such as EUR")
    return None


def built_in(name: str = "segments.yaml") -> Definitions:
    """A file that comes with this package: ``segments.yaml`` or ``demo.yaml``."""
    return parse(files("rules").joinpath(name).read_text("utf-8"), f"rules/{name}")
