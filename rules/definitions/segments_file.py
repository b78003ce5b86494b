"""Definitions: reads a YAML file of segments into conditions, with errors that name the place.

The one rule: nothing starts on a wrong file. Every error names the file, the path inside it and
what would be right, and all errors of a file are reported at once. A fault of the YAML has a line and
a column (`rules.definitions.yaml_text`), a fault of meaning the path to the key, such as `segments.vip.when`.

See also: `rules.definitions.shorthand` (the short forms), `rules.definitions.condition_parsing` (the conditions), and
`rules.forms` (the bodies of conditions).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from hashlib import sha256
from importlib.resources import files
from typing import cast

import msgspec

from rules.conditions.base import Condition, Scope
from rules.definitions import limits, yaml_text
from rules.definitions.change_data import Include
from rules.definitions.condition_parsing import condition
from rules.definitions.decision_order import closure, decision_order
from rules.definitions.forms import SegmentForm
from rules.definitions.include import noted_include, without_include
from rules.definitions.parse_currency import file_currency
from rules.definitions.parse_hosts import own_hosts
from rules.definitions.parse_identity import added_placeholders
from rules.definitions.shorthand import ExpandedSegments, Nodes, with_bands, with_library
from rules.facts.order_messages import OrderFact
from rules.facts.registry import FactRegistry
from rules.forms.form import FIRST_READING, READING
from rules.forms.problems import Problem, Problems, WrongCondition, unknown_key
from rules.forms.segment_key import KEY
from rules.placeholders import Placeholders, placeholders

SEGMENTS_MAX = 1_000
# The most problems of a file that are shown.
SHOWN_MAX = 100
LIBRARY = "segments.yaml"
# A part of the fingerprint of a file: customers that are stored in another form are not read by this one.
STORED_FORMAT = 4

_TOP = ("version", "currency", "library", "placeholders", "hosts", "segments")


class DefinitionsError(Exception):
    """The definitions file is wrong; its lines say where and how. Correct the file and start again."""

    def __init__(self, file: str, problems: Sequence[Problem]) -> None:
        lines = [str(problem) for problem in problems[:SHOWN_MAX]]
        if len(problems) > SHOWN_MAX:
            lines.append(f"and {len(problems) - SHOWN_MAX:,} more problems; correct these first")
        super().__init__("\n".join(f"{file}: {line}" for line in lines))
        self.file = file
        self.problems = problems

    @property
    def lines(self) -> list[str]:
        """The problems, a line each, without the name of the file."""
        return [str(problem) for problem in self.problems]


class Segment(msgspec.Struct, frozen=True):
    """A segment: its key, its texts, its condition, and the fingerprint of its decisive parts.

    ``hold`` (ms, 0 = none): how long a customer stays at least. ``named``: the segments that its
    condition asks about. ``canonical``: what is fingerprinted. ``include``: what its changes carry, which decides
    nothing and is fingerprinted with the file alone.
    """

    key: str
    title: str
    about: str | None
    kind: str | None
    hold: int
    when: Condition
    named: frozenset[str]
    canonical: Mapping[str, object]
    include: Include | None = None
    fingerprint: str = ""


class Definitions(msgspec.Struct, frozen=True):
    """A checked file: its segments in the order in which they are decided, the facts that they need.

    That order is by depth of `in_segment`, then by key. ``families``: by the key of bands, theirs.
    ``fingerprint``: of the whole file. ``document``: the file without short forms, from which these can be built again.
    ``placeholders``: texts that are no ids; ``own_hosts``: the shop's, which are no referrers.
    """

    segments: tuple[Segment, ...]
    facts: FactRegistry
    currency: str | None
    families: Mapping[str, tuple[str, ...]]
    fingerprint: str
    document: Mapping[str, object]
    placeholders: Placeholders
    own_hosts: frozenset[str]

    def alone(self, key: str) -> Definitions:
        """The definitions of what decides one segment: its condition, and the segments that this names."""
        nodes = cast(Mapping[str, Mapping[str, object]], self.document["segments"])
        own = {other: without_include(nodes[other]) for other in closure(key, self.named)}
        return build({**self.document, "segments": own}, key)

    def segment(self, key: str) -> Segment | None:
        """The segment of this key, if there is one."""
        return next((segment for segment in self.segments if segment.key == key), None)

    @property
    def named(self) -> dict[str, frozenset[str]]:
        """The segments that each segment's condition names, by its key."""
        return {segment.key: segment.named for segment in self.segments}


def parse(text: str, file: str) -> Definitions:
    """Parse a YAML text to definitions; ``file`` names it in errors.

    Raises `DefinitionsError` with every problem found.
    """
    try:
        document = yaml_text.read(text)
    except yaml_text.NotYaml as error:
        raise DefinitionsError(file, [Problem("", str(error))]) from None
    problems = Problems()
    problems.noted += limits.problems(document)
    return _build(document, file, problems, READING)


def build(document: object, file: str) -> Definitions:
    """Build the definitions of a document that was read, whatever its size. See also `parse`.

    ``reading``, beside the keys of a file: how the customers are stored that the document decided; today's by default.
    """
    reading = READING
    if isinstance(document, Mapping) and "reading" in document:
        reading = int(document["reading"])
        document = {key: value for key, value in document.items() if key != "reading"}
    return _build(document, file, Problems(reading), reading)


def _build(document: object, file: str, problems: Problems, reading: int) -> Definitions:
    currency, expanded = _expanded(document, problems)
    added = _added(document, problems)
    hosts = frozenset(added.get("hosts", ()))
    nodes = expanded.nodes
    first = _segments(nodes, Scope(problems, currency, _places(nodes), FactRegistry(currency), set(), hosts))
    order = decision_order({segment.key: segment.named for segment in first}, problems) if not problems.noted else []
    if problems.noted:
        raise DefinitionsError(file, problems.noted)
    # Parse again, in the order of decisions: facts get their places in a stored profile in the order in which they are
    # required. The order of a file must not matter, as the fingerprint does not depend on it.
    scope = Scope(
        problems, currency, {key: index for index, key in enumerate(order)}, FactRegistry(currency), set(), hosts
    )
    segments = _segments({key: nodes[key] for key in order}, scope)
    canonical = {segment.key: segment.canonical for segment in segments}
    named = {segment.key: segment.named for segment in segments}
    marked = tuple(
        msgspec.structs.replace(segment, fingerprint=_digest({
            "currency": currency,
            "segments": {key: canonical[key] for key in closure(segment.key, named)},
        }))
        for segment in segments
    )  # fmt: skip
    fingerprints = {segment.key: segment.fingerprint for segment in marked}
    read_as: dict[str, object] = {} if reading == FIRST_READING else {"reading": reading}
    if carried := {segment.key: segment.include.canonical for segment in segments if segment.include is not None}:
        read_as["include"] = carried
    whole = _digest({"stored": STORED_FORMAT, "segments": fingerprints, **added, **read_as})
    document = {"version": 1, "segments": {str(key): node for key, node in nodes.items()}, **added, "reading": reading}
    document |= {} if currency is None else {"currency": currency}
    no_ids = placeholders(added.get("placeholders", ()))
    return Definitions(marked, scope.facts, currency, expanded.families, whole, document, no_ids, hosts)


def built_in(name: str = LIBRARY) -> Definitions:
    """Load a file of this package: the library, or ``demo.yaml``."""
    return parse(_packaged(name), f"rules/{name}")


def _packaged(name: str) -> str:
    return files("rules").joinpath(name).read_text("utf-8")


# --- the file around the conditions


def _expanded(document: object, problems: Problems) -> tuple[str | None, ExpandedSegments]:
    """The currency and the segments of a document, with short forms spelled out."""
    if not isinstance(document, Mapping):
        problems.note("", "expected a mapping with version: 1 and segments")
        return None, ExpandedSegments({}, {})
    for key in document:
        if key not in _TOP:
            problems.note(str(key), *unknown_key(_TOP))
    if type(document.get("version")) is not int or document["version"] != 1:
        problems.note("version", f"expected 1, here is {document.get('version')!r}")
    library: dict[object, object] = {}
    if document.get("library") not in (None, False):
        packaged = yaml_text.read(_packaged(LIBRARY))
        assert isinstance(packaged, dict)
        library = packaged
    currency = file_currency(problems, document.get("currency")) or library.get("currency")
    assert currency is None or isinstance(currency, str)
    nodes = document.get("segments", {} if library else None)
    if not isinstance(nodes, Mapping) or (not nodes and not library):
        problems.note("segments", "expected at least one, such as repeat_buyer: {title: …, when: {…}}")
        return currency, ExpandedSegments({}, {})
    scope = Scope(problems, currency, {}, FactRegistry(), set())
    taken = with_library(
        with_bands(nodes, scope), document.get("library"), with_bands(_nodes(library), scope), problems
    )
    if not taken.nodes and not problems.noted:
        problems.note("segments", "nothing is left; expected at least one")
    # Counted after the short forms are spelled out, as one short form may be many segments.
    if len(taken.nodes) > SEGMENTS_MAX:
        count = len(taken.nodes)
        problems.note(
            "segments", f"at most {SEGMENTS_MAX:,}, here are {count:,}: a change carries the whole membership"
        )
        return currency, ExpandedSegments({}, {})
    return currency, taken


def _added(document: object, problems: Problems) -> dict[str, list[str]]:
    """The lists of a document beside its segments, by key. One that is empty stays out, as `_digest` says."""
    given = document if isinstance(document, Mapping) else {}
    added = {
        "placeholders": added_placeholders(problems, given.get("placeholders")),
        "hosts": own_hosts(problems, given.get("hosts")),
    }
    return {key: texts for key, texts in added.items() if texts}


def _nodes(document: Mapping[object, object]) -> Nodes:
    nodes = document.get("segments", {})
    assert isinstance(nodes, dict)
    return nodes


# --- segments


def _places(nodes: Nodes) -> dict[str, int]:
    return {key: index for index, key in enumerate(nodes) if isinstance(key, str)}


def _segments(nodes: Nodes, scope: Scope) -> list[Segment]:
    segments = []
    for index, (key, node) in enumerate(nodes.items()):
        scope.facts.segment = index
        segment = _segment(key, node, scope)
        if segment is not None:
            segments.append(segment)
    return segments


def _segment(key: object, node: object, scope: Scope) -> Segment | None:
    """Parse one entry under ``segments``; ``None`` after noting a problem."""
    path = f"segments.{key}"
    if not isinstance(key, str) or not KEY.fullmatch(key):
        scope.problems.note(
            path, "a segment's key is lower-case letters, digits and _, at most 64, such as repeat_buyer"
        )
        return None
    if not isinstance(node, dict):
        scope.problems.note(path, "expected {title: …, when: {…}}")
        return None
    scope.named = set()
    form = None
    with suppress(WrongCondition):
        form = scope.problems.fill(path, SegmentForm, node)
    parsed = condition(scope, f"{path}.when", node.get("when"))
    if form is None or parsed is None:
        return None
    when, form_of_when = parsed
    assert isinstance(form_of_when, dict)
    hold = form.hold or 0
    if hold:
        # An order ends a minimum stay, so a repeat of its message must be recognised.
        scope.facts.require(OrderFact(hold, currency=scope.currency))
    canonical = form_of_when | ({"hold": hold} if hold else {})
    carried = noted_include(scope, f"{path}.include", form.include)
    return Segment(key, form.title, form.about, form.kind, hold, when, frozenset(scope.named), canonical, carried)


def _digest(canonical: object) -> str:
    """12 hex digits. A key that a later version knows stays out of the canonical form while it is
    not used: otherwise every running installation would be stopped by definitions that did not change.
    """
    text = json.dumps(canonical, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return sha256(text.encode()).hexdigest()[:12]
