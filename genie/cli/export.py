"""`genie export`: ONNX graphs into a world's bundle, so that it plays without torch."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from genie.errors import GenieError


def export(
    world: Annotated[str, typer.Argument(help="An installed world, or the folder of a bundle.")],
    data: Annotated[
        Path | None, typer.Option(help="A dataset whose held-out clips judge int8 and bf16; else only fp32 is offered.")
    ] = None,
    clips: Annotated[int, typer.Option(min=8, max=10_000, help="Held-out clips to judge by.")] = 256,
) -> None:
    """Write ONNX graphs into a world's bundle."""
    from genie.cli.extras import need_torch

    need_torch("genie export")
    from genie.data.clips import ClipSampler
    from genie.data.store import Dataset
    from genie.export.world import export_graphs
    from genie.horizons import PROMPT_FRAMES, clips_in_motion
    from genie.world import open_bundle

    console = Console()
    bundle = open_bundle(world)
    judges = None
    if data is not None:
        dataset = Dataset(data)
        if dataset.info.resolution != bundle.manifest.tokenizer.resolution:
            raise GenieError(f"{data} has another resolution than {world}; judge it on data of its own game.")
        held_out = dataset.split("held_out")
        judges = clips_in_motion(ClipSampler(held_out, PROMPT_FRAMES + 1, bundle.manifest.frame_skip, 0), clips)
    with console.status("exporting") as status:
        graphs = export_graphs(bundle.path, judges, status.update)
    for name, loss in graphs.psnr_loss.items():
        verdict = "offered" if name in graphs.precisions else "not offered"
        console.print(f"{name}: loses {loss:.3f} dB one frame on: {verdict}")
    console.print(f"{bundle.path}: ONNX graphs in {', '.join(graphs.precisions)}", markup=False)
