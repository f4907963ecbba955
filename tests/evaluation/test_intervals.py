"""Intervals: known coverage on constructed data, and what follows from drawing episodes, not frames."""

from __future__ import annotations

import numpy as np

from genie.evaluation.intervals import apart, around, mean_of, statistic_of
from genie.evaluation.report import Estimate


def test_the_interval_of_a_mean_is_that_of_theory() -> None:
    values = np.random.default_rng(0).normal(10.0, 2.0, 400)
    found = mean_of(values, np.arange(400))
    assert found.value is not None and abs(found.value - values.mean()) < 1e-9
    assert found.low is not None and found.high is not None
    assert abs((found.high - found.low) - 2 * 1.96 * 2.0 / 20) < 0.05
    assert found.low < 10.0 < found.high


def test_many_frames_of_few_episodes_do_not_make_it_narrow() -> None:
    per_episode = np.random.default_rng(1).normal(0, 1, 10)
    values, episodes = np.repeat(per_episode, 100), np.repeat(np.arange(10), 100)
    by_episode, by_frame = mean_of(values, episodes), mean_of(values, np.arange(1000))
    assert by_episode.high - by_episode.low > 5 * (by_frame.high - by_frame.low)  # type: ignore[operator]
    assert by_episode.episodes == 10


def test_missing_values_are_left_out_and_nothing_at_all_is_null() -> None:
    values = np.array([[1.0, np.nan], [3.0, np.nan]])
    assert mean_of(values, np.arange(2)).value == 2.0
    nothing = mean_of(np.full(3, np.nan), np.arange(3))
    assert (nothing.value, nothing.low, nothing.high) == (None, None, None)


def test_episodes_that_say_nothing_are_not_counted() -> None:
    values = np.full(64, np.nan)
    values[:2] = 1.0, 0.0
    found = mean_of(values, np.arange(64))
    assert (found.value, found.low, found.high, found.episodes) == (0.5, None, None, 2)
    assert apart(found, mean_of(np.zeros(64), np.arange(64))) is None
    tables = np.zeros((64, 2))
    tables[0] = 1.0
    share = statistic_of(tables, lambda total: float(total[0] / max(1, total.sum())), np.arange(64), telling=tables.any(1))
    assert (share.value, share.low, share.episodes) == (0.5, None, 1)


def test_of_one_episode_there_is_a_value_and_no_interval() -> None:
    values, episodes = np.arange(20.0), np.zeros(20, int)
    for found in (mean_of(values, episodes), statistic_of(values[:, None], lambda total: float(total[0]), episodes)):
        assert found.value is not None and (found.low, found.high, found.episodes) == (None, None, 1)


def test_a_statistic_of_summed_tables() -> None:
    tables = np.array([[1.0, 3.0], [3.0, 1.0], [2.0, 2.0]])
    found = statistic_of(tables, lambda total: float(total[0] / total.sum()), np.arange(3))
    assert found.value == 0.5
    assert found.low is not None and found.high is not None and 0.25 <= found.low < 0.5 < found.high <= 0.75


def test_the_same_seed_gives_the_same_interval() -> None:
    values = np.random.default_rng(2).normal(size=50)
    assert mean_of(values, np.arange(50), seed=3) == mean_of(values, np.arange(50), seed=3)
    assert mean_of(values, np.arange(50), seed=3) != mean_of(values, np.arange(50), seed=4)


def test_replicates_that_lie_too_high_are_put_around_the_value() -> None:
    found = around(1.0, np.random.default_rng(3).normal(5.0, 0.1, 500), 4)
    assert found.value == 1.0
    assert found.low is not None and found.high is not None and 0.7 < found.low < 1.0 < found.high < 1.3


def test_estimates_are_apart_where_their_intervals_do_not_meet() -> None:
    def estimate(low: float, high: float) -> Estimate:
        return Estimate(value=(low + high) / 2, low=low, high=high)

    assert apart(estimate(2, 3), estimate(0, 1)) is True
    assert apart(estimate(0, 2), estimate(1, 3)) is False
    assert apart(None, estimate(0, 1)) is None
