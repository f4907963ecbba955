"""`genie import`: videos into a dataset."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, TextColumn, TimeRemainingColumn

from genie.errors import GenieError
from genie.progress import Bars

LISTED = 20  # skipped files named
SUFFIXES = {".mp4", ".mkv", ".mov", ".webm", ".avi", ".m4v", ".gif", ".mpg", ".mpeg", ".ts", ".flv", ".wmv"}


def import_(
    clips: Annotated[list[Path], typer.Argument(help="Video files, or folders of them; or one Minari data set.")],
    out: Annotated[Path, typer.Option(help="Folder of the new dataset; an interrupted import goes on.")],
    size: Annotated[str, typer.Option(help="Width x height in multiples of 16.")] = "64x64",
    fps: Annotated[float, typer.Option(min=0.5, max=240, help="Frames a second of the world.")] = 15.0,
    fit: Annotated[Literal["crop", "letterbox", "stretch"], typer.Option(help="What happens to another aspect.")] = "crop",
    borders: Annotated[Literal["remove", "keep"], typer.Option(help="Black borders of the videos.")] = "remove",
    licence: Annotated[str, typer.Option(help="Under what terms the videos may be used; training refuses 'unknown'.")] = "unknown",
    source: Annotated[str, typer.Option(help="Where the videos come from, for the dataset's card.")] = "videos",
    consent: Annotated[str, typer.Option(help="Whether those who play in the videos agreed, for the card.")] = "unknown",
    held_out: Annotated[float, typer.Option(min=0.01, max=0.5, help="Share of the frames that is held out, about.")] = 0.05,
    still: Annotated[float, typer.Option(min=0.2, help="Seconds without motion after which a scene ends.")] = 2.0,
    shortest: Annotated[float, typer.Option(min=0.2, help="Seconds that a scene must have.")] = 2.0,
    seed: Annotated[int, typer.Option(min=0)] = 0,
) -> None:
    """Make a dataset of videos: no actions needed."""
    from genie.data.check import write_card
    from genie.data.games.registry import parse_size
    from genie.data.importing import ImportPlan, import_videos
    from genie.data.store import Dataset
    from genie.data.video import Shaping

    if len(clips) == 1 and any((clips[0] / part).is_file() for part in ("metadata.json", "data/metadata.json")):
        _minari(clips[0], out, licence, parse_size(size), fps, held_out)
        return
    files = _files(clips)
    shaping = Shaping(parse_size(size), fps, fit, borders)
    plan = ImportPlan(out.name, shaping, licence, source, consent, held_out, still, shortest, seed)
    console = Console()
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed}/{task.total}"), TimeRemainingColumn())
    began = time.monotonic()
    with Bars(*columns, console=console) as bars:
        task = bars.add_task("import")

        def show(part: str, done: int, total: int) -> None:
            bars.update(task, description=escape(part), completed=done, total=total)

        report = import_videos(files, out, plan, show)
    for file, why in list(report.skipped.items())[:LISTED]:
        console.print(f"[yellow]skipped[/] {escape(file)}: {escape(why)}", highlight=False)
    if len(report.skipped) > LISTED:
        console.print(f"[yellow]skipped[/] {len(report.skipped) - LISTED} more")
    for file, notes in report.notes.items():
        console.print(f"{escape(file)}: {escape('; '.join(notes))}", highlight=False)
    console.print(
        f"{report.cuts} cuts; left out: {report.still_frames:,} frames of standing still, {report.short_frames:,} of short scenes, "
        f"{report.copied_frames:,} of copies",
        highlight=False,
    )
    write_card(Dataset(out))
    frames, seconds = sum(report.frames.values()), time.monotonic() - began
    console.print(
        f"{out}: {report.frames['train']:,} training and {report.frames['held_out']:,} held-out frames (held out by {report.split_by}) "
        f"in {report.episodes['train'] + report.episodes['held_out']} episodes; {seconds:.0f} s, {frames / seconds:,.0f} frames/s",
        highlight=False,
    )
    if licence.strip().lower() == "unknown":
        console.print("[yellow]licence unknown:[/] `genie train` will ask for --allow-unknown-licence; say it with --licence.")


def _minari(source: Path, out: Path, licence: str, resolution: tuple[int, int], fps: float, held_out: float) -> None:
    from genie.data.check import write_card
    from genie.data.exchange.minari import import_minari
    from genie.data.store import Dataset

    console = Console()
    with Bars(console=console) as bars:
        task = bars.add_task("import from Minari")
        info = import_minari(
            source, out, licence, resolution, fps, held_out, lambda done, total: bars.update(task, completed=done, total=total)
        )
    write_card(Dataset(out))
    console.print(f"{out}: {info.frames['train']:,} training and {info.frames['held_out']:,} held-out frames", highlight=False)


def _files(clips: list[Path]) -> list[Path]:
    found: list[Path] = []
    for clip in clips:
        if clip.is_dir():
            found += [file for file in sorted(clip.rglob("*")) if file.suffix.lower() in SUFFIXES and file.is_file()]
        elif clip.is_file():
            found.append(clip)
        else:
            raise GenieError(f"{clip} does not exist.")
    if not found:
        raise GenieError(f"no videos in {', '.join(map(str, clips))}; they end in {', '.join(sorted(SUFFIXES))}.")
    return found
