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


def test_a_painted_pixel_is_still_there_while_it_looks_more_like_the_paint_than_like_what_stood_there() -> None:
    before, painted = np.full((1, 4, 3), (0, 20, 40), np.uint8), np.full((1, 4, 3), (200, 120, 60), np.uint8)
    shown = np.array([[(200, 120, 60), (150, 100, 60), (60, 50, 45), (200, 20, 255)]], np.uint8)
    assert metrics.still_painted(shown, painted, before).tolist() == [[True, True, False, False]]
    faint = painted + np.uint8(4)  # of a colour near what stood there: what is as near as the eye can tell is there
    assert metrics.still_painted(painted, faint, painted).all()


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


def noisy_pair(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    clean = rng.integers(60, 190, (2, 3, 32, 40, 3))
    return clean.astype(np.uint8), (clean + rng.integers(-50, 50, clean.shape)).clip(0, 255).astype(np.uint8)


def test_ssim_agrees_with_another_implementation() -> None:
    import torch
    from torchmetrics.functional.image import structural_similarity_index_measure

    a, b = noisy_pair()
    planes = [torch.from_numpy(part).reshape(-1, *part.shape[2:]).permute(0, 3, 1, 2).double() for part in (a, b)]
    _, theirs = structural_similarity_index_measure(*planes, data_range=255.0, reduction="none", return_full_image=True)
    inside = theirs[..., 5:-5, 5:-5].mean(dim=(1, 2, 3))  # where the whole window lies in the picture
    assert np.abs(metrics.ssim(a, b).ravel() - inside.numpy()).max() < 1e-4


def test_ssim_of_equal_brighter_and_unrelated_frames() -> None:
    a, _ = noisy_pair()
    assert np.allclose(metrics.ssim(a, a), 1.0)
    flat = np.full((1, 16, 16, 3), 100, np.uint8)
    known = (2 * 100 * 150 + metrics.SSIM_C1) / (100**2 + 150**2 + metrics.SSIM_C1)  # flat pictures differ in luminance alone
    assert abs(metrics.ssim(flat, flat + np.uint8(50))[0] - known) < 1e-4
    assert np.abs(metrics.ssim(a, noisy_pair(1)[0])).max() < 0.1


def test_ssim_and_error_look_only_where_they_are_told() -> None:
    truth = noisy_pair()[0][0]
    made = truth.copy()
    made[:, :16] = 0  # the upper half is lost
    lower = np.zeros(truth.shape[:3], bool)
    lower[:, 24:26, 10:30] = True
    assert np.allclose(metrics.ssim(made, truth, lower), 1.0)
    assert metrics.ssim(made, truth, ~lower).max() < 0.8
    assert np.allclose(metrics.error_where(made, truth, lower), 0.0)
    assert np.isnan(metrics.error_where(made, truth, np.zeros_like(lower))).all()
    assert np.isnan(metrics.ssim(made, truth, np.zeros_like(lower))).all()


def test_entropy_in_bits_of_histograms() -> None:
    assert np.allclose(metrics.entropy_bits(np.array([[4, 4, 4, 4], [9, 0, 0, 0], [0, 0, 0, 0]])), [2.0, 0.0, 0.0])


def test_information_of_a_table_is_that_of_its_counts() -> None:
    assert abs(metrics.information(np.diag([5.0, 5.0])) - 1.0) < 1e-9
    assert abs(metrics.information(np.ones((3, 4)))) < 1e-9


def test_figures_are_shown_without_powers_of_ten() -> None:
    assert [metrics.short(value) for value in (0.6378, 27.147, 901.89, 1000.0, -0.129)] == ["0.638", "27.1", "902", "1,000", "-0.129"]
