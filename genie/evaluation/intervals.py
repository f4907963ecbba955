"""Confidence intervals by bootstrap over episodes: frames of one episode are not independent, so episodes are what is drawn again.

Everything is vectorised over the draws: a statistic that is a function of sums (a mean, an F1, a mutual information) is computed on the
sums of the episodes drawn. Only episodes that say something count. Of fewer than `LEAST_EPISODES` of them nothing can be said about others:
there is a value, and no interval.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from genie.evaluation.report import Estimate

DRAWS = 1000
LEVEL = 0.95
LEAST_EPISODES = 3


def groups(episodes: np.ndarray) -> tuple[np.ndarray, int]:
    """int [N] of any labels -> int [N] in 0 … E-1, and E."""
    labels, number = np.unique(episodes, return_inverse=True)
    return number, len(labels)


def draws(count: int, seed: int = 0, times: int = DRAWS) -> np.ndarray:
    """int [times, count]: how often each of `count` episodes is taken in each draw (each row sums to `count`)."""
    return np.random.default_rng([seed, 17]).multinomial(count, np.full(count, 1 / count), size=times)


def interval(replicates: np.ndarray, episodes: int) -> tuple[float, float]:
    """The middle `LEVEL` of a statistic's replicates; those that are not finite are left out. NaN where there are too few episodes."""
    finite = replicates[np.isfinite(replicates)]
    if not len(finite) or episodes < LEAST_EPISODES:
        return float("nan"), float("nan")
    low, high = np.quantile(finite, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def mean_of(values: np.ndarray, episodes: np.ndarray, seed: int = 0) -> Estimate:
    """The mean of values [N] or [N, K] (each row of an episode, int [N]) with its interval; NaN counts as missing."""
    values = np.asarray(values, np.float64).reshape(len(values), -1)
    there = np.isfinite(values)
    rows = there.any(1)
    if not rows.any():
        return Estimate(value=None)
    number, count = groups(np.asarray(episodes)[rows])
    sums, sizes = np.zeros(count), np.zeros(count)
    np.add.at(sums, number, np.where(there, values, 0.0)[rows].sum(1))
    np.add.at(sizes, number, there[rows].sum(1))
    taken = draws(count, seed)
    low, high = interval((taken @ sums) / (taken @ sizes), count)
    return Estimate.of(sums.sum() / sizes.sum(), low, high, count)


def statistic_of(
    tables: np.ndarray,
    statistic: Callable[[np.ndarray], float],
    episodes: np.ndarray,
    seed: int = 0,
    times: int = DRAWS // 2,
    telling: np.ndarray | None = None,
) -> Estimate:
    """A function of summed tables: float [N, ...] (each of an episode) -> statistic(sum over the rows) with its interval.

    Args:
        telling: bool [N], which rows say something about it, where not all do; only their episodes are counted.
    """
    number, count = groups(episodes)
    by_episode = np.zeros((count, *tables.shape[1:]))
    np.add.at(by_episode, number, tables)
    replicates = np.array([statistic(np.tensordot(taken, by_episode, 1)) for taken in draws(count, seed, times)])
    counted = count if telling is None else len(np.unique(number[telling]))
    return Estimate.of(statistic(by_episode.sum(0)), *interval(replicates, counted), counted)


def around(value: float, replicates: np.ndarray, episodes: int) -> Estimate:
    """For a statistic that draws with repetition bias (distances between samples): the replicates' spread, put around the value."""
    low, high = interval(replicates - np.nanmean(replicates) + value, episodes)
    return Estimate.of(value, low, high, episodes)


def apart(upper: Estimate | None, lower: Estimate | None) -> bool | None:
    """Whether two estimates can be told apart: their intervals do not meet. None where one is missing."""
    if upper is None or lower is None or upper.value is None or lower.value is None:
        return None
    if upper.low is None or lower.low is None or upper.high is None or lower.high is None:
        return None
    return upper.low > lower.high or lower.low > upper.high
