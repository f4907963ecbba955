"""`genie practise`: a policy that plays a game, for `genie record --policy`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeRemainingColumn

from genie.errors import GenieError
from genie.progress import Bars


def practise(
    game: Annotated[str, typer.Argument(help="A game that `genie record` knows.")],
    out: Annotated[
        Path, typer.Option(help="The policy file to write, a .zip of stable-baselines3; run again after an interruption, it goes on.")
    ],
    steps: Annotated[int, typer.Option(min=1000, help="Game steps to play.")] = 2_000_000,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the policy that --out holds.")] = False,
    trust_policy: Annotated[
        bool,
        typer.Option("--trust-policy", help="With --resume, or after an interruption: open the policy file although it can run any code."),
    ] = False,
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads; default: all cores.")] = None,
) -> None:
    """Train a policy (PPO) by playing a game's training levels, to record better data with it."""
    from genie.cli.extras import need_torch

    need_torch("genie practise")
    import torch

    from genie.data.games.registry import find_game
    from genie.data.policies import check_policy_file
    from genie.data.practice import practise as train_policy
    from genie.data.practice import unfinished

    if out.suffix != ".zip":
        raise GenieError(f"{out}: a policy file ends in .zip.")
    if out.exists() and not resume:
        raise GenieError(f"{out} is there already; go on from it with --resume --trust-policy, or choose another --out.")
    for begun in (*([out] if resume else []), *([unfinished(out)] if unfinished(out).exists() else [])):
        check_policy_file(begun, trust_policy)
    if threads is not None:
        torch.set_num_threads(threads)
    console = Console()
    out.parent.mkdir(parents=True, exist_ok=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:,.0f}/{task.total:,.0f} steps"),
        TimeRemainingColumn(),
    )
    with Bars(*columns, console=console) as bars:
        task = bars.add_task("practise", total=steps)
        reached = float("nan")

        def show(done: int, reward: float) -> None:
            nonlocal reached
            reached = reward
            bars.update(task, completed=done, description=f"mean reward {reward:.2f}")

        train_policy(find_game(game), out, steps, seed, out if resume else None, show)
    console.print(f"{out}: mean reward of the last episodes {reached:.2f}", highlight=False, markup=False)
