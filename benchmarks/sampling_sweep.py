"""Which sampling suits a world: horizons, controllability and speed for each number of passes and temperature.

python benchmarks/sampling_sweep.py coinrun --data data/coinrun --clips 64
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

import genie
from genie.data.clips import ClipSampler
from genie.data.store import Dataset
from genie.horizons import PROMPT_FRAMES, clips_in_motion, measure


def main(
    world: str,
    data: Annotated[Path, typer.Option()],
    clips: int = 64,
    horizon: int = 10,
    passes: str = "1,2,3,4",
    temperatures: str = "0,0.25,0.5,1",
    seed: int = 0,
) -> None:
    """Measure every combination on the same clips of held-out levels, under recorded actions where there are any."""
    opened = genie.load_world(world)
    sampler = ClipSampler(Dataset(data).split("held_out"), PROMPT_FRAMES + horizon, opened.frame_skip, seed)
    chosen = clips_in_motion(sampler, clips)
    latent = sum(action.kind == "latent" for action in opened.actions)
    recorded = len(opened.actions) > latent
    actions = chosen.actions + latent if recorded else opened.engine.codec.infer_actions(chosen.frames)
    pool = np.arange(latent, len(opened.actions)) if recorded else np.arange(latent)
    table = Table("passes", "temperature", "1 on", "2 on", "4 on", f"{horizon} on", "Δ_4", "frames/s, batch 1")
    for count in (int(part) for part in passes.split(",")):
        rate = frames_per_second(opened, count)
        for temperature in (float(part) for part in temperatures.split(",")):
            sampling = opened.sampling.override({"passes": count, "temperature": temperature})
            found = measure(opened.engine, opened.action_table, sampling, chosen.frames, actions, pool, seed)
            values = [found.psnr_at(step) for step in (1, 2, 4, horizon)]
            table.add_row(str(count), f"{temperature:g}", *(f"{v:.2f}" for v in values), f"{found.delta:.2f}", f"{rate:.0f}")
    Console().print(table)


def frames_per_second(world: genie.World, passes: int, frames: int = 60) -> float:
    """Rate of one rollout, after a few frames to warm up."""
    rollout = world.start(passes=passes)
    for _ in range(5):
        rollout.step(0)
    began = time.perf_counter()
    for _ in range(frames):
        rollout.step(0)
    return frames / (time.perf_counter() - began)


if __name__ == "__main__":
    typer.run(main)
