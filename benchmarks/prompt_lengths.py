"""How much a rollout gains by each more real frame before it: the same moments and futures of the real game from one to four frames.

python benchmarks/prompt_lengths.py coinrun --data data/coinrun-hard
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from genie.data.store import Dataset
from genie.evaluation.protocols import PROTOCOLS, gather
from genie.evaluation.run import key_ids
from genie.horizons import PROMPT_FRAMES, roll
from genie.metrics import frame_psnr, squared_error
from genie.world import load_world

SHOWN = (1, 5, 10)  # frames on


def line(label: str, made: list[np.ndarray], truth: np.ndarray) -> str:
    """A row of the table: frames uint8 [B, S, H, W, 3] each."""
    found = [frame_psnr(squared_error(frames, truth)) for frames in made]
    cells = [" / ".join(f"{np.nanmean(psnr[:, step - 1]):.1f}" for step in SHOWN) for psnr in found]
    return f"| {label} | {' | '.join(cells)} |"


def main(world: str, data: Annotated[Path, typer.Option()], clips: int = 64, seed: int = 0) -> None:
    """Print a table in Markdown for keys drawn anew each frame, and one for keys as people hold them."""
    opened, dataset = load_world(world, device="cpu", backend="onnx"), Dataset(data)
    ids = key_ids(opened, dataset)
    if ids is None:
        raise typer.BadParameter(f"{world} has no actions of the names in {data}.")
    for keys in ("random", "human"):
        protocol = replace(PROTOCOLS["genieredux"], prompt_frames=PROMPT_FRAMES, keys=keys)
        material = gather(protocol, dataset, clips, opened.frame_skip, seed)
        prompts, truth = np.split(material.frames, [PROMPT_FRAMES], axis=1)
        told = ids[material.actions], opened.engine.codec.infer_actions(material.frames)
        print(f"\n{keys} keys\n\n| real frames | named keys | latent actions |\n|---|---|---|")
        for count in range(1, PROMPT_FRAMES + 1):
            made = [
                roll(opened.engine, opened.action_table, opened.sampling, prompts[:, -count:], actions[:, PROMPT_FRAMES - 1 :], seed)
                for actions in told
            ]
            print(line(str(count), made, truth), flush=True)
        print(line("the last, copied", [np.broadcast_to(prompts[:, -1:], truth.shape)], truth))


if __name__ == "__main__":
    typer.run(main)
