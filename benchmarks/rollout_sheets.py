"""Contact sheets of rollouts: one row a named action (or latent one, where there are no names), every n-th frame.

python benchmarks/rollout_sheets.py coinrun --frames 160 --every 8 --prompt level-03 --out docs/pictures/rollouts.png

With --rollouts a sheet an action, one row a rollout, each from another prompt or under another seed:

python benchmarks/rollout_sheets.py coinrun --frames 64 --every 4 --rollouts 16 --out runs/sheets/held.png
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
    rollouts: Annotated[int, typer.Option(help="Rows of each action, on a sheet of its own; 0: one row an action.")] = 0,
    scale: int = 1,
    colours: int = 0,
) -> None:
    """Hold each action for `frames` frames; write the sheets, in a palette of `colours` where that is not 0."""
    opened = genie.load_world(world)
    actions = [action for action in opened.actions if action.kind == "recorded"] or list(opened.actions)
    names = [found.name for found in opened.prompts]

    def held(action: genie.Action, start: str | None, salt: int) -> np.ndarray:
        rollout = opened.start(start, salt)
        return np.stack([rollout.frame, *(rollout.step(action) for _ in range(frames))])[::every]

    def write(path: Path, rows: list[np.ndarray], says: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        sheet = Image.fromarray(grid(rows, scale=scale))
        (sheet.quantize(colours, dither=Image.Dither.NONE) if colours else sheet).save(path, optimize=True)
        print(f"{path}: {says}; every {every}th of {frames} frames")

    if not rollouts:
        write(out, [held(action, prompt, seed) for action in actions], f"rows {', '.join(action.name for action in actions)}")
    for action in actions if rollouts else ():
        starts = [(prompt or names[row % len(names)], seed + row // len(names)) for row in range(rollouts)]
        path = out.with_name(f"{out.stem}-{action.name.replace(' ', '-')}{out.suffix}")
        write(
            path, [held(action, *start) for start in starts], f"{action.name} from {', '.join(dict.fromkeys(name for name, _ in starts))}"
        )


if __name__ == "__main__":
    typer.run(main)
