"""The marks of a world on held-out levels: what the tokenizer keeps, how far rollouts follow the truth, whether keys are obeyed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from genie.data.clips import ClipSampler
from genie.data.store import UNKNOWN_ACTION, Dataset
from genie.horizons import DELTA_STEPS, PROMPT_FRAMES, clips_in_motion, measure
from genie.metrics import changed_error, mean_psnr, mutual_information, perplexity, psnr, squared_error
from genie.world import World

TOKENIZER_FRAMES = 33  # the first real, 32 unrolled
HORIZON = 10
BATCH = 32


@dataclass(frozen=True)
class Marks:
    """The figures, and frames for a contact sheet: (truth, rollout) uint8 [B, T, H, W, 3] each."""

    values: dict[str, float]
    truth: np.ndarray
    made: np.ndarray


def evaluate_world(
    world: World, dataset: Dataset, clips: int = 128, seed: int = 0, progress: Callable[[str], None] = lambda part: None
) -> Marks:
    """Measure a world on the held-out split of a dataset.

    Args:
        clips: rollouts from `PROMPT_FRAMES` real frames in motion, `HORIZON` frames each.
    """
    held_out = dataset.split("held_out")
    progress("tokenizer")
    values = tokenizer_marks(world, ClipSampler(held_out, TOKENIZER_FRAMES, world.frame_skip, seed).spread(min(64, clips)).frames)
    sampler = ClipSampler(held_out, PROMPT_FRAMES + HORIZON, world.frame_skip, seed)
    moving = clips_in_motion(sampler, clips)
    everywhere = sampler.spread(4 * clips)
    codes = np.concatenate([world.engine.infer_actions(everywhere.frames[i : i + BATCH]) for i in range(0, len(everywhere.frames), BATCH)])
    latent = sum(action.kind == "latent" for action in world.actions)
    counts = np.bincount(codes.ravel(), minlength=latent)
    values |= {"latent_codes_in_use": perplexity(counts), "latent_rarest_share": float(counts.min() / counts.sum())}
    known = everywhere.actions != UNKNOWN_ACTION
    if known.any():
        values["latent_mutual_information_bits"] = mutual_information(codes[known], everywhere.actions[known])
    kinds: dict[str, tuple[np.ndarray | None, np.ndarray]] = {"latent": (None, np.arange(latent))}
    if len(world.actions) > latent and (moving.actions != UNKNOWN_ACTION).all():
        kinds["recorded"] = (moving.actions + latent, np.arange(latent, len(world.actions)))
    made = moving.frames
    for kind, (given, pool) in kinds.items():
        parts = []
        for i in range(0, len(moving.frames), BATCH):
            progress(f"rollouts, {kind} actions {i}/{len(moving.frames)}")
            frames = moving.frames[i : i + BATCH]
            actions = world.engine.infer_actions(frames) if given is None else given[i : i + BATCH]
            parts.append(measure(world.engine, world.action_table, world.sampling, frames, actions, pool, seed + i))
        error = np.concatenate([part.error for part in parts])
        random_error = np.concatenate([part.random_error for part in parts])
        copy_error = np.concatenate([part.copy_error for part in parts])
        for step in (1, 2, 4, HORIZON):
            values[f"psnr_{step}_{kind}"] = mean_psnr(error[:, step - 1])
            values[f"pooled_psnr_{step}_{kind}"] = psnr(error[:, step - 1])
            values[f"psnr_{step}_copy"] = mean_psnr(copy_error[:, step - 1])
            values[f"pooled_psnr_{step}_copy"] = psnr(copy_error[:, step - 1])
        values[f"delta_4_{kind}"] = mean_psnr(error[:, DELTA_STEPS - 1]) - mean_psnr(random_error[:, DELTA_STEPS - 1])
        if kind == "latent":
            made = np.concatenate([part.frames for part in parts])
    return Marks(values, moving.frames, np.concatenate([moving.frames[:, :PROMPT_FRAMES], made], axis=1))


def tokenizer_marks(world: World, frames: np.ndarray) -> dict[str, float]:
    """The round trip unrolled on its own output: uint8 [B, T, H, W, 3] -> figures."""
    parts = [world.engine.encode_unrolled(frames[i : i + BATCH]) for i in range(0, len(frames), BATCH)]
    codes, made = (np.concatenate(column) for column in zip(*parts, strict=True))
    error = squared_error(made[:, 1:], frames[:, 1:])
    counts = [np.bincount(codes[..., g].ravel()) for g in range(codes.shape[-1])]
    return {
        "tokenizer_psnr": psnr(error),
        "tokenizer_mean_psnr": mean_psnr(error),
        "tokenizer_psnr_first_step": psnr(error[:, 0]),
        "tokenizer_psnr_last_8": psnr(error[:, -8:]),
        "tokenizer_psnr_changed_pixels": psnr(changed_error(made[:, 1:], frames[:, 1:], frames[:, :-1])),
        "tokenizer_code_perplexity": float(np.mean([perplexity(c) for c in counts])),
    }
