"""A sheet of held-out clips in motion: the real frames, and below them what the world makes after the first four under the recorded keys.

python benchmarks/against_truth.py coinrun --data data/coinrun --out docs/pictures/coinrun_against_truth.png
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from PIL import Image

import genie
from genie.data.clips import ClipSampler
from genie.data.store import Dataset
from genie.horizons import PROMPT_FRAMES, clips_in_motion, roll
from genie.pictures import grid


def main(
    world: str,
    data: Annotated[Path, typer.Option()],
    out: Annotated[Path, typer.Option()],
    clips: int = 8,
    horizon: int = 10,
    backend: str = "onnx",
) -> None:
    """Draw the sheet: every sixteenth of the clips in motion, seed 0."""
    opened = genie.load_world(world, device="cpu", backend=backend)
    sampler = ClipSampler(Dataset(data).split("held_out"), PROMPT_FRAMES + horizon, opened.frame_skip, 0)
    latent = sum(action.kind == "latent" for action in opened.actions)
    moving = clips_in_motion(sampler, 16 * clips)
    truth = moving.frames[::16]
    actions = moving.actions[::16, PROMPT_FRAMES - 1 :] + latent
    made = roll(opened.engine, opened.action_table, opened.sampling, truth[:, :PROMPT_FRAMES], actions)
    rows = [row for real, rolled in zip(truth, made, strict=True) for row in (real, np.concatenate([real[:PROMPT_FRAMES], rolled]))]
    Image.fromarray(grid(rows)).save(out, optimize=True)


if __name__ == "__main__":
    typer.run(main)
