"""Latent actions and dynamics learned together or one after the other: the same dynamics, from nothing, for equally many steps.

python benchmarks/joint_training.py runs/coinrun --data data/coinrun --out runs/joint --steps 400

Together is Genie's way (Bruce et al. 2024, section 2.1): each step of the dynamics is one of the latent action model too, and the dynamics
hears the codes as they are at that step, through which no gradient flows. The run's tokenizer and tokens are taken as they are; its own
latent actions, trained for longer, are the third row. Each way is a folder of `--out`; a killed one goes on.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from rich.console import Console
from torch import Tensor

from genie.data.clips import Clips
from genie.data.store import Dataset
from genie.latent_actions import LatentActionModel
from genie.training.dynamics_stage import DynamicsData, DynamicsObjective, Sequences
from genie.training.latent_stage import LatentData, LatentObjective
from genie.training.loop import Plan, train
from genie.training.pipeline import Pipeline
from genie.training.settings import read_settings
from tokenizer.model import to_float

WAYS = ("together", "one after the other", "the run's latent actions")
SHOWN = {
    "psnr_1": "1 on",
    "psnr_4": "4",
    "psnr_10": "10",
    "delta_4": "Δ_4",
    "mutual_information_bits": "bits",
    "codes_in_use": "codes in use",
}


class Inferring(DynamicsObjective):
    """The dynamics under the codes that a latent action model infers from each batch; `beside`, if any, is trained in the same steps."""

    beside: LatentObjective | None = None

    def batch(self, step: int) -> tuple[Sequences, Clips | None]:  # type: ignore[override]
        rng = np.random.default_rng([self._data.seed, 3, step])
        return self._sequences(rng), self.beside.batch(step) if self.beside else None

    def loss(self, batch: tuple[Sequences, Clips | None], generator: torch.Generator) -> tuple[Tensor, dict[str, float], int]:  # type: ignore[override]
        sequences, clips = batch
        frames = to_float(torch.from_numpy(sequences.frames))
        with torch.no_grad():
            triples = (part.flatten(0, 1) for part in (frames[:, :-2], frames[:, 1:-1], frames[:, 2:]))
            codes = self._latent_actions.infer(*triples).reshape(sequences.actions.shape)
        loss, numbers, seen = super().loss(replace(sequences, actions=codes.numpy()), generator)
        if self.beside and clips is not None:
            own, told, _ = self.beside.loss(clips, generator)
            loss, numbers = loss + own, {**numbers, "loss_latent_actions": own.item(), "codes_in_batch": told["codes_in_batch"]}
        return loss, numbers, seen


def run_way(way: str, pipeline: Pipeline, out: Path, steps: int, rows: int, clips: int, console: Console) -> dict[str, float]:
    """Train one way and judge it under the codes that its own latent actions infer."""
    settings, dataset = pipeline.settings, pipeline.dataset

    def plan(stage: str) -> Plan:
        rate = settings.stages[stage].learning_rate  # type: ignore[index]
        return Plan(steps=steps, learning_rate=rate, seed=settings.seed, validate_seconds=1e9)

    data = LatentData(rows=rows, skip=settings.skip, seed=settings.seed)
    latent = LatentObjective(dataset, pipeline.latent_config, data)
    model: LatentActionModel = latent.model
    if way == "the run's latent actions":
        model.load_state_dict(pipeline._latent_actions().state_dict())
    elif way == "one after the other":
        train(latent, plan("latent_actions"), out, console)
    lesson = DynamicsData(
        rows=settings.stages["dynamics"].rows, slots=settings.slots, skip=settings.skip, seed=settings.seed, validation_clips=clips
    )
    objective = Inferring(
        dataset, pipeline.run / "tokens", pipeline._tokenizer(), model, pipeline.dynamics_config, pipeline.table, lesson, settings.sampling
    )  # fmt: skip
    if way == "together":
        objective.beside = latent
        objective.model.latent_actions = model  # learns and is averaged with it
    metrics = train(objective, plan("dynamics"), out, console)
    model.eval()
    with torch.no_grad():
        return metrics | {name: value for name, value in latent.validate().metrics.items() if not name.startswith("psnr")}


def main(
    run: Path,
    data: Annotated[Path, typer.Option()],
    out: Annotated[Path, typer.Option()],
    steps: int = 400,
    rows: Annotated[int, typer.Option(help="Clips in a step of the latent actions.")] = 64,
    clips: int = 64,
    only: Annotated[list[str] | None, typer.Option(help="A way; may be repeated. Default: all.")] = None,
    threads: int = 1,
) -> None:
    """Train every way and print a table of them in Markdown."""
    torch.set_num_threads(threads)
    console = Console()
    pipeline = Pipeline(Dataset(data), run, read_settings(run), console)
    found = {}
    for way in only or WAYS:
        if way not in WAYS:
            raise typer.BadParameter(f"there is no way {way!r}; choose from {'; '.join(WAYS)}.")
        console.print(f"[bold]{way}")
        found[way] = run_way(way, pipeline, out / way.replace(" ", "-").replace("'", ""), steps, rows, clips, console)
    print("| | " + " | ".join(SHOWN.values()) + " |\n" + "|---" * (1 + len(SHOWN)) + "|")
    for way, metrics in found.items():
        print(f"| {way} | " + " | ".join(f"{metrics[name]:.2f}" for name in SHOWN) + " |")


if __name__ == "__main__":
    typer.run(main)
