"""Fidelity on constructed clips: identity, noise, a shift, a frozen picture."""

from __future__ import annotations

import numpy as np

from genie.evaluation.fidelity import against, horizon_section, tokenizer_section
from genie.evaluation.report import Section

PEAK = 10 * np.log10(255**2 * 12)  # PSNR of equal frames, 58.92 dB


def scrolling(clips: int = 4, frames: int = 9, seed: int = 0) -> np.ndarray:
    """A random landscape that moves two pixels to the left each frame, uint8 [B, T, 24, 32, 3]."""
    land = np.random.default_rng(seed).integers(0, 255, (clips, 24, 32 + 2 * frames, 3), dtype=np.uint8)
    return np.stack([land[:, :, 2 * t : 2 * t + 32] for t in range(frames)], axis=1)


def value(section: Section, name: str) -> float:
    found = next(metric for metric in section.metrics if metric.name == name)
    assert found.world.value is not None
    return found.world.value


def test_equal_frames_score_the_most_that_bytes_allow() -> None:
    clip = scrolling()
    found = against(clip[:, 1:], clip[:, 1:], clip[:, :-1])
    assert np.allclose(found.psnr, PEAK) and np.allclose(found.psnr_moving, PEAK)
    assert np.allclose(found.ssim, 1.0) and np.allclose(found.ssim_moving, 1.0)


def test_a_constant_error_has_the_psnr_of_the_textbook_also_on_moving_pixels() -> None:
    clip = scrolling().clip(0, 240)
    found = against(clip[:, 1:] + np.uint8(10), clip[:, 1:], clip[:, :-1])
    assert np.allclose(found.psnr, 10 * np.log10(255**2 / 100), atol=1e-4)
    assert np.allclose(found.psnr_moving, found.psnr, atol=1e-4)


def test_an_error_in_the_still_part_does_not_count_as_moving() -> None:
    truth = np.full((1, 2, 24, 32, 3), 100, np.uint8)
    truth[:, 1, :12] = 200  # the upper half changes
    made = truth[:, 1:].copy()
    made[:, :, 18:] = 0  # the lower half is wrong
    found = against(made, truth[:, 1:], truth[:, :1])
    assert found.psnr.item() < 15
    assert np.allclose(found.psnr_moving, PEAK)
    still = against(truth[:, :1], truth[:, :1], truth[:, :1])
    assert np.isnan(still.psnr_moving).all()


def test_horizons_know_the_truth_from_a_late_rollout_and_from_a_frozen_picture() -> None:
    clip = scrolling(frames=11)
    truth = clip[:, :9]
    late = clip[:, 1:9]  # shifted by a frame: shows what was one frame before
    section = horizon_section(truth, 2, {"keys": truth[:, 2:], "random": late[:, :7]}, (1, 2, 4), np.arange(4))
    curve = next(c for c in section.curves if c.name == "horizon_psnr")
    exact, shifted, frozen = (curve.lines[label] for label in ("the recorded keys", "random actions", "copying the last frame"))
    for i in range(3):
        assert abs(exact[i].value - PEAK) < 1e-4  # type: ignore[operator]
        assert shifted[i].value < 12  # type: ignore[operator]
        assert frozen[i].value < 12  # type: ignore[operator]
    assert value(section, "ssim_4_keys") > 0.9999
    metric = next(m for m in section.metrics if m.name == "psnr_4_keys")
    assert metric.real is not None and metric.blind is not None
    assert metric.real.value == exact[2].value and metric.blind.value == shifted[2].value


def test_the_tokenizer_that_keeps_everything_and_uses_every_code() -> None:
    clip = scrolling(frames=17)
    codes = np.tile(np.arange(16).reshape(16, 1, 1), (4, 1, 1, 2))  # [B, T-1, N, G], each of 16 codes once a clip
    section = tokenizer_section(clip, np.arange(4), clip, codes, 16)
    assert abs(value(section, "tokenizer_psnr") - PEAK) < 1e-4
    assert abs(value(section, "tokenizer_ssim") - 1) < 1e-6
    assert abs(value(section, "tokenizer_perplexity") - 16) < 1e-9
    assert value(section, "tokenizer_codes_seen") == 1.0


def test_a_tokenizer_that_collapsed_is_seen() -> None:
    clip = scrolling(frames=17)
    codes = np.zeros((4, 16, 1, 2), np.int64)
    noise = np.random.default_rng(5).integers(0, 255, clip.shape, dtype=np.uint8)
    section = tokenizer_section(clip, np.arange(4), noise, codes, 16)
    assert value(section, "tokenizer_psnr") < 9
    assert abs(value(section, "tokenizer_ssim")) < 0.1
    assert abs(value(section, "tokenizer_perplexity") - 1) < 1e-9
    assert value(section, "tokenizer_codes_seen") == 1 / 16
