"""What each latent action of a world learned from video means: its codes beside the actions of a recording that the world never saw.

python benchmarks/code_meanings.py run/world --data doom

The recording is of the same game, with labels. Its held-out clips, at the world's frame rate, are labelled by the world from the
pictures alone; printed are, for each code, the shares of the actions that were really taken; how well codes tell left from right (each
code counted as its more frequent side, over the moments when either was held) beside its base (always the more frequent side); and the
mutual information. The last column is what the player's action lab says of each code, from every prompt of the world.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

import genie
from genie import Action
from genie.data.clips import ClipSampler
from genie.data.store import Dataset
from genie.training.latent_stage import agreement
from player.motion import in_words, mean_change, usual_motion
from player.screens.lab import FRAMES


def main(world: str, data: Annotated[Path, typer.Option()], clips: int = 256, frames: int = 17) -> None:
    """Print the table and the figures."""
    opened = genie.load_world(world)
    dataset = Dataset(data)
    skip = max(1, round(dataset.info.game_rate / opened.frame_rate))
    found = ClipSampler(dataset.split("held_out"), frames, skip, 0).spread(clips)
    codes = np.stack([opened.infer_actions(clip) for clip in found.frames])[:, 1:]  # the first has no frame before
    actions = found.actions[:, 1:]
    latent = [action for action in opened.actions if action.kind == "latent"]
    report(codes, actions, dataset.info.action_names, {action.name: lab_says(opened, action) for action in latent})


def lab_says(world: genie.World, action: Action) -> str:
    """The lab's words for an action, over the prompts: `the view goes left (10 of 12)`, the most frequent first."""
    count = len(world.prompts)
    batch = world.start_batch([prompt.frames for prompt in world.prompts], list(range(count)))
    films = np.stack([np.stack([prompt.frames[-1] for prompt in world.prompts]), *(batch.step([action] * count) for _ in range(FRAMES))], 1)
    said = Counter(in_words(usual_motion(film, world.scroll_reach), mean_change(film)) for film in films)
    return "; ".join(f"{words.removeprefix('the view ')} ({times} of {count})" for words, times in said.most_common(3))


def report(codes: np.ndarray, actions: np.ndarray, names: tuple[str, ...], latent: dict[str, str]) -> None:
    """Codes int [B, T] and true actions int [B, T], their names, what the lab says of each code by name -> printed."""
    table = Table("code", "share", *names, "the lab: the view …", title=f"{codes.size:,} held-out moments; true actions under each code")
    for code, (name, said) in enumerate(latent.items()):
        taken = np.bincount(actions[codes == code], minlength=len(names))
        shares = [f"{100 * count / max(1, taken.sum()):.0f} %" for count in taken]
        table.add_row(name, f"{100 * taken.sum() / codes.size:.0f} %", *shares, said)
    taken = np.bincount(actions.ravel(), minlength=len(names))
    table.add_row("all", "100 %", *[f"{100 * count / taken.sum():.0f} %" for count in taken])
    console = Console(width=160)
    console.print(table)
    for key, value in agreement(codes, actions, names).items():
        console.print(f"{key.replace('_', ' ')}: {value:.2f}", highlight=False)


if __name__ == "__main__":
    typer.run(main)
