"""Do CoinRun's crates stay? Solid orange pixels in rollouts from held-out clips whose prompt shows a crate.

Moving: the recorded keys for 10 frames, where the real game shows a crate in every frame. Still: noop held for 64 frames.

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
from genie.evaluation.permanence import crate_shown, kept
from genie.horizons import PROMPT_FRAMES, clips_in_motion, roll

HORIZON = 10


def main(world: str, data: Annotated[Path, typer.Option()], clips: int = 64, seed: int = 0, backend: str = "onnx") -> None:
    """Print the share of rollouts that still show a crate, moving and still."""
    opened = genie.load_world(world, device="cpu", backend=backend)
    sampler = ClipSampler(Dataset(data).split("held_out"), PROMPT_FRAMES + HORIZON, opened.frame_skip, seed)
    latent = sum(action.kind == "latent" for action in opened.actions)

    moving = clips_in_motion(sampler, clips)
    actions = moving.actions[:, PROMPT_FRAMES - 1 :] + latent
    made = roll(opened.engine, opened.action_table, opened.sampling, moving.frames[:, :PROMPT_FRAMES], actions, seed)
    truth, shown = crate_shown(moving.frames)[:, PROMPT_FRAMES - 1 :], crate_shown(made)
    for step in (1, 4, HORIZON):
        judged = kept(truth, shown, step)
        print(f"moving, {step} frames on: {np.nanmean(judged):.0%} of {np.isfinite(judged).sum()} clips")

    everywhere = sampler.spread(4 * clips).frames[:, :PROMPT_FRAMES]
    still = (everywhere[:, -1] != everywhere[:, -2]).any(axis=-1).mean(axis=(-1, -2)) < 0.02
    prompts = everywhere[still & crate_shown(everywhere[:, -1])]
    noop = np.full((len(prompts), 64), opened.action_table.idle.id)
    shown = crate_shown(roll(opened.engine, opened.action_table, opened.sampling, prompts, noop, seed))
    for step in (1, 16, 64):
        print(f"still, {step} frames on: {shown[:, step - 1].mean():.0%} of {len(prompts)} clips")


if __name__ == "__main__":
    typer.run(main)
