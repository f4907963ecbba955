"""Contact sheets of long rollouts: one row a named action (or latent one, where there are no names), every n-th frame.

python benchmarks/rollout_sheets.py coinrun --frames 160 --every 8 --prompt level-03 --out docs/pictures/rollouts.png
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from PIL import Image

import genie
from genie.pictures import grid


def main(
    world: str,
    out: Annotated[Path, typer.Option()],
    frames: int = 160,
    every: int = 8,
    prompt: str | None = None,
    seed: int = 0,
    scale: int = 1,
    colours: int = 0,
) -> None:
    """Hold each action for `frames` frames from one prompt; write the sheet, in a palette of `colours` where that is not 0."""
    opened = genie.load_world(world)
    named = [action for action in opened.actions if action.kind == "recorded"]
    rows = []
    for action in named or opened.actions:
        rollout = opened.start(prompt, seed)
        made = np.stack([rollout.frame, *(rollout.step(action) for _ in range(frames))])
        rows.append(made[::every])
    out.parent.mkdir(parents=True, exist_ok=True)
    sheet = Image.fromarray(grid(rows, scale=scale))
    (sheet.quantize(colours, dither=Image.Dither.NONE) if colours else sheet).save(out, optimize=True)
    print(f"{out}: rows {', '.join(action.name for action in named or opened.actions)}; every {every}th of {frames} frames")


if __name__ == "__main__":
    typer.run(main)
