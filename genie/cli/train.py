"""`genie train`: from a dataset to a world."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from genie.errors import TrainingError


def train(
    data: Annotated[Path, typer.Argument(help="The dataset's folder.")],
    out: Annotated[Path, typer.Option(help="Folder of the run; an interrupted run goes on.")],
    stage: Annotated[str | None, typer.Option(help="Train one stage: tokenizer, latent_actions or dynamics.")] = None,
    preset: Annotated[str | None, typer.Option(help="default, per-frame or smoke.")] = None,
    minutes: Annotated[float | None, typer.Option(min=0.01, help="Minutes of the stage, or of all three together.")] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Steps of the stage, or of each of the three.")] = None,
    seed: Annotated[int | None, typer.Option(min=0)] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads; default: all cores.")] = None,
) -> None:
    """Train tokenizer, latent actions and dynamics in order, and export the world."""
    import torch

    from genie.data.store import Dataset
    from genie.training.pipeline import SETTINGS_FILE, STAGES, Pipeline, open_run, presets, read_settings

    if stage is not None and stage not in STAGES:
        raise TrainingError(f"there is no stage {stage!r}; choose one of {', '.join(STAGES)}.")
    known = presets()
    if preset is not None and preset not in known:
        raise TrainingError(f"there is no preset {preset!r}; choose one of {', '.join(known)}.")
    dataset = Dataset(data)
    if threads is not None:
        torch.set_num_threads(threads)
    wanted = known[preset] if preset is not None else read_settings(out) if (out / SETTINGS_FILE).exists() else known["default"]
    if seed is not None:
        wanted = wanted.model_copy(update={"seed": seed})
    wanted = wanted.bounded(minutes, steps, stage)  # type: ignore[arg-type]
    Pipeline(dataset, out, open_run(out, dataset, wanted)).train(stage)  # type: ignore[arg-type]
