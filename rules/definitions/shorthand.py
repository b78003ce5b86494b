"""Spells out the short forms of a segments file: the library and value bands.

    bands: {total: {agg: sum, …}, from: {low: 0, high: 1001}}    two segments, <key>_low and <key>_high
    library: {only: [repeat_buyer]}                              the segment repeat_buyer, and those it asks about

The result is a file without short forms, which decides and is stored.

See also: `rules.definitions.segments_file`, which reads the result.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from rules.conditions.base import Scope
from rules.definitions import forms
from rules.definitions.condition_parsing import condition
from rules.definitions.forms import BANDS_MAX
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
    bands = _ascending_bands(f"{path}.bands", form, scope)
    rest = {name: value for name, value in node.items() if name not in ("bands", "title")}
    segments: dict[str, object] = {}
    for index, (name, low) in enumerate(bands):
        # A band ends where the next one begins; the last has no end.
        high = {"below": bands[index + 1][1]} if index + 1 < len(bands) else {}
        total = {**form.total, "at_least": low, **high}
        segments[name] = {**rest, "title": f"{whole.title}: {name.replace('_', ' ')}", "when": {"total": total}}
    return segments


def _ascending_bands(path: str, form: forms.BandsForm, scope: Scope) -> list[tuple[str, object]]:
    """The bands as (name, beginning), lowest first; none after noting a problem."""
    problems, bands = scope.problems, list(form.from_.items())
    if not 0 < len(bands) <= BANDS_MAX:
        problems.note(f"{path}.from", f"expected 1 to {BANDS_MAX} bands, such as {{low: 0, high: 1001}}")
        return []
    before = len(problems.noted)
    lows = {name: _low(f"{path}.from.{name}", low, problems) for name, low in bands}
    if len(set(lows.values())) < len(lows):
        problems.note(f"{path}.from", "two bands begin at the same number", "each begins where the one below it ends")
    if set(form.total) & set(ENDS):
        problems.note(f"{path}.total", "the bands are its test", "leave out at_least, at_most, above and below")
    # The lowest band is read as a condition only to report problems of the total itself, once and not for each band.
    if len(problems.noted) == before:
        condition(scope, path, {"total": {**form.total, "at_least": bands[0][1]}})
    if len(problems.noted) > before:
        return []
    return sorted(bands, key=lambda band: lows[band[0]])


def _low(path: str, low: object, problems: Problems) -> int:
    try:
        return problems.read(path, value_test_parsing.micro, low)
    except WrongCondition:
        return 0
