"""Spells out the short forms of a segments file: the library and bands of a number.

    bands: {total: {agg: sum, …}, from: {low: 0, high: 1001}}    two segments, <key>_low and <key>_high
    bands: {performed: {event: page}, from: {few: 1, many: 9}}   by a count: 1 to 8, and 9 or more
    library: {only: [repeat_buyer]}                              the segment repeat_buyer, and those it asks about

The result is a file without short forms, which decides and is stored.

See also: `rules.definitions.segments_file`, which reads the result.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from rules.conditions.base import Scope
from rules.definitions import forms
from rules.definitions.condition_parsing import condition
from rules.definitions.forms import BANDED_KINDS, BANDS_MAX, COUNTED_KINDS
from rules.forms import value_test_parsing
from rules.forms.problems import Problems, WrongCondition
from rules.value_tests import ENDS

Nodes = dict[object, object]


class ExpandedSegments(msgspec.Struct, frozen=True):
    """Segments without short forms; ``families``: the segments of bands, by the key of the bands."""

    nodes: Nodes
    families: dict[str, tuple[str, ...]]


def with_library(
    own: ExpandedSegments, wish: object, library: ExpandedSegments, problems: Problems
) -> ExpandedSegments:
    """The library's segments that a file takes (``library: true``, ``{without: […]}`` or ``{only: […]}``) and its own.

    A segment that the file defines itself replaces the library's; bands replace bands.
    """
    if wish is None or wish is False:
        return own
    taken = set(library.nodes) if wish is True else _taken(wish, library, problems)
    for key in (*own.families, *own.nodes):
        taken -= set(library.families.get(str(key), (key,)))
    nodes = {key: node for key, node in library.nodes.items() if key in taken} | own.nodes
    for key in sorted(taken, key=str):
        missing = sorted(_referenced_segments(nodes[key]) - set(map(str, nodes)))
        if missing:
            problems.note("library", f"{key} asks about {', '.join(missing)}: take that too, or leave {key} out")
            del nodes[key]
    families = {key: keys for key, keys in library.families.items() if set(keys) <= set(nodes)}
    return ExpandedSegments(nodes, families | own.families)


def _taken(wish: object, library: ExpandedSegments, problems: Problems) -> set[object]:
    try:
        form = problems.fill("library", forms.LibraryForm, wish)
    except WrongCondition:
        return set()
    named: dict[str, set[object]] = {}
    for name, keys in (("without", form.without), ("only", form.only)):
        named[name] = {member for key in keys for member in library.families.get(key, (key,))}
        for key in sorted(named[name] - set(library.nodes), key=str):
            problems.note(f"library.{name}", f"there is no {key} in the library")
    if form.without and form.only:
        problems.note("library", "without and only say opposite things; keep one")
    return named["only"] & set(library.nodes) if form.only else set(library.nodes) - named["without"]


def _referenced_segments(node: object) -> set[str]:
    """The segments that are named under ``in_segment`` anywhere in a node."""
    if isinstance(node, dict):
        own = {segment for key, segment in node.items() if key == "in_segment" and isinstance(segment, str)}
        return own.union(*(_referenced_segments(inner) for inner in node.values()))
    return set[str]().union(*(_referenced_segments(inner) for inner in node)) if isinstance(node, list) else set()


def with_bands(nodes: Mapping[object, object], scope: Scope) -> ExpandedSegments:
    """Spell out ``bands``: such a segment becomes one per band, ``<key>_<name>``."""
    expanded = ExpandedSegments({}, {})
    for key, node in nodes.items():
        if not isinstance(node, dict) or "bands" not in node:
            expanded.nodes[key] = node
            continue
        bands = _bands(f"segments.{key}", node, scope)
        expanded.families[str(key)] = tuple(f"{key}_{name}" for name in bands)
        for name, band in bands.items():
            band_key = f"{key}_{name}"
            if band_key in nodes or band_key in expanded.nodes:
                scope.problems.note(f"segments.{key}.bands.from.{name}", f"there is a segment {band_key} already")
            expanded.nodes[band_key] = band
    return expanded


def _bands(path: str, node: dict[object, object], scope: Scope) -> dict[str, object]:
    """The segments of a node with bands, by the bands' names; none after noting a problem."""
    problems = scope.problems
    if "when" in node:
        problems.note(path, "bands take the place of when", "keep one of them")
        return {}
    try:
        whole = problems.fill(path, forms.SegmentForm, node)
        form = problems.fill(f"{path}.bands", forms.BandsForm, node["bands"])
    except WrongCondition:
        return {}
    tests = _tests_of_bands(f"{path}.bands", form, scope)
    rest = {name: value for name, value in node.items() if name not in ("bands", "title")}
    return {
        name: {**rest, "title": f"{whole.title}: {name.replace('_', ' ')}", "when": when}
        for name, when in tests.items()
    }


def _tests_of_bands(path: str, form: forms.BandsForm, scope: Scope) -> dict[str, Nodes]:
    """The condition of each band, by its name, lowest first; none after noting a problem."""
    problems, bands = scope.problems, list(form.from_.items())
    kinds = [kind for kind in BANDED_KINDS if getattr(form, kind) is not None]
    if len(kinds) != 1:
        problems.note(path, f"expected one of {', '.join(BANDED_KINDS)} beside from")
        return {}
    if not 0 < len(bands) <= BANDS_MAX:
        problems.note(f"{path}.from", f"expected 1 to {BANDS_MAX} bands, such as {{low: 0, high: 1001}}")
        return {}
    (kind,) = kinds
    body, before = getattr(form, kind), len(problems.noted)
    lows = {name: _low(f"{path}.from.{name}", kind, low, problems) for name, low in bands}
    if len(set(lows.values())) < len(lows):
        problems.note(f"{path}.from", "two bands begin at the same number", "each begins where the one below it ends")
    tests = ("count",) if kind in COUNTED_KINDS else ENDS
    if set(body) & set(tests):
        problems.note(f"{path}.{kind}", "the bands are its test", f"leave out {_listed(tests)}")
    if len(problems.noted) > before:
        return {}
    ascending = sorted(form.from_, key=lambda name: lows[name])
    begins: list[object] = [form.from_[name] for name in ascending]
    whens: list[Nodes] = [
        {kind: {**body, **_test(kind, low, high)}} for low, high in zip(begins, [*begins[1:], None], strict=True)
    ]
    # The ends are read as conditions only to report a problem of them all once, where it is.
    for when in (whens[0], whens[-1]):
        if len(problems.noted) == before:
            condition(scope, path, when)
    return {} if len(problems.noted) > before else dict(zip(ascending, whens, strict=True))


def _test(kind: str, low: object, high: object) -> Nodes:
    """The test of a band, which ends where the next one begins; the last has no end (``None``)."""
    if kind not in COUNTED_KINDS:
        return {"at_least": low} if high is None else {"at_least": low, "below": high}
    assert isinstance(high, int | None), "a count's bands begin at whole numbers"
    return {"count": {"at_least": low} if high is None else {"at_least": low, "at_most": high - 1}}


def _listed(names: Sequence[str]) -> str:
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last


def _low(path: str, kind: str, low: object, problems: Problems) -> int:
    if kind in COUNTED_KINDS and (not isinstance(low, int) or isinstance(low, bool) or low < 0):
        problems.note(path, f"{low!r} is not a whole number from 0 on, where a count may begin")
        return 0
    try:
        return problems.read(path, value_test_parsing.micro, low)
    except WrongCondition:
        return 0
