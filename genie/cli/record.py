"""`genie record`: real games into datasets."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from genie.errors import GenieError

GAMES = ("coinrun",)


def record(
    game: Annotated[str, typer.Argument(help=f"One of: {', '.join(GAMES)}.")],
    out: Annotated[Path, typer.Option(help="Folder of the new dataset; an interrupted recording goes on.")],
    frames: Annotated[int, typer.Option(min=1000, max=1_000_000_000, help="Training frames (game steps).")] = 500_000,
    held_out: Annotated[int | None, typer.Option(min=200, help="Frames of held-out levels; default: 1 for 25.")] = None,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    environments: Annotated[int, typer.Option(min=1, max=1024, help="Games played at once.")] = 32,
) -> None:
    """Record a real game with a sticky mixed policy."""
    if game not in GAMES:
        raise GenieError(f"there is no recorder for {game!r}; choose one of {', '.join(GAMES)}.")
    from genie.data import coinrun

    console = Console()
    held_out_frames = held_out if held_out is not None else max(200, frames // 25)
    total = frames + held_out_frames
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed:,.0f} frames"), TimeRemainingColumn())
    began = time.monotonic()
    first: int | None = None
    with Progress(*columns, console=console) as bars:
        task = bars.add_task("record", total=total)

        def show(split: str, done: int) -> None:
            nonlocal first
            done += frames if split == "held_out" else 0
            first = done if first is None else first
            rate = (done - first) / max(1e-6, time.monotonic() - began)
            bars.update(task, completed=done, description=f"{split}  {rate:,.0f} frames/s")

        coinrun.record(out, frames, held_out_frames, seed, environments, show)
        bars.update(task, completed=total)
    seconds = time.monotonic() - began
    console.print(f"{out}: {total - (first or 0):,} frames in {seconds:.0f} s, {(total - (first or 0)) / seconds:,.0f} frames/s")
