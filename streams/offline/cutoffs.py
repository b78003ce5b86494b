"""Cut-offs from data: how a number is spread over the customers, and where to cut it into bands.

A suggestion is rounded to a number that a person would write, and no band that it makes is empty.

See also: `streams.cli.distribution`, which prints the suggestions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import msgspec
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

BARS = 12
CELLS_MAX = 400  # natural breaks are computed over at most so many quantiles: their cost grows by the square of it
_DIGITS = (2, 3, 4, 6, 9, 15)


class ValueSpread(msgspec.Struct, frozen=True):
    """The spread of values: their deciles, and the edges and counts of a histogram's bars."""

    count: int
    least: float
    greatest: float
    mean: float
    deciles: list[float]
    edges: list[float]
    bars: list[int]


def spread(values: Sequence[float]) -> ValueSpread:
    """The spread of one value or more.

    Positive values that reach over more than three powers of ten get bars of equal ratio, as bars of equal width would
    put nearly all values into the first bar.
    """
    ascending = np.sort(np.asarray(values, dtype=np.float64))
    low, high = float(ascending[0]), float(ascending[-1])
    if low > 0 and high / low > 1_000:
        edges = np.geomspace(low, high, BARS + 1)
    else:
        edges = np.linspace(low, high if high > low else low + 1, BARS + 1)
    edges[-1] = max(edges[-1], high)
    bars, _ = np.histogram(ascending, edges)
    deciles = [float(value) for value in np.quantile(ascending, np.arange(1, 10) / 10)]
    return ValueSpread(
        count=len(ascending),
        least=low,
        greatest=high,
        mean=float(ascending.mean()),
        deciles=deciles,
        edges=edges.tolist(),
        bars=bars.tolist(),
    )


def quantile_cuts(values: Sequence[float], bands: int) -> list[float]:
    """Cut-offs by which about as many customers fall into each band; ascending."""
    ascending = np.sort(np.asarray(values, dtype=np.float64))
    return _readable(np.quantile(ascending, np.arange(1, bands) / bands), ascending)


def natural_cuts(values: Sequence[float], bands: int) -> list[float]:
    """Cut-offs by which values of one band lie close together (Jenks' natural breaks); ascending.

    The result is exact over the values or, if more than 400 of them differ, over 400 quantiles of them. See W. D.
    Fisher, On grouping for maximum homogeneity, JASA 53 (1958).
    """
    ascending = np.sort(np.asarray(values, dtype=np.float64))
    cells, weights = np.unique(ascending, return_counts=True)
    if len(cells) > CELLS_MAX:
        cells = np.unique(np.quantile(ascending, np.linspace(0, 1, CELLS_MAX)))
        cell_of_value = np.clip(np.searchsorted(cells, ascending, side="right") - 1, 0, len(cells) - 1)
        weights = np.bincount(cell_of_value, minlength=len(cells))
    starts = _breaks(cells, weights.astype(np.float64), min(bands, len(cells)))
    cuts = np.array([(cells[start - 1] + cells[start]) / 2 for start in starts])
    return _readable(cuts, ascending)


def _breaks(cells: Floats, weights: Floats, bands: int) -> list[int]:
    """The index of the cell at which each band but the first begins, for the least sum of squared deviations.

    Dynamic programming: ``best[end]`` is the least cost of the cells up to ``end`` in so many bands, and each round
    adds a band. The costs of all possible bands come from sums up to each cell, of weights, values and squares.
    """
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
    return _starts(chosen, last=count - 1)


def _starts(chosen: list[NDArray[np.int64]], last: int) -> list[int]:
    """Follow the choices back from the last cell: where each band but the first begins, ascending."""
    starts: list[int] = []
    for start_of_last_band in reversed(chosen):
        start = int(start_of_last_band[last])
        starts.append(start)
        last = start - 1
    return starts[::-1]


def _readable(cuts: Floats, ascending: Floats) -> list[float]:
    """Round cut-offs to the fewest digits by which each is above the least value and no band is empty.

    If no number of digits does for all of them, the most of them that can be had.
    """
    exact = cast("list[float]", cuts.tolist())
    best: list[float] = []
    for digits in _DIGITS:
        rounded = [_rounded(cut, digits) for cut in exact]
        usable = _usable(rounded, ascending)
        if len(usable) == len(exact):
            return usable
        best = max(best, usable, key=len)
    return best


def _usable(cuts: list[float], ascending: Floats) -> list[float]:
    """The cut-offs that leave a value between each and the one before it, and at least one above it."""
    usable: list[float] = []
    edge = float(ascending[0])
    for cut in cuts:
        below_cut = int(np.searchsorted(ascending, cut))
        below_edge = int(np.searchsorted(ascending, edge))
        if below_edge < below_cut < len(ascending) and cut > edge:
            usable.append(cut)
            edge = cut
    return usable


def _rounded(value: float, digits: int) -> float:
    """Round to so many digits, and to at most six after the point: a segments file cannot write more."""
    if value == 0:
        return 0.0
    places = digits - 1 - int(np.floor(np.log10(abs(value))))
    return round(value, min(places, 6))
