"""`genie session` and `genie replay`: recorded plays looked at, exported, recovered, replayed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.tree import Tree

from genie.errors import GenieError

if TYPE_CHECKING:
    from genie.sessions.export import Kind
    from genie.sessions.recording import Recording
    from genie.world import World

MAX_SHOWN = 200  # branches that are drawn
app = typer.Typer(help="Look at recorded sessions, export and recover them.", no_args_is_help=True)
File = Annotated[Path, typer.Argument(help="A .session file, or the folder of a journal.")]
WorldOption = Annotated[str | None, typer.Option(help="The world; default: the installed one of the name in the session.")]
DeviceOption = Annotated[str, typer.Option(help="auto, cpu or cuda.")]
BackendOption = Annotated[str | None, typer.Option(help="Default: the one that recorded it.")]


@app.callback()
def _group() -> None:
    """Look at recorded sessions, export and recover them."""


@app.command()
def info(file: File) -> None:
    """Print what a session is and its tree of branches."""
    from genie.sessions.reading import read_session

    recording = read_session(file)
    console = Console()
    header, world = recording.header, recording.header.world
    ran = header.runtime
    seconds = recording.frames / world.frame_rate
    table = Table(show_header=False, title=escape(str(file)))
    for name, value in (
        (
            "world",
            f"{world.name}, {world.resolution[1]}×{world.resolution[0]} at {world.frame_rate:g} frames/s, weights {world.weights[:12]}",
        ),
        (
            "made",
            f"{header.created} by genie {ran.app} on {ran.backend} ({ran.device}, {ran.dtype}, {ran.threads} threads, {ran.processor})",
        ),
        ("seed", f"{header.seed}, {header.sampling.passes} passes, temperature {header.sampling.temperature:g}"),
        (
            "frames",
            f"{recording.frames:,} ({seconds / 60:.1f} minutes) in {len(recording)} branches, {len(recording.key_frames)} key frames",
        ),
        ("cursor", f"frame {recording.cursor[1]} of branch {recording.cursor[0]}"),
    ):
        table.add_row(name, escape(value))
    console.print(table, highlight=False)
    drawn: dict[int, Tree] = {}
    for branch in recording.tree[:MAX_SHOWN]:
        kind = branch.kind + (f", {branch.label}" if branch.label else "") + (", pruned" if branch.pruned else "")
        text = escape(f"{branch.id}: {kind}, frames {branch.start}–{branch.end}" + (f", salt {branch.salt}" if branch.salt else ""))
        drawn[branch.id] = Tree(text) if branch.parent is None else drawn[branch.parent].add(text)
    console.print(drawn[0], highlight=False)
    if len(recording) > MAX_SHOWN:
        console.print(f"… and {len(recording) - MAX_SHOWN:,} more")


@app.command()
def export(
    file: File,
    mp4: Annotated[bool, typer.Option("--mp4", help="Video, pixels enlarged before it is encoded.")] = False,
    lossless: Annotated[bool, typer.Option("--lossless", help="Video without loss (FFV1 in .mkv).")] = False,
    gif: Annotated[bool, typer.Option("--gif", help="GIF at 10, 12.5, 20, 25 or 50 frames/s.")] = False,
    png: Annotated[bool, typer.Option("--png", help="A folder of PNG frames.")] = False,
    npz: Annotated[bool, typer.Option("--npz", help="Actions, codes and times as arrays.")] = False,
    ndjson: Annotated[bool, typer.Option("--ndjson", help="The same as text, a line a step.")] = False,
    dataset: Annotated[bool, typer.Option("--dataset", help="A dataset that `genie train` reads.")] = False,
    minari: Annotated[bool, typer.Option("--minari", help="A Minari dataset (needs the extra `exchange`).")] = False,
    branch: Annotated[int | None, typer.Option(min=0, help="Export the path to this branch; default: to the cursor's.")] = None,
    tree: Annotated[bool, typer.Option("--tree", help="Export every branch that is not pruned.")] = False,
    out: Annotated[Path | None, typer.Option(help="File or folder to write; default: the session's name beside it.")] = None,
    scale: Annotated[int | None, typer.Option(min=1, max=32, help="Video pixels a side of one pixel; default: 6, lossless 1.")] = None,
    gif_rate: Annotated[float | None, typer.Option(help="Frames/s of the GIF; default: the one nearest to the world's.")] = None,
    world: WorldOption = None,
) -> None:
    """Export a path or the whole tree as video, pictures, arrays, text or a dataset."""
    from genie.sessions.export import NEED_FRAMES, SUFFIXES, takes
    from genie.sessions.export import export as write
    from genie.sessions.frames import Frames
    from genie.sessions.reading import read_session

    flags = {"mp4": mp4, "lossless": lossless, "gif": gif, "png": png, "npz": npz, "ndjson": ndjson, "dataset": dataset, "minari": minari}
    kinds: list[Kind] = [kind for kind in SUFFIXES if flags[kind]]
    if not kinds:
        raise GenieError(f"say what to write: {', '.join('--' + kind for kind in SUFFIXES)}.")
    if out is not None and len(kinds) > 1:
        raise GenieError("--out names one file; leave it out to write several kinds.")
    if branch is not None and tree:
        raise GenieError("--branch is one path, --tree all of them; give one.")
    recording = read_session(file)
    wanted = takes(recording, branch, tree)
    frames = None
    if NEED_FRAMES.intersection(kinds):
        frames = Frames(recording, _tokenizer_of(recording, file, world).engine.codec)
    console = Console()
    for kind in kinds:
        several = len(wanted) > 1 and kind in ("mp4", "lossless", "gif")
        target = out or file.with_name(file.stem + (SUFFIXES[kind].replace(".", "-") if several else SUFFIXES[kind]))
        with _bar(console, kind) as progress:
            written = write(recording, frames, kind, target, wanted, scale, gif_rate, progress)
        steps = sum(take.last - take.first for take in wanted)
        where = written[0] if len(written) == 1 else target
        console.print(
            f"{where.resolve()}: {kind} of {steps:,} steps, {len(wanted)} of {len(recording)} branches",
            highlight=False,
            soft_wrap=True,
            markup=False,
        )
    if frames is not None:
        _tell_differences(console, len(frames.different))
        frames.close()


@app.command()
def recover(
    folder: Annotated[Path, typer.Argument(help="The folder of a crashed session's journal, or one with several of them.")],
    out: Annotated[Path | None, typer.Option(help="The .session file to write; default: the journal's name beside it.")] = None,
) -> None:
    """Write a crashed session as a .session file."""
    from genie.sessions.archive import SUFFIX
    from genie.sessions.journal import crashed_journals, is_journal
    from genie.sessions.reading import recover as write

    found = [folder] if is_journal(folder) else crashed_journals(folder)
    if not found:
        raise GenieError(f"{folder} is no journal, and there is no crashed one in it.")
    if out is not None and len(found) > 1:
        raise GenieError(f"{folder} has {len(found)} crashed sessions; leave --out out, or name one of them.")
    for journal in found:
        target = out or journal.with_name(journal.name + SUFFIX)
        if target.exists():
            raise GenieError(f"{target} is there already; choose another --out.")
        recording = write(journal, target)
        message = f"{target.resolve()}: {recording.frames:,} frames in {len(recording)} branches"
        Console().print(message, highlight=False, soft_wrap=True, markup=False)


def replay(
    file: File,
    verify: Annotated[bool, typer.Option("--verify", help="Let the world make every frame again, instead of painting its codes.")] = False,
    world: WorldOption = None,
    device: DeviceOption = "auto",
    backend: BackendOption = None,
) -> None:
    """Replay a session and say whether every frame is the one that was shown; exit status 1 if not."""
    from genie.sessions.format import Runtime
    from genie.sessions.reading import check_same_weights, read_session
    from genie.sessions.replay import replay as paint_again
    from genie.sessions.replay import verify as make_again

    recording = read_session(file)
    console = Console()
    made = recording.header.runtime
    if verify:
        opened = _open(recording, world, device, backend)
        check_same_weights(recording, opened, file)
        here = Runtime.here(opened)
        if (here.backend, here.threads) != (made.backend, made.threads):
            console.print(
                f"recorded on {made.backend} with {made.threads} threads, simulated on {here.backend} with {here.threads}: "
                f"these may round differently.",
                highlight=False,
            )
        with _bar(console, "simulating") as progress:
            outcome = make_again(recording, opened, progress)
        how = f"simulated again on {opened.backend}"
    else:
        opened = _tokenizer_of(recording, file, world)
        with _bar(console, "painting") as progress:
            outcome = paint_again(recording, opened.engine.codec, progress)
        how = "painted again from codes"
    if outcome.equal:
        console.print(f"equal: {outcome.frames:,} frames in {outcome.branches} branches, {how}", highlight=False)
        return
    assert outcome.first is not None
    branch, index = outcome.first
    console.print(
        f"different: frame {index} of branch {branch} is the first that differs, {how}"
        + (f"; {outcome.different:,} of {outcome.frames:,} frames differ" if not verify else f"; {outcome.frames:,} before it are equal"),
        highlight=False,
    )
    raise typer.Exit(1)


def _open(recording: Recording, name: str | None, device: str = "auto", backend: str | None = None) -> World:
    """The session's world, on the back end that made the session if it is to be had here."""
    from genie.backends import available, resolve_device
    from genie.world import load_world, open_bundle

    manifest = open_bundle(name or recording.header.world.name).manifest
    made = recording.header.runtime.backend.replace("-cuda", "")
    here = available(manifest, resolve_device(device))
    return load_world(name or recording.header.world.name, device, backend or (made if made in here else "auto"))


def _tokenizer_of(recording: Recording, file: Path, name: str | None) -> World:
    """A world that can paint the session's frames."""
    from genie.sessions.reading import check_same_tokenizer
    from genie.world import open_bundle

    check_same_tokenizer(recording, open_bundle(name or recording.header.world.name).manifest, file)
    return _open(recording, name)


def _tell_differences(console: Console, count: int) -> None:
    if count:
        console.print(f"{count:,} frames differ from what was shown: this machine rounds otherwise than the one that recorded them.")


@contextmanager
def _bar(console: Console, what: str) -> Iterator[Callable[[int, int], None]]:
    """A progress bar over frames."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:,.0f}/{task.total:,.0f} frames"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bars:
        task = bars.add_task(what, total=1)
        yield lambda done, total: bars.update(task, completed=done, total=total)
