"""`genie dataset`: look at what was recorded."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from PIL import Image
from rich.console import Console
from rich.table import Table

app = typer.Typer(help="Look at datasets.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Look at datasets."""


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
    console.print(f"[bold]{about.name}[/]  schema {about.schema_version}  {about.resolution[0]}×{about.resolution[1]}  "
                  f"{about.game_rate:g} game steps/s")  # fmt: skip
    console.print(f"licence: {about.licence}", highlight=False)
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
        histogram.add_row(action, "+".join(keys.get(action, ())) or "–", *(f"{s:.1%}" for s in shares), "█" * round(60 * shares[0]))
    console.print(histogram)
    target = sheet or path / "contact_sheet.png"
    Image.fromarray(contact_sheet(dataset)).save(target)
    console.print(f"contact sheet: {target}")
