"""Intervals of a difference between two arms, which hold the truth in 95 of 100 cases.

    conversions    Newcombe's hybrid score interval (Statistics in Medicine 17, 1998, method 10)
    money          the symmetric bootstrap-t interval (Hall, Journal of the Royal Statistical Society B 50, 1988), as
                   most customers spend nothing and a few spend much

The one rule: the same customers give the same interval, as the random numbers are drawn from the figures themselves.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from math import sqrt
from typing import TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

Values: TypeAlias = NDArray[np.float64]

_Z = 1.959963984540054  # of the normal distribution, for 95 of 100
_RESAMPLES = 2_000
# Random numbers that are drawn at one time; more would take more memory.
_DRAWN_AT_ONCE = 2_000_000


class LiftInterval(msgspec.Struct, frozen=True):
    """A difference, and the ends between which the true one lies in 95 of 100 cases."""

    difference: float
    low: float
    high: float

    @property
    def says_more(self) -> bool:
        """Whether the treated arm is ahead beyond chance."""
        return self.low > 0

    @property
    def says_less(self) -> bool:
        """Whether the treated arm is behind beyond chance."""
        return self.high < 0


def of_shares(treated: tuple[int, int], control: tuple[int, int]) -> LiftInterval:
    """The difference of two shares, each as (how many, of how many), treated less control."""
    (share_t, low_t, high_t), (share_c, low_c, high_c) = _score(*treated), _score(*control)
    difference = share_t - share_c
    return LiftInterval(
        difference,
        difference - sqrt((share_t - low_t) ** 2 + (high_c - share_c) ** 2),
        difference + sqrt((high_t - share_t) ** 2 + (share_c - low_c) ** 2),
    )


def _score(count: int, of: int) -> tuple[float, float, float]:
    """A share, and Wilson's score interval of it."""
    share = count / of
    middle = share + _Z**2 / (2 * of)
    half = _Z * sqrt(share * (1 - share) / of + _Z**2 / (4 * of**2))
    whole = 1 + _Z**2 / of
    return share, (middle - half) / whole, (middle + half) / whole


def of_means(treated: Sequence[float], customers_t: int, control: Sequence[float], customers_c: int) -> LiftInterval:
    """The difference of two means per customer, treated less control.

    ``treated`` and ``control``: what those who spent something spent, of so many customers in each arm.
    """
    values_t, values_c = (np.sort(np.asarray(values, dtype=np.float64)) for values in (treated, control))
    difference, error = _difference(values_t, customers_t, values_c, customers_c)
    if error == 0:
        return LiftInterval(difference, difference, difference)
    rng = np.random.default_rng(_seed(values_t, customers_t, values_c, customers_c))
    means_t, variances_t = _resampled(rng, values_t, customers_t)
    means_c, variances_c = _resampled(rng, values_c, customers_c)
    errors = np.sqrt(variances_t + variances_c)
    differences = means_t - means_c - difference
    ratios = np.divide(np.abs(differences), errors, out=np.zeros(_RESAMPLES), where=errors > 0)
    half = float(np.quantile(ratios, 0.95)) * error
    return LiftInterval(difference, difference - half, difference + half)


def _difference(values_t: Values, of_t: int, values_c: Values, of_c: int) -> tuple[float, float]:
    """The difference of the means, and its standard error."""
    means, variances = zip(*(_moments(values, of) for values, of in ((values_t, of_t), (values_c, of_c))), strict=True)
    return float(means[0] - means[1]), float(np.sqrt(sum(variances)))


def _moments(values: Values, of: int) -> tuple[float, float]:
    """The mean over all customers, and the variance of that mean."""
    mean = float(values.sum()) / of
    return mean, (float((values**2).sum()) / of - mean**2) / of


def _resampled(rng: np.random.Generator, values: Values, of: int) -> tuple[Values, Values]:
    """Means and variances of them, of as many customers drawn anew; who spent nothing needs no number of their own."""
    if not len(values):
        return np.zeros(_RESAMPLES), np.zeros(_RESAMPLES)
    counts = rng.binomial(of, len(values) / of, _RESAMPLES)
    sums, squares = np.empty(_RESAMPLES), np.empty(_RESAMPLES)
    first = 0
    while first < _RESAMPLES:
        last = first + max(1, _DRAWN_AT_ONCE // max(1, int(counts[first:].max(initial=1))))
        lengths = counts[first:last]
        drawn = values[rng.integers(0, len(values), int(lengths.sum()))]
        groups = np.repeat(np.arange(len(lengths)), lengths)
        sums[first:last] = np.bincount(groups, drawn, len(lengths))
        squares[first:last] = np.bincount(groups, drawn**2, len(lengths))
        first = last
    means = sums / of
    return means, (squares / of - means**2) / of


def _seed(values_t: Values, of_t: int, values_c: Values, of_c: int) -> int:
    """A seed that the figures give."""
    digest = sha256(f"{of_t} {of_c}".encode())
    for values in (values_t, values_c):
        digest.update(values.tobytes())
    return int.from_bytes(digest.digest()[:8], "big")
