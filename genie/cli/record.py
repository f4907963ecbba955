"""`genie record`: real games into datasets."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeRemainingColumn

from genie.data.games.registry import GAMES, PROCGEN
from genie.errors import GenieError
from genie.progress import Bars

if TYPE_CHECKING:
    from genie.data.games.game import Game
    from genie.data.policies import PolicyMaker


def record(
    game: Annotated[
        str,
        typer.Argument(
            help=f"One of: {', '.join(GAMES)}; {PROCGEN[0]}-hard and so on for the procgen games; or gym:ID, any Gymnasium environment."
        ),
    ],
    out: Annotated[Path, typer.Option(help="Folder of the new dataset; an interrupted recording goes on.")],
    frames: Annotated[int, typer.Option(min=1000, max=1_000_000_000, help="Training frames (game steps).")] = 500_000,
    held_out: Annotated[int | None, typer.Option(min=200, help="Frames of held-out levels; default: 1 for 25.")] = None,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    environments: Annotated[int | None, typer.Option(min=1, max=1024, help="Games played at once; default: the game's own.")] = None,
    size: Annotated[str | None, typer.Option(help="Width x height in multiples of 16, e.g. 96x64; default: the game's own.")] = None,
    policy: Annotated[Path | None, typer.Option(help="Who plays: a policy file of stable-baselines3; default: a sticky mixed one.")] = None,
    trust_policy: Annotated[bool, typer.Option("--trust-policy", help="Open the policy file although it can run any code.")] = False,
    policy_share: Annotated[
        float,
        typer.Option(min=0.0, max=1.0, help="With --policy: the share of the episodes it plays; a sticky mixed policy plays the others."),
    ] = 1.0,
    licence: Annotated[
        str | None, typer.Option(help="Under what terms the recording may be used; default: the game's own, where it is known.")
    ] = None,
    human: Annotated[bool, typer.Option("--human", help="Play it yourself in a window.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="With --human: agree to being recorded without being asked.")] = False,
) -> None:
    """Record a real game: played by a sticky mixed policy, by a trained one, or by you."""
    from genie.data.card import licence_known
    from genie.data.games.registry import find_game, parse_size
    from genie.data.policies import Mixed, StickyMixed, TrainedPolicy

    if human and policy is not None:
        raise GenieError("--human and --policy: only one can play.")
    found = find_game(game, parse_size(size) if size else None)
    held_out_frames = held_out if held_out is not None else max(200, frames // 25)
    console = Console()
    if found.research_only:
        console.print(f"[yellow]{found.name}: {found.licence}[/]")
    if licence is not None:
        found = replace(found, licence=licence)
    if not licence_known(found.licence):
        console.print("[yellow]licence unknown:[/] `genie train` will ask for --allow-unknown-licence; say it with --licence.")
    if human:
        _play(found, out, frames, held_out_frames, seed, yes, console)
        return
    player: PolicyMaker = StickyMixed()
    if policy is not None:
        trained = TrainedPolicy(policy, trust_policy)
        player = trained if policy_share == 1.0 else Mixed(trained, player, policy_share)
    _watch(found, out, frames, held_out_frames, seed, environments, player, console)


def _watch(
    game: Game, out: Path, frames: int, held_out: int, seed: int, environments: int | None, policy: PolicyMaker, console: Console
) -> None:
    from genie.data import recorder
    from genie.data.check import write_card
    from genie.data.store import Dataset

    total = frames + held_out
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed:,.0f} frames"), TimeRemainingColumn())
    began = time.monotonic()
    first: int | None = None
    with Bars(*columns, console=console) as bars:
        task = bars.add_task("record", total=total)

        def show(split: str, done: int) -> None:
            nonlocal first
            done += held_out if split == "train" else 0
            first = done if first is None else first
            rate = (done - first) / max(1e-6, time.monotonic() - began)
            bars.update(task, completed=done, description=f"{split}  {rate:,.0f} frames/s")

        recorder.record(out, game, frames, held_out, seed, environments, policy, show)
        bars.update(task, completed=total)
    seconds = time.monotonic() - began
    write_card(Dataset(out))
    console.print(
        f"{out}: {total - (first or 0):,} frames in {seconds:.0f} s, {(total - (first or 0)) / seconds:,.0f} frames/s", markup=False
    )


def _play(game: Game, out: Path, frames: int, held_out: int, seed: int, yes: bool, console: Console) -> None:
    from genie.data.check import write_card
    from genie.data.human import HumanRecording
    from genie.data.store import Dataset
    from player.record_window import RecordWindow

    console.print(
        f"What you play is recorded into {out}: the pictures of the game, the keys you hold, nothing else.", highlight=False, markup=False
    )
    if not yes and not typer.confirm("Do you agree that it is kept there and that worlds are trained on it?"):
        raise GenieError("nothing was recorded.")
    recording = HumanRecording(out, game, frames, held_out, seed, "given by the player before recording began")
    try:
        RecordWindow(recording).run()
    finally:
        complete = recording.close()
    if complete:
        write_card(Dataset(out))
        console.print(f"{out}: {recording.frames:,} frames", highlight=False, markup=False)
    else:
        console.print(
            f"{out}: {recording.frames:,} of {frames + held_out:,} frames. Run the same command to go on, "
            f"or close it with what is there: genie dataset finish {out}",
            highlight=False,
            soft_wrap=True,
        )
