"""`genie eval`: the marks of a world on held-out levels."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from PIL import Image
from rich.console import Console
from rich.table import Table


def evaluate(
    world: Annotated[str, typer.Argument(help="An installed world, or the path of a bundle.")],
    data: Annotated[Path, typer.Option(help="The dataset whose held-out levels judge the world.")],
    clips: Annotated[int, typer.Option(min=2, max=10_000, help="Rollouts to measure.")] = 128,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    backend: Annotated[str | None, typer.Option(help="What runs the world; default: onnx in fp32, or torch without graphs.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for report.json and contact_sheet.png.")] = None,
) -> None:
    """Measure a world on held-out levels: tokenizer, horizons, controllability."""
    from genie.cli.extras import need_torch

    need_torch("genie eval")
    from genie.data.store import Dataset, write_json
    from genie.evaluation.marks import evaluate_world
    from genie.pictures import grid
    from genie.world import load_world, open_bundle

    console = Console()
    if backend is None:
        backend = "torch" if open_bundle(world).manifest.graphs is None else "onnx"
    opened, dataset = load_world(world, device="cpu", backend=backend), Dataset(data)
    with console.status("measuring") as status:
        marks = evaluate_world(opened, dataset, clips, seed, status.update)
    table = Table("mark", "value", title=f"{opened.name} on held-out levels of {dataset.info.name}, {clips} clips, on {opened.backend}")
    for name, value in marks.values.items():
        table.add_row(name, f"{value:.3f}")
    console.print(table)
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        made_with = {"world": opened.name, "backend": opened.backend, "clips": clips, "seed": seed}
        write_json(out / "report.json", {**made_with, "marks": marks.values})
        rows = [clip for pair in zip(marks.truth[:8], marks.made[:8], strict=True) for clip in pair]
        Image.fromarray(grid(rows)).save(out / "contact_sheet.png")
        console.print(f"{out}: report.json, contact_sheet.png (truth over rollout)")
