"""Do CoinRun's crates stay? Solid orange pixels in rollouts from held-out clips whose prompt shows a crate.

Moving: the recorded keys for 10 frames, where the real game still shows a crate. Still: noop held for 64 frames.

    python benchmarks/crate_presence.py coinrun --data data/coinrun
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
import typer

import genie
from genie.data.clips import ClipSampler
from genie.data.store import Dataset
from genie.horizons import PROMPT_FRAMES, clips_in_motion, roll

SOLID = (4, 3)  # rows, columns that must all be orange: more than a ledge's edge
HORIZON = 10


def crate_shown(frames: np.ndarray) -> np.ndarray:
    """uint8 [..., 64, 64, 3] -> bool [...]: a crate is in the picture."""
    red, green, blue = (frames[..., channel].astype(int) for channel in range(3))
    orange = (red > 150) & (green > 85) & (green < 150) & (blue < 95) & (red - green > 40)
    return np.lib.stride_tricks.sliding_window_view(orange, SOLID, axis=(-2, -1)).all(axis=(-1, -2)).any(axis=(-1, -2))


def main(world: str, data: Annotated[Path, typer.Option()], clips: int = 64, seed: int = 0, backend: str = "onnx") -> None:
    """Print the share of rollouts that still show a crate, moving and still."""
    opened = genie.load_world(world, device="cpu", backend=backend)
    sampler = ClipSampler(Dataset(data).split("held_out"), PROMPT_FRAMES + HORIZON, opened.frame_skip, seed)
    latent = sum(action.kind == "latent" for action in opened.actions)

    moving = clips_in_motion(sampler, clips)
    actions = moving.actions[:, PROMPT_FRAMES - 1 :] + latent
    made = roll(opened.engine, opened.action_table, opened.sampling, moving.frames[:, :PROMPT_FRAMES], actions, seed)
    truth, kept = crate_shown(moving.frames), crate_shown(made)
    for step in (1, 4, HORIZON):
        judged = truth[:, PROMPT_FRAMES - 1] & truth[:, PROMPT_FRAMES - 1 + step]
        print(f"moving, {step} frames on: {kept[judged, step - 1].mean():.0%} of {judged.sum()} clips")

    everywhere = sampler.spread(4 * clips).frames[:, :PROMPT_FRAMES]
    still = (everywhere[:, -1] != everywhere[:, -2]).any(axis=-1).mean(axis=(-1, -2)) < 0.02
    prompts = everywhere[still & crate_shown(everywhere[:, -1])]
    noop = np.full((len(prompts), 64), opened.action_table.idle.id)
    kept = crate_shown(roll(opened.engine, opened.action_table, opened.sampling, prompts, noop, seed))
    for step in (1, 16, 64):
        print(f"still, {step} frames on: {kept[:, step - 1].mean():.0%} of {len(prompts)} clips")


if __name__ == "__main__":
    typer.run(main)
