"""The marks of a world on held-out levels: what the tokenizer keeps, how far rollouts follow the truth, whether keys are obeyed."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from genie.data.clips import Clips, ClipSampler
from genie.data.store import UNKNOWN_ACTION, Dataset
from genie.errors import GenieError
from genie.horizons import PROMPT_FRAMES, clips_in_motion, measure
from genie.metrics import changed_error, mean_psnr, perplexity, psnr, squared_error
from genie.training.latent_stage import agreement
from genie.world import World

TOKENIZER_FRAMES = 33  # the first real, 32 unrolled
HORIZON = 10


@dataclass(frozen=True)
class Marks:
    """The figures, and truth and rollouts (under named keys where there are any) for a contact sheet, uint8 [B, T, H, W, 3]."""

    values: dict[str, float]
    truth: np.ndarray
    made: np.ndarray


def evaluate_world(
    world: World, dataset: Dataset, clips: int = 128, seed: int = 0, progress: Callable[[str], None] = lambda part: None
) -> Marks:
    """Measure a world on the held-out split of a dataset.

    Args:
        clips: rollouts from `PROMPT_FRAMES` real frames in motion, `HORIZON` frames each.

    Raises:
        GenieError: the dataset has another resolution or other actions than the world.
    """
    names = tuple(action.name for action in world.actions if action.kind == "recorded")
    if dataset.info.resolution != world.resolution or (names and dataset.info.action_names and names != dataset.info.action_names):
        raise GenieError(f"{dataset.path} has another resolution or other actions than {world.name}; judge it on data of its own game.")
    held_out = dataset.split("held_out")
    progress("tokenizer")
    frames = ClipSampler(held_out, TOKENIZER_FRAMES, world.frame_skip, seed).spread(min(64, clips)).frames
    values = tokenizer_marks(world, frames) | speed_marks(world)
    sampler = ClipSampler(held_out, PROMPT_FRAMES + HORIZON, world.frame_skip, seed)
    progress("latent actions")
    values |= latent_marks(world, sampler.spread(4 * clips), dataset.info.action_names)
    moving = clips_in_motion(sampler, clips)
    latent = len(world.actions) - len(names)
    kinds = {"latent": (world.engine.codec.infer_actions(moving.frames), np.arange(latent))}
    if names and (moving.actions != UNKNOWN_ACTION).all():
        kinds["recorded"] = (moving.actions + latent, np.arange(latent, len(world.actions)))
    made: list[np.ndarray] = []
    for kind, (actions, pool) in kinds.items():
        progress(f"rollouts under {kind} actions")
        found = measure(world.engine, world.action_table, world.sampling, moving.frames, actions, pool, seed)
        for step in (1, 2, 4, HORIZON):
            values[f"psnr_{step}_{kind}"] = found.psnr_at(step)
            values[f"pooled_psnr_{step}_{kind}"] = psnr(found.error[:, step - 1])
            values[f"psnr_{step}_copy"] = found.copy_at(step)
            values[f"pooled_psnr_{step}_copy"] = psnr(found.copy_error[:, step - 1])
        values[f"delta_4_{kind}"] = found.delta
        made.append(np.concatenate([moving.frames[:, :PROMPT_FRAMES], found.frames], axis=1))
    return Marks(values, moving.frames, made[-1])


def latent_marks(world: World, clips: Clips, names: tuple[str, ...]) -> dict[str, float]:
    """How evenly the latent codes are used and how much they say about the recorded actions."""
    codes = world.engine.codec.infer_actions(clips.frames)
    counts = np.bincount(codes.ravel(), minlength=world.manifest.latent_actions.actions)
    found = {"latent_codes_in_use": perplexity(counts), "latent_rarest_share": float(counts.min() / counts.sum())}
    return found | {f"latent_{key}": value for key, value in agreement(codes[:, 1:], clips.actions[:, 1:], names).items()}


def speed_marks(world: World, frames: int = 60) -> dict[str, float]:
    """Frames a second of one rollout with the world's own sampling, and milliseconds of one decode, on this machine."""
    rollout = world.start()
    for _ in range(5):
        rollout.step(world.action_table.idle)
    began = time.perf_counter()
    for _ in range(frames):
        rollout.step(world.action_table.idle)
    stepped = time.perf_counter()
    for _ in range(frames):
        world.decode(rollout.frame, rollout.tokens[None])
    return {
        "frames_per_second": frames / (stepped - began),
        "decode_milliseconds": (time.perf_counter() - stepped) / frames * 1000,
    }


def tokenizer_marks(world: World, frames: np.ndarray) -> dict[str, float]:
    """The round trip unrolled on its own output: uint8 [B, T, H, W, 3] -> figures."""
    made, codes = world.engine.codec.unrolled(frames)
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
