"""Metrics on constructed cases with known answers."""

from __future__ import annotations

import numpy as np

from genie import metrics


def test_psnr_of_a_constant_error() -> None:
    truth = np.full((2, 8, 8, 3), 100, np.uint8)
    error = metrics.squared_error(truth + np.uint8(10), truth)
    assert error.tolist() == [100.0, 100.0]
    assert abs(metrics.psnr(error) - 10 * np.log10(255**2 / 100)) < 1e-6


def test_the_mean_of_psnrs_is_not_the_psnr_of_the_mean() -> None:
    error = np.array([1.0, 100.0])
    assert abs(metrics.mean_psnr(error) - 10 * np.log10(255**2 / 10)) < 1e-6
    assert abs(metrics.psnr(error) - 10 * np.log10(255**2 / 50.5)) < 1e-6
    assert abs(metrics.mean_psnr(np.zeros(3)) - 58.92) < 0.01  # equal frames


def test_changed_error_looks_only_where_something_changed() -> None:
    before = np.zeros((8, 8, 3), np.uint8)
    truth = before.copy()
    truth[0, 0] = 200
    made = np.full_like(before, 50)
    assert metrics.changed_error(made, truth, before) == 150.0**2
    assert metrics.changed_error(made, before, before) == 0.0


def test_perplexity_counts_evenly_used_codes() -> None:
    assert abs(metrics.perplexity(np.array([5, 5, 5, 5, 0])) - 4.0) < 1e-9
    assert abs(metrics.perplexity(np.array([9, 0])) - 1.0) < 1e-9


def test_mutual_information_of_equal_and_independent_codes() -> None:
    a = np.arange(4000) % 4
    assert abs(metrics.mutual_information(a, a) - 2.0) < 1e-9
    assert abs(metrics.mutual_information(a, np.arange(4000) // 4 % 5)) < 1e-9


def test_majority_accuracy_lets_each_code_stand_for_one_label() -> None:
    codes, labels = np.array([0, 0, 0, 1, 1]), np.array([2, 2, 1, 0, 0])
    assert metrics.majority_accuracy(codes, labels) == 0.8
