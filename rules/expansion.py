"""Short forms of a segments file, spelled out: the library and value bands.

The one rule: what comes out is a file without short forms, and only that is decided by.
"""

from __future__ import annotations

from collections.abc import Mapping

from rules import asked, forms
from rules.parsing import Problems, Scope, Wrong, condition

Nodes = dict[object, object]

BANDS_MAX = 20


def with_library(nodes: Mapping[object, object], wish: object, library: Nodes, problems: Problems) -> Nodes:
    """The library's segments that a file takes (``library: true``, ``{without: […]}`` or ``{only: […]}``) and its own.

    What the file defines itself stands in place of the library's.
    """
    if wish is None or wish is False:
        return dict(nodes)
    taken = set(library)
    if wish is not True:
        try:
            form = problems.fill("library", forms.LibraryForm, wish)
        except Wrong:
            return dict(nodes)
        for name, keys in (("without", form.without), ("only", form.only)):
            for key in set(keys) - {str(key) for key in library}:
                problems.note(f"library.{name}", f"there is no {key} in the library")
        if form.without and form.only:
            problems.note("library", "without and only say opposite things; keep one")
        taken = set(form.only) if form.only else taken - set(form.without)
    return {key: node for key, node in library.items() if key in taken} | dict(nodes)


def with_bands(nodes: Mapping[object, object], scope: Scope, families: dict[str, tuple[str, ...]]) -> Nodes:
    """Each segment that has ``bands`` becomes one per band: ``<key>_<name>``; ``families`` notes them by key."""
    spelled: Nodes = {}
    for key, node in nodes.items():
        if not isinstance(node, dict) or "bands" not in node:
            spelled[key] = node
            continue
        bands = _bands(f"segments.{key}", node, scope)
        families[str(key)] = tuple(f"{key}_{name}" for name in bands)
        for name, band in bands.items():
            band_key = f"{key}_{name}"
            if band_key in nodes:
                scope.problems.note(f"segments.{key}.bands.from.{name}", f"there is a segment {band_key} already")
            spelled[band_key] = band
    return spelled


def _bands(path: str, node: dict[object, object], scope: Scope) -> dict[str, object]:
    problems = scope.problems
    if "when" in node:
        problems.note(path, "bands take the place of when; keep one of them")
        return {}
    try:
        form = problems.fill(f"{path}.bands", forms.BandsForm, node["bands"])
    except Wrong:
        return {}
    found = list(form.from_.items())
    if not 0 < len(found) <= BANDS_MAX:
        problems.note(f"{path}.bands.from", f"expected 1 to {BANDS_MAX} bands, such as {{low: 0, high: 1001}}")
        return {}
    before = len(problems.lines)
    lows = [_low(f"{path}.bands.from.{name}", low, problems) for name, low in found]
    if len(set(lows)) < len(lows):
        problems.note(
            f"{path}.bands.from", "two bands begin at the same number; each begins where the one below it ends"
        )
    if set(form.total) & {"at_least", "at_most", "above", "below"}:
        problems.note(f"{path}.bands.total", "the bands are its test; leave out at_least, at_most, above and below")
    if len(problems.lines) == before:
        condition(scope, f"{path}.bands", {"total": {**form.total, "at_least": found[0][1]}})
    if len(problems.lines) > before:
        return {}
    found = [band for _, band in sorted(zip(lows, found, strict=True), key=lambda pair: pair[0])]
    highs = [{"below": low} for _, low in found[1:]] + [{}]
    kept = {name: told for name, told in node.items() if name not in ("bands", "title")}
    return {
        name: {
            **kept,
            "title": f"{node.get('title')}: {name.replace('_', ' ')}",
            "when": {"total": {**form.total, "at_least": low, **high}},
        }
        for (name, low), high in zip(found, highs, strict=True)
    }


def _low(path: str, low: object, problems: Problems) -> int:
    try:
        return asked.micro(low)
    except ValueError as error:
        problems.note(path, str(error))
        return 0
