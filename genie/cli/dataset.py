"""`genie dataset`: look at what was recorded, check it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer
from PIL import Image
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from genie.errors import GenieError

app = typer.Typer(help="Look at datasets, check them.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Look at datasets, check them."""


@app.command()
def info(
    path: Annotated[Path, typer.Argument(help="The dataset's folder.")],
    sheet: Annotated[Path | None, typer.Option(help="Where to write the contact sheet; default: PATH/contact_sheet.png.")] = None,
) -> None:
    """Print schema, counts and action histogram; write a contact sheet."""
    from genie.data.info import contact_sheet, summarise
    from genie.data.store import Dataset

    console = Console()
    dataset = Dataset(path)
    about = dataset.info
    console.print(f"[bold]{escape(about.name)}[/]  schema {about.schema_version}  {about.resolution[0]}×{about.resolution[1]}  "
                  f"{about.game_rate:g} game steps/s")  # fmt: skip
    console.print(escape(f"licence: {about.licence}"), highlight=False)
    summaries = summarise(dataset)
    table = Table("split", "frames", "episodes", "levels", "mean length", "reward")
    for name, summary in summaries.items():
        table.add_row(name, f"{summary.frames:,}", f"{summary.episodes:,}", f"{summary.levels:,}",
                      f"{summary.mean_length:.0f}", f"{summary.reward:,.0f}")  # fmt: skip
    console.print(table)
    arrays = Table("array", "shape", "type")
    for name in summaries:
        data = dataset.split(name)  # type: ignore[arg-type]
        for key in ("frames", "actions", "rewards", "episode_starts", "level_seeds"):
            array = getattr(data, key)
            arrays.add_row(f"{name}/{key}", str(tuple(array.shape)), str(array.dtype))
    console.print(arrays)
    histogram = Table("action", "keys", *(f"{name} share" for name in summaries), "")
    keys = dict(zip(about.action_names, about.action_keys, strict=False))
    for action in next(iter(summaries.values())).action_share:
        shares = [summary.action_share.get(action, 0.0) for summary in summaries.values()]
        held = "+".join(keys.get(action, ())) or "–"
        histogram.add_row(escape(action), escape(held), *(f"{s:.1%}" for s in shares), "█" * round(60 * shares[0]))
    console.print(histogram)
    target = sheet or path / "contact_sheet.png"
    Image.fromarray(contact_sheet(dataset)).save(target, None if target.suffix.lower() in Image.registered_extensions() else "PNG")
    console.print(f"contact sheet: {target}", markup=False)


@app.command()
def check(path: Annotated[Path, typer.Argument(help="The dataset's folder.")]) -> None:
    """Look for leaks, cuts inside episodes, empty actions, an unknown licence; write the card anew. Exit status 1 if something is wrong."""
    from genie.data.check import find_leaks, problems, write_card
    from genie.data.store import Dataset
    from genie.progress import Bars

    console = Console()
    dataset = Dataset(path)
    with Bars(console=console) as bars:
        task = bars.add_task("looking for leaks")
        leaks = find_leaks(dataset, lambda done, total: bars.update(task, completed=done, total=total))
    card = write_card(dataset, leaks)
    found = problems(card)
    console.print(
        f"{leaks.copied} of {leaks.windows} held-out stretches are in the training split too, {leaks.shared_levels} levels in both, "
        f"{leaks.hidden_cuts} cuts inside episodes; card: {path / 'CARD.md'}",
        highlight=False,
        soft_wrap=True,
    )
    for problem in found:
        console.print(f"[bold red]wrong:[/] {escape(problem)}", highlight=False, soft_wrap=True)
    if found:
        raise typer.Exit(1)
    console.print("[green]nothing wrong found[/]")


@app.command()
def finish(path: Annotated[Path, typer.Argument(help="The folder of an unfinished recording.")]) -> None:
    """Close an interrupted recording with the frames that are there."""
    from genie.data.check import write_card
    from genie.data.store import Dataset, DatasetWriter

    writer = DatasetWriter.reopen(path)
    writer.finish()
    write_card(Dataset(path))
    Console().print(
        f"{path}: " + ", ".join(f"{count:,} {name} frames" for name, count in writer.info.frames.items()), highlight=False, markup=False
    )


@app.command()
def export(
    path: Annotated[Path, typer.Argument(help="The dataset's folder.")],
    to: Annotated[Literal["mp4", "minari", "lerobot"], typer.Option(help="The format.")],
    out: Annotated[Path, typer.Option(help="Folder to write; for minari the folder of the data set itself, NAMESPACE/NAME-v0.")],
    lossless: Annotated[bool, typer.Option("--lossless", help="mp4: RGB without loss instead of what every player shows.")] = False,
) -> None:
    """Write a dataset in a format that others read."""
    from genie.data.store import Dataset
    from genie.progress import Bars

    console = Console()
    dataset = Dataset(path)
    if out.exists() and any(out.iterdir()):
        raise GenieError(f"{out} is not empty; choose another --out.")
    with Bars(console=console) as bars:
        task = bars.add_task(f"export to {to}")

        def show(done: int, total: int) -> None:
            bars.update(task, completed=done, total=total)

        if to == "mp4":
            from genie.data.exchange.mp4 import export_mp4

            export_mp4(dataset, out, lossless, progress=show)
        elif to == "minari":
            from genie.data.exchange.minari import export_minari

            export_minari(dataset, out, show)
        else:
            from genie.data.exchange.lerobot import export_lerobot

            export_lerobot(dataset, out, show)
    console.print(f"{out}: {to}, {sum(dataset.info.frames.values()):,} frames", highlight=False, markup=False)
