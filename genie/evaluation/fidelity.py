"""Fidelity: what the tokenizer keeps, and how far rollouts follow the truth (docs/evaluation.md has the formulas)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from genie.evaluation.intervals import mean_of, statistic_of
from genie.evaluation.report import Curve, Estimate, Metric, Section
from genie.metrics import changed_pixels, error_where, frame_psnr, perplexity, psnr, squared_error, ssim

LABELS = {
    "latent": "latent actions inferred from the truth",
    "keys": "the recorded keys",
    "random": "random actions",
    "copy": "copying the last frame",
}


@dataclass(frozen=True)
class Against:
    """Frames against the truth, float [B, S] each; NaN where nothing moved."""

    psnr: np.ndarray
    psnr_moving: np.ndarray
    ssim: np.ndarray
    ssim_moving: np.ndarray
    error: np.ndarray  # squared levels


def against(made: np.ndarray, truth: np.ndarray, before: np.ndarray) -> Against:
    """Compare uint8 [B, S, H, W, 3] with the truth; `before` are the true frames one step earlier, which tell what moved."""
    moving = changed_pixels(truth, before)
    error = squared_error(made, truth)
    return Against(
        psnr=frame_psnr(error),
        psnr_moving=frame_psnr(error_where(made, truth, moving)),
        ssim=ssim(made, truth),
        ssim_moving=ssim(made, truth, moving),
        error=error,
    )


def tokenizer_section(
    frames: np.ndarray,
    episodes: np.ndarray,
    made: np.ndarray,
    codes: np.ndarray,
    vocabulary: int,
    seed: int = 0,
) -> Section:
    """The round trip: frames uint8 [B, T, H, W, 3], what the tokenizer `made` of them unrolled, its codes [B, T-1, P, G]."""
    truth, before = frames[:, 1:], frames[:, :-1]
    found = against(made[:, 1:], truth, before)
    pooled = statistic_of(np.stack([found.error.sum(1), np.full(len(frames), found.error.shape[1])], 1), _pooled, episodes, seed)
    used = [_code_table(codes[..., g], vocabulary) for g in range(codes.shape[-1])]
    evenly = statistic_of(np.stack(used, axis=1), lambda counts: float(np.mean([perplexity(c) for c in counts])), episodes, seed, 100)
    share = float(np.mean([(table.sum(0) > 0).mean() for table in used]))
    copied = against(np.broadcast_to(frames[:, :1], truth.shape), truth, before)
    metrics = [
        Metric(name="tokenizer_psnr", title="tokenizer, mean PSNR", unit="dB", headline=True,
               world=mean_of(found.psnr, episodes, seed), blind=mean_of(copied.psnr, episodes, seed)),
        Metric(name="tokenizer_psnr_pooled", title="tokenizer, PSNR of the mean error", unit="dB", world=pooled),
        Metric(name="tokenizer_psnr_moving", title="tokenizer, PSNR of moving pixels", unit="dB",
               world=mean_of(found.psnr_moving, episodes, seed), blind=mean_of(copied.psnr_moving, episodes, seed)),
        Metric(name="tokenizer_ssim", title="tokenizer, SSIM", world=mean_of(found.ssim, episodes, seed),
               blind=mean_of(copied.ssim, episodes, seed)),
        Metric(name="tokenizer_ssim_moving", title="tokenizer, SSIM of moving pixels", world=mean_of(found.ssim_moving, episodes, seed),
               blind=mean_of(copied.ssim_moving, episodes, seed)),
        Metric(name="tokenizer_perplexity", title=f"codes in use evenly, of {vocabulary:,}", world=evenly, better="neither"),
        Metric(name="tokenizer_codes_seen", title="share of the codes that occur", world=Estimate(value=share), better="neither",
               note=f"in {codes[..., 0].size:,} draws a code"),
    ]  # fmt: skip
    steps = _few(found.psnr.shape[1])
    curve = Curve(
        name="tokenizer_unrolled",
        title="Tokenizer unrolled on its own output: PSNR by frame",
        unit="dB",
        x=steps,
        lines={
            "whole frame": tuple(mean_of(found.psnr[:, s - 1], episodes, seed) for s in steps),
            "moving pixels": tuple(mean_of(found.psnr_moving[:, s - 1], episodes, seed) for s in steps),
        },
    )
    notes = ("The blind line of the table is the first frame, repeated.",)
    return Section(name="tokenizer", title="Tokenizer", metrics=tuple(metrics), curves=(curve,), notes=notes)


def horizon_section(
    truth: np.ndarray, prompt_frames: int, rollouts: dict[str, np.ndarray], horizons: tuple[int, ...], episodes: np.ndarray, seed: int = 0
) -> Section:
    """PSNR and SSIM by horizon: uint8 [B, P + S, H, W, 3] and rollouts [B, S, H, W, 3] under labels of `LABELS`."""
    at = np.array(horizons) + prompt_frames - 1
    shown, before = truth[:, at], truth[:, at - 1]
    made = {label: frames[:, np.array(horizons) - 1] for label, frames in rollouts.items()}
    made["copy"] = np.broadcast_to(truth[:, prompt_frames - 1 : prompt_frames], shown.shape)
    found = {label: against(frames, shown, before) for label, frames in made.items()}
    curves = []
    for name, title, unit in (
        ("psnr", "PSNR, whole frame", "dB"),
        ("psnr_moving", "PSNR, moving pixels", "dB"),
        ("ssim", "SSIM, whole frame", ""),
        ("ssim_moving", "SSIM, moving pixels", ""),
    ):
        lines = {
            LABELS[label]: tuple(mean_of(getattr(result, name)[:, i], episodes, seed) for i in range(len(horizons)))
            for label, result in found.items()
        }
        curves.append(Curve(name=f"horizon_{name}", title=title, unit=unit, x=horizons, lines=lines))
    metrics = []
    itself = against(shown, shown, before)
    for label in [label for label in ("latent", "keys") if label in rollouts]:
        for i, horizon in enumerate(horizons):
            for name, unit in (("psnr", "dB"), ("psnr_moving", "dB"), ("ssim", ""), ("ssim_moving", "")):
                moving = " of moving pixels" if name.endswith("moving") else ""
                metrics.append(
                    Metric(
                        name=f"{name}_{horizon}_{label}",
                        title=f"{name.partition('_')[0].upper()}{moving}, {horizon} frame{'s' * (horizon > 1)} on, {LABELS[label]}",
                        unit=unit,
                        world=mean_of(getattr(found[label], name)[:, i], episodes, seed),
                        real=mean_of(getattr(itself, name)[:, i], episodes, seed),
                        blind=mean_of(getattr(found["random"], name)[:, i], episodes, seed) if "random" in found else None,
                        headline=name == "psnr" and horizon in (1, 4, 10),
                    )
                )
            error = found[label].error[:, i]
            pooled = statistic_of(np.stack([error, np.ones_like(error)], 1), _pooled, episodes, seed)
            title = f"PSNR of the mean error, {horizon} frame{'s' * (horizon > 1)} on, {LABELS[label]}"
            metrics.append(Metric(name=f"psnr_pooled_{horizon}_{label}", title=title, unit="dB", world=pooled))
    return Section(name="horizons", title="Rollouts against the truth", metrics=tuple(metrics), curves=tuple(curves))


def _few(length: int) -> tuple[int, ...]:
    """1, 2, 4, … up to and with `length`."""
    return (*(2**k for k in range(length.bit_length()) if 2**k < length), length)


def _pooled(total: np.ndarray) -> float:
    """[sum of squared errors, frames] -> PSNR of the mean."""
    return psnr(total[0] / total[1]) if total[1] else float("nan")


def _code_table(codes: np.ndarray, vocabulary: int) -> np.ndarray:
    """int [B, ...] -> counts [B, vocabulary]."""
    return np.stack([np.bincount(row.ravel(), minlength=vocabulary) for row in codes]).astype(np.float64)
