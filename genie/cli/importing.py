"""`genie import`: videos into a dataset."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, TextColumn, TimeRemainingColumn

from genie.errors import GenieError
from genie.progress import Bars

if TYPE_CHECKING:
    from genie.data.importing import ImportPlan

LISTED = 20  # skipped files named
OF_VIDEOS = {"borders", "still", "shortest"}  # options that a Minari data set has no use for
OF_OTHERS = {"size", "fps", "fit", "licence", "source", "consent", "held_out", "seed"}  # nor has one that genie exported for these
SUFFIXES = {".mp4", ".mkv", ".mov", ".webm", ".avi", ".m4v", ".gif", ".mpg", ".mpeg", ".ts", ".flv", ".wmv"}


def import_(
    context: typer.Context,
    clips: Annotated[list[Path], typer.Argument(help="Video files, or folders of them; or one Minari data set.")],
    out: Annotated[Path, typer.Option(help="Folder of the new dataset; an interrupted import goes on.")],
    size: Annotated[str, typer.Option(help="Width x height in multiples of 16.")] = "64x64",
    fps: Annotated[float, typer.Option(min=0.5, max=240, help="Frames a second of the world.")] = 15.0,
    fit: Annotated[Literal["crop", "letterbox", "stretch"], typer.Option(help="What happens to another aspect.")] = "crop",
    borders: Annotated[Literal["remove", "keep"], typer.Option(help="Black borders of the videos.")] = "remove",
    licence: Annotated[str, typer.Option(help="Under what terms the videos may be used; training refuses 'unknown'.")] = "unknown",
    source: Annotated[str, typer.Option(help="Where the videos or the Minari data come from, for the dataset's card.")] = "videos",
    consent: Annotated[str, typer.Option(help="Whether those who play in them agreed, for the card.")] = "unknown",
    held_out: Annotated[float, typer.Option(min=0.01, max=0.5, help="Share of the frames that is held out, about.")] = 0.05,
    still: Annotated[float, typer.Option(min=0.2, max=3600, help="Seconds without motion after which a scene ends.")] = 2.0,
    shortest: Annotated[float, typer.Option(min=0.2, max=3600, help="Seconds that a scene must have.")] = 2.0,
    seed: Annotated[int, typer.Option(min=0)] = 0,
) -> None:
    """Make a dataset of videos: no actions needed."""
    from genie.bundle import plain_name
    from genie.data.check import write_card
    from genie.data.games.registry import parse_size
    from genie.data.importing import SKIPPED_FILE, ImportPlan, import_videos
    from genie.data.store import Dataset
    from genie.data.video import Shaping

    shaping = Shaping(parse_size(size), fps, fit, borders)
    plan = ImportPlan(plain_name(out.resolve().name), shaping, licence, source, consent, held_out, still, shortest, seed)
    if len(clips) == 1 and any((clips[0] / part).is_file() for part in ("metadata.json", "data/metadata.json")):
        given = {name for name in context.params if getattr(context.get_parameter_source(name), "name", "") == "COMMANDLINE"}
        _minari(clips[0], out, replace(plan, source=source if "source" in given else ""), given)
        return
    files = _files(clips)
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
        console.print(
            f"[yellow]skipped[/] {len(report.skipped) - LISTED} more; all of them: {escape(str(out / SKIPPED_FILE))}", soft_wrap=True
        )
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


def _minari(source: Path, out: Path, plan: ImportPlan, given: set[str]) -> None:
    from genie.data.check import write_card
    from genie.data.exchange.minari import exported_by_genie, import_minari
    from genie.data.store import Dataset

    own = exported_by_genie(source)
    if refused := given & (OF_VIDEOS | OF_OTHERS if own else OF_VIDEOS):
        options = ", ".join(f"--{name.replace('_', '-')}" for name in sorted(refused))
        why = "genie exported it, and it comes back as it was" if own else "it is a Minari data set, not videos"
        raise GenieError(f"{source}: {why}; leave out {options}.")
    console = Console()
    with Bars(console=console) as bars:
        task = bars.add_task("import from Minari")
        info = import_minari(source, out, plan, lambda done, total: bars.update(task, completed=done, total=total))
    write_card(Dataset(out))
    console.print(
        f"{out}: {info.frames['train']:,} training and {info.frames['held_out']:,} held-out frames", highlight=False, markup=False
    )


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
