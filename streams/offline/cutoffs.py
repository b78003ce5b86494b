"""Cut-offs from data: how a number is spread over the customers, and where to cut it.

The one rule: a suggestion is rounded to a number that a person would write, and every band that
it makes holds somebody.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import msgspec
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

BARS = 12
CELLS_MAX = 400  # natural breaks look at so many quantiles at most: their cost is the square of it
_DIGITS = (2, 3, 4, 6, 9, 15)


class ValueSpread(msgspec.Struct, frozen=True):
    """How values are spread: their deciles, and the edges and counts of a histogram's bars."""

    count: int
    least: float
    greatest: float
    mean: float
    deciles: list[float]
    edges: list[float]
    bars: list[int]


def spread(values: Sequence[float]) -> ValueSpread:
    """The spread of one value or more. Where they reach over three powers of ten, bars do so too."""
    found = np.sort(np.asarray(values, dtype=np.float64))
    low, high = float(found[0]), float(found[-1])
    positive = found[found > 0]
    if len(positive) == len(found) and high / low > 1_000:
        edges = np.geomspace(low, high, BARS + 1)
    else:
        edges = np.linspace(low, high if high > low else low + 1, BARS + 1)
    edges[-1] = max(edges[-1], high)
    bars, _ = np.histogram(found, edges)
    deciles = [float(value) for value in np.quantile(found, np.arange(1, 10) / 10)]
    return ValueSpread(len(found), low, high, float(found.mean()), deciles, edges.tolist(), bars.tolist())


def quantile_cuts(values: Sequence[float], bands: int) -> list[float]:
    """Where to cut so that about as many customers fall into each band; ascending."""
    found = np.sort(np.asarray(values, dtype=np.float64))
    return _written(np.quantile(found, np.arange(1, bands) / bands), found)


def natural_cuts(values: Sequence[float], bands: int) -> list[float]:
    """Where to cut so that values of one band lie close together (Jenks' natural breaks); ascending.

    Exact over the values or, where there are more than 400 different ones, over 400 quantiles of
    them: W. D. Fisher, On grouping for maximum homogeneity, JASA 53 (1958).
    """
    found = np.sort(np.asarray(values, dtype=np.float64))
    cells, weights = np.unique(found, return_counts=True)
    if len(cells) > CELLS_MAX:
        cells = np.unique(np.quantile(found, np.linspace(0, 1, CELLS_MAX)))
        places = np.clip(np.searchsorted(cells, found, side="right") - 1, 0, len(cells) - 1)
        weights = np.bincount(places, minlength=len(cells))
    starts = _breaks(cells, weights.astype(np.float64), min(bands, len(cells)))
    return _written(np.array([(cells[at - 1] + cells[at]) / 2 for at in starts]), found)


def _breaks(cells: Floats, weights: Floats, bands: int) -> list[int]:
    """Where each band but the first begins, of the bands with the least sum of squared deviations."""
    count = len(cells)
    total = np.concatenate([[0.0], np.cumsum(weights)])
    first = np.concatenate([[0.0], np.cumsum(weights * cells)])
    second = np.concatenate([[0.0], np.cumsum(weights * cells * cells)])
    begin, end = np.meshgrid(np.arange(count), np.arange(1, count + 1), indexing="ij")
    inside = np.where(end > begin, total[end] - total[begin], 1.0)
    cost = second[end] - second[begin] - np.square(first[end] - first[begin]) / inside
    cost = np.where(end > begin, np.maximum(cost, 0.0), np.inf)  # [begin, end - 1]
    best = cost[0]
    chosen: list[NDArray[np.int64]] = []
    for _ in range(bands - 1):
        with_one_more = best[:-1, None] + cost[1:]
        chosen.append(np.argmin(with_one_more, axis=0) + 1)
        best = np.min(with_one_more, axis=0)
    found: list[int] = []
    last = count - 1
    for starts in reversed(chosen):
        begin_at = int(starts[last])
        found.append(begin_at)
        last = begin_at - 1
    return found[::-1]


def _written(cuts: Floats, found: Floats) -> list[float]:
    """Rounded to as few digits as tell them apart, each above the least value and with somebody in every band."""
    best: list[float] = []
    for digits in _DIGITS:
        kept = _kept([_rounded(cut, digits) for cut in cast("list[float]", cuts.tolist())], found)
        if len(kept) == len(cuts):
            return kept
        best = max(best, kept, key=len)
    return best


def _kept(cuts: list[float], found: Floats) -> list[float]:
    kept: list[float] = []
    edge = float(found[0])
    for cut in cuts:
        below = int(np.searchsorted(found, cut))
        since = int(np.searchsorted(found, edge))
        if below > since and below < len(found) and cut > edge:
            kept.append(cut)
            edge = cut
    return kept


def _rounded(value: float, digits: int) -> float:
    """To so many digits, and not beyond the sixth after the point, which is as far as a rule can write."""
    if value == 0:
        return 0.0
    places = digits - 1 - int(np.floor(np.log10(abs(value))))
    return round(value, min(places, 6))
